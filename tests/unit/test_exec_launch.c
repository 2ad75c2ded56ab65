/* The launcher and norn-run with real processes. */
#include "config.h"
#include "base/clock.h"
#include "exec/launch.h"
#include "exec/proc.h"
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 20000
#define MAX_PIDS    128

static char dir[64];
static char child_path[512], run_path[512], out_path[96], err_path[96], pids_path[96];
static struct event_base *base;
static const char *const no_env[] = {NULL};

struct outcome {
	bool done;
	int started_calls;
	pid_t pid;
	struct launch_result r;
};

static void on_started(pid_t pid, void *arg)
{
	struct outcome *o = arg;

	ck_assert(!o->done);
	o->started_calls++;
	o->pid = pid;
}

static void on_exit_cb(const struct launch_result *r, void *arg)
{
	struct outcome *o = arg;

	ck_assert(!o->done);
	o->done = true;
	o->r = *r;
}

static void set_up(void)
{
	const char *build = getenv("NORN_BUILDDIR");

	if (build == NULL)
		build = ".";
	(void)snprintf(child_path, sizeof(child_path), "%s/tests/unit/exec_child", build);
	(void)snprintf(run_path, sizeof(run_path), "%s/norn-run", build);
	ck_assert_msg(access(child_path, X_OK) == 0, "%s is missing", child_path);
	if (child_path[0] != '/') {
		char here[256];

		ck_assert_ptr_nonnull(getcwd(here, sizeof(here)));
		(void)snprintf(child_path, sizeof(child_path), "%s/tests/unit/exec_child", here);
	}
	(void)snprintf(dir, sizeof(dir), "/tmp/norn-launch-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(out_path, sizeof(out_path), "%s/out", dir);
	(void)snprintf(err_path, sizeof(err_path), "%s/err", dir);
	(void)snprintf(pids_path, sizeof(pids_path), "%s/pids", dir);
	base = event_base_new();
	ck_assert_ptr_nonnull(base);
}

static void tear_down(void)
{
	event_base_free(base);
	/* nobody is left for us to reap: no supervisor, no orphan */
	ck_assert(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	(void)unlink(out_path);
	(void)unlink(err_path);
	(void)unlink(pids_path);
	ck_assert_int_eq(rmdir(dir), 0);
}

static void on_overdue(evutil_socket_t fd, short what, void *arg)
{
	ck_abort_msg("the event did not come in time");
}

/* Run the loop until *flag. */
static void run_until(const bool *flag)
{
	const struct timeval tv = {.tv_sec = PATIENCE_MS / 1000};
	struct event *overdue = event_new(base, -1, 0, on_overdue, NULL);

	ck_assert_int_eq(event_add(overdue, &tv), 0);
	while (!*flag)
		ck_assert_int_ge(event_base_loop(base, EVLOOP_ONCE), 0);
	event_free(overdue);
}

static struct launch_spec spec_of(const char *const *argv)
{
	return (struct launch_spec){
	    .argv = argv,
	    .env = no_env,
	    .cwd = dir,
	    .stdout_path = out_path,
	    .stderr_path = err_path,
	    .grace_ms = 2000,
	    .run_path = run_path,
	};
}

static struct launch *begin(const struct launch_spec *s, struct outcome *o)
{
	struct err e;
	struct launch *l;

	memset(o, 0, sizeof(*o));
	l = launch_start(base, s, on_started, on_exit_cb, o, &e);
	ck_assert_msg(l != NULL, "%s", e.msg);
	ck_assert(!o->done && o->started_calls == 0);
	return l;
}

static void run(const struct launch_spec *s, struct outcome *o)
{
	(void)begin(s, o);
	run_until(&o->done);
}

static size_t read_file(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	out[0] = '\0';
	if (fd < 0)
		return 0;
	while (len < size - 1 && (n = read(fd, out + len, size - 1 - len)) > 0)
		len += (size_t)n;
	(void)close(fd);
	out[len] = '\0';
	return len;
}

static size_t read_pids(pid_t *pids)
{
	char text[MAX_PIDS * 12];
	size_t n = 0;

	(void)read_file(pids_path, text, sizeof(text));
	for (char *line = strtok(text, "\n"); line != NULL && n < MAX_PIDS;
	     line = strtok(NULL, "\n"))
		pids[n++] = (pid_t)atol(line);
	return n;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(*(int *)arg)++; /* it only has to make the loop come round */
}

/* Until n processes have recorded themselves. */
static void wait_for_pids(int n)
{
	const struct timeval tv = {.tv_usec = 2000};
	int rounds = 0;
	pid_t pids[MAX_PIDS];
	struct event *tick = event_new(base, -1, EV_PERSIST, on_tick, &rounds);

	ck_assert_int_eq(event_add(tick, &tv), 0);
	for (int64_t end = clock_mono_ms() + PATIENCE_MS; read_pids(pids) < (size_t)n;) {
		ck_assert_int_lt(clock_mono_ms(), end);
		ck_assert_int_ge(event_base_loop(base, EVLOOP_ONCE), 0);
	}
	event_free(tick);
}

static bool is_gone(pid_t pid)
{
	char path[64], text[512];
	const char *p;

	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	if (read_file(path, text, sizeof(text)) == 0)
		return true;
	p = strrchr(text, ')');
	return p != NULL && (p[2] == 'Z' || p[2] == 'X');
}

static pid_t parent_of(pid_t pid)
{
	char path[64], text[512];
	pid_t parent, session;

	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	ck_assert_uint_gt(read_file(path, text, sizeof(text)), 0);
	ck_assert(proc_parse_stat(text, &parent, &session));
	return parent;
}

/* Every process that recorded itself is dead now; returns how many. */
static int assert_all_gone(void)
{
	pid_t pids[MAX_PIDS];
	size_t n = read_pids(pids);

	for (size_t i = 0; i < n; i++)
		ck_assert_msg(is_gone(pids[i]), "process %ld still lives", (long)pids[i]);
	return (int)n;
}

static void assert_clean_exit(const struct outcome *o, int code)
{
	ck_assert_msg(o->r.error.code == ERR_OK, "%s", o->r.error.msg);
	ck_assert(o->r.started);
	ck_assert_int_eq(o->started_calls, 1);
	ck_assert_int_eq(o->r.exit_code, code);
	ck_assert_int_eq(o->r.signal, 0);
	ck_assert(!o->r.timed_out && !o->r.stopped);
}

/* ---- how a component ends ---- */

START_TEST(exit_codes)
{
	static const int codes[] = {0, 1, 3, 127, 255};
	char script[32];
	const char *argv[] = {"/bin/sh", "-c", script, NULL};
	struct launch_spec s = spec_of(argv);
	struct outcome o;

	(void)snprintf(script, sizeof(script), "exit %d", codes[_i]);
	run(&s, &o);
	assert_clean_exit(&o, codes[_i]);
	ck_assert_int_eq(o.r.leftover, 0);
	ck_assert_int_eq((int)o.r.stderr_tail_len, 0);
	ck_assert_int_gt(o.r.max_rss_kb, 0);
	ck_assert_int_lt(o.r.elapsed_ms, PATIENCE_MS);
}
END_TEST

START_TEST(resource_use)
{
	const char *argv[] = {"/bin/sh", "-c",
			      "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 0.2", NULL};
	struct launch_spec s = spec_of(argv);
	struct outcome o;

	run(&s, &o);
	assert_clean_exit(&o, 0);
	ck_assert_int_gt(o.r.user_us, 10000);
	ck_assert_int_ge(o.r.elapsed_ms, 200);
	ck_assert_int_ge(o.r.elapsed_ms * 1000, o.r.user_us / 2);
}
END_TEST

START_TEST(death_by_signal)
{
	const char *argv[] = {"/bin/sh", "-c", "kill -SEGV $$", NULL};
	struct launch_spec s = spec_of(argv);
	struct outcome o;

	run(&s, &o);
	ck_assert(o.r.started);
	ck_assert_int_eq(o.r.exit_code, -1);
	ck_assert_int_eq(o.r.signal, SIGSEGV);
	ck_assert(!o.r.stopped && !o.r.timed_out);
}
END_TEST

START_TEST(stop_is_heard)
{
	const char *argv[] = {child_path, "polite", pids_path, NULL};
	struct launch_spec s = spec_of(argv);
	struct outcome o;
	struct launch *l = begin(&s, &o);
	int64_t at;

	wait_for_pids(1);
	at = clock_mono_ms();
	launch_stop(l, 10000);
	run_until(&o.done);
	ck_assert_int_lt(clock_mono_ms() - at, 5000);
	ck_assert(o.r.stopped && !o.r.timed_out);
	ck_assert_int_eq(o.r.exit_code, 5);
}
END_TEST

START_TEST(stop_is_ignored)
{
	const char *argv[] = {child_path, "deaf", pids_path, NULL};
	struct launch_spec s = spec_of(argv);
	struct outcome o;
	struct launch *l = begin(&s, &o);
	int64_t at;

	wait_for_pids(1);
	at = clock_mono_ms();
	launch_stop(l, 300);
	run_until(&o.done);
	ck_assert_int_ge(clock_mono_ms() - at, 299);
	ck_assert(o.r.stopped);
	ck_assert_int_eq(o.r.signal, SIGKILL);
	ck_assert_int_eq(o.r.exit_code, -1);
}
END_TEST

START_TEST(stop_again_shortens_grace)
{
	const char *argv[] = {child_path, "deaf", pids_path, NULL};
	struct launch_spec s = spec_of(argv);
	struct outcome o;
	struct launch *l = begin(&s, &o);
	int64_t at;

	wait_for_pids(1);
	at = clock_mono_ms();
	launch_stop(l, INT64_MAX);
	launch_stop(l, 100);
	launch_stop(l, 60000);
	run_until(&o.done);
	ck_assert_int_lt(clock_mono_ms() - at, 10000);
	ck_assert_int_eq(o.r.signal, SIGKILL);
}
END_TEST

START_TEST(stop_before_start)
{
	const char *argv[] = {"/bin/sleep", "1000", NULL};
	struct launch_spec s = spec_of(argv);
	struct outcome o;

	launch_stop(begin(&s, &o), 5000);
	run_until(&o.done);
	ck_assert(o.r.started && o.r.stopped);
	ck_assert_int_eq(o.r.signal, SIGTERM);
}
END_TEST

START_TEST(kill_takes_all)
{
	const char *argv[] = {child_path, "tree", pids_path, NULL};
	struct launch_spec s = spec_of(argv);
	struct outcome o;
	struct launch *l = begin(&s, &o);

	wait_for_pids(4);
	launch_kill(l);
	run_until(&o.done);
	ck_assert(o.r.stopped);
	ck_assert_int_eq(o.r.signal, SIGKILL);
	ck_assert_int_eq(assert_all_gone(), 4);
	ck_assert_int_eq(o.r.leftover, 3);
}
END_TEST

START_TEST(timeout)
{
	const char *argv[] = {child_path, "tree", pids_path, NULL};
	struct launch_spec s = spec_of(argv);
	struct outcome o;

	s.timeout_ms = 1000;
	s.grace_ms = 100;
	run(&s, &o);
	ck_assert(o.r.started && o.r.timed_out && !o.r.stopped);
	ck_assert_int_eq(o.r.signal, SIGTERM);
	ck_assert_int_ge(o.r.elapsed_ms, 999);
	ck_assert_int_lt(o.r.elapsed_ms, 10000);
	ck_assert_int_eq(assert_all_gone(), 4);
}
END_TEST

/* ---- what it leaves behind ---- */

START_TEST(daemon_is_killed)
{
	const char *argv[] = {child_path, "daemon", pids_path, NULL};
	struct launch_spec s = spec_of(argv);
	struct outcome o;

	run(&s, &o);
	assert_clean_exit(&o, 7);
	ck_assert_int_eq(assert_all_gone(), 1);
	ck_assert_int_eq(o.r.leftover, 1);
}
END_TEST

START_TEST(bomb_is_killed)
{
	const char *argv[] = {child_path, "bomb", pids_path, "50", NULL};
	struct launch_spec s = spec_of(argv);
	struct outcome o;
	struct launch *l = begin(&s, &o);

	wait_for_pids(51);
	launch_stop(l, 50);
	run_until(&o.done);
	ck_assert(o.r.stopped);
	ck_assert_int_eq(assert_all_gone(), 51);
}
END_TEST

static void count_children(pid_t pid, void *arg)
{
	(*(int *)arg)++;
}

START_TEST(runner_is_caught)
{
	const char *argv[] = {child_path, "runner", pids_path, NULL};
	struct launch_spec s = spec_of(argv);
	struct outcome o;
	int n = 0;

	run(&s, &o);
	assert_clean_exit(&o, 0);
	ck_assert_int_ge(o.r.leftover, 1);
	proc_each_child(count_children, &n);
	ck_assert_int_eq(n, 0);
}
END_TEST

/* ---- deaths around it ---- */

static NORETURN void be_a_node(const struct launch_spec *s)
{
	struct outcome o;

	base = event_base_new();
	(void)begin(s, &o);
	(void)event_base_dispatch(base);
	_exit(1);
}

START_TEST(node_death)
{
	const char *argv[] = {child_path, "tree", pids_path, NULL};
	struct launch_spec s = spec_of(argv);
	pid_t pids[MAX_PIDS], supervisor, node;
	int64_t end;
	int status;

	s.grace_ms = 100;
	/* what the dead node leaves comes to us, so that we can wait for it */
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	node = fork();
	ck_assert_int_ge(node, 0);
	if (node == 0)
		be_a_node(&s);
	wait_for_pids(4);
	(void)read_pids(pids);
	supervisor = 0;
	for (int i = 0; i < 4; i++) {
		pid_t parent = parent_of(pids[i]);

		if (parent_of(parent) == node)
			supervisor = parent;
	}
	ck_assert_int_gt(supervisor, 0);
	ck_assert_int_eq(kill(node, SIGKILL), 0);
	ck_assert_int_eq(waitpid(node, &status, 0), node);
	end = clock_mono_ms() + PATIENCE_MS;
	while (waitpid(supervisor, &status, WNOHANG) == 0) {
		ck_assert_int_lt(clock_mono_ms(), end);
		(void)usleep(2000);
	}
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert_int_eq(assert_all_gone(), 4);
}
END_TEST

START_TEST(supervisor_death)
{
	const char *argv[] = {child_path, "tree", pids_path, NULL};
	const char *sleep_argv[] = {"/bin/sleep", "0.5", NULL};
	struct launch_spec s = spec_of(argv), other = spec_of(sleep_argv);
	struct outcome o, o2;
	pid_t bystander = fork();

	if (bystander == 0) {
		for (;;)
			(void)pause();
	}
	(void)begin(&s, &o);
	(void)begin(&other, &o2);
	wait_for_pids(4);
	ck_assert_int_gt(o.pid, 0);
	ck_assert_int_eq(kill(parent_of(o.pid), SIGKILL), 0);
	run_until(&o.done);
	ck_assert(o.r.started);
	ck_assert_int_eq(o.r.error.code, ERR_INTERNAL);
	ck_assert_ptr_nonnull(strstr(o.r.error.msg, "signal 9"));
	ck_assert_ptr_nonnull(strstr(o.r.error.msg, child_path));
	ck_assert_int_eq(assert_all_gone(), 4);
	/* neither another launch nor another child is touched */
	run_until(&o2.done);
	assert_clean_exit(&o2, 0);
	ck_assert_int_eq(waitpid(bystander, NULL, WNOHANG), 0);
	ck_assert_int_eq(kill(bystander, SIGKILL), 0);
	ck_assert_int_eq(waitpid(bystander, NULL, 0), bystander);
}
END_TEST

START_TEST(supervisor_suspended)
{
	const char *argv[] = {child_path, "suspend-supervisor", pids_path, NULL};
	struct launch_spec s = spec_of(argv);
	struct outcome o;
	struct launch *l = begin(&s, &o);

	wait_for_pids(1);
	launch_stop(l, 1000);
	run_until(&o.done);
	ck_assert(o.r.stopped);
	ck_assert_int_eq(assert_all_gone(), 1);
}
END_TEST

START_TEST(supervisor_told_to_stop)
{
	const char *argv[] = {child_path, "polite", pids_path, NULL};
	struct launch_spec s = spec_of(argv);
	struct outcome o;

	(void)begin(&s, &o);
	wait_for_pids(1);
	ck_assert_int_eq(kill(parent_of(o.pid), SIGTERM), 0);
	run_until(&o.done);
	ck_assert_int_eq(o.r.exit_code, 5);
	ck_assert(!o.r.stopped);
}
END_TEST

/* ---- logs ---- */

START_TEST(log_is_capped)
{
	const char *argv[] = {child_path, "flood", "3000000", NULL};
	struct launch_spec s = spec_of(argv);
	static char text[200000];
	struct outcome o;
	size_t len;

	s.max_log_bytes = 100500;
	run(&s, &o);
	assert_clean_exit(&o, 0);
	ck_assert_int_eq(o.r.stdout_dropped, 3000000 - 100500);
	ck_assert_int_eq(o.r.stderr_dropped, 3000008 - 100500);
	len = read_file(out_path, text, sizeof(text));
	ck_assert_uint_gt(len, 100500);
	ck_assert_uint_lt(len, 100500 + 200);
	ck_assert_mem_eq(text + 100500, "\nnorn-run: the log limit of 100500 bytes", 39);
	ck_assert_int_eq(text[len - 1], '\n');
	ck_assert_ptr_null(strstr(text + 100501 + 10, "norn-run:"));
	ck_assert_uint_eq(o.r.stderr_tail_len, LAUNCH_TAIL_MAX);
	ck_assert_mem_eq(o.r.stderr_tail + LAUNCH_TAIL_MAX - 10, "x\nthe end\n", 10);
}
END_TEST

START_TEST(log_is_complete)
{
	const char *argv[] = {"/bin/sh", "-c", "echo out; echo err >&2; exec 1>&- 2>&-; sleep 0.05",
			      NULL};
	struct launch_spec s = spec_of(argv);
	struct outcome o;
	struct stat st;
	char text[64];

	run(&s, &o);
	run(&s, &o); /* appends */
	assert_clean_exit(&o, 0);
	(void)read_file(out_path, text, sizeof(text));
	ck_assert_str_eq(text, "out\nout\n");
	(void)read_file(err_path, text, sizeof(text));
	ck_assert_str_eq(text, "err\nerr\n");
	ck_assert_uint_eq(o.r.stderr_tail_len, 4);
	ck_assert_mem_eq(o.r.stderr_tail, "err\n", 4);
	ck_assert_int_eq(stat(out_path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(log_of_leftover)
{
	/* the leftover holds the pipe open, but the launch must end all the same */
	const char *argv[] = {"/bin/sh", "-c", "sleep 1000 & echo x >&2", NULL};
	struct launch_spec s = spec_of(argv);
	struct outcome o;

	s.stdout_path = NULL;
	run(&s, &o);
	assert_clean_exit(&o, 0);
	ck_assert_int_eq(o.r.leftover, 1);
	ck_assert_uint_eq(o.r.stderr_tail_len, 2);
	ck_assert_int_ne(access(out_path, F_OK), 0);
}
END_TEST

START_TEST(log_on_full_disk)
{
	const char *argv[] = {child_path, "flood", "10000", NULL};
	struct launch_spec s = spec_of(argv);
	struct outcome o;

	s.stdout_path = "/dev/full";
	run(&s, &o);
	assert_clean_exit(&o, 0);
	ck_assert_int_eq(o.r.stdout_dropped, 10000);
	ck_assert_int_eq(o.r.stderr_dropped, 0);
}
END_TEST

/* ---- what a component is given ---- */

START_TEST(surroundings)
{
	const char *argv[] = {child_path, "dump", "", "a b", "--x=\n'\"$(id)", "\xff\x01", NULL};
	const char *env[] = {"A=1", "EMPTY=", "B=x y\tz", "=odd", NULL};
	struct launch_spec s = spec_of(argv);
	struct outcome o;
	char text[4096], want[1024];
	int fds[3];

	s.env = env;
	for (int i = 0; i < 3; i++) /* without close-on-exec: a node may have such */
		fds[i] = open("/dev/null", O_RDWR);
	(void)signal(SIGPIPE, SIG_IGN);
	run(&s, &o);
	assert_clean_exit(&o, 0);
	for (int i = 0; i < 3; i++)
		(void)close(fds[i]);
	(void)read_file(out_path, text, sizeof(text));
	(void)snprintf(want, sizeof(want),
		       "arg []\narg [a b]\narg [--x=\n'\"$(id)]\narg [\xff\x01]\n"
		       "env [A=1]\nenv [EMPTY=]\nenv [B=x y\tz]\nenv [=odd]\n"
		       "fd 0 /dev/null\nfd 1 pipe\nfd 2 pipe\n"
		       "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"
		       "cwd %s\numask 077\nleader 1\ncore 0\ndeathsig 9\n",
		       dir);
	ck_assert_str_eq(text, want);
}
END_TEST

START_TEST(address_space)
{
	const char *argv[] = {"/bin/sh", "-c", "ulimit -v", NULL};
	struct launch_spec s = spec_of(argv);
	struct outcome o;
	char text[64];

	s.address_space_max_bytes = (int64_t)1 << 30;
	run(&s, &o);
	assert_clean_exit(&o, 0);
	(void)read_file(out_path, text, sizeof(text));
	ck_assert_str_eq(text, "1048576\n");
}
END_TEST

START_TEST(search_in_path)
{
	const char *argv[] = {"sh", "-c", "exit 4", NULL};
	const char *env[] = {"PATH=/nowhere:/bin", NULL};
	const char *bad_env[] = {"PATH=/nowhere", NULL};
	struct launch_spec s = spec_of(argv);
	struct outcome o;

	s.env = env;
	run(&s, &o);
	assert_clean_exit(&o, 4);
	s.env = bad_env;
	run(&s, &o);
	ck_assert(!o.r.started);
	ck_assert_ptr_nonnull(strstr(o.r.error.msg, "sh"));
}
END_TEST

START_TEST(large_environment)
{
	const char *argv[] = {"/bin/sh", "-c", "echo ${#BIG}", NULL};
	static char big[120000];
	const char *env[] = {big, NULL};
	struct launch_spec s = spec_of(argv);
	struct outcome o;
	char text[64];

	memset(big, 'y', sizeof(big) - 1);
	memcpy(big, "BIG=", 4);
	s.env = env;
	run(&s, &o);
	assert_clean_exit(&o, 0);
	(void)read_file(out_path, text, sizeof(text));
	ck_assert_int_eq(atoi(text), (int)sizeof(big) - 1 - 4);
}
END_TEST

/* ---- starts that fail ---- */

static void assert_failed_start(const struct launch_spec *s, const char *named, const char *why)
{
	struct outcome o;

	run(s, &o);
	ck_assert(!o.r.started);
	ck_assert_int_eq(o.started_calls, 0);
	ck_assert_int_eq(o.r.error.code, ERR_TASK_START);
	ck_assert_msg(strstr(o.r.error.msg, named) != NULL, "%s", o.r.error.msg);
	ck_assert_msg(strstr(o.r.error.msg, why) != NULL, "%s", o.r.error.msg);
	ck_assert_int_eq(o.r.exit_code, -1);
}

START_TEST(failed_starts)
{
	const char *none[] = {"/nowhere/component", "x", NULL};
	const char *text[] = {"/etc/passwd", NULL};
	const char *good[] = {"/bin/true", NULL};
	struct launch_spec s = spec_of(none);

	assert_failed_start(&s, "/nowhere/component", "No such file");
	s = spec_of(text);
	assert_failed_start(&s, "/etc/passwd", "Permission denied");
	s = spec_of(good);
	s.cwd = "/nowhere/cwd";
	assert_failed_start(&s, "/nowhere/cwd", "No such file");
	s = spec_of(good);
	s.stdout_path = "/nowhere/out";
	assert_failed_start(&s, "/nowhere/out", "No such file");
	s = spec_of(good);
	s.stderr_path = dir;
	assert_failed_start(&s, dir, "Is a directory");
}
END_TEST

START_TEST(log_is_not_a_link)
{
	const char *good[] = {"/bin/true", NULL};
	struct launch_spec s = spec_of(good);

	ck_assert_int_eq(symlink("/etc/passwd", out_path), 0);
	assert_failed_start(&s, out_path, "symbolic links");
}
END_TEST

START_TEST(refused_at_once)
{
	const char *none[] = {NULL};
	const char *good[] = {"/bin/true", NULL};
	struct launch_spec s = spec_of(none);
	struct outcome o;
	struct err e;

	ck_assert_ptr_null(launch_start(base, &s, on_started, on_exit_cb, &o, &e));
	ck_assert_int_eq(e.code, ERR_TASK_START);
	s = spec_of(good);
	s.timeout_ms = -1;
	ck_assert_ptr_null(launch_start(base, &s, on_started, on_exit_cb, &o, &e));
	ck_assert_int_eq(e.code, ERR_TASK_START);
	s = spec_of(good);
	s.run_path = "/nowhere/norn-run";
	ck_assert_ptr_null(launch_start(base, &s, on_started, on_exit_cb, &o, &e));
	ck_assert_int_eq(e.code, ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(e.msg, "/nowhere/norn-run"));
	s.run_path = "/bin/true"; /* not a supervisor at all */
	run(&s, &o);
	ck_assert(!o.r.started);
	ck_assert_int_eq(o.r.error.code, ERR_INTERNAL);
}
END_TEST

/* ---- many ---- */

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n;
}

START_TEST(many_at_once)
{
	static struct outcome o[50];
	char script[64];
	const char *argv[] = {"/bin/sh", "-c", script, NULL};
	struct launch_spec s = spec_of(argv);
	int fds = count_fds();

	s.stdout_path = s.stderr_path = NULL;
	for (int i = 0; i < 50; i++) {
		(void)snprintf(script, sizeof(script), "echo %d >&2; sleep 0.1; exit %d", i, i);
		(void)begin(&s, &o[i]);
	}
	for (int i = 0; i < 50; i++) {
		char want[16];
		int n = snprintf(want, sizeof(want), "%d\n", i);

		run_until(&o[i].done);
		assert_clean_exit(&o[i], i);
		ck_assert_uint_eq(o[i].r.stderr_tail_len, (size_t)n);
		ck_assert_mem_eq(o[i].r.stderr_tail, want, (size_t)n);
	}
	ck_assert_int_eq(count_fds(), fds);
}
END_TEST

/* ---- cgroups ---- */

static bool find_cgroup2(char *out, size_t size)
{
	char line[1024], where[512], type[32];
	FILE *f = fopen("/proc/self/mounts", "re");
	bool found = false;

	while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%*s %511s %31s", where, type) == 2 &&
		    strcmp(type, "cgroup2") == 0) {
			(void)snprintf(out, size, "%s/norn-test-%ld", where, (long)getpid());
			found = mkdir(out, 0755) == 0;
		}
	}
	if (f != NULL)
		(void)fclose(f);
	return found;
}

START_TEST(cgroup_is_absent)
{
	const char *argv[] = {"/bin/true", NULL};
	const char *dirs[] = {"/nowhere/cgroup", dir};
	struct launch_spec s = spec_of(argv);
	struct outcome o;

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		s.cgroup_dir = dirs[i];
		s.memory_max_bytes = 1 << 20;
		run(&s, &o);
		assert_clean_exit(&o, 0);
		ck_assert(!o.r.oom);
	}
}
END_TEST

START_TEST(cgroup_is_used)
{
	const char *argv[] = {"/bin/cat", "/proc/self/cgroup", NULL};
	const char *tree[] = {child_path, "tree", pids_path, NULL};
	struct launch_spec s = spec_of(argv);
	char group[600], text[4096];
	struct outcome o;

	if (!find_cgroup2(group, sizeof(group))) {
		(void)fputs("no writable cgroup2 mount: not tested here\n", stderr);
		return;
	}
	s.cgroup_dir = group;
	run(&s, &o);
	assert_clean_exit(&o, 0);
	(void)read_file(out_path, text, sizeof(text));
	ck_assert_msg(strstr(text, strrchr(group, '/')) != NULL, "%s", text);
	s = spec_of(tree);
	s.cgroup_dir = group;
	(void)begin(&s, &o);
	wait_for_pids(4);
	ck_assert_int_eq(kill(parent_of(o.pid), SIGKILL), 0);
	run_until(&o.done);
	ck_assert_int_eq(assert_all_gone(), 4);
	/* only an empty directory can be removed: both children of it are gone */
	ck_assert_int_eq(rmdir(group), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("exec_launch");
	TCase *t = tcase_create("processes");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, exit_codes, 0, 5);
	tcase_add_test(t, resource_use);
	tcase_add_test(t, death_by_signal);
	tcase_add_test(t, stop_is_heard);
	tcase_add_test(t, stop_is_ignored);
	tcase_add_test(t, stop_again_shortens_grace);
	tcase_add_test(t, stop_before_start);
	tcase_add_test(t, kill_takes_all);
	tcase_add_test(t, timeout);
	tcase_add_test(t, daemon_is_killed);
	tcase_add_test(t, bomb_is_killed);
	tcase_add_test(t, runner_is_caught);
	tcase_add_test(t, node_death);
	tcase_add_test(t, supervisor_death);
	tcase_add_test(t, supervisor_suspended);
	tcase_add_test(t, supervisor_told_to_stop);
	tcase_add_test(t, log_is_capped);
	tcase_add_test(t, log_is_complete);
	tcase_add_test(t, log_of_leftover);
	tcase_add_test(t, log_on_full_disk);
	tcase_add_test(t, surroundings);
	tcase_add_test(t, address_space);
	tcase_add_test(t, search_in_path);
	tcase_add_test(t, large_environment);
	tcase_add_test(t, failed_starts);
	tcase_add_test(t, log_is_not_a_link);
	tcase_add_test(t, refused_at_once);
	tcase_add_test(t, many_at_once);
	tcase_add_test(t, cgroup_is_absent);
	tcase_add_test(t, cgroup_is_used);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
