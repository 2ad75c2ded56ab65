#include "config.h"
#include "exec/supervise.h"
#include "exec/caplog.h"
#include "exec/cgroup.h"
#include "exec/proc.h"
#include "exec/serve.h"
#include "exec/title.h"
#include "exec/wire.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KILL_PAUSE_MIN_MS 1
#define KILL_PAUSE_MAX_MS 100
#define NEVER             INT64_MAX
#define OOM_SCORE_ADJUST  "500" /* when memory is short, the component dies before the node */
#define EXIT_USAGE        64
#define EXIT_NOT_STARTED  127 /* of the component, when it could not be executed */

enum phase {
	RUNNING,
	STOPPING, /* SIGTERM is sent, the grace runs */
	KILLING,  /* SIGKILL, again and again, until nothing is left */
	DONE,
};

struct run {
	int sock; /* -1 after the node has gone */
	supervise_main_fn *own;
	struct wire_spec spec;
	struct caplog out, err;
	struct cgroup cgroup;
	enum phase phase;
	pid_t pid;     /* the component */
	bool reaped;   /* it has ended, and status says how */
	bool no_child; /* nothing is left alive or unreaped */
	int status;
	int64_t started_ms, ended_ms;
	int64_t timeout_at_ms; /* or NEVER */
	int64_t grace_at_ms;
	int64_t kill_at_ms; /* of the next round of SIGKILL */
	int64_t kill_pause_ms;
	uint32_t flags;
	int leftover;
	int unkillable; /* children, in the last round */
	int killable;
};

/* What the child before exec tells its parent, through the memory they share. */
struct start_failure {
	enum wire_stage stage;
	int errnum;
};

static volatile sig_atomic_t told_to_stop;
/* volatile: written by the child, which the compiler takes for another program */
static volatile struct start_failure failure;

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t after(int64_t delay_ms)
{
	int64_t now = now_ms();

	return delay_ms < NEVER - now ? now + delay_ms : NEVER;
}

/* Those that a supervisor does something with. */
static const int used_signals[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGXFSZ, SIGPIPE};

static void on_child(int sig)
{
	(void)sig; /* it only has to interrupt ppoll() */
}

static void on_stop(int sig)
{
	(void)sig;
	told_to_stop = 1;
}

/* What was inherited: of the node, which ignores some. */
static void forget_signals(void)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = SIG_DFL;
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		(void)sigaction(sig, &sa, NULL); /* refused for a few, which are default always */
}

/* Signals stay blocked except inside ppoll(), so none falls between a check and the wait. */
static void set_up_signals(void)
{
	struct sigaction sa;
	sigset_t all;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	memset(&sa, 0, sizeof(sa));
	(void)sigfillset(&sa.sa_mask);
	sa.sa_handler = on_child;
	(void)sigaction(SIGCHLD, &sa, NULL);
	sa.sa_handler = on_stop;
	(void)sigaction(SIGTERM, &sa, NULL);
	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGHUP, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	(void)sigaction(SIGXFSZ, &sa, NULL); /* a log at RLIMIT_FSIZE is a write error */
	(void)sigaction(SIGPIPE, &sa, NULL);
}

void supervise_close_fds(unsigned from, unsigned to)
{
	if (from > to)
		return;
#ifdef HAVE_CLOSE_RANGE
	if (close_range(from, to, 0) == 0)
		return;
#endif
	struct rlimit lim;
	unsigned end = to;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < end)
		end = (unsigned)lim.rlim_cur;
	for (unsigned fd = from; fd <= end; fd++)
		(void)close((int)fd);
}

/* Keep 0, 1, 2 and the two given, which may be one; nothing but 0, 1 and 2 goes on to the
 * component. */
static bool set_up_fds(int sock, int spec)
{
	unsigned low = (unsigned)(sock < spec ? sock : spec);
	unsigned high = (unsigned)(sock < spec ? spec : sock);
	int fd;

	supervise_close_fds(3, low - 1);
	supervise_close_fds(low + 1, high - 1);
	supervise_close_fds(high + 1, UINT_MAX);
	do { /* fill what is missing of 0, 1 and 2, so that no pipe lands there */
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= 2);
	if (fd > 2)
		(void)close(fd);
	return fd > 2 && fcntl(sock, F_SETFD, FD_CLOEXEC) == 0 &&
	       fcntl(spec, F_SETFD, FD_CLOEXEC) == 0;
}

static void send_report(const struct run *r, struct wire_report *report)
{
	report->version = WIRE_VERSION;
	if (r->sock >= 0)
		(void)send(r->sock, report, wire_report_size(report), MSG_NOSIGNAL);
}

static void send_kind(const struct run *r, enum wire_kind kind, pid_t pid)
{
	struct wire_report report = {.kind = kind, .pid = pid};

	send_report(r, &report);
}

static void send_failure(const struct run *r, enum wire_stage stage, int errnum)
{
	struct wire_report report = {
	    .kind = WIRE_FAILED, .stage = (int32_t)stage, .errnum = errnum};

	send_report(r, &report);
}

static NORETURN void fail_start(struct run *r, enum wire_stage stage, int errnum)
{
	send_failure(r, stage, errnum);
	cgroup_remove(&r->cgroup);
	_exit(EXIT_FAILURE);
}

/* Reads the whole specification; it lives as long as the program. */
static void load_spec(struct run *r, int fd)
{
	const char *why;
	struct stat st;
	size_t len, done = 0;
	char *data;

	if (fstat(fd, &st) != 0)
		fail_start(r, WIRE_AT_SPEC, errno);
	if (st.st_size <= 0 || st.st_size > (off_t)WIRE_SPEC_MAX)
		fail_start(r, WIRE_AT_SPEC, E2BIG);
	len = (size_t)st.st_size;
	data = malloc(len);
	if (data == NULL)
		fail_start(r, WIRE_AT_RESOURCES, ENOMEM);
	while (done < len) {
		ssize_t n = pread(fd, data + done, len - done, (off_t)done);

		if (n <= 0)
			fail_start(r, WIRE_AT_SPEC, n < 0 ? errno : EIO);
		done += (size_t)n;
	}
	(void)close(fd);
	if (!wire_spec_decode(data, len, &r->spec, &why)) {
		(void)fprintf(stderr, "norn-run: the launch specification is unusable: %s\n", why);
		fail_start(r, WIRE_AT_SPEC, EPROTO);
	}
}

/* Opens a log and its pipe; returns the pipe's write end. lazy: most often nothing is written to
 * it, then it is not made. */
static int open_log(struct run *r, struct caplog *log, const char *path, bool lazy,
		    enum wire_stage stage)
{
	int ends[2];
	int file = -1;

	if (path != NULL) {
		file = open(path, CAPLOG_FLAGS | (lazy ? 0 : O_CREAT), CAPLOG_MODE);
		if (file < 0 && (!lazy || errno != ENOENT))
			fail_start(r, stage, errno);
	}
	/* only our end does not block: the component must find an ordinary pipe */
	if (pipe2(ends, O_CLOEXEC) != 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0)
		fail_start(r, WIRE_AT_RESOURCES, errno);
	caplog_init(log, ends[0], file, r->spec.max_log_bytes);
	log->path = path;
	return ends[1];
}

/* ---- the child, before it is the component ---- */

static bool child_limit(int resource, int64_t value)
{
	struct rlimit lim = {.rlim_cur = (rlim_t)value, .rlim_max = (rlim_t)value};

	return setrlimit(resource, &lim) == 0;
}

static void child_prefer_for_oom(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, OOM_SCORE_ADJUST, strlen(OOM_SCORE_ADJUST)) < 0) {
		/* a node that is itself preferred stays at its own, higher, value */
	}
	(void)close(fd);
}

static void child_default_signals(void)
{
	struct sigaction sa;
	sigset_t none;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = SIG_DFL;
	for (size_t i = 0; i < ARRAY_LEN(used_signals); i++)
		(void)sigaction(used_signals[i], &sa, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* 0, or where it failed, and errno says why. */
static int child_set_up(const struct run *r, pid_t parent, int out, int err)
{
	const char *cwd = r->spec.cwd != NULL ? r->spec.cwd : "/";
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		return WIRE_AT_RESOURCES;
	(void)setsid();
	/* should the supervisor be killed, the component at least does not outlive it */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_NOT_STARTED);
	cgroup_enter(&r->cgroup);
	child_prefer_for_oom();
	if (!child_limit(RLIMIT_CORE, 0))
		return WIRE_AT_LIMITS;
	if (r->spec.address_space_max_bytes > 0 &&
	    !child_limit(RLIMIT_AS, r->spec.address_space_max_bytes))
		return WIRE_AT_LIMITS;
	if (chdir(cwd) != 0)
		return WIRE_AT_CWD;
	child_default_signals();
	return 0;
}

/* After vfork(): with the memory of its parent. */
static NORETURN void child_exec(const struct run *r, pid_t parent, int out, int err)
{
	int stage = child_set_up(r, parent, out, err);

	if (stage == 0) {
		if (strchr(r->spec.argv[0], '/') != NULL)
			(void)execve(r->spec.argv[0], r->spec.argv, r->spec.env);
		else
			(void)execvp(r->spec.argv[0], r->spec.argv); /* environ is its */
		stage = WIRE_AT_EXEC;
	}
	failure.errnum = errno;
	failure.stage = (enum wire_stage)stage;
	_exit(EXIT_NOT_STARTED);
}

/* The destructors of libraries have nothing to put away that the end of the process does not, and
 * running through them costs as much as a small component. */
static NORETURN void end_own(int status)
{
#ifdef __SANITIZE_ADDRESS__
	exit(status); /* looks for leaks */
#else
	(void)fflush(NULL);
	_exit(status);
#endif
}

/* After fork(): what an exec would do for the component is done here. It tells the node itself how
 * far it has come. */
static NORETURN void child_own(const struct run *r, pid_t parent, int out, int err)
{
	int stage = child_set_up(r, parent, out, err);
	const char *slash = strrchr(r->spec.argv[0], '/');
	int argc = 0;

	if (stage != 0) {
		send_failure(r, (enum wire_stage)stage, errno);
		_exit(EXIT_NOT_STARTED);
	}
	send_kind(r, WIRE_STARTED, getpid());
	supervise_close_fds(3, UINT_MAX);
	title_set(slash != NULL ? slash + 1 : r->spec.argv[0], r->spec.argv, r->spec.env);
	while (r->spec.argv[argc] != NULL)
		argc++;
	end_own(r->own(argc, r->spec.argv));
}

/* ---- the supervisor ---- */

static pid_t start_exec(const struct run *r, int out, int err)
{
	pid_t self = getpid();
	pid_t pid = vfork();

	if (pid == 0)
		child_exec(r, self, out, err);
	return pid;
}

static pid_t start_own(const struct run *r, int out, int err)
{
	pid_t self = getpid();
	pid_t pid = fork();

	if (pid == 0)
		child_own(r, self, out, err);
	return pid;
}

static void start(struct run *r)
{
	bool own = r->spec.own && r->own != NULL;
	int out = open_log(r, &r->out, r->spec.stdout_path, false, WIRE_AT_STDOUT);
	int err = open_log(r, &r->err, r->spec.stderr_path, true, WIRE_AT_STDERR);

	cgroup_make(&r->cgroup, r->spec.cgroup_dir, getpid(), r->spec.memory_max_bytes);
	environ = r->spec.env;
	r->pid = own ? start_own(r, out, err) : start_exec(r, out, err);
	if (r->pid < 0)
		fail_start(r, WIRE_AT_RESOURCES, errno);
	(void)close(out);
	(void)close(err);
	if (failure.stage != 0) {
		(void)waitpid(r->pid, NULL, 0);
		fail_start(r, failure.stage, failure.errnum);
	}
	r->started_ms = now_ms();
	r->timeout_at_ms = r->spec.timeout_ms > 0 ? after(r->spec.timeout_ms) : NEVER;
	if (!own)
		send_kind(r, WIRE_STARTED, r->pid);
}

static void begin_killing(struct run *r)
{
	r->phase = KILLING;
	r->kill_at_ms = 0;
	r->kill_pause_ms = KILL_PAUSE_MIN_MS;
}

static void stop(struct run *r, int64_t grace_ms)
{
	int64_t at = after(grace_ms);

	if (r->phase == STOPPING && at < r->grace_at_ms)
		r->grace_at_ms = at;
	if (r->phase != RUNNING)
		return;
	r->phase = STOPPING;
	r->grace_at_ms = at;
	if (!r->reaped) {
		(void)kill(-r->pid, SIGTERM);
		(void)kill(-r->pid, SIGCONT); /* a suspended process cannot act on SIGTERM */
	}
}

static void reap(struct run *r)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid < 0 && errno == EINTR)
			continue;
		r->no_child = pid < 0;
		if (pid <= 0)
			return;
		if (pid == r->pid) {
			r->reaped = true;
			r->status = status;
			r->ended_ms = now_ms();
		} else if (r->phase == KILLING && WIFSIGNALED(status) &&
			   WTERMSIG(status) == SIGKILL) {
			r->leftover++;
		}
	}
}

static void kill_one(pid_t pid, void *arg)
{
	struct run *r = arg;

	if (proc_kill_child(pid))
		r->killable++;
	else
		r->unkillable++;
}

/* Direct children only: what they leave behind comes to us and is met in the next round. */
static void kill_round(struct run *r)
{
	r->killable = r->unkillable = 0;
	cgroup_kill(&r->cgroup);
	if (!r->reaped)
		(void)proc_kill_child(r->pid); /* even where /proc is not to be had */
	proc_each_child(kill_one, r);
	r->kill_at_ms = after(r->kill_pause_ms);
	if (r->kill_pause_ms < KILL_PAUSE_MAX_MS)
		r->kill_pause_ms *= 2;
}

static void advance(struct run *r)
{
	int64_t now = now_ms();

	reap(r);
	if (r->phase == RUNNING && r->reaped)
		begin_killing(r);
	if (r->phase == RUNNING && now >= r->timeout_at_ms) {
		r->flags |= WIRE_TIMED_OUT;
		stop(r, r->spec.grace_ms);
	}
	/* the grace is for those who were sent SIGTERM: the component's process group */
	if (r->phase == STOPPING && (now >= r->grace_at_ms || (r->reaped && kill(-r->pid, 0) != 0)))
		begin_killing(r);
	if (r->phase == KILLING && !r->no_child && now >= r->kill_at_ms) {
		kill_round(r);
		reap(r);
	}
	if (r->no_child)
		r->unkillable = 0; /* they have ended by themselves */
	if (r->no_child ||
	    (r->phase == KILLING && r->reaped && r->killable == 0 && r->unkillable > 0))
		r->phase = DONE;
}

static int64_t next_deadline(const struct run *r)
{
	switch (r->phase) {
	case RUNNING:
		return r->timeout_at_ms;
	case STOPPING:
		return r->grace_at_ms;
	default:
		return r->kill_at_ms;
	}
}

static void read_command(struct run *r)
{
	char packet[sizeof(struct wire_command) + 1];
	struct wire_command c;
	ssize_t n = recv(r->sock, packet, sizeof(packet), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { /* the node has died, or wants no more of this */
		(void)close(r->sock);
		r->sock = -1;
		stop(r, r->spec.grace_ms);
		return;
	}
	if (!wire_command_decode(packet, (size_t)n, &c))
		return;
	if (!r->reaped)
		r->flags |= WIRE_STOPPED;
	if (c.order == WIRE_STOP)
		stop(r, c.grace_ms);
	else if (r->phase != KILLING)
		begin_killing(r);
}

static void wait_for_event(struct run *r)
{
	struct pollfd fds[] = {
	    {.fd = r->sock, .events = POLLIN},
	    {.fd = r->out.pipe_fd, .events = POLLIN},
	    {.fd = r->err.pipe_fd, .events = POLLIN},
	};
	int64_t at = next_deadline(r), now = now_ms();
	int64_t wait_ms = at > now ? at - now : 0;
	struct timespec ts = {.tv_sec = wait_ms / 1000, .tv_nsec = (wait_ms % 1000) * 1000000};
	sigset_t none;

	(void)sigemptyset(&none);
	if (ppoll(fds, ARRAY_LEN(fds), at == NEVER ? NULL : &ts, &none) > 0) {
		if (fds[0].revents != 0)
			read_command(r);
		if (fds[1].revents != 0)
			(void)caplog_pump(&r->out);
		if (fds[2].revents != 0)
			(void)caplog_pump(&r->err);
	}
	if (told_to_stop) {
		told_to_stop = 0;
		stop(r, r->spec.grace_ms);
	}
}

static void report_end(struct run *r)
{
	static struct wire_report report;
	struct rusage use;

	(void)getrusage(RUSAGE_CHILDREN, &use);
	report.kind = WIRE_EXITED;
	report.exit_code = WIFEXITED(r->status) ? WEXITSTATUS(r->status) : -1;
	report.signal = WIFSIGNALED(r->status) ? WTERMSIG(r->status) : 0;
	report.leftover = r->leftover;
	report.unkillable = r->unkillable;
	report.user_us = (int64_t)use.ru_utime.tv_sec * 1000000 + use.ru_utime.tv_usec;
	report.sys_us = (int64_t)use.ru_stime.tv_sec * 1000000 + use.ru_stime.tv_usec;
	report.max_rss_kb = use.ru_maxrss;
	report.elapsed_ms = r->ended_ms - r->started_ms;
	report.stdout_dropped = r->out.dropped;
	report.stderr_dropped = r->err.dropped;
	report.tail_len = (uint32_t)caplog_tail(&r->err, report.tail);
	report.flags = r->flags;
	if (cgroup_had_oom(&r->cgroup))
		report.flags |= WIRE_OOM;
	send_report(r, &report);
}

static bool parse_fd(const char *text, int *out)
{
	char *end;
	long v = strtol(text, &end, 10);

	*out = (int)v;
	return end != text && *end == '\0' && v > 2 && v < INT_MAX && fcntl((int)v, F_GETFD) >= 0;
}

void supervise(int sock, int spec, bool forked, supervise_main_fn *own)
{
	static struct run r = {.cgroup = CGROUP_NONE};

	r.sock = sock;
	r.own = own;
	if (forked)
		send_kind(&r, WIRE_BORN, getpid());
	(void)umask(077);
	set_up_signals();
	if (!set_up_fds(sock, spec))
		fail_start(&r, WIRE_AT_RESOURCES, errno);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	load_spec(&r, spec);
	if (forked) {
		char name[] = "norn-run";
		char *const title[] = {name, r.spec.argv[0], NULL};

		title_set(name, title, NULL);
	}
	start(&r);
	for (advance(&r); r.phase != DONE; advance(&r))
		wait_for_event(&r);
	caplog_finish(&r.out);
	caplog_finish(&r.err);
	report_end(&r);
	cgroup_remove(&r.cgroup);
	_exit(EXIT_SUCCESS);
}

int supervise_main(int argc, char **argv, supervise_main_fn *own)
{
	char name[] = "norn-spawn";
	char *const title[] = {name, NULL};
	int first, second;

	forget_signals();
	if (argc >= 3 && strcmp(argv[1], SUPERVISE_SERVE) == 0 && parse_fd(argv[2], &first)) {
		title_init(argc, argv);
		title_set(name, title, NULL);
		if (!set_up_fds(first, first))
			return EXIT_FAILURE;
		_exit(serve(first, own)); /* like a supervisor: nothing is put away */
	}
	if (argc >= 3 && parse_fd(argv[1], &first) && parse_fd(argv[2], &second) && first != second)
		supervise(first, second, false, own);
	(void)fputs("norn-run: started by nornd only: norn-run SOCKET_FD SPEC_FD\n", stderr);
	return EXIT_USAGE;
}
