/* Signatures of requests, and which roles may use which routes. */
#include "auth/browser.h"
#include "auth/gate.h"
#include "auth/signature.h"
#include "base/str.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

/* The last member was computed with md5sum(1): the digest of the first four texts, then of its hex
 * digits and the token. */
static const struct {
	const char *app_id, *user, *nonce, *timestamp, *token, *want;
} vectors[] = {
    {"10203040", "alice", "4711", "1700000000000", "AbCdEfGh12345678",
     "5b553a2aad78674f3a142f0619aaeafb"},
    {"10203040", "", "0000", "1", "x", "c3892751f2d70f6cc2d964ae20ed45bf"},
    {"9999",
     "gr\xc3\xb6\xc3\x9f"
     "e",
     "aZ09", "1893456000000", "tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt",
     "f0da7a52891c226a827c8dfd47390ed7"},
};

START_TEST(vector)
{
	char got[SIGNATURE_LEN + 1];
	struct err e;

	ck_assert(signature_make(vectors[_i].app_id, vectors[_i].user, vectors[_i].nonce,
				 vectors[_i].timestamp, vectors[_i].token, got, &e));
	ck_assert_str_eq(got, vectors[_i].want);
}
END_TEST

START_TEST(every_part_counts)
{
	const char *parts[5] = {"10203040", "alice", "4711", "1700000000000", "AbCdEfGh12345678"};
	char want[SIGNATURE_LEN + 1], got[SIGNATURE_LEN + 1];
	struct err e;

	ck_assert(signature_make(parts[0], parts[1], parts[2], parts[3], parts[4], want, &e));
	for (size_t i = 0; i < 5; i++) {
		const char *kept = parts[i];
		parts[i] = "1234";
		ck_assert(
		    signature_make(parts[0], parts[1], parts[2], parts[3], parts[4], got, &e));
		ck_assert(!signature_same(got, want));
		parts[i] = kept;
	}
}
END_TEST

START_TEST(same)
{
	static const char a[] = "5b553a2aad78674f3a142f0619aaeafb";
	char b[SIGNATURE_LEN + 2];

	ck_assert(signature_same(a, a));
	for (size_t i = 0; i < SIGNATURE_LEN; i++) {
		strcpy(b, a);
		b[i] ^= 1;
		ck_assert(!signature_same(a, b));
	}
	strcpy(b, a);
	b[SIGNATURE_LEN - 1] = '\0';
	ck_assert(!signature_same(a, b));
	ck_assert(!signature_same(b, b)); /* no signature at all */
	ck_assert(!signature_same("", ""));
}
END_TEST

START_TEST(random_letters)
{
	char a[65], b[65];
	bool seen[256] = {false};
	int n = 0;

	signature_random(a, 64);
	signature_random(b, 64);
	ck_assert_uint_eq(strlen(a), 64);
	ck_assert_str_ne(a, b);
	for (int k = 0; k < 200; k++) {
		signature_random(a, 64);
		for (size_t i = 0; i < 64; i++)
			seen[(unsigned char)a[i]] = true;
	}
	for (int c = 0; c < 256; c++)
		n += seen[c];
	ck_assert_int_eq(n, 62);
	signature_random(a, 0);
	ck_assert_str_eq(a, "");
}
END_TEST

START_TEST(roles)
{
	static const char *const managing[] = {"/v2/app/list", "/v2/app/client/create",
					       "/v2/permission/grant",
					       "/v2/permission/resource/query", "/v2/server/audit"};

	for (size_t i = 0; i < sizeof(managing) / sizeof(managing[0]); i++) {
		ck_assert(gate_role_allows("super_client", managing[i]));
		ck_assert(!gate_role_allows("client", managing[i]));
		ck_assert(!gate_role_allows("site", managing[i]));
	}
	ck_assert(gate_role_allows("client", "/v2/job/submit"));
	ck_assert(gate_role_allows("super_client", "/v2/job/submit"));
	ck_assert(!gate_role_allows("site", "/v2/job/submit"));
	ck_assert(!gate_role_allows("", "/v2/job/submit"));
}
END_TEST

START_TEST(hosts)
{
	static const char *const own[] = {"127.0.0.1", "127.0.0.1:9380", "127.1.2.3:1",
					  "localhost", "LocalHost:80",   "[::1]",
					  "[::1]:9380"};
	static const char *const others[] = {"",
					     ":9380",
					     "example.org",
					     "example.org:9380",
					     "127.0.0.1.example.org",
					     "127.example.org:9380",
					     "127.0.0",
					     "128.0.0.1",
					     "localhost.example.org",
					     "notlocalhost",
					     "[::1].example.org",
					     "[::2]:9380",
					     "[::ffff:127.0.0.1]",
					     "0.0.0.0:9380"};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		ck_assert_msg(browser_host_is_loopback(own[i]), "%s", own[i]);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		ck_assert_msg(!browser_host_is_loopback(others[i]), "%s", others[i]);
}
END_TEST

START_TEST(origins)
{
	ck_assert(browser_origin_is_host("http://localhost:9380", "localhost:9380"));
	ck_assert(browser_origin_is_host("https://Norn.Example.org", "norn.example.org"));
	ck_assert(!browser_origin_is_host("http://localhost:9381", "localhost:9380"));
	ck_assert(!browser_origin_is_host("http://localhost", "localhost:9380"));
	ck_assert(!browser_origin_is_host("http://evil.example.org", "localhost:9380"));
	ck_assert(!browser_origin_is_host("null", "localhost:9380"));
	ck_assert(!browser_origin_is_host("", ""));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("auth");
	TCase *t = tcase_create("signature");

	tcase_add_loop_test(t, vector, 0, (int)(sizeof(vectors) / sizeof(vectors[0])));
	tcase_add_test(t, every_part_counts);
	tcase_add_test(t, same);
	tcase_add_test(t, random_letters);
	tcase_add_test(t, roles);
	tcase_add_test(t, hosts);
	tcase_add_test(t, origins);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
