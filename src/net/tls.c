#include "config.h"
#include "net/tls.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define PARTY_URI_PREFIX "urn:norn:party:"

/* Forward secrecy and authenticated encryption only; TLS 1.3 has nothing else. */
#define TLS12_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

enum tls_kind {
	TLS_SITES,  /* both sides show certificates, which name parties */
	TLS_SERVER, /* serves clients that show none */
	TLS_CLIENT, /* calls servers, whose certificates name hosts */
};

struct tls_ctx {
	enum tls_kind kind;
	char *ca_file;
	char *cert_file;
	char *key_file;
	SSL_CTX *serve;
	SSL_CTX *call;
	struct tls_identity own;
};

/* What one load of the three files gives; swapped in whole, so that a failed reload changes
 * nothing. */
struct tls_files {
	SSL_CTX *serve;
	SSL_CTX *call;
	struct tls_identity own;
};

/* The oldest reason in OpenSSL's queue, which is emptied. */
static const char *openssl_reason(char *out, size_t size)
{
	unsigned long code = ERR_get_error();

	if (code == 0)
		str_copy(out, size, "unknown reason");
	else if (ERR_reason_error_string(code) != NULL)
		str_copy(out, size, ERR_reason_error_string(code));
	else
		ERR_error_string_n(code, out, size);
	ERR_clear_error();
	return out;
}

/* An encrypted key must not make a server ask for a passphrase on its terminal. */
static int no_passphrase(char *out, int size, int for_writing, void *arg)
{
	return 0;
}

static int64_t asn1_time_ms(const ASN1_TIME *t)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return 0;
	return (int64_t)timegm(&tm) * 1000;
}

static bool identity_add_uri(struct tls_identity *id, const ASN1_IA5STRING *uri, struct err *e)
{
	const char *s = (const char *)ASN1_STRING_get0_data(uri);
	size_t len = (size_t)ASN1_STRING_length(uri);
	size_t skip = strlen(PARTY_URI_PREFIX);

	if (len < skip || memcmp(s, PARTY_URI_PREFIX, skip) != 0)
		return true;
	s += skip;
	len -= skip;
	if (id->n_parties == TLS_PARTIES_MAX)
		return err_set(e, ERR_TLS, "the certificate of %s names more than %d parties",
			       id->subject, TLS_PARTIES_MAX);
	if (len == 0 || len >= TLS_PARTY_ID_MAX || memchr(s, 0, len) != NULL)
		return err_set(e, ERR_TLS, "the certificate of %s has a malformed party id",
			       id->subject);
	char *dst = id->parties[id->n_parties];
	memcpy(dst, s, len);
	dst[len] = 0;
	if (!str_is_name(dst, TLS_PARTY_ID_MAX - 1))
		return err_set(e, ERR_TLS, "the certificate of %s has a malformed party id",
			       id->subject);
	id->n_parties++;
	return true;
}

static bool identity_from_cert(X509 *cert, struct tls_identity *id, struct err *e)
{
	memset(id, 0, sizeof(*id));
	BIO *bio = BIO_new(BIO_s_mem());
	if (bio == NULL)
		return err_set(e, ERR_CRYPTO, "out of memory");
	X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0, XN_FLAG_ONELINE);
	int n = BIO_read(bio, id->subject, (int)sizeof(id->subject) - 1);
	id->subject[n > 0 ? n : 0] = 0;
	BIO_free(bio);
	id->not_after_ms = asn1_time_ms(X509_get0_notAfter(cert));

	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	bool ok = true;
	for (int i = 0; ok && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type == GEN_URI)
			ok = identity_add_uri(id, name->d.uniformResourceIdentifier, e);
	}
	GENERAL_NAMES_free(names);
	return ok;
}

/* Whose certificates are good. */
static bool trust(const struct tls_ctx *c, SSL_CTX *ctx, bool serve, struct err *e)
{
	char why[256];

	if (c->ca_file == NULL) {
		if (SSL_CTX_set_default_verify_paths(ctx) != 1)
			return err_set(e, ERR_TLS, "cannot read the system's CA certificates: %s",
				       openssl_reason(why, sizeof(why)));
		return true;
	}
	if (SSL_CTX_load_verify_locations(ctx, c->ca_file, NULL) != 1)
		return err_set(e, ERR_TLS, "cannot read the CA certificate %s: %s", c->ca_file,
			       openssl_reason(why, sizeof(why)));
	if (serve) {
		/* Tells callers which CA their certificate must come from. */
		STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(c->ca_file);
		if (names != NULL)
			SSL_CTX_set_client_CA_list(ctx, names);
	}
	return true;
}

static bool use_own(const struct tls_ctx *c, SSL_CTX *ctx, struct err *e)
{
	char why[256];

	if (SSL_CTX_use_certificate_chain_file(ctx, c->cert_file) != 1)
		return err_set(e, ERR_TLS, "cannot read the certificate %s: %s", c->cert_file,
			       openssl_reason(why, sizeof(why)));
	if (SSL_CTX_use_PrivateKey_file(ctx, c->key_file, SSL_FILETYPE_PEM) != 1)
		return err_set(
		    e, ERR_TLS,
		    "cannot use the key %s (PEM, without a passphrase, and of the certificate %s): "
		    "%s",
		    c->key_file, c->cert_file, openssl_reason(why, sizeof(why)));
	if (SSL_CTX_check_private_key(ctx) != 1)
		return err_set(e, ERR_TLS, "the key %s is not the key of the certificate %s",
			       c->key_file, c->cert_file);
	return true;
}

static SSL_CTX *make_ssl_ctx(const struct tls_ctx *c, bool serve, struct err *e)
{
	char why[256];
	SSL_CTX *ctx = SSL_CTX_new(serve ? TLS_server_method() : TLS_client_method());

	if (ctx == NULL) {
		err_set(e, ERR_TLS, "cannot set up TLS: %s", openssl_reason(why, sizeof(why)));
		return NULL;
	}
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	/* Resumed sessions would skip the check of the certificate; connections are kept alive
	 * anyway. */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
				     SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(ctx,
			   c->kind == TLS_SERVER
			       ? SSL_VERIFY_NONE
			       : SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
			   NULL);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_cipher_list(ctx, TLS12_CIPHERS) != 1) {
		err_set(e, ERR_TLS, "cannot set up TLS: %s", openssl_reason(why, sizeof(why)));
		goto fail;
	}
	if ((c->kind != TLS_SERVER && !trust(c, ctx, serve, e)) ||
	    (c->kind != TLS_CLIENT && !use_own(c, ctx, e)))
		goto fail;
	return ctx;
fail:
	ERR_clear_error();
	SSL_CTX_free(ctx);
	return NULL;
}

/* Is our own certificate one the other sites will accept? Its dates are only warned about: a node
 * whose certificate has run out still serves its own site. */
static bool check_own_chain(const struct tls_ctx *c, SSL_CTX *ctx, struct err *e)
{
	X509 *cert = SSL_CTX_get0_certificate(ctx);
	STACK_OF(X509) *chain = NULL;
	X509_STORE_CTX *sc = X509_STORE_CTX_new();
	bool ok = false;

	SSL_CTX_get0_chain_certs(ctx, &chain);
	if (sc == NULL || X509_STORE_CTX_init(sc, SSL_CTX_get_cert_store(ctx), cert, chain) != 1) {
		err_set(e, ERR_CRYPTO, "cannot check the certificate %s", c->cert_file);
		goto out;
	}
	X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(sc), X509_V_FLAG_NO_CHECK_TIME);
	if (X509_verify_cert(sc) != 1) {
		err_set(e, ERR_TLS, "the certificate %s is not signed by the CA %s: %s",
			c->cert_file, c->ca_file,
			X509_verify_cert_error_string(X509_STORE_CTX_get_error(sc)));
		goto out;
	}
	if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
		log_warn(LOG_CTX_NONE, "the certificate %s has expired: other sites will refuse it",
			 c->cert_file);
	ok = true;
out:
	X509_STORE_CTX_free(sc);
	ERR_clear_error();
	return ok;
}

static void warn_of_mode(const char *key_file)
{
	struct stat st;

	if (stat(key_file, &st) == 0 && (st.st_mode & (S_IRWXO | S_IWGRP)) != 0)
		log_warn(LOG_CTX_NONE,
			 "the key %s can be read or changed by other users: chmod 600", key_file);
}

static bool load_files(const struct tls_ctx *c, struct tls_files *f, struct err *e)
{
	memset(f, 0, sizeof(*f));
	ERR_clear_error();
	if (c->kind != TLS_CLIENT)
		f->serve = make_ssl_ctx(c, true, e);
	if (c->kind != TLS_CLIENT && f->serve == NULL)
		return false;
	if (c->kind != TLS_SERVER)
		f->call = make_ssl_ctx(c, false, e);
	if ((c->kind != TLS_SERVER && f->call == NULL) ||
	    (c->kind == TLS_SITES &&
	     (!check_own_chain(c, f->serve, e) ||
	      !identity_from_cert(SSL_CTX_get0_certificate(f->serve), &f->own, e)))) {
		SSL_CTX_free(f->serve);
		SSL_CTX_free(f->call);
		return false;
	}
	if (c->key_file != NULL)
		warn_of_mode(c->key_file);
	return true;
}

/* Takes the first load; NULL when it fails. */
static struct tls_ctx *new_ctx(enum tls_kind kind, const char *ca_file, const char *cert_file,
			       const char *key_file, struct err *e)
{
	struct tls_ctx *c = mem_zalloc(sizeof(*c));

	c->kind = kind;
	c->ca_file = mem_strdup(ca_file);
	c->cert_file = mem_strdup(cert_file);
	c->key_file = mem_strdup(key_file);
	if (!tls_ctx_reload(c, e)) {
		tls_ctx_free(c);
		return NULL;
	}
	return c;
}

struct tls_ctx *tls_ctx_new(const char *ca_file, const char *cert_file, const char *key_file,
			    struct err *e)
{
	if (ca_file == NULL || cert_file == NULL || key_file == NULL) {
		err_set(e, ERR_CONFIG, "TLS needs a CA file, a certificate file and a key file");
		return NULL;
	}
	return new_ctx(TLS_SITES, ca_file, cert_file, key_file, e);
}

struct tls_ctx *tls_ctx_new_server(const char *cert_file, const char *key_file, struct err *e)
{
	return new_ctx(TLS_SERVER, NULL, cert_file, key_file, e);
}

struct tls_ctx *tls_ctx_new_client(const char *ca_file, struct err *e)
{
	return new_ctx(TLS_CLIENT, ca_file, NULL, NULL, e);
}

void tls_ctx_free(struct tls_ctx *c)
{
	if (c == NULL)
		return;
	SSL_CTX_free(c->serve);
	SSL_CTX_free(c->call);
	free(c->ca_file);
	free(c->cert_file);
	free(c->key_file);
	free(c);
}

bool tls_ctx_reload(struct tls_ctx *c, struct err *e)
{
	struct tls_files f;

	if (!load_files(c, &f, e))
		return false;
	SSL_CTX_free(c->serve);
	SSL_CTX_free(c->call);
	c->serve = f.serve;
	c->call = f.call;
	c->own = f.own;
	return true;
}

const struct tls_identity *tls_ctx_own(const struct tls_ctx *c)
{
	return &c->own;
}

bool tls_cert_file_end(const char *cert_file, int64_t *not_after_ms, struct err *e)
{
	char why[256];
	BIO *bio = BIO_new_file(cert_file, "r");
	X509 *cert = bio != NULL ? PEM_read_bio_X509(bio, NULL, no_passphrase, NULL) : NULL;

	BIO_free(bio);
	if (cert == NULL)
		return err_set(e, ERR_TLS, "cannot read the certificate %s: %s", cert_file,
			       openssl_reason(why, sizeof(why)));
	*not_after_ms = asn1_time_ms(X509_get0_notAfter(cert));
	X509_free(cert);
	return true;
}

static SSL *new_ssl(SSL_CTX *ctx, struct err *e)
{
	char why[256];
	SSL *ssl = SSL_new(ctx);

	if (ssl == NULL)
		err_set(e, ERR_TLS, "cannot start TLS: %s", openssl_reason(why, sizeof(why)));
	return ssl;
}

SSL *tls_server_ssl(struct tls_ctx *c, struct err *e)
{
	SSL *ssl = new_ssl(c->serve, e);

	if (ssl != NULL)
		SSL_set_accept_state(ssl);
	return ssl;
}

SSL *tls_client_ssl(struct tls_ctx *c, struct err *e)
{
	SSL *ssl = new_ssl(c->call, e);

	if (ssl != NULL)
		SSL_set_connect_state(ssl);
	return ssl;
}

bool tls_ctx_asks_clients(const struct tls_ctx *c)
{
	return c->kind != TLS_SERVER;
}

bool tls_set_host(struct tls_ctx *c, SSL *ssl, const char *host, bool is_name, struct err *e)
{
	if (is_name)
		SSL_set_tlsext_host_name(ssl, host);
	if (c->kind != TLS_CLIENT)
		return true;
	int ok = is_name ? SSL_set1_host(ssl, host)
			 : X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
	if (ok != 1)
		return err_set(e, ERR_TLS, "'%s' is no host that a certificate could name", host);
	return true;
}

bool tls_peer_identity(SSL *ssl, struct tls_identity *out, struct err *e)
{
	X509 *cert = SSL_get_peer_certificate(ssl);

	memset(out, 0, sizeof(*out));
	if (cert == NULL)
		return err_set(e, ERR_TLS, "the other side has shown no certificate");
	bool ok;
	if (SSL_get_verify_result(ssl) != X509_V_OK)
		ok = err_set(e, ERR_TLS, "the certificate of the other side was refused: %s",
			     X509_verify_cert_error_string(SSL_get_verify_result(ssl)));
	else
		ok = identity_from_cert(cert, out, e);
	X509_free(cert);
	return ok;
}

bool tls_identity_has(const struct tls_identity *id, const char *party_id)
{
	if (id == NULL || party_id == NULL)
		return false;
	for (size_t i = 0; i < id->n_parties; i++)
		if (strcmp(id->parties[i], party_id) == 0)
			return true;
	return false;
}

void tls_error_text_code(SSL *ssl, unsigned long code, char *out, size_t size)
{
	long verify = ssl != NULL ? SSL_get_verify_result(ssl) : X509_V_OK;

	if (verify != X509_V_OK)
		str_copy(out, size, X509_verify_cert_error_string(verify));
	else if (code == 0)
		str_copy(out, size, "the other side closed the connection");
	else if (ERR_reason_error_string(code) != NULL)
		str_copy(out, size, ERR_reason_error_string(code));
	else
		ERR_error_string_n(code, out, size);
}

void tls_error_text(SSL *ssl, char *out, size_t size)
{
	tls_error_text_code(ssl, ERR_get_error(), out, size);
	ERR_clear_error();
}
