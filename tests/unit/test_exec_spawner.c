/* Spawners that die, are suspended, or are none; what the processes that they fork look like. */
#include "config.h"
#include "base/clock.h"
#include "exec_child.h"
#include "exec_harness.h"
#include "exec/spawner.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The process ids of our children with this short name. */
static int children_named(const char *name, pid_t *last)
{
	char path[64], text[64], want[32];
	FILE *f;
	int n = 0, pid;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%ld/children", (long)getpid());
	(void)snprintf(want, sizeof(want), "%s\n", name);
	f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	while (fscanf(f, "%d", &pid) == 1) {
		(void)snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		(void)ex_read_file(path, text, sizeof(text));
		if (strcmp(text, want) == 0) {
			*last = pid;
			n++;
		}
	}
	(void)fclose(f);
	return n;
}

static pid_t spawner_pid(void)
{
	pid_t pid = 0;

	ck_assert_int_eq(children_named("norn-spawn", &pid), 1);
	return pid;
}

static void assert_runs(void)
{
	const char *argv[] = {"/bin/sh", "-c", "exit 4", NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;

	ex_run(&s, &o);
	ex_assert_clean_exit(&o, 4);
}

START_TEST(dead_before)
{
	ck_assert_int_eq(kill(spawner_pid(), SIGKILL), 0);
	for (int i = 0; i < 5; i++)
		assert_runs();
}
END_TEST

/* It dies when it has been asked: before, while or after it forks. */
START_TEST(dies_when_asked)
{
	const char *argv[] = {"/bin/sh", "-c", "sleep 0.01; exit 4", NULL};

	for (int i = 0; i < 40; i++) {
		struct launch_spec s = ex_spec(argv);
		struct outcome o;
		pid_t pid = spawner_pid();

		(void)ex_begin(&s, &o);
		(void)usleep((useconds_t)i * 10);
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		ex_run_until(&o.done);
		ex_assert_clean_exit(&o, 4);
		spawner_free(ex_spawner);
		ex_spawner = ex_new_spawner(ex_norn_run);
	}
}
END_TEST

/* A stop that was said to a supervisor which never came to be counts for the one executed instead.
 */
START_TEST(stop_is_kept)
{
	const char *argv[] = {"/bin/sleep", "1000", NULL};

	for (int i = 0; i < 10; i++) {
		struct launch_spec s = ex_spec(argv);
		struct outcome o;
		pid_t pid = spawner_pid();
		struct launch *l;

		l = ex_begin(&s, &o);
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		launch_stop(l, 5000);
		ex_run_until(&o.done);
		ck_assert(o.r.started && o.r.stopped);
		ck_assert_int_eq(o.r.signal, SIGTERM);
		spawner_free(ex_spawner);
		ex_spawner = ex_new_spawner(ex_norn_run);
	}
}
END_TEST

START_TEST(suspended)
{
	ck_assert_int_eq(kill(spawner_pid(), SIGSTOP), 0);
	assert_runs();
}
END_TEST

/* Suspended just behind the signal that wakes it. */
START_TEST(suspended_when_asked)
{
	const char *argv[] = {"/bin/sh", "-c", "exit 4", NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;

	(void)ex_begin(&s, &o);
	ck_assert_int_eq(kill(spawner_pid(), SIGSTOP), 0);
	ex_run_until(&o.done);
	ex_assert_clean_exit(&o, 4);
}
END_TEST

START_TEST(is_none)
{
	static const char *const paths[] = {"/bin/true", "/bin/cat", "/nowhere/norn-run",
					    "/etc/passwd"};

	spawner_free(ex_spawner);
	ex_spawner = spawner_new(paths[_i]);
	for (int i = 0; i < 3; i++)
		assert_runs();
	ck_assert(!spawner_serves(ex_spawner));
}
END_TEST

/* In place of the fixture's spawner: exec_child under this name, to be unlinked. */
static void use_odd_spawner(const char *name, char *path, size_t size)
{
	(void)snprintf(path, size, "%s/%s", ex_dir, name);
	ck_assert_int_eq(symlink(ex_child, path), 0);
	spawner_free(ex_spawner);
	ex_spawner = ex_new_spawner(path);
}

/* It says that it serves, and then takes nothing: it is killed, its runs are executed. */
START_TEST(hangs)
{
	const char *argv[] = {"/bin/sh", "-c", "exit 4", NULL};
	struct launch_spec s;
	struct outcome first, second;
	char path[128];

	use_odd_spawner(EX_SLEEPER, path, sizeof(path));
	s = ex_spec(argv);
	(void)ex_begin(&s, &first);
	(void)ex_begin(&s, &second);
	ex_run_until(&first.done);
	ex_run_until(&second.done);
	ex_assert_clean_exit(&first, 4);
	ex_assert_clean_exit(&second, 4);
	ck_assert(!spawner_serves(ex_spawner));
	ck_assert_int_eq(unlink(path), 0);
}
END_TEST

/* The pid it gives is not that of a child of ours, whose end would be waited for; and an order that
 * was not read hides nothing of what was reported. */
START_TEST(lies)
{
	const char *argv[] = {"/bin/true", NULL};
	struct launch_spec s;
	struct outcome o;
	char path[128], done[160];

	use_odd_spawner(EX_LIAR, path, sizeof(path));
	s = ex_spec(argv);
	launch_stop(ex_begin(&s, &o), 1000);
	(void)snprintf(done, sizeof(done), "%s.done", path);
	for (int64_t end = clock_mono_ms() + EX_PATIENCE_MS; access(done, F_OK) != 0;) {
		ck_assert_int_lt(clock_mono_ms(), end);
		(void)usleep(1000);
	}
	ex_run_until(&o.done);
	ex_assert_clean_exit(&o, 4);
	ck_assert_int_eq(unlink(done), 0);
	ck_assert_int_eq(unlink(path), 0);
}
END_TEST

/* By the name that ps(1) shows, spawner, supervisor and component can be told apart. */
START_TEST(titles)
{
	const char *argv[] = {ex_child, "deaf", ex_pids, NULL}, *env[] = {"A=1", "B=2", NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;
	struct launch *l;
	char path[64], text[4096], want[1200];
	pid_t run = 0;
	size_t n;

	s.env = env;
	l = ex_begin(&s, &o);
	ex_wait_for_pids(1);
	ex_run_until(&o.began);
	ck_assert_int_eq(children_named("norn-run", &run), 1);
	ck_assert_int_eq(ex_parent_of(o.pid), run);
	ck_assert_int_ne(run, spawner_pid());
	(void)snprintf(path, sizeof(path), "/proc/%ld/comm", (long)o.pid);
	(void)ex_read_file(path, text, sizeof(text));
	ck_assert_str_eq(text, "exec_child\n");
	(void)snprintf(path, sizeof(path), "/proc/%ld/cmdline", (long)o.pid);
	n = ex_read_file(path, text, sizeof(text));
	for (size_t i = 0; i + 1 < n; i++)
		text[i] = text[i] != '\0' ? text[i] : ' ';
	(void)snprintf(want, sizeof(want), "%s deaf %s", ex_child, ex_pids);
	ck_assert_msg(strncmp(text, want, strlen(want)) == 0, "%s", text);
	(void)snprintf(path, sizeof(path), "/proc/%ld/environ", (long)o.pid);
	n = ex_read_file(path, text, sizeof(text));
	ck_assert_uint_ge(n, sizeof("A=1\0B=2"));
	ck_assert_mem_eq(text, "A=1\0B=2", sizeof("A=1\0B=2"));
	launch_kill(l);
	ex_run_until(&o.done);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("exec_spawner");
	TCase *t = tcase_create("norn-run"), *own = tcase_create("component");

	tcase_add_checked_fixture(t, ex_set_up_spawner, ex_tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, dead_before);
	tcase_add_test(t, dies_when_asked);
	tcase_add_test(t, stop_is_kept);
	tcase_add_test(t, suspended);
	tcase_add_test(t, suspended_when_asked);
	tcase_add_loop_test(t, is_none, 0, 4);
	tcase_add_test(t, hangs);
	tcase_add_test(t, lies);
	tcase_add_test(t, titles);
	suite_add_tcase(suite, t);
	tcase_add_checked_fixture(own, ex_set_up_own, ex_tear_down);
	tcase_set_timeout(own, 60);
	tcase_add_test(own, titles);
	suite_add_tcase(suite, own);
	return ex_run_suite(suite);
}
