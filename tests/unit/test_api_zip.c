/* Reading and writing the archives of models. */
#include "api/inflate.h"
#include "api/targz.h"
#include "api/untar.h"
#include "api/zip.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What zlib makes of "abcabcabcabcabc", and of sixty lines "i,i*i%7". */
static const unsigned char fixed_block[] = {0x4b, 0x4c, 0x4a, 0x4e, 0x44, 0x42, 0x00};
static const unsigned char dynamic_block[] = {
    0x15, 0x8f, 0xb9, 0x01, 0x00, 0x20, 0x0c, 0x02, 0x7b, 0x67, 0xb1, 0x30, 0x0f, 0x3e, 0xfb,
    0x2f, 0x26, 0x57, 0x18, 0x23, 0x01, 0x21, 0x6b, 0xae, 0x11, 0x33, 0x46, 0xce, 0x1e, 0x35,
    0x73, 0xb4, 0x8f, 0xdc, 0x6f, 0x63, 0xc7, 0xb3, 0xeb, 0xfb, 0xf9, 0x1d, 0xcb, 0x83, 0x08,
    0x0a, 0xd4, 0x28, 0xe3, 0xd1, 0x88, 0x45, 0xb7, 0xc1, 0x0e, 0xd3, 0x4b, 0x41, 0x91, 0x8b,
    0x6f, 0xc3, 0x94, 0x4c, 0xba, 0x02, 0xe3, 0xfb, 0x14, 0x05, 0x45, 0x1e, 0x06, 0x17, 0xca,
    0x73, 0x57, 0x8b, 0x10, 0x78, 0x54, 0x52, 0x50, 0x54, 0x33, 0x90, 0x29, 0x45, 0xa4, 0x3a,
    0x60, 0x78, 0xd4, 0x23, 0x2d, 0x8a, 0x26, 0x7f, 0xa7, 0x29, 0x4d, 0xaa, 0x6e, 0x30, 0x3c,
    0x7a, 0x53, 0x50, 0x34, 0x6b, 0xf4, 0x33, 0x45, 0xa4, 0x52, 0x18, 0x13, 0x1e, 0x62, 0x67,
    0xa1, 0x10, 0x7b, 0x68, 0x43, 0x21, 0x95, 0x2e, 0x18, 0x1e, 0x1f};

static void lines(struct buf *out)
{
	for (int i = 0; i < 60; i++)
		buf_printf(out, "%d,%d\n", i, i * i % 7);
}

START_TEST(deflated_data)
{
	struct buf want = {0};
	struct buf out = {0};
	struct err e = {0};

	ck_assert(inflate_all(fixed_block, sizeof(fixed_block), 15, &out, &e));
	ck_assert_str_eq(buf_str(&out), "abcabcabcabcabc");
	buf_reset(&out);
	lines(&want);
	ck_assert(inflate_all(dynamic_block, sizeof(dynamic_block), want.len, &out, &e));
	ck_assert_uint_eq(out.len, want.len);
	ck_assert_mem_eq(out.data, want.data, want.len);
	buf_free(&want);
	buf_free(&out);
}
END_TEST

/* Whatever is cut or changed, it ends, with an error or with other bytes, and never with more than
 * was asked for. */
START_TEST(damaged_data)
{
	static const unsigned char stored[] = {1, 3, 0, 0xfc, 0xff, 'a', 'b', 'c'};
	unsigned char bad[sizeof(dynamic_block)];
	struct buf want = {0};
	struct err e = {0};

	lines(&want);
	for (size_t n = 0; n < sizeof(dynamic_block); n++) {
		struct buf out = {0};
		ck_assert(!inflate_all(dynamic_block, n, want.len, &out, &e));
		ck_assert_int_eq(e.code, ERR_PARSE);
		buf_free(&out);
	}
	for (size_t n = 0; n < sizeof(bad) * 8; n++) {
		struct buf out = {0};
		memcpy(bad, dynamic_block, sizeof(bad));
		bad[n / 8] ^= (unsigned char)(1U << (n % 8));
		(void)!inflate_all(bad, sizeof(bad), want.len, &out, &e);
		ck_assert_uint_le(out.len, want.len);
		buf_free(&out);
	}
	struct buf out = {0};
	ck_assert(inflate_all(stored, sizeof(stored), 3, &out, &e));
	ck_assert(!inflate_all(stored, sizeof(stored), 2, &out, &e));
	ck_assert(!inflate_all(stored, sizeof(stored), 4, &out, &e));
	buf_free(&out);
	buf_free(&want);
}
END_TEST

static int temp_file(void)
{
	char name[] = "/tmp/test_api_zip.XXXXXX";
	int fd = mkstemp(name);

	ck_assert_int_ge(fd, 0);
	unlink(name);
	return fd;
}

START_TEST(zip_goes_there_and_back)
{
	int fd = temp_file();
	struct zip_writer w;
	struct zip_reader z;
	struct err e = {0};
	struct buf out = {0};

	zip_write_init(&w, fd);
	ck_assert(zip_begin(&w, "a/b", &e) && zip_add(&w, "hello ", 6, &e) &&
		  zip_add(&w, "world", 5, &e) && zip_end(&w, &e));
	ck_assert(zip_begin(&w, "empty", &e) && zip_end(&w, &e));
	ck_assert(zip_finish(&w, &e));
	zip_write_free(&w);
	ck_assert_msg(zip_open(&z, fd, &e), "%s", e.msg);
	ck_assert_uint_eq(z.n, 2);
	ck_assert_str_eq(z.entries[0].name, "a/b");
	ck_assert(zip_read(&z, &z.entries[0], 100, &out, &e));
	ck_assert_str_eq(buf_str(&out), "hello world");
	ck_assert(!zip_read(&z, &z.entries[0], 10, &out, &e));
	ck_assert_int_eq(e.code, ERR_LIMIT);
	buf_reset(&out);
	ck_assert(zip_read(&z, &z.entries[1], 100, &out, &e));
	ck_assert_uint_eq(out.len, 0);
	/* a changed byte does not fit the checksum */
	ck_assert_int_eq(pwrite(fd, "J", 1, 30 + 3), 1);
	ck_assert(!zip_read(&z, &z.entries[0], 100, &out, &e));
	ck_assert_int_eq(e.code, ERR_PARSE);
	zip_close(&z);
	ck_assert_int_eq(ftruncate(fd, 20), 0);
	ck_assert(!zip_open(&z, fd, &e));
	close(fd);
	buf_free(&out);
}
END_TEST

START_TEST(tar_goes_there_and_back)
{
	struct buf b = {0};
	struct err e = {0};
	struct untar_file f;

	ck_assert(tar_header(&b, "dir/model", 5, 1));
	buf_add(&b, "12345", 5);
	tar_pad(&b, 5);
	ck_assert(tar_header(&b, "model.meta.yaml", 0, 1));
	tar_end(&b);
	struct untar t = {.data = b.data, .len = b.len};
	ck_assert_int_eq(untar_next(&t, &f, &e), 1);
	ck_assert_str_eq(f.name, "dir/model");
	ck_assert_uint_eq(f.len, 5);
	ck_assert_mem_eq(f.data, "12345", 5);
	ck_assert_int_eq(untar_next(&t, &f, &e), 1);
	ck_assert_uint_eq(f.len, 0);
	ck_assert_int_eq(untar_next(&t, &f, &e), 0);
	/* every cut: never past the end */
	for (size_t n = 0; n < b.len; n++) {
		char *copy = malloc(n > 0 ? n : 1);
		ck_assert_ptr_nonnull(copy);
		memcpy(copy, b.data, n);
		struct untar cut = {.data = copy, .len = n};
		while (untar_next(&cut, &f, &e) > 0)
			ck_assert(f.data + f.len <= copy + n);
		free(copy);
	}
	b.data[124] = '7'; /* the size */
	struct untar bad = {.data = b.data, .len = b.len};
	ck_assert_int_eq(untar_next(&bad, &f, &e), -1);
	buf_free(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("api_zip");
	TCase *tc = tcase_create("all");
	SRunner *r;

	tcase_add_test(tc, deflated_data);
	tcase_add_test(tc, damaged_data);
	tcase_add_test(tc, zip_goes_there_and_back);
	tcase_add_test(tc, tar_goes_there_and_back);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
