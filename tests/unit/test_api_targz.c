/* tar and gzip, checked against known vectors and with a reader written from the formats'
 * descriptions. */
#include "api/targz.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(crc32_known_vectors)
{
	ck_assert_uint_eq(crc32_add(0, "", 0), 0);
	ck_assert_uint_eq(crc32_add(0, "123456789", 9), 0xcbf43926U);
	ck_assert_uint_eq(crc32_add(0, "a", 1), 0xe8b7be43U);
	/* In pieces it is the same. */
	ck_assert_uint_eq(crc32_add(crc32_add(0, "12345", 5), "6789", 4), 0xcbf43926U);
}
END_TEST

static uint32_t le(const char *p, int n)
{
	uint32_t v = 0;

	for (int i = n; i-- > 0;)
		v = v << 8 | (unsigned char)p[i];
	return v;
}

/* Content of a gzip stream of stored blocks, with all its checks. */
static void gunzip(const struct buf *z, struct buf *out)
{
	size_t at = 10;
	bool last = false;

	ck_assert_uint_gt(z->len, 18);
	ck_assert_int_eq(memcmp(z->data, "\x1f\x8b\x08\x00", 4), 0);
	while (!last) {
		ck_assert_uint_le(at + 5, z->len);
		last = z->data[at] == 1;
		ck_assert_int_eq(z->data[at] & 6, 0);
		uint32_t len = le(z->data + at + 1, 2);
		ck_assert_uint_eq(len ^ le(z->data + at + 3, 2), 0xffff);
		ck_assert_uint_le(at + 5 + len, z->len);
		buf_add(out, z->data + at + 5, len);
		at += 5 + len;
	}
	ck_assert_uint_eq(at + 8, z->len);
	ck_assert_uint_eq(le(z->data + at, 4), crc32_add(0, buf_str(out), out->len));
	ck_assert_uint_eq(le(z->data + at + 4, 4), out->len);
}

START_TEST(gzip_of_many_sizes)
{
	static const size_t sizes[] = {0, 1, 65535, 65536, 200000};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct gzip g;
		struct buf z = {0}, out = {0};
		char *data = malloc(sizes[i] + 1);
		for (size_t k = 0; k < sizes[i]; k++)
			data[k] = (char)(k * 7 + k / 251);
		gzip_begin(&g, &z);
		gzip_add(&g, &z, data, sizes[i] / 3);
		gzip_add(&g, &z, data + sizes[i] / 3, sizes[i] - sizes[i] / 3);
		gzip_end(&g, &z);
		gunzip(&z, &out);
		ck_assert_uint_eq(out.len, sizes[i]);
		if (sizes[i] > 0)
			ck_assert_int_eq(memcmp(out.data, data, sizes[i]), 0);
		free(data);
		buf_free(&z);
		buf_free(&out);
	}
}
END_TEST

START_TEST(gzip_known_bytes)
{
	static const char want[] = "\x1f\x8b\x08\0\0\0\0\0\0\xff"
				   "\0\x01\0\xfe\xff"
				   "a"
				   "\x01\0\0\xff\xff"
				   "\x43\xbe\xb7\xe8\x01\0\0";
	struct gzip g;
	struct buf z = {0};

	gzip_begin(&g, &z);
	gzip_add(&g, &z, "a", 1);
	gzip_end(&g, &z);
	ck_assert_uint_eq(z.len, sizeof(want));
	ck_assert_int_eq(memcmp(z.data, want, sizeof(want)), 0);
	buf_free(&z);
}
END_TEST

START_TEST(tar_header_fields)
{
	struct buf b = {0};
	unsigned sum = 0;

	ck_assert(tar_header(&b, "k/0.csv", 1234, 1700000000));
	ck_assert_uint_eq(b.len, TAR_BLOCK);
	ck_assert_str_eq(b.data, "k/0.csv");
	ck_assert_str_eq(b.data + 100, "0000644");
	ck_assert_str_eq(b.data + 124, "00000002322");
	ck_assert_str_eq(b.data + 136, "14524770400");
	ck_assert_int_eq(memcmp(b.data + 257,
				"ustar\0"
				"00",
				8),
			 0);
	ck_assert_int_eq(b.data[156], '0');
	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += i >= 148 && i < 156 ? ' ' : (unsigned char)b.data[i];
	ck_assert_uint_eq(strtoul(b.data + 148, NULL, 8), sum);
	buf_free(&b);
}
END_TEST

START_TEST(tar_long_names_and_sizes)
{
	char name[300];
	struct buf b = {0};

	/* 120 bytes with a slash that splits it */
	memset(name, 'a', sizeof(name));
	name[50] = '/';
	name[120] = '\0';
	ck_assert(tar_header(&b, name, (1ULL << 33), 0));
	ck_assert_uint_eq(strlen(b.data + 345), 50);
	ck_assert_uint_eq(strnlen(b.data, 100), 69);
	/* 8 GiB does not fit into octal digits */
	ck_assert_int_eq((unsigned char)b.data[124], 0x80);
	ck_assert_int_eq(b.data[124 + 7], 2);
	ck_assert_int_eq(b.data[124 + 11], 0);
	buf_free(&b);
	/* no slash where it would be needed; too long at all */
	name[50] = 'a';
	ck_assert(!tar_header(&b, name, 0, 0));
	name[50] = '/';
	name[120] = 'a';
	name[299] = '\0';
	ck_assert(!tar_header(&b, name, 0, 0));
	ck_assert_uint_eq(b.len, 0);
	buf_free(&b);
}
END_TEST

START_TEST(tar_refuses_dangerous_names)
{
	static const char *const bad[] = {"", "/etc/passwd", "..", "../x", "a/../b", "a/.."};
	struct buf b = {0};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!tar_header(&b, bad[i], 0, 0), "%s", bad[i]);
	ck_assert(tar_header(&b, "a..b/..c", 0, 0));
	buf_free(&b);
}
END_TEST

START_TEST(tar_padding)
{
	struct buf b = {0};

	tar_pad(&b, 0);
	tar_pad(&b, 512);
	ck_assert_uint_eq(b.len, 0);
	tar_pad(&b, 513);
	ck_assert_uint_eq(b.len, 511);
	buf_reset(&b);
	tar_end(&b);
	ck_assert_uint_eq(b.len, 1024);
	for (size_t i = 0; i < b.len; i++)
		ck_assert_int_eq(b.data[i], 0);
	buf_free(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("api_targz");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, crc32_known_vectors);
	tcase_add_test(tc, gzip_of_many_sizes);
	tcase_add_test(tc, gzip_known_bytes);
	tcase_add_test(tc, tar_header_fields);
	tcase_add_test(tc, tar_long_names_and_sizes);
	tcase_add_test(tc, tar_refuses_dangerous_names);
	tcase_add_test(tc, tar_padding);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
