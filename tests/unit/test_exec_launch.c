/* The launcher and norn-run with real processes: how they end, and that nothing is left. */
#include "config.h"
#include "exec_harness.h"
#include "base/clock.h"
#include "exec/proc.h"
#include "exec/spawner.h"
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- how a component ends ---- */

START_TEST(exit_codes)
{
	static const int codes[] = {0, 1, 3, 127, 255};
	char script[32];
	const char *argv[] = {"/bin/sh", "-c", script, NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;

	(void)snprintf(script, sizeof(script), "exit %d", codes[_i]);
	ex_run(&s, &o);
	ex_assert_clean_exit(&o, codes[_i]);
	ck_assert_int_eq(o.r.leftover, 0);
	ck_assert_int_eq((int)o.r.stderr_tail_len, 0);
	ck_assert_int_gt(o.r.max_rss_kb, 0);
	ck_assert_int_lt(o.r.elapsed_ms, EX_PATIENCE_MS);
}
END_TEST

START_TEST(resource_use)
{
	const char *argv[] = {"/bin/sh", "-c",
			      "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 0.2", NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;

	ex_run(&s, &o);
	ex_assert_clean_exit(&o, 0);
	ck_assert_int_gt(o.r.user_us, 10000);
	ck_assert_int_ge(o.r.elapsed_ms, 200);
	ck_assert_int_ge(o.r.elapsed_ms * 1000, o.r.user_us / 2);
}
END_TEST

START_TEST(death_by_signal)
{
	const char *argv[] = {"/bin/sh", "-c", "kill -SEGV $$", NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;

	ex_run(&s, &o);
	ck_assert(o.r.started);
	ck_assert_int_eq(o.r.exit_code, -1);
	ck_assert_int_eq(o.r.signal, SIGSEGV);
	ck_assert(!o.r.stopped && !o.r.timed_out);
}
END_TEST

START_TEST(stop_is_heard)
{
	const char *argv[] = {ex_child, "polite", ex_pids, NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;
	struct launch *l = ex_begin(&s, &o);

	ex_wait_for_pids(1);
	launch_stop(l, 600000);
	ex_run_until(&o.done);
	ck_assert(o.r.stopped && !o.r.timed_out);
	ck_assert_int_eq(o.r.exit_code, 5);
}
END_TEST

START_TEST(stop_is_ignored)
{
	const char *argv[] = {ex_child, "deaf", ex_pids, NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;
	struct launch *l = ex_begin(&s, &o);
	int64_t at;

	ex_wait_for_pids(1);
	at = clock_mono_ms();
	launch_stop(l, 300);
	ex_run_until(&o.done);
	ck_assert_int_ge(clock_mono_ms() - at, 299);
	ck_assert(o.r.stopped);
	ck_assert_int_eq(o.r.signal, SIGKILL);
	ck_assert_int_eq(o.r.exit_code, -1);
}
END_TEST

START_TEST(stop_again_shortens_grace)
{
	const char *argv[] = {ex_child, "deaf", ex_pids, NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;
	struct launch *l = ex_begin(&s, &o);

	ex_wait_for_pids(1);
	launch_stop(l, INT64_MAX);
	launch_stop(l, 100);
	launch_stop(l, 600000);
	ex_run_until(&o.done);
	ck_assert_int_eq(o.r.signal, SIGKILL);
}
END_TEST

START_TEST(stop_does_not_wait_for_deserters)
{
	/* what has left the component's process group was not asked, so it is not waited for */
	const char *argv[] = {ex_child, "tree", ex_pids, NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;
	struct launch *l = ex_begin(&s, &o);

	ex_wait_for_pids(4);
	launch_stop(l, 600000);
	ex_run_until(&o.done);
	ck_assert_int_eq(o.r.signal, SIGTERM);
	ck_assert_int_eq(o.r.leftover, 3);
	ck_assert_int_eq(ex_assert_all_gone(), 4);
}
END_TEST

START_TEST(stop_before_start)
{
	const char *argv[] = {"/bin/sleep", "1000", NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;

	launch_stop(ex_begin(&s, &o), 5000);
	ex_run_until(&o.done);
	ck_assert(o.r.started && o.r.stopped);
	ck_assert_int_eq(o.r.signal, SIGTERM);
}
END_TEST

START_TEST(kill_takes_all)
{
	const char *argv[] = {ex_child, "tree", ex_pids, NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;
	struct launch *l = ex_begin(&s, &o);

	ex_wait_for_pids(4);
	launch_kill(l);
	ex_run_until(&o.done);
	ck_assert(o.r.stopped);
	ck_assert_int_eq(o.r.signal, SIGKILL);
	ck_assert_int_eq(ex_assert_all_gone(), 4);
	ck_assert_int_eq(o.r.leftover, 3);
}
END_TEST

START_TEST(timeout)
{
	const char *argv[] = {ex_child, "tree", ex_pids, NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;

	s.timeout_ms = 1000;
	s.grace_ms = 100;
	ex_run(&s, &o);
	ck_assert(o.r.started && o.r.timed_out && !o.r.stopped);
	ck_assert_int_eq(o.r.signal, SIGTERM);
	ck_assert_int_ge(o.r.elapsed_ms, 999);
	ck_assert_int_eq(ex_assert_all_gone(), 4);
}
END_TEST

/* ---- what it leaves behind ---- */

START_TEST(daemon_is_killed)
{
	const char *argv[] = {ex_child, "daemon", ex_pids, NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;

	ex_run(&s, &o);
	ex_assert_clean_exit(&o, 7);
	ck_assert_int_eq(ex_assert_all_gone(), 1);
	ck_assert_int_eq(o.r.leftover, 1);
}
END_TEST

START_TEST(bomb_is_killed)
{
	const char *argv[] = {ex_child, "bomb", ex_pids, "50", NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;
	struct launch *l = ex_begin(&s, &o);

	ex_wait_for_pids(51);
	launch_stop(l, 50);
	ex_run_until(&o.done);
	ck_assert(o.r.stopped);
	ck_assert_int_eq(ex_assert_all_gone(), 51);
}
END_TEST

static void count_children(pid_t pid, void *arg)
{
	(*(int *)arg)++;
}

START_TEST(runner_is_caught)
{
	const char *argv[] = {ex_child, "runner", ex_pids, NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;
	int n = 0;

	ex_run(&s, &o);
	ex_assert_clean_exit(&o, 0);
	ck_assert_int_ge(o.r.leftover, 1);
	proc_each_child(count_children, &n);
	ck_assert_int_eq(n, ex_spawner != NULL ? 1 : 0);
}
END_TEST

/* ---- deaths around it ---- */

static NORETURN void be_a_node(const struct launch_spec *s)
{
	struct launch_spec mine = *s;
	struct outcome o;

	ex_base = event_base_new();
	if (s->spawner != NULL)
		mine.spawner = ex_new_spawner(s->own ? ex_child : ex_norn_run);
	(void)ex_begin(&mine, &o);
	(void)event_base_dispatch(ex_base);
	_exit(1);
}

START_TEST(node_death)
{
	const char *argv[] = {ex_child, "tree", ex_pids, NULL};
	struct launch_spec s = ex_spec(argv);
	pid_t pids[EX_MAX_PIDS], supervisor, node;
	int64_t end;
	int status;

	s.grace_ms = 100;
	/* what the dead node leaves comes to us, so that we can wait for it */
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	node = fork();
	ck_assert_int_ge(node, 0);
	if (node == 0)
		be_a_node(&s);
	ex_wait_for_pids(4);
	(void)ex_read_pids(pids);
	supervisor = 0;
	for (int i = 0; i < 4; i++) {
		pid_t parent = ex_parent_of(pids[i]);

		if (ex_parent_of(parent) == node)
			supervisor = parent;
	}
	ck_assert_int_gt(supervisor, 0);
	ck_assert_int_eq(kill(node, SIGKILL), 0);
	ck_assert_int_eq(waitpid(node, &status, 0), node);
	end = clock_mono_ms() + EX_PATIENCE_MS;
	while (waitpid(supervisor, &status, WNOHANG) == 0) {
		ck_assert_int_lt(clock_mono_ms(), end);
		(void)usleep(2000);
	}
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert_int_eq(ex_assert_all_gone(), 4);
	spawner_free(ex_spawner);
	ex_spawner = NULL;
	while (waitpid(-1, &status, 0) > 0) { /* the node's spawner has nobody to serve any more */
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
}
END_TEST

START_TEST(supervisor_death)
{
	const char *argv[] = {ex_child, "tree", ex_pids, NULL};
	const char *sleep_argv[] = {"/bin/sleep", "0.5", NULL};
	struct launch_spec s = ex_spec(argv), other = ex_spec(sleep_argv);
	struct outcome o, o2;
	pid_t bystander = fork();

	if (bystander == 0) {
		for (;;)
			(void)pause();
	}
	(void)ex_begin(&s, &o);
	(void)ex_begin(&other, &o2);
	ex_wait_for_pids(4);
	ex_run_until(&o.began);
	ck_assert_int_gt(o.pid, 0);
	ck_assert_int_eq(kill(ex_parent_of(o.pid), SIGKILL), 0);
	ex_run_until(&o.done);
	ck_assert(o.r.started);
	ck_assert_int_eq(o.r.error.code, ERR_INTERNAL);
	ck_assert_ptr_nonnull(strstr(o.r.error.msg, "signal 9"));
	ck_assert_ptr_nonnull(strstr(o.r.error.msg, ex_child));
	ck_assert_int_eq(ex_assert_all_gone(), 4);
	/* neither another launch nor another child is touched */
	ex_run_until(&o2.done);
	ex_assert_clean_exit(&o2, 0);
	ck_assert_int_eq(waitpid(bystander, NULL, WNOHANG), 0);
	ck_assert_int_eq(kill(bystander, SIGKILL), 0);
	ck_assert_int_eq(waitpid(bystander, NULL, 0), bystander);
}
END_TEST

START_TEST(supervisor_suspended)
{
	const char *argv[] = {ex_child, "suspend-supervisor", ex_pids, NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;
	struct launch *l = ex_begin(&s, &o);

	ex_wait_for_pids(1);
	launch_stop(l, 1000);
	ex_run_until(&o.done);
	ck_assert(o.r.stopped);
	ck_assert_int_eq(ex_assert_all_gone(), 1);
}
END_TEST

START_TEST(supervisor_told_to_stop)
{
	const char *argv[] = {ex_child, "polite", ex_pids, NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;

	(void)ex_begin(&s, &o);
	ex_wait_for_pids(1);
	ex_run_until(&o.began);
	ck_assert_int_eq(kill(ex_parent_of(o.pid), SIGTERM), 0);
	ex_run_until(&o.done);
	ck_assert_int_eq(o.r.exit_code, 5);
	ck_assert(!o.r.stopped);
}
END_TEST

static void add_tests(Suite *suite, const char *name, void (*set_up)(void))
{
	TCase *t = tcase_create(name);

	tcase_add_checked_fixture(t, set_up, ex_tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, exit_codes, 0, 5);
	tcase_add_test(t, resource_use);
	tcase_add_test(t, death_by_signal);
	tcase_add_test(t, stop_is_heard);
	tcase_add_test(t, stop_is_ignored);
	tcase_add_test(t, stop_again_shortens_grace);
	tcase_add_test(t, stop_does_not_wait_for_deserters);
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
	suite_add_tcase(suite, t);
}

int main(void)
{
	Suite *suite = suite_create("exec_launch");

	add_tests(suite, "executed", ex_set_up);
	add_tests(suite, "forked", ex_set_up_spawner);
	add_tests(suite, "component forked too", ex_set_up_own);
	return ex_run_suite(suite);
}
