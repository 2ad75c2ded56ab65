/* The log: form of a line, rotation, and a file that goes away. */
#include "config.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/norn-log-XXXXXX";
static char logs[64], path[80], captured[80];

static void setup(void)
{
	struct err e;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(logs, sizeof(logs), "%s/logs", dir);
	snprintf(path, sizeof(path), "%s/norn.log", logs);
	snprintf(captured, sizeof(captured), "%s/stderr", dir);
	ck_assert(fs_mkdirs(logs, 0700, &e));
}

static void teardown(void)
{
	struct err e;

	log_close();
	ck_assert_msg(fs_remove_tree(dir, &e), "%s", e.msg);
}

static void start(enum log_level level, int64_t rotate_bytes, int keep)
{
	struct err e;

	ck_assert_msg(log_open(path, level, rotate_bytes, keep, &e), "%s", e.msg);
}

static char *contents(const char *name)
{
	struct buf b = {0};
	struct err e;

	if (!fs_read(name, 1 << 20, &b, &e))
		buf_reset(&b);
	return buf_take(&b);
}

static size_t count(const char *text, const char *word)
{
	size_t n = 0;

	for (const char *p = text; (p = strstr(p, word)) != NULL; p++)
		n++;
	return n;
}

START_TEST(line_has_its_fields_in_order)
{
	const struct log_ctx ctx = {.job_id = "202601",
				    .task_name = "psi_0",
				    .role = "guest",
				    .party_id = "9999",
				    .request_id = "r-1",
				    .attempt = 0};
	char *text;

	log_set_node("n1");
	start(LOG_INFO, 0, 0);
	log_info(&ctx, "started %d", 3);
	text = contents(path);
	ck_assert_uint_ge(strlen(text), 25);
	ck_assert_int_eq(text[10], 'T');
	ck_assert_int_eq(text[23], 'Z');
	ck_assert_str_eq(text + 24, " INFO node=n1 job=202601 task=psi_0 role=guest party=9999"
				    " attempt=0 request=r-1 msg=\"started 3\"\n");
	free(text);
}
END_TEST

START_TEST(values_cannot_forge)
{
	const struct log_ctx ctx = {
	    .job_id = "a b", .task_name = "x\" job=\"y", .role = "", .attempt = -1};
	char *text;

	start(LOG_INFO, 0, 0);
	log_error(&ctx, "%s", "one\n2026-01-01T00:00:00.000Z INFO msg=\"two\"\x1b[2J");
	text = contents(path);
	ck_assert_str_eq(text + 24,
			 " ERROR job=\"a b\" task=\"x\\\" job=\\\"y\" role=\"\""
			 " msg=\"one\\n2026-01-01T00:00:00.000Z INFO msg=\\\"two\\\"\\x1b[2J\"\n");
	ck_assert_uint_eq(count(text, "\n"), 1);
	free(text);
}
END_TEST

START_TEST(levels)
{
	enum log_level level = LOG_ERROR;
	char *text;

	ck_assert(log_level_parse("debug", &level) && level == LOG_DEBUG);
	ck_assert(log_level_parse("error", &level) && level == LOG_ERROR);
	ck_assert(!log_level_parse("DEBUG", &level));
	ck_assert(!log_level_parse("", &level));
	start(LOG_WARN, 0, 0);
	errno = 42;
	log_info(LOG_CTX_NONE, "not this");
	log_warn(LOG_CTX_NONE, "this");
	log_error(LOG_CTX_NONE, "and this");
	ck_assert_int_eq(errno, 42);
	text = contents(path);
	ck_assert_uint_eq(count(text, "\n"), 2);
	ck_assert_ptr_null(strstr(text, "not this"));
	free(text);
}
END_TEST

START_TEST(long_message_is_cut)
{
	static char msg[100000];
	char *text;

	memset(msg, 'm', sizeof(msg) - 1);
	start(LOG_INFO, 0, 0);
	log_info(LOG_CTX_NONE, "%s", msg);
	text = contents(path);
	ck_assert_uint_gt(strlen(text), 8000);
	ck_assert_uint_lt(strlen(text), 9000);
	ck_assert(str_ends(text, "m\"\n"));
	free(text);
}
END_TEST

START_TEST(rotates_by_size)
{
	char name[128], *text;

	start(LOG_INFO, 500, 2);
	for (int i = 0; i < 60; i++)
		log_info(LOG_CTX_NONE, "line number %02d", i);
	for (int i = 0; i <= 3; i++) {
		struct stat st;

		snprintf(name, sizeof(name), i == 0 ? "%s" : "%s.%d", path, i);
		if (i == 3) {
			ck_assert(!fs_exists(name));
			break;
		}
		ck_assert_int_eq(stat(name, &st), 0);
		ck_assert_int_le(st.st_size, 500);
		ck_assert_int_gt(st.st_size, 0);
	}
	text = contents(path);
	ck_assert_ptr_nonnull(strstr(text, "line number 59"));
	free(text);
	/* The older file ends where the newer one begins. */
	snprintf(name, sizeof(name), "%s.1", path);
	text = contents(name);
	ck_assert_uint_gt(count(text, "\n"), 2);
	ck_assert(str_ends(text, "\"\n"));
	free(text);
}
END_TEST

START_TEST(rotates_without_keeping)
{
	char name[128];
	struct stat st;

	start(LOG_INFO, 300, 0);
	for (int i = 0; i < 60; i++)
		log_info(LOG_CTX_NONE, "line");
	snprintf(name, sizeof(name), "%s.1", path);
	ck_assert(!fs_exists(name));
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_le(st.st_size, 300);
}
END_TEST

START_TEST(reopening_appends)
{
	char *text;

	start(LOG_INFO, 0, 0);
	log_info(LOG_CTX_NONE, "one");
	log_close();
	start(LOG_INFO, 0, 0);
	log_info(LOG_CTX_NONE, "two");
	text = contents(path);
	ck_assert_uint_eq(count(text, "\n"), 2);
	free(text);
}
END_TEST

static void capture_stderr(void)
{
	int fd = open(captured, O_CREAT | O_WRONLY | O_APPEND, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	close(fd);
}

START_TEST(survives_a_lost_directory)
{
	struct err e;
	char *text;

	capture_stderr();
	start(LOG_INFO, 0, 0);
	log_info(LOG_CTX_NONE, "before");
	ck_assert(fs_remove_tree(logs, &e));
	usleep(1100000);
	log_info(LOG_CTX_NONE, "meanwhile one");
	usleep(1100000);
	log_info(LOG_CTX_NONE, "meanwhile two");
	text = contents(captured);
	ck_assert_uint_eq(count(text, "cannot write the log file"), 1);
	ck_assert_uint_eq(count(text, "msg=\"meanwhile"), 2);
	free(text);
	ck_assert(fs_mkdirs(logs, 0700, &e));
	usleep(1100000);
	log_info(LOG_CTX_NONE, "after");
	text = contents(path);
	ck_assert_uint_eq(count(text, "msg=\"after\""), 1);
	free(text);
}
END_TEST

START_TEST(follows_a_moved_file)
{
	char moved[128], *text;

	start(LOG_INFO, 0, 0);
	log_info(LOG_CTX_NONE, "before");
	snprintf(moved, sizeof(moved), "%s.old", path);
	ck_assert_int_eq(rename(path, moved), 0);
	usleep(1100000);
	log_info(LOG_CTX_NONE, "after");
	text = contents(path);
	ck_assert_uint_eq(count(text, "\n"), 1);
	ck_assert_ptr_nonnull(strstr(text, "after"));
	free(text);
}
END_TEST

START_TEST(rotation_into_a_lost_directory)
{
	struct err e;
	char *text;

	capture_stderr();
	start(LOG_INFO, 200, 2);
	log_info(LOG_CTX_NONE, "before");
	ck_assert(fs_remove_tree(logs, &e));
	for (int i = 0; i < 20; i++)
		log_info(LOG_CTX_NONE, "meanwhile");
	text = contents(captured);
	ck_assert_uint_eq(count(text, "cannot write the log file"), 1);
	ck_assert_uint_gt(count(text, "msg=\"meanwhile\""), 10);
	free(text);
}
END_TEST

START_TEST(bad_path_is_an_error)
{
	struct err e;

	ck_assert(!log_open("/nonexistent/dir/log", LOG_INFO, 0, 0, &e));
	ck_assert_int_eq(e.code, ERR_IO);
	ck_assert_ptr_nonnull(strstr(e.msg, "/nonexistent/dir/log"));
}
END_TEST

static int hook_calls;
static char hook_line[256];

static void hook(enum log_level level, const char *job_id, const char *line, size_t len)
{
	const struct log_ctx ctx = {.job_id = job_id, .attempt = -1};

	hook_calls++;
	ck_assert_int_eq(level, LOG_INFO);
	ck_assert_uint_lt(len, sizeof(hook_line));
	memcpy(hook_line, line, len + 1);
	log_info(&ctx, "from inside the hook");
}

START_TEST(job_hook)
{
	const struct log_ctx ctx = {.job_id = "j1", .attempt = -1}, other = {.attempt = -1};
	char *text;

	start(LOG_INFO, 0, 0);
	log_set_job_hook(hook);
	log_info(&ctx, "hello");
	log_debug(&ctx, "too quiet");
	log_info(&other, "of no job");
	log_info(LOG_CTX_NONE, "of no job");
	log_set_job_hook(NULL);
	ck_assert_int_eq(hook_calls, 1);
	ck_assert_ptr_nonnull(strstr(hook_line, "job=j1 msg=\"hello\"\n"));
	text = contents(path);
	ck_assert_uint_eq(count(text, "\n"), 4);
	free(text);
}
END_TEST

START_TEST(die_exits_with_status)
{
	start(LOG_INFO, 0, 0);
	log_die(7, "no %s", "way");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base_log");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, line_has_its_fields_in_order);
	tcase_add_test(t, values_cannot_forge);
	tcase_add_test(t, levels);
	tcase_add_test(t, long_message_is_cut);
	tcase_add_test(t, rotates_by_size);
	tcase_add_test(t, rotates_without_keeping);
	tcase_add_test(t, reopening_appends);
	tcase_add_test(t, survives_a_lost_directory);
	tcase_add_test(t, follows_a_moved_file);
	tcase_add_test(t, rotation_into_a_lost_directory);
	tcase_add_test(t, bad_path_is_an_error);
	tcase_add_test(t, job_hook);
	tcase_add_exit_test(t, die_exits_with_status, 7);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
