#include "config.h"
#include "exec_harness.h"
#include "base/clock.h"
#include "exec/proc.h"
#include "exec/spawner.h"
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

char ex_dir[64];
char ex_child[512], ex_norn_run[512], ex_out[96], ex_err[96], ex_pids[96];
struct event_base *ex_base;
struct spawner *ex_spawner;
static bool own; /* the spawner is ex_child */
static const char *const no_env[] = {NULL};

void ex_on_started(pid_t pid, void *arg)
{
	struct outcome *o = arg;

	ck_assert(!o->done);
	o->began = true;
	o->started_calls++;
	o->pid = pid;
}

void ex_on_exit(const struct launch_result *r, void *arg)
{
	struct outcome *o = arg;

	ck_assert(!o->done);
	o->done = true;
	o->r = *r;
}

void ex_set_up(void)
{
	const char *build = getenv("NORN_BUILDDIR");

	if (build == NULL)
		build = ".";
	(void)snprintf(ex_child, sizeof(ex_child), "%s/tests/unit/exec_child", build);
	(void)snprintf(ex_norn_run, sizeof(ex_norn_run), "%s/norn-run", build);
	ck_assert_msg(access(ex_child, X_OK) == 0, "%s is missing", ex_child);
	if (ex_child[0] != '/') {
		char here[256];

		ck_assert_ptr_nonnull(getcwd(here, sizeof(here)));
		(void)snprintf(ex_child, sizeof(ex_child), "%s/tests/unit/exec_child", here);
	}
	(void)snprintf(ex_dir, sizeof(ex_dir), "/tmp/norn-launch-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(ex_dir));
	(void)snprintf(ex_out, sizeof(ex_out), "%s/out", ex_dir);
	(void)snprintf(ex_err, sizeof(ex_err), "%s/err", ex_dir);
	(void)snprintf(ex_pids, sizeof(ex_pids), "%s/pids", ex_dir);
	ex_base = event_base_new();
	ck_assert_ptr_nonnull(ex_base);
}

struct spawner *ex_new_spawner(const char *path)
{
	struct spawner *s = spawner_new(path);

	for (int64_t end = clock_mono_ms() + EX_PATIENCE_MS; !spawner_serves(s);) {
		ck_assert_msg(clock_mono_ms() < end, "%s does not serve", path);
		(void)usleep(1000);
	}
	return s;
}

void ex_set_up_spawner(void)
{
	ex_set_up();
	ex_spawner = ex_new_spawner(ex_norn_run);
}

void ex_set_up_own(void)
{
	ex_set_up();
	ex_spawner = ex_new_spawner(ex_child);
	own = true;
}

void ex_tear_down(void)
{
	spawner_free(ex_spawner);
	event_base_free(ex_base);
	/* nobody is left for us to reap: no supervisor, no orphan */
	ck_assert(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	(void)unlink(ex_out);
	(void)unlink(ex_err);
	(void)unlink(ex_pids);
	ck_assert_int_eq(rmdir(ex_dir), 0);
}

static void on_overdue(evutil_socket_t fd, short what, void *arg)
{
	ck_abort_msg("the event did not come in time");
}

void ex_run_until(const bool *flag)
{
	const struct timeval tv = {.tv_sec = EX_PATIENCE_MS / 1000};
	struct event *overdue = event_new(ex_base, -1, 0, on_overdue, NULL);

	ck_assert_int_eq(event_add(overdue, &tv), 0);
	while (!*flag)
		ck_assert_int_ge(event_base_loop(ex_base, EVLOOP_ONCE), 0);
	event_free(overdue);
}

struct launch_spec ex_spec(const char *const *argv)
{
	return (struct launch_spec){
	    .argv = argv,
	    .env = no_env,
	    .cwd = ex_dir,
	    .stdout_path = ex_out,
	    .stderr_path = ex_err,
	    .grace_ms = 2000,
	    .run_path = ex_norn_run,
	    .spawner = ex_spawner,
	    .own = own && argv[0] == ex_child,
	};
}

struct launch *ex_begin(const struct launch_spec *s, struct outcome *o)
{
	struct err e;
	struct launch *l;

	memset(o, 0, sizeof(*o));
	l = launch_start(ex_base, s, ex_on_started, ex_on_exit, o, &e);
	ck_assert_msg(l != NULL, "%s", e.msg);
	ck_assert(!o->done && o->started_calls == 0);
	return l;
}

void ex_run(const struct launch_spec *s, struct outcome *o)
{
	(void)ex_begin(s, o);
	ex_run_until(&o->done);
}

size_t ex_read_file(const char *path, char *out, size_t size)
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

size_t ex_read_pids(pid_t pids[EX_MAX_PIDS])
{
	char text[EX_MAX_PIDS * 12];
	size_t n = 0;

	(void)ex_read_file(ex_pids, text, sizeof(text));
	for (char *line = strtok(text, "\n"); line != NULL && n < EX_MAX_PIDS;
	     line = strtok(NULL, "\n"))
		pids[n++] = (pid_t)atol(line);
	return n;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(*(int *)arg)++; /* it only has to make the loop come round */
}

void ex_wait_for_pids(int n)
{
	const struct timeval tv = {.tv_usec = 2000};
	int rounds = 0;
	pid_t pids[EX_MAX_PIDS];
	struct event *tick = event_new(ex_base, -1, EV_PERSIST, on_tick, &rounds);

	ck_assert_int_eq(event_add(tick, &tv), 0);
	for (int64_t end = clock_mono_ms() + EX_PATIENCE_MS; ex_read_pids(pids) < (size_t)n;) {
		ck_assert_int_lt(clock_mono_ms(), end);
		ck_assert_int_ge(event_base_loop(ex_base, EVLOOP_ONCE), 0);
	}
	event_free(tick);
}

static bool is_gone(pid_t pid)
{
	char path[64], text[512];
	const char *p;

	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	if (ex_read_file(path, text, sizeof(text)) == 0)
		return true;
	p = strrchr(text, ')');
	return p != NULL && (p[2] == 'Z' || p[2] == 'X');
}

pid_t ex_parent_of(pid_t pid)
{
	char path[64], text[512];
	pid_t parent, session;

	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	ck_assert_uint_gt(ex_read_file(path, text, sizeof(text)), 0);
	ck_assert(proc_parse_stat(text, &parent, &session));
	return parent;
}

int ex_assert_all_gone(void)
{
	pid_t pids[EX_MAX_PIDS];
	size_t n = ex_read_pids(pids);

	for (size_t i = 0; i < n; i++)
		ck_assert_msg(is_gone(pids[i]), "process %ld still lives", (long)pids[i]);
	return (int)n;
}

void ex_assert_clean_exit(const struct outcome *o, int code)
{
	ck_assert_msg(o->r.error.code == ERR_OK, "%s", o->r.error.msg);
	ck_assert(o->r.started);
	ck_assert_int_eq(o->started_calls, 1);
	ck_assert_int_eq(o->r.exit_code, code);
	ck_assert_int_eq(o->r.signal, 0);
	ck_assert(!o->r.timed_out && !o->r.stopped);
}

int ex_run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
