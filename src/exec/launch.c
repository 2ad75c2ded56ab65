#include "config.h"
#include "exec/launch.h"
#include "base/clock.h"
#include "base/mem.h"
#include "exec/cgroup.h"
#include "exec/proc.h"
#include "exec/spawner.h"
#include "exec/wire.h"
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define REAP_PAUSE_MS  1   /* between looks for the end of norn-run, without pidfd */
#define SWEEP_PAUSE_MS 5   /* between rounds against the orphans of a killed norn-run */
#define BIRTH_PAUSE_MS 500 /* until a spawner that has not answered is woken */
#define BIRTH_PAUSES   20  /* until it is killed */
#define RESETS_MAX     3   /* errors of a socket taken for one that hides packets */

/* Names for the messages about a failed start, which comes after the caller's spec is gone. */
struct names {
	char *program, *cwd, *stdout_path, *stderr_path;
};

struct launch {
	struct event_base *base;
	launch_started_cb *on_started;
	launch_exit_cb *on_exit;
	void *arg;
	struct names names;
	char *cgroup_dir; /* or NULL */
	struct spawner *spawner;
	char *run_path;
	int spec_fd;   /* until it is certain that nobody else needs it */
	pid_t run_pid; /* norn-run; 0 before it is born and after it has been reaped */
	bool unborn;   /* the spawner was asked for it */
	int pauses;    /* while unborn */
	pid_t pid;     /* the component, 0 until it is started */
	int sock;
	int pidfd; /* -1 on kernels without */
	struct event *packet, *end, *timer;
	struct wire_command said; /* the last command, when there was one */
	bool reported;            /* result holds what norn-run said at the end */
	int run_status;
	int64_t start_ms;
	struct cgroup cgroup; /* only while sweeping */
	int orphans;          /* met in this round */
	struct launch_result result;
};

static void launch_free(struct launch *l)
{
	struct event *const events[] = {l->packet, l->end, l->timer};

	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		if (events[i] != NULL)
			event_free(events[i]);
	}
	if (l->sock >= 0)
		(void)close(l->sock);
	if (l->pidfd >= 0)
		(void)close(l->pidfd);
	if (l->spec_fd >= 0)
		(void)close(l->spec_fd);
	free(l->run_path);
	free(l->names.program);
	free(l->names.cwd);
	free(l->names.stdout_path);
	free(l->names.stderr_path);
	free(l->cgroup_dir);
	free(l);
}

static void finish(struct launch *l)
{
	l->on_exit(&l->result, l->arg);
	launch_free(l);
}

static void again_in(struct launch *l, int ms)
{
	const struct timeval tv = {.tv_sec = 0, .tv_usec = ms * 1000};

	(void)event_add(l->timer, &tv);
}

/* ---- what norn-run reports ---- */

static void explain_failure(struct launch *l, const struct wire_report *r)
{
	struct err *e = &l->result.error;
	const struct names *n = &l->names;
	const char *why = strerror(r->errnum);

	switch (r->stage) {
	case WIRE_AT_STDOUT:
		(void)err_set(e, ERR_TASK_START, "cannot open the log %s: %s", n->stdout_path, why);
		break;
	case WIRE_AT_STDERR:
		(void)err_set(e, ERR_TASK_START, "cannot open the log %s: %s", n->stderr_path, why);
		break;
	case WIRE_AT_CWD:
		(void)err_set(e, ERR_TASK_START, "cannot use the working directory %s: %s", n->cwd,
			      why);
		break;
	case WIRE_AT_EXEC:
		(void)err_set(
		    e, ERR_TASK_START, "cannot execute the program %s: %s%s", n->program, why,
		    r->errnum == ENOENT ? " (neither may the interpreter it names be missing)"
					: "");
		break;
	case WIRE_AT_LIMITS:
		(void)err_set(e, ERR_TASK_START, "cannot set the limits of the program %s: %s",
			      n->program, why);
		break;
	case WIRE_AT_SPEC:
		(void)err_set(e, ERR_INTERNAL,
			      "norn-run does not understand how to start %s (%s): "
			      "are nornd and norn-run of one version?",
			      n->program, why);
		break;
	default:
		(void)err_set(e, ERR_TASK_START, "no resources to start the program %s: %s",
			      n->program, why);
		break;
	}
	l->reported = true;
}

static void take_end(struct launch *l, const struct wire_report *r)
{
	struct launch_result *out = &l->result;

	if (out->error.code != ERR_OK) /* of a process that was not yet the component */
		return;
	out->timed_out = (r->flags & WIRE_TIMED_OUT) != 0;
	out->stopped = (r->flags & WIRE_STOPPED) != 0;
	out->oom = (r->flags & WIRE_OOM) != 0;
	out->exit_code = r->exit_code;
	out->signal = r->signal;
	out->user_us = r->user_us;
	out->sys_us = r->sys_us;
	out->max_rss_kb = r->max_rss_kb;
	out->elapsed_ms = r->elapsed_ms;
	out->stdout_dropped = r->stdout_dropped;
	out->stderr_dropped = r->stderr_dropped;
	out->leftover = r->leftover;
	out->unkillable = r->unkillable;
	memcpy(out->stderr_tail, r->tail, r->tail_len);
	out->stderr_tail_len = r->tail_len;
	l->reported = true;
}

static void on_end(evutil_socket_t fd, short what, void *arg);

static int open_pidfd(pid_t pid)
{
#ifdef SYS_pidfd_open
	return (int)syscall(SYS_pidfd_open, pid, 0);
#else
	return -1;
#endif
}

/* An ended child that was not waited for is one still; so no other process can have its pid. */
static bool is_child(pid_t pid)
{
	siginfo_t info;

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

/* norn-run is there. Without pidfd its end is looked for when its socket closes; so it is when the
 * pid we were told is not that of a child, and may be anybody's. */
static void take_birth(struct launch *l, pid_t pid)
{
	l->run_pid = pid;
	l->unborn = false;
	(void)event_del(l->timer);
	(void)close(l->spec_fd);
	l->spec_fd = -1;
	l->pidfd = is_child(pid) ? open_pidfd(pid) : -1;
	if (l->pidfd < 0)
		return;
	l->end = event_new(l->base, l->pidfd, EV_READ | EV_PERSIST, on_end, l);
	if (l->end != NULL && event_add(l->end, NULL) == 0)
		return;
	(void)close(l->pidfd);
	l->pidfd = -1;
}

static void take_report(struct launch *l, const struct wire_report *r)
{
	switch ((enum wire_kind)r->kind) {
	case WIRE_STARTED:
		if (l->pid != 0)
			break;
		l->pid = r->pid;
		l->result.started = true;
		if (l->on_started != NULL)
			l->on_started(r->pid, l->arg);
		break;
	case WIRE_FAILED:
		explain_failure(l, r);
		break;
	case WIRE_EXITED:
		take_end(l, r);
		break;
	case WIRE_BORN:
		if (l->unborn)
			take_birth(l, r->pid);
		break;
	}
}

static void not_born(struct launch *l);

static void read_packets(struct launch *l)
{
	char packet[sizeof(struct wire_report) + 1];
	struct wire_report r;
	int resets = 0;

	for (;;) {
		ssize_t n = recv(l->sock, packet, sizeof(packet), MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		/* it ended without reading our command: said once, before what it has sent */
		if (n < 0 && errno == ECONNRESET && resets++ < RESETS_MAX)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n <= 0)
			break;
		if (wire_report_decode(packet, (size_t)n, &r))
			take_report(l, &r);
	}
	(void)event_del(l->packet); /* its end: norn-run is about to be, or is, gone */
	if (l->unborn)
		not_born(l);
	else if (l->pidfd < 0)
		again_in(l, REAP_PAUSE_MS);
}

static void on_packet(evutil_socket_t fd, short what, void *arg)
{
	read_packets(arg);
}

/* ---- the end of norn-run ---- */

static void kill_orphan(pid_t pid, void *arg)
{
	struct launch *l = arg;

	/* what this process has started itself, supervisors among it, is in its session */
	if (getsid(pid) == getsid(0))
		return;
	(void)proc_kill_child(pid);
	if (waitpid(pid, NULL, WNOHANG) != pid)
		l->orphans++;
}

/* A killed norn-run has left its descendants to us: one round of SIGKILL; true when none is left.
 */
static bool sweep(struct launch *l)
{
	l->orphans = 0;
	cgroup_kill(&l->cgroup);
	proc_each_child(kill_orphan, l);
	return l->orphans == 0;
}

static void explain_loss(struct launch *l)
{
	struct err *e = &l->result.error;
	char how[64];

	if (WIFSIGNALED(l->run_status))
		(void)snprintf(how, sizeof(how), "was killed by signal %d",
			       WTERMSIG(l->run_status));
	else
		(void)snprintf(how, sizeof(how), "ended with status %d",
			       WEXITSTATUS(l->run_status));
	(void)err_set(e, ERR_INTERNAL,
		      "norn-run, the supervisor of %s, %s: the program was killed with it",
		      l->names.program, how);
	l->result.elapsed_ms = clock_mono_ms() - l->start_ms;
}

static void on_lost_timer(struct launch *l)
{
	if (!sweep(l)) {
		again_in(l, SWEEP_PAUSE_MS);
		return;
	}
	cgroup_remove(&l->cgroup);
	finish(l);
}

static void on_run_end(struct launch *l)
{
	pid_t pid;

	do {
		pid = waitpid(l->run_pid, &l->run_status, WNOHANG);
	} while (pid < 0 && errno == EINTR);
	if (pid == 0) { /* not quite gone yet */
		again_in(l, REAP_PAUSE_MS);
		return;
	}
	l->run_pid = 0;
	if (l->end != NULL)
		(void)event_del(l->end);
	if (l->reported) {
		finish(l);
		return;
	}
	explain_loss(l);
	cgroup_open(&l->cgroup, l->cgroup_dir, pid);
	on_lost_timer(l);
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
	struct launch *l = arg;

	read_packets(l);
	on_run_end(l);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct launch *l = arg;

	if (l->unborn) {
		if (++l->pauses == BIRTH_PAUSES) /* our socket closes with it, see not_born() */
			spawner_kill(l->spawner);
		spawner_wake(l->spawner);
		again_in(l, BIRTH_PAUSE_MS);
	} else if (l->run_pid != 0) {
		on_run_end(l);
	} else {
		on_lost_timer(l);
	}
}

/* ---- start ---- */

static bool check_spec(const struct launch_spec *s, struct err *e)
{
	const int64_t limits[] = {s->timeout_ms, s->grace_ms, s->max_log_bytes, s->memory_max_bytes,
				  s->address_space_max_bytes};

	if (s->argv == NULL || s->argv[0] == NULL || s->argv[0][0] == '\0')
		return err_set(e, ERR_TASK_START, "no program is given to start");
	if (s->env == NULL || s->run_path == NULL)
		return err_set(e, ERR_INTERNAL,
			       "a launch needs an environment and norn-run's path");
	if (access(s->run_path, X_OK) != 0)
		return err_set(e, ERR_CONFIG, "cannot start the supervisor %s: %s", s->run_path,
			       strerror(errno));
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		if (limits[i] < 0)
			return err_set(e, ERR_TASK_START, "a limit of %s is negative", s->argv[0]);
	}
	return true;
}

/* The encoded spec in a memory file, or -1. */
static int write_spec(const struct launch_spec *s, struct err *e)
{
	size_t len = wire_spec_encode(s, NULL, 0);
	char *text;
	ssize_t n;
	int fd;

	if (len > WIRE_SPEC_MAX) {
		(void)err_set(e, ERR_LIMIT, "arguments and environment of %s are too large",
			      s->argv[0]);
		return -1;
	}
	fd = memfd_create("norn-spec", MFD_CLOEXEC);
	if (fd < 0) {
		(void)err_set(e, ERR_TASK_RESOURCE, "cannot start %s: memfd_create: %s", s->argv[0],
			      strerror(errno));
		return -1;
	}
	text = mem_alloc(len);
	(void)wire_spec_encode(s, text, len);
	n = write(fd, text, len);
	free(text);
	if (n == (ssize_t)len)
		return fd;
	(void)err_set(e, ERR_TASK_RESOURCE, "cannot start %s: no memory for its arguments",
		      s->argv[0]);
	(void)close(fd);
	return -1;
}

/* Starts norn-run in a process group of its own, with the two descriptors and no environment. */
static int spawn_run(struct launch *l, int sock)
{
	char name[] = "norn-run", sock_text[16], spec_text[16], about[64];
	char *const argv[] = {name, sock_text, spec_text, about, NULL};
	char *const env[] = {NULL};
	const int fds[] = {sock, l->spec_fd};

	(void)snprintf(sock_text, sizeof(sock_text), "%d", sock);
	(void)snprintf(spec_text, sizeof(spec_text), "%d", l->spec_fd);
	(void)snprintf(about, sizeof(about), "%s", l->names.program);
	return proc_spawn(l->run_path, argv, env, fds, ARRAY_LEN(fds), &l->run_pid);
}

/* Starts norn-run with a socket of its own. */
static bool begin(struct launch *l, struct spawner *spawner, struct err *e)
{
	int ends[2] = {-1, -1};
	int rc = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return err_set(e, ERR_TASK_RESOURCE, "cannot start %s: socketpair: %s",
			       l->names.program, strerror(errno));
	l->sock = ends[0];
	l->packet = event_new(l->base, l->sock, EV_READ | EV_PERSIST, on_packet, l);
	if (l->packet == NULL || event_add(l->packet, NULL) != 0) {
		(void)close(ends[1]);
		return err_set(e, ERR_TASK_RESOURCE, "cannot watch the program %s: %s",
			       l->names.program, strerror(errno));
	}
	l->unborn = spawner != NULL && spawner_send(spawner, ends[1], l->spec_fd);
	if (l->unborn) {
		again_in(l, BIRTH_PAUSE_MS);
	} else {
		rc = spawn_run(l, ends[1]);
		if (rc == 0)
			take_birth(l, l->run_pid);
	}
	(void)close(ends[1]);
	if (rc == 0)
		return true;
	l->run_pid = 0;
	return err_set(e, rc == EAGAIN || rc == ENOMEM ? ERR_TASK_RESOURCE : ERR_CONFIG,
		       "cannot start the supervisor %s: %s", l->run_path, strerror(rc));
}

/* The spawner could not fork, or has died before it did: then norn-run is executed. */
static void not_born(struct launch *l)
{
	l->unborn = false;
	(void)event_del(l->timer);
	if (l->reported) {
		finish(l);
		return;
	}
	event_free(l->packet);
	l->packet = NULL;
	(void)close(l->sock);
	l->sock = -1;
	if (!begin(l, NULL, &l->result.error)) {
		finish(l);
		return;
	}
	if (l->said.version != 0)
		(void)send(l->sock, &l->said, sizeof(l->said), MSG_DONTWAIT | MSG_NOSIGNAL);
}

struct launch *launch_start(struct event_base *base, const struct launch_spec *spec,
			    launch_started_cb *on_started, launch_exit_cb *on_exit, void *arg,
			    struct err *e)
{
	struct launch *l;

	if (!check_spec(spec, e))
		return NULL;
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	l = mem_zalloc(sizeof(*l));
	l->base = base;
	l->on_started = on_started;
	l->on_exit = on_exit;
	l->arg = arg;
	l->sock = l->pidfd = -1;
	l->spec_fd = write_spec(spec, e);
	l->result.exit_code = -1;
	l->start_ms = clock_mono_ms();
	l->cgroup = (struct cgroup)CGROUP_NONE;
	l->names.program = mem_strdup(spec->argv[0]);
	l->names.cwd = mem_strdup(spec->cwd != NULL ? spec->cwd : "/");
	l->names.stdout_path = mem_strdup(spec->stdout_path);
	l->names.stderr_path = mem_strdup(spec->stderr_path);
	l->cgroup_dir = mem_strdup(spec->cgroup_dir);
	l->run_path = mem_strdup(spec->run_path);
	l->spawner = spec->spawner;
	l->timer = l->spec_fd < 0 ? NULL : event_new(base, -1, 0, on_timer, l);
	if (l->spec_fd >= 0 && l->timer == NULL)
		(void)err_set(e, ERR_TASK_RESOURCE, "cannot watch the program %s: %s",
			      spec->argv[0], strerror(errno));
	if (l->timer == NULL || !begin(l, spec->spawner, e)) {
		launch_free(l);
		return NULL;
	}
	return l;
}

static void command(struct launch *l, enum wire_order order, int64_t grace_ms)
{
	l->said = (struct wire_command){
	    .version = WIRE_VERSION,
	    .order = order,
	    .grace_ms = grace_ms > 0 ? grace_ms : 0,
	};
	if (l->run_pid == 0 && !l->unborn)
		return;
	/* a packet that finds no room finds others with the same meaning before it */
	(void)send(l->sock, &l->said, sizeof(l->said), MSG_DONTWAIT | MSG_NOSIGNAL);
	/* the component may have suspended its supervisor, being of the same user */
	if (l->run_pid != 0)
		(void)kill(l->run_pid, SIGCONT);
}

void launch_stop(struct launch *l, int64_t grace_ms)
{
	command(l, WIRE_STOP, grace_ms);
}

void launch_kill(struct launch *l)
{
	command(l, WIRE_KILL, 0);
}
