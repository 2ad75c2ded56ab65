/* What nornd and norn-run tell each other, the capped log, and the reading of /proc. */
#include "config.h"
#include "exec/caplog.h"
#include "exec/proc.h"
#include "exec/wire.h"
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const argv_in[] = {"/bin/x", "", "a=b\n", "z", NULL};
static const char *const env_in[] = {"A=", "v1", NULL};
static const struct launch_spec spec_in = {
    .argv = argv_in,
    .env = env_in,
    .cwd = "/d",
    .stdout_path = "/o",
    .stderr_path = "/r",
    .cgroup_dir = "/c",
    .timeout_ms = 1,
    .grace_ms = INT64_MAX,
    .max_log_bytes = 3,
    .memory_max_bytes = 4,
    .address_space_max_bytes = 5,
    .own = true,
};

/* A copy of exactly len bytes, so that a sanitizer sees every read beyond it. */
static char *exact_copy(const void *data, size_t len)
{
	char *p = malloc(len > 0 ? len : 1);

	ck_assert_ptr_nonnull(p);
	if (len > 0)
		memcpy(p, data, len);
	return p;
}

START_TEST(spec_round_trip)
{
	size_t len = wire_spec_encode(&spec_in, NULL, 0);
	char *data = malloc(len);
	struct wire_spec s;
	const char *why;

	ck_assert_ptr_nonnull(data);
	ck_assert_uint_eq(wire_spec_encode(&spec_in, data, len), len);
	ck_assert_msg(wire_spec_decode(data, len, &s, &why), "%s", why);
	for (int i = 0; i < 4; i++)
		ck_assert_str_eq(s.argv[i], argv_in[i]);
	ck_assert_ptr_null(s.argv[4]);
	for (int i = 0; i < 2; i++)
		ck_assert_str_eq(s.env[i], env_in[i]);
	ck_assert_ptr_null(s.env[2]);
	ck_assert_str_eq(s.cwd, "/d");
	ck_assert_str_eq(s.stdout_path, "/o");
	ck_assert_str_eq(s.stderr_path, "/r");
	ck_assert_str_eq(s.cgroup_dir, "/c");
	ck_assert_int_eq(s.timeout_ms, 1);
	ck_assert(s.grace_ms == INT64_MAX);
	ck_assert_int_eq(s.max_log_bytes, 3);
	ck_assert_int_eq(s.memory_max_bytes, 4);
	ck_assert_int_eq(s.address_space_max_bytes, 5);
	ck_assert(s.own);
	wire_spec_free(&s);
	free(data);
}
END_TEST

START_TEST(spec_minimal)
{
	const char *const argv[] = {"x", NULL}, *const env[] = {NULL};
	const struct launch_spec in = {.argv = argv, .env = env};
	char data[64];
	size_t len = wire_spec_encode(&in, data, sizeof(data));
	struct wire_spec s;
	const char *why;

	ck_assert_uint_le(len, sizeof(data));
	ck_assert(wire_spec_decode(data, len, &s, &why));
	ck_assert_ptr_null(s.cwd);
	ck_assert_ptr_null(s.stdout_path);
	ck_assert_ptr_null(s.env[0]);
	ck_assert_int_eq(s.timeout_ms, 0);
	ck_assert(!s.own);
	wire_spec_free(&s);
}
END_TEST

START_TEST(spec_cut_anywhere)
{
	size_t len = wire_spec_encode(&spec_in, NULL, 0);
	char *whole = malloc(len);

	ck_assert_ptr_nonnull(whole);
	(void)wire_spec_encode(&spec_in, whole, len);
	for (size_t n = 0; n < len; n++) {
		char *data = exact_copy(whole, n);
		struct wire_spec s;
		const char *why = NULL;

		ck_assert_msg(!wire_spec_decode(data, n, &s, &why), "taken at %zu bytes", n);
		ck_assert_ptr_nonnull(why);
		ck_assert_ptr_null(s.argv);
		free(data);
	}
	free(whole);
}
END_TEST

#define BYTES(s) s, sizeof(s)

START_TEST(spec_hostile)
{
	static const struct {
		const char *data;
		size_t len;
	} bad[] = {
	    {BYTES("")},
	    {BYTES("v1")},
	    {BYTES("v2\0ax\0z")},
	    {BYTES("v\0ax\0z")},
	    {BYTES("v 1\0ax\0z")},
	    {BYTES("ax\0v1\0z")},
	    {BYTES("v1\0z")},             /* no program */
	    {BYTES("v1\0eA=1\0z")},       /* no program */
	    {BYTES("v1\0ax")},            /* no end */
	    {BYTES("v1\0ax\0z\0ay")},     /* text after the end */
	    {BYTES("v1\0ax\0zz")},        /* an end with a value */
	    {BYTES("v1\0ax\0d/\0d/\0z")}, /* twice */
	    {BYTES("v1\0ax\0t1\0t2\0z")}, /* twice */
	    {BYTES("v1\0ax\0t-1\0z")},    /* negative */
	    {BYTES("v1\0ax\0t+1\0z")},    /* sign */
	    {BYTES("v1\0ax\0t1x\0z")},    /* trailing text */
	    {BYTES("v1\0ax\0t\0z")},      /* empty */
	    {BYTES("v1\0ax\0i1\0z")},     /* a flag with a value */
	    {BYTES("v1\0ax\0i\0i\0z")},   /* twice */
	    {BYTES("v1\0ax\0q1\0z")},     /* unknown */
	    {BYTES("v1\0ax\0\0z")},       /* empty field */
	    {BYTES("v1\0ax\0v1\0z")},     /* version again */
	    {BYTES("v1\0ax\0t9223372036854775808\0z")},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char *data = exact_copy(bad[i].data, bad[i].len);
		struct wire_spec s;
		const char *why;

		ck_assert_msg(!wire_spec_decode(data, bad[i].len, &s, &why), "case %zu taken", i);
		free(data);
	}
}
END_TEST

static struct wire_report good_report(uint32_t kind)
{
	struct wire_report r = {.version = WIRE_VERSION, .kind = kind};

	if (kind == WIRE_STARTED || kind == WIRE_BORN)
		r.pid = 1;
	if (kind == WIRE_FAILED)
		r.stage = WIRE_AT_EXEC;
	if (kind == WIRE_EXITED) {
		r.tail_len = 3;
		memcpy(r.tail, "abc", 3);
	}
	return r;
}

static bool decodes(const struct wire_report *r, size_t len)
{
	char *data = exact_copy(r, len);
	struct wire_report out;
	bool ok = wire_report_decode(data, len, &out);

	free(data);
	return ok;
}

START_TEST(report_lengths)
{
	for (uint32_t kind = WIRE_STARTED; kind <= WIRE_BORN; kind++) {
		struct wire_report r = good_report(kind), out;
		size_t size = wire_report_size(&r);

		ck_assert(wire_report_decode(&r, size, &out));
		ck_assert_mem_eq(out.tail, r.tail, sizeof(out.tail));
		for (size_t len = 0; len <= sizeof(r); len++)
			ck_assert(decodes(&r, len) == (len == size));
	}
}
END_TEST

START_TEST(report_hostile)
{
#define BAD(kind, change)                                                                          \
	do {                                                                                       \
		struct wire_report r = good_report(kind);                                          \
		size_t len;                                                                        \
		change;                                                                            \
		len = wire_report_size(&r);                                                        \
		ck_assert_msg(!decodes(&r, len < sizeof(r) ? len : sizeof(r)), "%s", #change);     \
	} while (0)

	BAD(0, r.pid = 1);
	BAD(5, r.pid = 1);
	BAD(WIRE_BORN, r.pid = 0);
	BAD(WIRE_STARTED, r.version = 2);
	BAD(WIRE_STARTED, r.pid = 0);
	BAD(WIRE_STARTED, r.pid = -1);
	BAD(WIRE_FAILED, r.stage = 0);
	BAD(WIRE_FAILED, r.stage = WIRE_STAGE_END);
	BAD(WIRE_FAILED, r.errnum = -1);
	BAD(WIRE_EXITED, r.exit_code = 256);
	BAD(WIRE_EXITED, r.exit_code = -2);
	BAD(WIRE_EXITED, r.exit_code = -1); /* neither exit nor signal */
	BAD(WIRE_EXITED, r.signal = 9);     /* both */
	BAD(WIRE_EXITED, r.signal = -9; r.exit_code = -1);
	BAD(WIRE_EXITED, r.leftover = -1);
	BAD(WIRE_EXITED, r.flags = 1u << 31);
	BAD(WIRE_EXITED, r.user_us = -1);
	BAD(WIRE_EXITED, r.elapsed_ms = INT64_MIN);
	BAD(WIRE_EXITED, r.stderr_dropped = -1);
	BAD(WIRE_EXITED, r.tail_len = LAUNCH_TAIL_MAX + 1);
	BAD(WIRE_EXITED, r.tail_len = UINT32_MAX);
}
END_TEST

START_TEST(commands)
{
	struct wire_command c = {.version = WIRE_VERSION, .order = WIRE_STOP, .grace_ms = 7}, out;

	ck_assert(wire_command_decode(&c, sizeof(c), &out));
	ck_assert_int_eq(out.grace_ms, 7);
	ck_assert(!wire_command_decode(&c, sizeof(c) - 1, &out));
	ck_assert(!wire_command_decode(&c, 0, &out));
	c.grace_ms = -1;
	ck_assert(!wire_command_decode(&c, sizeof(c), &out));
	c.grace_ms = 0;
	c.order = 3;
	ck_assert(!wire_command_decode(&c, sizeof(c), &out));
	c.order = WIRE_KILL;
	ck_assert(wire_command_decode(&c, sizeof(c), &out));
	c.version++;
	ck_assert(!wire_command_decode(&c, sizeof(c), &out));
}
END_TEST

START_TEST(proc_stat)
{
	pid_t parent, session;

	ck_assert(proc_parse_stat("7 (sh) S 3 7 5 0 -1", &parent, &session));
	ck_assert_int_eq(parent, 3);
	ck_assert_int_eq(session, 5);
	/* a name is free text: it may look like the rest of the line */
	ck_assert(proc_parse_stat("7 (a) S 1 1 1 (b) R 42 7 9 0", &parent, &session));
	ck_assert_int_eq(parent, 42);
	ck_assert_int_eq(session, 9);
	ck_assert(!proc_parse_stat("", &parent, &session));
	ck_assert(!proc_parse_stat("7 (sh", &parent, &session));
	ck_assert(!proc_parse_stat("7 (sh)", &parent, &session));
	ck_assert(!proc_parse_stat("7 (sh) S 3 x", &parent, &session));
}
END_TEST

struct found {
	pid_t want;
	int met, others;
};

static void on_found(pid_t pid, void *arg)
{
	struct found *f = arg;

	if (pid == f->want)
		f->met++;
	else
		f->others++;
}

START_TEST(proc_children)
{
	struct found f = {0};
	int status;

	proc_each_child(on_found, &f);
	ck_assert_int_eq(f.others, 0);
	f.want = fork();
	if (f.want == 0) {
		for (;;)
			(void)pause();
	}
	proc_each_child(on_found, &f);
	ck_assert_int_eq(f.met, 1);
	ck_assert(proc_kill_child(f.want));
	ck_assert_int_eq(waitpid(f.want, &status, 0), f.want);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}
END_TEST

START_TEST(caplog_ring)
{
	static const size_t sizes[] = {1, 7, 4095, 4096, 4097, 9000};
	char block[9000], tail[LAUNCH_TAIL_MAX];
	uint64_t total = 0;
	struct caplog c;

	caplog_init(&c, -1, -1, 0);
	ck_assert_uint_eq(caplog_tail(&c, tail), 0);
	for (int round = 0; round < 50; round++) {
		size_t n = sizes[round % (int)ARRAY_LEN(sizes)], len;

		for (size_t i = 0; i < n; i++)
			block[i] = (char)((total + i) % 251);
		caplog_add(&c, block, n);
		total += n;
		len = caplog_tail(&c, tail);
		ck_assert_uint_eq(len, total < LAUNCH_TAIL_MAX ? total : LAUNCH_TAIL_MAX);
		for (size_t i = 0; i < len; i++)
			ck_assert_int_eq(tail[i], (char)((total - len + i) % 251));
	}
}
END_TEST

START_TEST(caplog_bounds)
{
	char path[] = "/tmp/norn-caplog-XXXXXX", text[512];
	int fd = mkstemp(path);
	struct caplog c;
	ssize_t n;

	ck_assert_int_ge(fd, 0);
	caplog_init(&c, -1, dup(fd), 10);
	caplog_add(&c, "12345\n", 6);
	caplog_add(&c, "789\n", 4); /* full to the byte: nothing is cut yet */
	ck_assert(!c.noted && c.dropped == 0);
	caplog_add(&c, "", 0);
	ck_assert(!c.noted);
	caplog_add(&c, "more", 4);
	caplog_add(&c, "more", 4);
	ck_assert(c.noted && c.dropped == 8 && c.kept == 10);
	caplog_finish(&c);
	n = pread(fd, text, sizeof(text) - 1, 0);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	ck_assert_str_eq(text, "12345\n789\nnorn-run: the log limit of 10 bytes is reached, "
			       "the rest is not kept\n");
	(void)close(fd);
	(void)unlink(path);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("exec_wire");
	TCase *t = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_test(t, spec_round_trip);
	tcase_add_test(t, spec_minimal);
	tcase_add_test(t, spec_cut_anywhere);
	tcase_add_test(t, spec_hostile);
	tcase_add_test(t, report_lengths);
	tcase_add_test(t, report_hostile);
	tcase_add_test(t, commands);
	tcase_add_test(t, proc_stat);
	tcase_add_test(t, proc_children);
	tcase_add_test(t, caplog_ring);
	tcase_add_test(t, caplog_bounds);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
