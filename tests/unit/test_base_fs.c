/* Files: whole reads and writes, tails, confined paths, removal of trees. */
#include "config.h"
#include "base/fs.h"
#include "base/js.h"
#include "base/str.h"
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/norn-fs-XXXXXX";

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chdir(dir), 0);
}

static void teardown(void)
{
	struct err e;

	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_msg(fs_remove_tree(dir, &e), "%s", e.msg);
	ck_assert(!fs_exists(dir));
}

static void put(const char *path, const char *text)
{
	struct err e;

	ck_assert_msg(fs_write(path, text, strlen(text), 0600, &e), "%s", e.msg);
}

START_TEST(mkdirs)
{
	struct err e;
	struct stat st;

	ck_assert_msg(fs_mkdirs("a/b//c/", 0750, &e), "%s", e.msg);
	ck_assert_int_eq(stat("a/b/c", &st), 0);
	ck_assert(S_ISDIR(st.st_mode));
	ck_assert(fs_mkdirs("a/b/c", 0750, &e));
	ck_assert(fs_mkdirs("/", 0750, &e));
	ck_assert(fs_mkdirs(dir, 0750, &e));
	put("file", "x");
	ck_assert(!fs_mkdirs("file", 0750, &e));
	ck_assert(!fs_mkdirs("file/x", 0750, &e));
	ck_assert_int_eq(e.code, ERR_IO);
	ck_assert_ptr_nonnull(strstr(e.msg, "file"));
	ck_assert(!fs_mkdirs("", 0750, &e));
}
END_TEST

START_TEST(write_and_read)
{
	struct buf b = {0};
	struct err e;
	struct stat st;
	char big[200000];
	DIR *d;
	int n = 0;

	memset(big, 'z', sizeof(big));
	ck_assert(fs_write("f", big, sizeof(big), 0640, &e));
	ck_assert_int_eq(stat("f", &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0640);
	ck_assert(fs_read("f", sizeof(big), &b, &e));
	ck_assert_uint_eq(b.len, sizeof(big));
	ck_assert_mem_eq(b.data, big, sizeof(big));
	buf_reset(&b);
	ck_assert(!fs_read("f", sizeof(big) - 1, &b, &e));
	ck_assert_int_eq(e.code, ERR_LIMIT);
	/* Written anew: whole, and no temporary file stays behind. */
	ck_assert(fs_write("f", "a\0b", 3, 0600, &e));
	buf_reset(&b);
	ck_assert(fs_read("f", 3, &b, &e));
	ck_assert_mem_eq(b.data, "a\0b", 4);
	d = opendir(".");
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	ck_assert_int_eq(n, 3);
	buf_free(&b);
}
END_TEST

START_TEST(read_failures)
{
	struct buf b = {0};
	struct err e;

	ck_assert(!fs_read("none", 10, &b, &e));
	ck_assert_int_eq(e.code, ERR_FILE_NOT_FOUND);
	ck_assert(!fs_read(dir, 10, &b, &e));
	ck_assert_int_eq(e.code, ERR_IO);
	/* A pipe without a writer must not make anybody wait. */
	ck_assert_int_eq(mkfifo("pipe", 0600), 0);
	ck_assert(!fs_read("pipe", 10, &b, &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "not a regular file"));
	ck_assert(!fs_write("no/such/dir", "x", 1, 0600, &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "no/such/dir"));
	buf_free(&b);
}
END_TEST

static void check_tail(const char *text, size_t max, const char *expected)
{
	struct buf b = {0};

	put("t", text);
	fs_tail("t", max, &b);
	ck_assert_str_eq(buf_str(&b), expected);
	buf_free(&b);
}

START_TEST(tail)
{
	struct buf b = {0};

	check_tail("one\ntwo\nthree\n", 100, "one\ntwo\nthree\n");
	check_tail("one\ntwo\nthree\n", 14, "one\ntwo\nthree\n");
	check_tail("one\ntwo\nthree\n", 13, "two\nthree\n");
	check_tail("one\ntwo\nthree\n", 10, "two\nthree\n"); /* the cut falls on a line start */
	check_tail("one\ntwo\nthree\n", 9, "three\n");
	check_tail("one\ntwo\nthree\n", 6, "three\n");
	check_tail("one long line", 4, "line");
	check_tail("one long line\n", 5, "line\n");
	check_tail("x\xe2\x82\xac"
		   "abc",
		   4, "abc"); /* not from inside a character */
	check_tail("text", 0, "");
	check_tail("", 10, "");
	fs_tail("none", 10, &b);
	fs_tail(dir, 10, &b);
	ck_assert_str_eq(buf_str(&b), "");
}
END_TEST

START_TEST(join)
{
	static const char *const bad[] = {"/etc/passwd", "..", "../x", "a/../b", "a/..", "",
					  "a//b",        "a/", "//"};
	struct buf b = {0};
	struct err e;
	char longest[PATH_MAX + 10];

	ck_assert(fs_join("base", "a/..b/c...", &b, &e));
	ck_assert_str_eq(b.data, "base/a/..b/c...");
	buf_reset(&b);
	ck_assert(fs_join("/", "x", &b, &e));
	ck_assert_str_eq(b.data, "/x");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ck_assert_msg(!fs_join("base", bad[i], &b, &e), "accepted \"%s\"", bad[i]);
		ck_assert_int_eq(e.code, ERR_API_PARAMETER);
	}
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	ck_assert(!fs_join("base", longest, &b, &e));
	ck_assert_int_eq(e.code, ERR_LIMIT);
	ck_assert_str_eq(b.data, "/x"); /* nothing was added by the refused ones */
	buf_free(&b);
}
END_TEST

START_TEST(remove_tree_keeps_what_links_point_to)
{
	struct err e;

	ck_assert(fs_mkdirs("outside", 0700, &e));
	put("outside/keep", "x");
	ck_assert(fs_mkdirs("tree/a/b", 0700, &e));
	put("tree/file", "x");
	put("tree/a/b/file", "x");
	ck_assert_int_eq(symlink("../outside", "tree/link"), 0);
	ck_assert_int_eq(symlink("../../outside", "tree/a/link"), 0);
	ck_assert_int_eq(symlink("outside", "top"), 0);
	ck_assert_int_eq(mkfifo("tree/a/pipe", 0600), 0);
	ck_assert_msg(fs_remove_tree("tree", &e), "%s", e.msg);
	ck_assert(!fs_exists("tree"));
	ck_assert_msg(fs_remove_tree("top", &e), "%s", e.msg); /* the link itself */
	ck_assert(fs_exists("outside/keep"));
	ck_assert(!fs_exists("top"));
	ck_assert(fs_remove_tree("outside/keep", &e));
	ck_assert(!fs_exists("outside/keep"));
	ck_assert(fs_remove_tree("none", &e));
	ck_assert(fs_remove_tree("none/below", &e));
}
END_TEST

/* Deeper than any path could name, and deeper than the descriptors would reach. */
START_TEST(remove_tree_of_any_depth)
{
	struct err e;
	int fd = open(".", O_RDONLY | O_DIRECTORY);

	ck_assert_int_ge(fd, 0);
	for (int i = 0; i < 3000; i++) {
		int next;

		ck_assert_int_eq(mkdirat(fd, i % 2 == 0 ? "deep" : ".removed-7", 0700), 0);
		next = openat(fd, i % 2 == 0 ? "deep" : ".removed-7", O_RDONLY | O_DIRECTORY);
		ck_assert_int_ge(next, 0);
		close(fd);
		fd = next;
		close(openat(fd, "f", O_CREAT | O_WRONLY, 0600));
	}
	close(fd);
	ck_assert_msg(fs_remove_tree("deep", &e), "%s", e.msg);
	ck_assert(!fs_exists("deep"));
}
END_TEST

START_TEST(remove_tree_without_permissions)
{
	struct err e;

	ck_assert(fs_mkdirs("tree/a/b/c", 0700, &e));
	put("tree/a/b/file", "x");
	ck_assert_int_eq(chmod("tree/a/b", 0), 0);
	ck_assert_int_eq(chmod("tree/a", 0500), 0);
	ck_assert_int_eq(chmod("tree", 0), 0);
	ck_assert_msg(fs_remove_tree("tree", &e), "%s", e.msg);
	ck_assert(!fs_exists("tree"));
}
END_TEST

START_TEST(remove_tree_of_many_entries)
{
	struct err e;
	char name[64];

	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "wide/%d/sub", i);
		ck_assert(fs_mkdirs(name, 0700, &e));
		for (int j = 0; j < 50; j++) {
			snprintf(name, sizeof(name), "wide/%d/sub/%d", i, j);
			close(open(name, O_CREAT | O_WRONLY, 0600));
		}
	}
	ck_assert_msg(fs_remove_tree("wide", &e), "%s", e.msg);
	ck_assert(!fs_exists("wide"));
}
END_TEST

START_TEST(json_files)
{
	struct err e;
	json_t *v, *again;
	struct stat st;

	put("a.yaml", "x: [1, two]\n");
	put("b.json", "{x: 1}");
	v = js_load_file("a.yaml", NULL, &e);
	ck_assert_msg(v != NULL, "%s", e.msg);
	ck_assert_ptr_null(js_load_file("b.json", NULL, &e)); /* a .json file is no YAML */
	ck_assert_msg(strncmp(e.msg, "b.json: line 1", 14) == 0, "%s", e.msg);
	ck_assert_ptr_null(js_load_file("none.json", NULL, &e));
	ck_assert(js_save_file("c.json", v, &e));
	ck_assert_int_eq(stat("c.json", &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	again = js_load_file("c.json", NULL, &e);
	ck_assert(json_equal(v, again));
	json_decref(v);
	json_decref(again);
}
END_TEST

START_TEST(plain_paths)
{
	static const char *const plain[] = {"a", "/", "/a/b.c", "a/..b", "a/...", "/a//b", "./a"};
	static const char *const others[] = {"", "..", "../a", "/..", "/a/../b", "a/..", "a//../b"};

	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		ck_assert_msg(fs_path_is_plain(plain[i]), "refused \"%s\"", plain[i]);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		ck_assert_msg(!fs_path_is_plain(others[i]), "accepted \"%s\"", others[i]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base_fs");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, mkdirs);
	tcase_add_test(t, write_and_read);
	tcase_add_test(t, read_failures);
	tcase_add_test(t, tail);
	tcase_add_test(t, join);
	tcase_add_test(t, remove_tree_keeps_what_links_point_to);
	tcase_add_test(t, remove_tree_of_any_depth);
	tcase_add_test(t, remove_tree_without_permissions);
	tcase_add_test(t, remove_tree_of_many_entries);
	tcase_add_test(t, plain_paths);
	tcase_add_test(t, json_files);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
