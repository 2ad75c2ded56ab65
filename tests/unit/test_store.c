/* Walks through directory trees on the event loop, histograms, and options of the configuration
 * with rules. */
#include "base/fs.h"
#include "base/str.h"
#include "store/node_conf.h"
#include "store/phases.h"
#include "store/tree.h"
#include <check.h>
#include <event2/event.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[32];
static struct event_base *base;

static void set_up(void)
{
	strcpy(dir, "/tmp/norn-store-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	base = event_base_new();
}

static void tear_down(void)
{
	struct err e;

	ck_assert(fs_remove_tree(dir, &e));
	event_base_free(base);
}

static char *in_dir(const char *name)
{
	static char path[PATH_MAX];

	ck_assert_int_lt(snprintf(path, sizeof(path), "%s/%s", dir, name), (int)sizeof(path));
	return path;
}

static void make_dirs(const char *name)
{
	struct err e;

	ck_assert(fs_mkdirs(in_dir(name), 0700, &e));
}

static void make_file(const char *name, size_t len)
{
	static const char data[100000];
	struct err e;

	ck_assert(fs_write(in_dir(name), data, len, 0600, &e));
}

struct walked {
	int calls;
	int64_t bytes;
	bool failed;
};

static void on_walked(int64_t bytes, const struct err *e, void *arg)
{
	struct walked *w = arg;

	w->calls++;
	w->bytes = bytes;
	w->failed = e != NULL;
}

static struct walked walk(const char *name, bool remove)
{
	struct walked w = {0};

	tree_walk(base, in_dir(name), remove, on_walked, &w);
	ck_assert_int_eq(w.calls, 0);
	event_base_dispatch(base);
	ck_assert_int_eq(w.calls, 1);
	return w;
}

START_TEST(a_tree_is_counted_and_stays)
{
	make_dirs("t/a/b");
	make_file("t/one", 10);
	make_file("t/a/two", 200);
	make_file("t/a/b/three", 3000);
	struct walked w = walk("t", false);
	ck_assert_int_eq(w.bytes, 3210);
	ck_assert(!w.failed && fs_exists(in_dir("t/a/b/three")));
}
END_TEST

START_TEST(a_tree_is_removed)
{
	char name[64];

	make_dirs("t/a/b");
	make_dirs("t/empty");
	make_file("t/a/b/three", 3000);
	for (int i = 0; i < 700; i++) { /* several portions */
		snprintf(name, sizeof(name), "t/a/file-%d", i);
		make_file(name, 1);
	}
	make_file("beside", 5);
	struct walked w = walk("t", true);
	ck_assert_int_eq(w.bytes, 3700);
	ck_assert(!w.failed && !fs_exists(in_dir("t")) && fs_exists(in_dir("beside")));
}
END_TEST

START_TEST(a_large_tree_is_no_single_step)
{
	struct walked w = {0};
	char name[64];

	make_dirs("t");
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "t/file-%d", i);
		make_file(name, 1);
	}
	tree_walk(base, in_dir("t"), true, on_walked, &w);
	int turns = 0;
	while (w.calls == 0) {
		event_base_loop(base, EVLOOP_ONCE);
		turns++;
	}
	ck_assert_int_ge(turns, 4);
	ck_assert_int_eq(w.bytes, 1000);
}
END_TEST

START_TEST(nothing_and_a_single_file)
{
	struct walked w = walk("not there", true);
	ck_assert(!w.failed && w.bytes == 0);
	make_file("file", 77);
	w = walk("file", false);
	ck_assert(w.bytes == 77 && fs_exists(in_dir("file")));
	w = walk("file", true);
	ck_assert(w.bytes == 77 && !fs_exists(in_dir("file")));
}
END_TEST

START_TEST(links_are_not_followed)
{
	make_dirs("t");
	make_dirs("other");
	make_file("other/kept", 50);
	char target[64];
	strcpy(target, in_dir("other"));
	ck_assert_int_eq(symlink(target, in_dir("t/link")), 0);
	struct walked w = walk("t", true);
	ck_assert_int_eq(w.bytes, 0);
	ck_assert(!fs_exists(in_dir("t")) && fs_exists(in_dir("other/kept")));
	ck_assert_int_eq(symlink(target, in_dir("top")), 0);
	w = walk("top", true);
	ck_assert(fs_exists(in_dir("other/kept")));
}
END_TEST

START_TEST(a_deep_tree_without_permission_goes_too)
{
	char name[PATH_MAX] = "t";

	for (int i = 0; i < 100; i++) {
		size_t n = strlen(name);
		snprintf(name + n, sizeof(name) - n, "/d");
	}
	make_dirs(name);
	make_dirs("t/closed/inner");
	make_file("t/closed/inner/file", 9);
	ck_assert_int_eq(chmod(in_dir("t/closed"), 0), 0);
	struct walked w = walk("t", false);
	ck_assert(!w.failed);
	w = walk("t", true);
	ck_assert(!w.failed && !fs_exists(in_dir("t")));
}
END_TEST

/* ---- histograms ---- */

static void ck_has(const struct buf *b, const char *line)
{
	ck_assert_msg(strstr(buf_str(b), line) != NULL, "no line '%s' in\n%s", line, buf_str(b));
}

START_TEST(histograms_add_up)
{
	struct buf b = {0};

	phase_seen(PHASE_RAN, 1000); /* a bound belongs to its own bucket */
	phase_seen(PHASE_RAN, 1001);
	phase_seen(PHASE_RAN, -5);
	phase_seen(PHASE_RAN, INT64_C(8000) * 1000000);
	phases_print(&b);
	ck_has(&b, "norn_phase_seconds_bucket{phase=\"ran\",le=\"0.0005\"} 1\n");
	ck_has(&b, "norn_phase_seconds_bucket{phase=\"ran\",le=\"0.001\"} 2\n");
	ck_has(&b, "norn_phase_seconds_bucket{phase=\"ran\",le=\"0.0025\"} 3\n");
	ck_has(&b, "norn_phase_seconds_bucket{phase=\"ran\",le=\"7200\"} 3\n");
	ck_has(&b, "norn_phase_seconds_bucket{phase=\"ran\",le=\"+Inf\"} 4\n");
	ck_has(&b, "norn_phase_seconds_sum{phase=\"ran\"} 8000.002001\n");
	ck_has(&b, "norn_phase_seconds_count{phase=\"ran\"} 4\n");
	ck_has(&b, "norn_phase_seconds_count{phase=\"queued\"} 0\n");
	buf_free(&b);
}
END_TEST

/* ---- configuration ---- */

static bool load(const char *set, struct node_conf *c, struct err *e)
{
	const char *sets[] = {"site.parties=[\"1\"]", "database.url=x", set};

	return node_conf_load(NULL, sets, set == NULL ? 2 : 3, c, e);
}

START_TEST(exit_codes_that_are_never_tried_again)
{
	struct node_conf c;
	struct err e;

	ck_assert(load(NULL, &c, &e));
	ck_assert(node_conf_no_retry(&c, 2) && node_conf_no_retry(&c, 78));
	ck_assert(!node_conf_no_retry(&c, 0) && !node_conf_no_retry(&c, 1) &&
		  !node_conf_no_retry(&c, 137));
	node_conf_free(&c);
	ck_assert(load("jobs.no_retry_exit_codes=[\"1\", \"255\"]", &c, &e));
	ck_assert(node_conf_no_retry(&c, 1) && node_conf_no_retry(&c, 255) &&
		  !node_conf_no_retry(&c, 2));
	node_conf_free(&c);
	ck_assert(load("jobs.no_retry_exit_codes=[]", &c, &e));
	ck_assert(!node_conf_no_retry(&c, 2));
	node_conf_free(&c);
	static const char *const bad[] = {"0", "256", "-1", "x", ""};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char set[64];
		snprintf(set, sizeof(set), "jobs.no_retry_exit_codes=[\"%s\"]", bad[i]);
		ck_assert(!load(set, &c, &e));
		ck_assert_int_eq(e.code, ERR_CONFIG);
		ck_assert_ptr_nonnull(strstr(e.msg, "jobs.no_retry_exit_codes"));
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("store");
	TCase *trees = tcase_create("trees");
	TCase *rest = tcase_create("rest");

	tcase_add_checked_fixture(trees, set_up, tear_down);
	tcase_add_test(trees, a_tree_is_counted_and_stays);
	tcase_add_test(trees, a_tree_is_removed);
	tcase_add_test(trees, a_large_tree_is_no_single_step);
	tcase_add_test(trees, nothing_and_a_single_file);
	tcase_add_test(trees, links_are_not_followed);
	tcase_add_test(trees, a_deep_tree_without_permission_goes_too);
	tcase_set_timeout(trees, 60);
	suite_add_tcase(s, trees);
	tcase_add_test(rest, histograms_add_up);
	tcase_add_test(rest, exit_codes_that_are_never_tried_again);
	suite_add_tcase(s, rest);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
