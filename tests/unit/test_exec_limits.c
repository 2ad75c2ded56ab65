/* The launcher and norn-run with real processes: logs, surroundings, failed starts, cgroups. */
#include "config.h"
#include "exec_harness.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- logs ---- */

START_TEST(log_is_capped)
{
	const char *argv[] = {ex_child, "flood", "3000000", NULL};
	struct launch_spec s = ex_spec(argv);
	static char text[200000];
	struct outcome o;
	size_t len;

	s.max_log_bytes = 100500;
	ex_run(&s, &o);
	ex_assert_clean_exit(&o, 0);
	ck_assert_int_eq(o.r.stdout_dropped, 3000000 - 100500);
	ck_assert_int_eq(o.r.stderr_dropped, 3000008 - 100500);
	len = ex_read_file(ex_out, text, sizeof(text));
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
	struct launch_spec s = ex_spec(argv);
	struct outcome o;
	struct stat st;
	char text[64];

	ex_run(&s, &o);
	ex_run(&s, &o); /* appends */
	ex_assert_clean_exit(&o, 0);
	(void)ex_read_file(ex_out, text, sizeof(text));
	ck_assert_str_eq(text, "out\nout\n");
	(void)ex_read_file(ex_err, text, sizeof(text));
	ck_assert_str_eq(text, "err\nerr\n");
	ck_assert_uint_eq(o.r.stderr_tail_len, 4);
	ck_assert_mem_eq(o.r.stderr_tail, "err\n", 4);
	ck_assert_int_eq(stat(ex_out, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(log_of_leftover)
{
	/* the leftover holds the pipe open, but the launch must end all the same */
	const char *argv[] = {"/bin/sh", "-c", "sleep 1000 & echo x >&2", NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;

	s.stdout_path = NULL;
	ex_run(&s, &o);
	ex_assert_clean_exit(&o, 0);
	ck_assert_int_eq(o.r.leftover, 1);
	ck_assert_uint_eq(o.r.stderr_tail_len, 2);
	ck_assert_int_ne(access(ex_out, F_OK), 0);
}
END_TEST

START_TEST(log_of_silence)
{
	const char *silent[] = {"/bin/true", NULL};
	const char *loud[] = {"/bin/sh", "-c", "echo one >&2; sleep 0.05; echo two >&2", NULL};
	struct launch_spec s = ex_spec(silent);
	struct outcome o;
	char text[64];

	ex_run(&s, &o);
	ex_assert_clean_exit(&o, 0);
	ck_assert_int_eq(access(ex_out, F_OK), 0);
	ck_assert_int_ne(access(ex_err, F_OK), 0);
	s = ex_spec(loud);
	ex_run(&s, &o);
	ex_assert_clean_exit(&o, 0);
	(void)ex_read_file(ex_err, text, sizeof(text));
	ck_assert_str_eq(text, "one\ntwo\n");
	ck_assert_int_eq(o.r.stderr_dropped, 0);
	/* no place for it: said, but no reason to fail */
	s.stderr_path = "/nowhere/err";
	ex_run(&s, &o);
	ex_assert_clean_exit(&o, 0);
	ck_assert_int_eq(o.r.stderr_dropped, 8);
	ck_assert_uint_eq(o.r.stderr_tail_len, 8);
}
END_TEST

START_TEST(log_on_full_disk)
{
	const char *argv[] = {ex_child, "flood", "10000", NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;

	s.stdout_path = "/dev/full";
	ex_run(&s, &o);
	ex_assert_clean_exit(&o, 0);
	ck_assert_int_eq(o.r.stdout_dropped, 10000);
	ck_assert_int_eq(o.r.stderr_dropped, 0);
}
END_TEST

/* ---- what a component is given ---- */

START_TEST(surroundings)
{
	const char *argv[] = {ex_child, "dump", "", "a b", "--x=\n'\"$(id)", "\xff\x01", NULL};
	const char *env[] = {"A=1", "EMPTY=", "B=x y\tz", "=odd", NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;
	char text[4096], want[1024];
	int fds[3];

	s.env = env;
	for (int i = 0; i < 3; i++) /* without close-on-exec: a node may have such */
		fds[i] = open("/dev/null", O_RDWR);
	(void)signal(SIGPIPE, SIG_IGN);
	ex_run(&s, &o);
	ex_assert_clean_exit(&o, 0);
	for (int i = 0; i < 3; i++)
		(void)close(fds[i]);
	(void)ex_read_file(ex_out, text, sizeof(text));
	(void)snprintf(want, sizeof(want),
		       "arg []\narg [a b]\narg [--x=\n'\"$(id)]\narg [\xff\x01]\n"
		       "env [A=1]\nenv [EMPTY=]\nenv [B=x y\tz]\nenv [=odd]\n"
		       "fd 0 /dev/null\nfd 1 pipe\nfd 2 pipe\n"
		       "cwd %s\numask 077\nleader 1\ncore 0\ndeathsig 9\n",
		       ex_dir);
	ck_assert_str_eq(text, want);
}
END_TEST

START_TEST(address_space)
{
	const char *argv[] = {"/bin/sh", "-c", "ulimit -v", NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;
	char text[64];

	s.address_space_max_bytes = (int64_t)1 << 30;
	ex_run(&s, &o);
	ex_assert_clean_exit(&o, 0);
	(void)ex_read_file(ex_out, text, sizeof(text));
	ck_assert_str_eq(text, "1048576\n");
}
END_TEST

START_TEST(search_in_path)
{
	const char *argv[] = {"sh", "-c", "exit 4", NULL};
	const char *env[] = {"PATH=/nowhere:/bin", NULL};
	const char *bad_env[] = {"PATH=/nowhere", NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;

	s.env = env;
	ex_run(&s, &o);
	ex_assert_clean_exit(&o, 4);
	s.env = bad_env;
	ex_run(&s, &o);
	ck_assert(!o.r.started);
	ck_assert_ptr_nonnull(strstr(o.r.error.msg, "sh"));
}
END_TEST

START_TEST(large_environment)
{
	const char *argv[] = {"/bin/sh", "-c", "echo ${#BIG}", NULL};
	static char big[120000];
	const char *env[] = {big, NULL};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;
	char text[64];

	memset(big, 'y', sizeof(big) - 1);
	memcpy(big, "BIG=", 4);
	s.env = env;
	ex_run(&s, &o);
	ex_assert_clean_exit(&o, 0);
	(void)ex_read_file(ex_out, text, sizeof(text));
	ck_assert_int_eq(atoi(text), (int)sizeof(big) - 1 - 4);
}
END_TEST

/* ---- starts that fail ---- */

static void assert_failed_start(const struct launch_spec *s, const char *named, const char *why)
{
	struct outcome o;

	ex_run(s, &o);
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
	struct launch_spec s = ex_spec(none);

	assert_failed_start(&s, "/nowhere/component", "No such file");
	s = ex_spec(text);
	assert_failed_start(&s, "/etc/passwd", "Permission denied");
	s = ex_spec(good);
	s.cwd = "/nowhere/cwd";
	assert_failed_start(&s, "/nowhere/cwd", "No such file");
	s = ex_spec(good);
	s.stdout_path = "/nowhere/out";
	assert_failed_start(&s, "/nowhere/out", "No such file");
	s = ex_spec(good);
	s.stderr_path = ex_dir;
	assert_failed_start(&s, ex_dir, "Is a directory");
}
END_TEST

START_TEST(log_is_not_a_link)
{
	const char *good[] = {"/bin/true", NULL};
	struct launch_spec s = ex_spec(good);

	ck_assert_int_eq(symlink("/etc/passwd", ex_out), 0);
	assert_failed_start(&s, ex_out, "symbolic links");
}
END_TEST

START_TEST(refused_at_once)
{
	const char *none[] = {NULL};
	const char *good[] = {"/bin/true", NULL};
	struct launch_spec s = ex_spec(none);
	struct outcome o;
	struct err e;

	ck_assert_ptr_null(launch_start(ex_base, &s, ex_on_started, ex_on_exit, &o, &e));
	ck_assert_int_eq(e.code, ERR_TASK_START);
	s = ex_spec(good);
	s.timeout_ms = -1;
	ck_assert_ptr_null(launch_start(ex_base, &s, ex_on_started, ex_on_exit, &o, &e));
	ck_assert_int_eq(e.code, ERR_TASK_START);
	s = ex_spec(good);
	s.run_path = "/nowhere/norn-run";
	ck_assert_ptr_null(launch_start(ex_base, &s, ex_on_started, ex_on_exit, &o, &e));
	ck_assert_int_eq(e.code, ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(e.msg, "/nowhere/norn-run"));
	s.run_path = "/bin/true"; /* not a supervisor at all */
	s.spawner = NULL;
	ex_run(&s, &o);
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
	struct launch_spec s = ex_spec(argv);
	int fds = count_fds();

	s.stdout_path = s.stderr_path = NULL;
	for (int i = 0; i < 50; i++) {
		(void)snprintf(script, sizeof(script), "echo %d >&2; sleep 0.1; exit %d", i, i);
		(void)ex_begin(&s, &o[i]);
	}
	for (int i = 0; i < 50; i++) {
		char want[16];
		int n = snprintf(want, sizeof(want), "%d\n", i);

		ex_run_until(&o[i].done);
		ex_assert_clean_exit(&o[i], i);
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
	const char *dirs[] = {"/nowhere/cgroup", ex_dir};
	struct launch_spec s = ex_spec(argv);
	struct outcome o;

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		s.cgroup_dir = dirs[i];
		s.memory_max_bytes = 1 << 20;
		ex_run(&s, &o);
		ex_assert_clean_exit(&o, 0);
		ck_assert(!o.r.oom);
	}
}
END_TEST

START_TEST(cgroup_is_used)
{
	const char *argv[] = {"/bin/cat", "/proc/self/cgroup", NULL};
	const char *tree[] = {ex_child, "tree", ex_pids, NULL};
	struct launch_spec s = ex_spec(argv);
	char group[600], text[4096];
	struct outcome o;

	if (!find_cgroup2(group, sizeof(group))) {
		(void)fputs("no writable cgroup2 mount: not tested here\n", stderr);
		return;
	}
	s.cgroup_dir = group;
	ex_run(&s, &o);
	ex_assert_clean_exit(&o, 0);
	(void)ex_read_file(ex_out, text, sizeof(text));
	ck_assert_msg(strstr(text, strrchr(group, '/')) != NULL, "%s", text);
	s = ex_spec(tree);
	s.cgroup_dir = group;
	(void)ex_begin(&s, &o);
	ex_wait_for_pids(4);
	ex_run_until(&o.began);
	ck_assert_int_eq(kill(ex_parent_of(o.pid), SIGKILL), 0);
	ex_run_until(&o.done);
	ck_assert_int_eq(ex_assert_all_gone(), 4);
	/* only an empty directory can be removed: both children of it are gone */
	ck_assert_int_eq(rmdir(group), 0);
}
END_TEST

static void add_tests(Suite *suite, const char *name, void (*set_up)(void))
{
	TCase *t = tcase_create(name);

	tcase_add_checked_fixture(t, set_up, ex_tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, log_is_capped);
	tcase_add_test(t, log_is_complete);
	tcase_add_test(t, log_of_leftover);
	tcase_add_test(t, log_of_silence);
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
}

int main(void)
{
	Suite *suite = suite_create("exec_limits");

	add_tests(suite, "executed", ex_set_up);
	add_tests(suite, "forked", ex_set_up_spawner);
	add_tests(suite, "component forked too", ex_set_up_own);
	return ex_run_suite(suite);
}
