/* Certificates, identities and handshakes, without a network: two SSL objects and two memory pipes.
 */
#include "config.h"
#include "net/tls.h"
#include "net_fixture.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/clock.h"
#include "base/log.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct pair {
	SSL *client, *server;
	bool ok;
	char client_why[256], server_why[256];
};

/* One side's next step; true when its handshake is complete. */
static bool step(SSL *ssl, bool *failed, char *why, size_t size)
{
	if (*failed || SSL_is_init_finished(ssl))
		return !*failed;
	int rc = SSL_do_handshake(ssl);
	if (rc == 1)
		return true;
	int kind = SSL_get_error(ssl, rc);
	if (kind != SSL_ERROR_WANT_READ && kind != SSL_ERROR_WANT_WRITE) {
		*failed = true;
		tls_error_text(ssl, why, size);
	}
	return false;
}

static void handshake(struct tls_ctx *client, struct tls_ctx *server, struct pair *p)
{
	BIO *a, *b;
	struct err e;
	bool client_failed = false, server_failed = false, c = false, s = false;

	memset(p, 0, sizeof(*p));
	ck_assert_int_eq(BIO_new_bio_pair(&a, 0, &b, 0), 1);
	p->client = tls_client_ssl(client, &e);
	p->server = tls_server_ssl(server, &e);
	ck_assert_ptr_nonnull(p->client);
	ck_assert_ptr_nonnull(p->server);
	SSL_set_bio(p->client, a, a);
	SSL_set_bio(p->server, b, b);
	for (int i = 0; i < 20 && !(c && s); i++) {
		c = step(p->client, &client_failed, p->client_why, sizeof(p->client_why));
		s = step(p->server, &server_failed, p->server_why, sizeof(p->server_why));
	}
	p->ok = c && s;
}

static void pair_free(struct pair *p)
{
	SSL_free(p->client);
	SSL_free(p->server);
	ERR_clear_error();
}

START_TEST(sites_of_one_ca_know_each_other)
{
	struct pair p;
	struct tls_identity id;
	struct err e;

	make_ca("ca");
	make_site("ca", "guest", "9999", 10);
	make_site("ca", "host", "10000", 10);
	struct tls_ctx *guest = site_ctx("ca", "ca", "guest");
	struct tls_ctx *host = site_ctx("ca", "ca", "host");
	ck_assert(tls_identity_has(tls_ctx_own(guest), "9999"));
	handshake(guest, host, &p);
	ck_assert_msg(p.ok, "client: %s, server: %s", p.client_why, p.server_why);
	ck_assert_msg(tls_peer_identity(p.client, &id, &e), "%s", e.msg);
	ck_assert(tls_identity_has(&id, "10000"));
	ck_assert(!tls_identity_has(&id, "9999"));
	ck_assert(!tls_identity_has(&id, "1000"));
	ck_assert(!tls_identity_has(&id, "100000"));
	ck_assert(!tls_identity_has(&id, ""));
	ck_assert_str_eq(id.subject, "CN = host");
	int64_t left_ms = id.not_after_ms - clock_wall_ms();
	ck_assert_int_gt(left_ms, 9LL * 86400 * 1000);
	ck_assert_int_le(left_ms, 10LL * 86400 * 1000);
	ck_assert_msg(tls_peer_identity(p.server, &id, &e), "%s", e.msg);
	ck_assert(tls_identity_has(&id, "9999"));
	ck_assert_int_ge(SSL_version(p.client), TLS1_2_VERSION);
	pair_free(&p);
	tls_ctx_free(guest);
	tls_ctx_free(host);
}
END_TEST

START_TEST(identity_before_the_handshake_is_none)
{
	struct tls_identity id;
	struct err e;

	make_ca("ca");
	make_site("ca", "guest", "9999", 10);
	struct tls_ctx *guest = site_ctx("ca", "ca", "guest");
	SSL *ssl = tls_client_ssl(guest, &e);
	ck_assert(!tls_peer_identity(ssl, &id, &e));
	ck_assert_int_eq(e.code, ERR_TLS);
	ck_assert_uint_eq(id.n_parties, 0);
	SSL_free(ssl);
	tls_ctx_free(guest);
}
END_TEST

START_TEST(other_ca_is_refused)
{
	struct pair p;

	make_ca("ca");
	make_ca("evil");
	make_site("ca", "guest", "9999", 10);
	make_site("evil", "host", "10000", 10);
	struct tls_ctx *guest = site_ctx("ca", "ca", "guest");
	struct tls_ctx *host = site_ctx("evil", "evil", "host");
	handshake(guest, host, &p);
	ck_assert(!p.ok);
	ck_assert_msg(strstr(p.client_why, "certificate") != NULL, "%s", p.client_why);
	ck_assert_msg(strstr(p.server_why, "unknown ca") != NULL, "%s", p.server_why);
	pair_free(&p);
	handshake(host, guest, &p);
	ck_assert(!p.ok);
	pair_free(&p);
	tls_ctx_free(guest);
	tls_ctx_free(host);
}
END_TEST

START_TEST(expired_certificate_is_refused)
{
	struct pair p;

	make_ca("ca");
	make_site("ca", "guest", "9999", 10);
	make_site("ca", "old", "10000", _i);
	struct tls_ctx *guest = site_ctx("ca", "ca", "guest");
	struct tls_ctx *old = site_ctx("ca", "ca", "old");
	handshake(guest, old, &p);
	ck_assert(!p.ok);
	ck_assert_str_eq(p.client_why, "certificate has expired");
	pair_free(&p);
	/* and as a caller */
	handshake(old, guest, &p);
	ck_assert(!p.ok);
	ck_assert_str_eq(p.server_why, "certificate has expired");
	pair_free(&p);
	tls_ctx_free(guest);
	tls_ctx_free(old);
}
END_TEST

START_TEST(caller_without_certificate_is_refused)
{
	struct pair p = {0};
	BIO *a, *b;
	struct err e;
	bool client_failed = false, server_failed = false;

	make_ca("ca");
	make_site("ca", "host", "10000", 10);
	struct tls_ctx *host = site_ctx("ca", "ca", "host");
	SSL_CTX *bare = SSL_CTX_new(TLS_client_method());
	ck_assert_int_eq(BIO_new_bio_pair(&a, 0, &b, 0), 1);
	p.client = SSL_new(bare);
	SSL_set_connect_state(p.client);
	p.server = tls_server_ssl(host, &e);
	SSL_set_bio(p.client, a, a);
	SSL_set_bio(p.server, b, b);
	for (int i = 0; i < 10; i++) {
		step(p.client, &client_failed, p.client_why, sizeof(p.client_why));
		step(p.server, &server_failed, p.server_why, sizeof(p.server_why));
	}
	ck_assert(server_failed);
	ck_assert_msg(strstr(p.server_why, "did not return a certificate") != NULL, "%s",
		      p.server_why);
	pair_free(&p);
	SSL_CTX_free(bare);
	tls_ctx_free(host);
}
END_TEST

START_TEST(old_protocol_is_refused)
{
	struct pair p = {0};
	struct err e;
	BIO *a, *b;
	bool client_failed = false, server_failed = false;

	make_ca("ca");
	make_site("ca", "host", "10000", 10);
	struct tls_ctx *host = site_ctx("ca", "ca", "host");
	ck_assert_int_eq(BIO_new_bio_pair(&a, 0, &b, 0), 1);
	p.client = tls_client_ssl(host, &e);
	p.server = tls_server_ssl(host, &e);
	SSL_set_security_level(p.client, 0);
	ck_assert_int_eq(SSL_set_min_proto_version(p.client, TLS1_VERSION), 1);
	ck_assert_int_eq(SSL_set_max_proto_version(p.client, TLS1_1_VERSION), 1);
	ck_assert_int_eq(SSL_set_cipher_list(p.client, "ALL:@SECLEVEL=0"), 1);
	SSL_set_bio(p.client, a, a);
	SSL_set_bio(p.server, b, b);
	for (int i = 0; i < 10; i++) {
		step(p.client, &client_failed, p.client_why, sizeof(p.client_why));
		step(p.server, &server_failed, p.server_why, sizeof(p.server_why));
	}
	ck_assert(server_failed);
	ck_assert(!SSL_is_init_finished(p.client));
	pair_free(&p);
	tls_ctx_free(host);
}
END_TEST

START_TEST(end_of_a_certificate_is_read)
{
	char file[300];
	int64_t end_ms = 0, now_ms = clock_wall_ms();
	struct err e;

	make_ca("ca");
	make_site("ca", "a", "1", 10);
	snprintf(file, sizeof(file), "%s/ca/a.crt", temp_dir());
	ck_assert_msg(tls_cert_file_end(file, &end_ms, &e), "%s", e.msg);
	ck_assert_int_gt(end_ms, now_ms + 9 * 86400000LL);
	ck_assert_int_lt(end_ms, now_ms + 11 * 86400000LL);
	snprintf(file, sizeof(file), "%s/ca/a.key", temp_dir());
	ck_assert(!tls_cert_file_end(file, &end_ms, &e));
	ck_assert_int_eq(e.code, ERR_TLS);
	ck_assert_ptr_nonnull(strstr(e.msg, "a.key"));
}
END_TEST

START_TEST(files_are_cross_checked)
{
	char ca[512], crt[512], key[512];
	struct err e;

	make_ca("ca");
	make_ca("other");
	make_site("ca", "a", "1", 10);
	make_site("ca", "b", "2", 10);
	snprintf(ca, sizeof(ca), "%s/ca/ca.crt", temp_dir());
	snprintf(crt, sizeof(crt), "%s/ca/a.crt", temp_dir());
	snprintf(key, sizeof(key), "%s/ca/b.key", temp_dir());
	ck_assert_ptr_null(tls_ctx_new(ca, crt, key, &e));
	ck_assert_int_eq(e.code, ERR_TLS);
	snprintf(key, sizeof(key), "%s/ca/a.key", temp_dir());
	snprintf(ca, sizeof(ca), "%s/other/ca.crt", temp_dir());
	ck_assert_ptr_null(tls_ctx_new(ca, crt, key, &e));
	ck_assert_msg(strstr(e.msg, "not signed by the CA") != NULL, "%s", e.msg);
	snprintf(ca, sizeof(ca), "%s/none.crt", temp_dir());
	ck_assert_ptr_null(tls_ctx_new(ca, crt, key, &e));
	ck_assert_msg(strstr(e.msg, "none.crt") != NULL, "%s", e.msg);
	ck_assert_ptr_null(tls_ctx_new(NULL, crt, key, &e));
	ck_assert_int_eq(e.code, ERR_CONFIG);
}
END_TEST

START_TEST(reload_takes_new_files_or_keeps_the_old)
{
	char from[512], to[512];
	struct err e;

	make_ca("ca");
	make_site("ca", "a", "1", 10);
	make_site("ca", "b", "2", 10);
	struct tls_ctx *ctx = site_ctx("ca", "ca", "a");
	snprintf(from, sizeof(from), "%s/ca/b.crt", temp_dir());
	snprintf(to, sizeof(to), "%s/ca/a.crt", temp_dir());
	ck_assert_int_eq(rename(from, to), 0);
	ck_assert_msg(!tls_ctx_reload(ctx, &e), "the key is still another one");
	ck_assert(tls_identity_has(tls_ctx_own(ctx), "1"));
	snprintf(from, sizeof(from), "%s/ca/b.key", temp_dir());
	snprintf(to, sizeof(to), "%s/ca/a.key", temp_dir());
	ck_assert_int_eq(rename(from, to), 0);
	ck_assert_msg(tls_ctx_reload(ctx, &e), "%s", e.msg);
	ck_assert(tls_identity_has(tls_ctx_own(ctx), "2"));
	ck_assert(!tls_identity_has(tls_ctx_own(ctx), "1"));
	tls_ctx_free(ctx);
}
END_TEST

START_TEST(nothing_is_overwritten)
{
	char path[512], key[600];
	struct buf before = {0}, after = {0};
	struct stat st;
	const char *party = "1";
	struct err e;

	make_ca("ca");
	make_site("ca", "a", party, 10);
	snprintf(path, sizeof(path), "%s/ca", temp_dir());
	snprintf(key, sizeof(key), "%s/ca.key", path);
	ck_assert(fs_read(key, 1 << 16, &before, &e));
	ck_assert(!tls_make_ca(path, "again", 10, &e));
	ck_assert_msg(strstr(e.msg, "not overwritten") != NULL, "%s", e.msg);
	ck_assert(!tls_make_cert(path, path, "a", &party, 1, NULL, 0, 10, &e));
	ck_assert(fs_read(key, 1 << 16, &after, &e));
	ck_assert_str_eq(buf_str(&before), buf_str(&after));
	ck_assert_int_eq(stat(key, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	buf_free(&before);
	buf_free(&after);
}
END_TEST

START_TEST(bad_names_are_refused)
{
	static const char *const evil[] = {"",
					   "1 2",
					   "1,URI:urn:norn:party:2",
					   "../1",
					   "-1",
					   "a/b",
					   "a\nb",
					   "0123456789012345678901234567890123456789"
					   "01234567890123456789012345"};
	static const char *const one[] = {"1"};
	char path[512];
	struct err e;

	make_ca("ca");
	snprintf(path, sizeof(path), "%s/ca", temp_dir());
	for (size_t i = 0; i < ARRAY_LEN(evil); i++) {
		ck_assert_msg(!tls_make_cert(path, path, "x", &evil[i], 1, NULL, 0, 10, &e),
			      "party \"%s\"", evil[i]);
		ck_assert_int_eq(e.code, ERR_USAGE);
		ck_assert_msg(!tls_make_cert(path, path, evil[i], one, 1, NULL, 0, 10, &e),
			      "name \"%s\"", evil[i]);
	}
	const char *host = "a b";
	ck_assert(!tls_make_cert(path, path, "x", one, 1, &host, 1, 10, &e));
}
END_TEST

START_TEST(many_parties_and_hosts)
{
	static const char *const hosts[] = {"localhost", "127.0.0.1", "::1"};
	char names[TLS_PARTIES_MAX + 1][8];
	const char *parties[TLS_PARTIES_MAX + 1];
	char path[512];
	struct err e;

	for (size_t i = 0; i <= TLS_PARTIES_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "p%zu", i);
		parties[i] = names[i];
	}
	make_ca("ca");
	snprintf(path, sizeof(path), "%s/ca", temp_dir());
	ck_assert_msg(tls_make_cert(path, path, "full", parties, TLS_PARTIES_MAX, hosts, 3, 10, &e),
		      "%s", e.msg);
	struct tls_ctx *ctx = site_ctx("ca", "ca", "full");
	ck_assert_uint_eq(tls_ctx_own(ctx)->n_parties, TLS_PARTIES_MAX);
	ck_assert(tls_identity_has(tls_ctx_own(ctx), "p63"));
	tls_ctx_free(ctx);
	ck_assert(
	    !tls_make_cert(path, path, "more", parties, TLS_PARTIES_MAX + 1, NULL, 0, 10, &e));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net_tls");
	TCase *tc = tcase_create("tls");
	struct err e;

	/* Warnings about expired certificates are expected here. */
	if (!log_open("/dev/null", LOG_ERROR, 0, 1, &e))
		return EXIT_FAILURE;
	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, fixture_open, fixture_close);
	tcase_add_test(tc, sites_of_one_ca_know_each_other);
	tcase_add_test(tc, identity_before_the_handshake_is_none);
	tcase_add_test(tc, other_ca_is_refused);
	tcase_add_loop_test(tc, expired_certificate_is_refused, -1, 1);
	tcase_add_test(tc, caller_without_certificate_is_refused);
	tcase_add_test(tc, old_protocol_is_refused);
	tcase_add_test(tc, end_of_a_certificate_is_read);
	tcase_add_test(tc, files_are_cross_checked);
	tcase_add_test(tc, reload_takes_new_files_or_keeps_the_old);
	tcase_add_test(tc, nothing_is_overwritten);
	tcase_add_test(tc, bad_names_are_refused);
	tcase_add_test(tc, many_parties_and_hosts);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	log_close();
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
