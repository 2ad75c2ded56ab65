/* The configuration table. */
#include "config.h"
#include "base/conf.h"
#include "base/fs.h"
#include "base/js.h"
#include "base/str.h"
#include <check.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct settings {
	char *name;
	char *listen;
	int64_t port;
	bool verbose;
	char *data_dir;
	char *key_file;
	json_t *parties;
	int64_t idle_ms;
};

static const struct conf_opt opts[] = {
    {"name", CONF_STR, offsetof(struct settings, name), NULL, 0, 0, true, "Name of the node."},
    {"http.listen", CONF_STR, offsetof(struct settings, listen), "127.0.0.1", 0, 0, false,
     "Address to listen on. This explanation is long enough that it has to be broken into two "
     "lines."},
    {"http.port", CONF_INT, offsetof(struct settings, port), "9380", 1, 65535, false, "Port."},
    {"verbose", CONF_BOOL, offsetof(struct settings, verbose), "true", 0, 0, false, "Talk."},
    {"data_dir", CONF_PATH, offsetof(struct settings, data_dir), "data", 0, 0, false, "Files."},
    {"http.tls.key", CONF_PATH, offsetof(struct settings, key_file), NULL, 0, 0, false, "Key."},
    {"parties", CONF_STR_LIST, offsetof(struct settings, parties), "[\"9999\"]", 0, 0, false,
     "Parties."},
    {"http.tls.idle_ms", CONF_INT, offsetof(struct settings, idle_ms), "-5", -10, 10, false,
     "Idle."},
};

static char dir[] = "/tmp/norn-conf-XXXXXX";
static char file[64];

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/norn.yaml", dir);
}

static void teardown(void)
{
	struct err e;

	ck_assert(fs_remove_tree(dir, &e));
}

static bool load(const char *text, const char *const *sets, size_t n, struct settings *s,
		 struct err *e)
{
	memset(s, 0xa5, sizeof(*s)); /* members must be set whatever was there */
	if (text != NULL)
		ck_assert_msg(fs_write(file, text, strlen(text), 0600, e), "%s", e->msg);
	return conf_load(text == NULL ? NULL : file, opts, ARRAY_LEN(opts), sets, n, s, e);
}

static void check_error(const char *text, const char *words)
{
	struct settings s;
	struct err e = {0};

	ck_assert_msg(!load(text, NULL, 0, &s, &e), "accepted: %s", text);
	ck_assert_msg(strstr(e.msg, words) != NULL, "%s: \"%s\" lacks \"%s\"", text, e.msg, words);
	ck_assert_msg(strstr(e.msg, file) != NULL, "\"%s\" does not name the file", e.msg);
	ck_assert_ptr_null(s.name);
	ck_assert_ptr_null(s.parties);
}

START_TEST(defaults)
{
	struct settings s;
	struct err e;
	char path[128];

	ck_assert_msg(load("name: n1\n", NULL, 0, &s, &e), "%s", e.msg);
	ck_assert_str_eq(s.name, "n1");
	ck_assert_str_eq(s.listen, "127.0.0.1");
	ck_assert_int_eq(s.port, 9380);
	ck_assert(s.verbose);
	ck_assert_ptr_null(s.key_file);
	ck_assert_int_eq(s.idle_ms, -5);
	ck_assert_uint_eq(json_array_size(s.parties), 1);
	ck_assert_str_eq(json_string_value(json_array_get(s.parties, 0)), "9999");
	snprintf(path, sizeof(path), "%s/data", dir);
	ck_assert_str_eq(s.data_dir, path);
	conf_free(opts, ARRAY_LEN(opts), &s);
	ck_assert_ptr_null(s.name);
	ck_assert_ptr_null(s.parties);
}
END_TEST

START_TEST(file_values)
{
	struct settings s;
	struct err e;
	char path[128];

	ck_assert_msg(
	    load("name: \"007\"\nhttp:\n  listen: '::'\n  port: 1\n  tls: {key: tls/k.pem}\n"
		 "verbose: false\ndata_dir: /srv/x\nparties: []\n",
		 NULL, 0, &s, &e),
	    "%s", e.msg);
	ck_assert_str_eq(s.name, "007");
	ck_assert_str_eq(s.listen, "::");
	ck_assert_int_eq(s.port, 1);
	ck_assert(!s.verbose);
	ck_assert_str_eq(s.data_dir, "/srv/x");
	snprintf(path, sizeof(path), "%s/tls/k.pem", dir);
	ck_assert_str_eq(s.key_file, path);
	ck_assert_uint_eq(json_array_size(s.parties), 0);
	conf_free(opts, ARRAY_LEN(opts), &s);
	/* An empty section or value is as none. */
	ck_assert_msg(load("name: x\nhttp:\nverbose: ~\n", NULL, 0, &s, &e), "%s", e.msg);
	ck_assert_int_eq(s.port, 9380);
	ck_assert(s.verbose);
	conf_free(opts, ARRAY_LEN(opts), &s);
}
END_TEST

START_TEST(errors_name_the_option)
{
	check_error("name: 5\n", "name: a text is expected");
	check_error("name: x\nhttp: {port: \"80\"}\n", "http.port: a whole number is expected");
	check_error("name: x\nhttp: {port: 1.5}\n", "http.port: a whole number is expected");
	check_error("name: x\nhttp: {port: 0}\n", "http.port: 0 is out of bounds, 1 to 65535");
	check_error("name: x\nhttp: {port: 65536}\n", "http.port: 65536 is out of bounds");
	check_error("name: x\nverbose: yes\n", "verbose: true or false");
	check_error("name: x\nparties: \"9999\"\n", "parties: a list");
	check_error("name: x\nparties: [\"1\", 2]\n", "parties: item 2 must be a text");
	check_error("name: x\ndata_dir: \"\"\n", "data_dir: the path is empty");
	check_error("name: x\nhttp: 5\n", "\"http\" is a section");
	check_error("name: x\nhttp.port: 5\n",
		    "\"http.port\": write sections one inside the other");
	check_error("verbose: true\n", "\"name\" is required");
	check_error("", "\"name\" is required");
	check_error("- a\n", "a mapping of options is expected");
	check_error("name: [\n", "line 2");
	check_error("name: x\nname: y\n", "line 2, column 1");
}
END_TEST

START_TEST(unknown_options_get_a_suggestion)
{
	check_error("name: x\nhttp: {lissten: a}\n",
		    "unknown option \"http.lissten\"; did you mean \"http.listen\"?");
	check_error("name: x\nport: 5\n", "unknown option \"port\"; did you mean \"http.port\"?");
	check_error("name: x\nhttp: {tls: {kei: 5}}\n", "did you mean \"http.tls.key\"?");
	check_error("name: x\nhtpt: {port: 5}\n", "unknown option \"htpt\"");
	check_error("name: x\nname: {x: 1}\n", "twice");
	check_error("name: x\nzzzzzzzzzzzzzz: 1\n", "unknown option \"zzzzzzzzzzzzzz\"");
}
END_TEST

START_TEST(nothing_near_means_no_suggestion)
{
	struct settings s;
	struct err e;

	ck_assert(!load("name: x\nzzzzzzzzzzzzzz: 1\n", NULL, 0, &s, &e));
	ck_assert_ptr_null(strstr(e.msg, "did you mean"));
}
END_TEST

START_TEST(overrides_win)
{
	const char *const sets[] = {"http.port=1",   "name=a=b",           "http.port=2",
				    "verbose=false", "parties=[\"1\", x]", "data_dir=here"};
	struct settings s;
	struct err e;
	char path[4200], cwd[4096];

	ck_assert_msg(load("name: x\nhttp: {port: 70}\n", sets, ARRAY_LEN(sets), &s, &e), "%s",
		      e.msg);
	ck_assert_str_eq(s.name, "a=b");
	ck_assert_int_eq(s.port, 2);
	ck_assert(!s.verbose);
	ck_assert_uint_eq(json_array_size(s.parties), 2);
	ck_assert_ptr_nonnull(getcwd(cwd, sizeof(cwd)));
	snprintf(path, sizeof(path), "%s/here", cwd);
	ck_assert_str_eq(s.data_dir, path);
	conf_free(opts, ARRAY_LEN(opts), &s);
	/* Without a file at all. */
	ck_assert_msg(load(NULL, sets, ARRAY_LEN(sets), &s, &e), "%s", e.msg);
	ck_assert_int_eq(s.port, 2);
	conf_free(opts, ARRAY_LEN(opts), &s);
}
END_TEST

START_TEST(bad_overrides)
{
	static const char *const bad[][2] = {
	    {"http.port", "OPTION=VALUE"},
	    {"http.prot=5", "did you mean \"http.port\"?"},
	    {"http.port=5x", "http.port: a whole number"},
	    {"http.port=", "http.port: a whole number"},
	    {"http.port=99999", "out of bounds"},
	    {"verbose=1", "verbose: true or false"},
	    {"parties=9999", "parties: a list"},
	    {"parties=[", "parties: "},
	    {"data_dir=", "data_dir: the path is empty"},
	    {"=5", "unknown option \"\""},
	    {"http=5", "unknown option \"http\""},
	};
	struct settings s;
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ck_assert_msg(!load("name: x\n", bad[i], 1, &s, &e), "accepted %s", bad[i][0]);
		ck_assert_int_eq(e.code, ERR_CONFIG);
		ck_assert_msg(strstr(e.msg, bad[i][1]) != NULL, "%s: %s", bad[i][0], e.msg);
	}
}
END_TEST

START_TEST(missing_file)
{
	struct settings s;
	struct err e;

	ck_assert(!conf_load("/nonexistent/norn.yaml", opts, ARRAY_LEN(opts), NULL, 0, &s, &e));
	ck_assert_int_eq(e.code, ERR_FILE_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(e.msg, "/nonexistent/norn.yaml"));
}
END_TEST

/* "#name:" becomes "name:", explanations stay. */
static void uncomment(const char *text, struct buf *out)
{
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '#' && p[1] != ' ')
			continue;
		buf_addc(out, *p);
	}
}

START_TEST(sample_loads_and_says_the_defaults)
{
	struct buf sample = {0}, active = {0};
	const char *const sets[] = {"name=x"};
	struct settings s;
	struct err e;

	conf_print_sample(opts, ARRAY_LEN(opts), &sample);
	/* As it is, it sets nothing. */
	ck_assert_msg(load(sample.data, sets, 1, &s, &e), "%s\n%s", e.msg, sample.data);
	conf_free(opts, ARRAY_LEN(opts), &s);
	uncomment(sample.data, &active);
	ck_assert_msg(load(active.data, sets, 1, &s, &e), "%s\n%s", e.msg, active.data);
	ck_assert_int_eq(s.port, 9380);
	ck_assert_int_eq(s.idle_ms, -5);
	ck_assert_str_eq(s.listen, "127.0.0.1");
	ck_assert_uint_eq(json_array_size(s.parties), 1);
	conf_free(opts, ARRAY_LEN(opts), &s);
	for (size_t i = 0; i < ARRAY_LEN(opts); i++) {
		char first[16];

		ck_assert(str_copy(first, sizeof(first), opts[i].help) || first[0] != '\0');
		ck_assert_msg(strstr(sample.data, first) != NULL, "no help of %s", opts[i].path);
	}
	for (const char *line = sample.data; *line != '\0';) {
		size_t len = strcspn(line, "\n");

		ck_assert_uint_le(len, 90);
		line += len + (line[len] == '\n');
	}
	ck_assert_ptr_nonnull(strstr(sample.data, "# From 1 to 65535."));
	ck_assert_ptr_nonnull(strstr(sample.data, "# Required.\n#name:\n"));
	buf_free(&sample);
	buf_free(&active);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base_conf");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, defaults);
	tcase_add_test(t, file_values);
	tcase_add_test(t, errors_name_the_option);
	tcase_add_test(t, unknown_options_get_a_suggestion);
	tcase_add_test(t, nothing_near_means_no_suggestion);
	tcase_add_test(t, overrides_win);
	tcase_add_test(t, bad_overrides);
	tcase_add_test(t, missing_file);
	tcase_add_test(t, sample_loads_and_says_the_defaults);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
