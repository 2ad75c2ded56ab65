/*
 * TLS identities of a site. A site's certificate names the party ids it may speak for in its
 * subjectAltName, one URI each: "urn:norn:party:9999". Trust is: the chain ends in the configured
 * CA, the certificate is valid now, and the party id asked for is among the URIs. Host names are
 * not compared (a party may move); the party id is the identity.
 */
#ifndef NORN_NET_TLS_H
#define NORN_NET_TLS_H

#include "base/err.h"
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#define TLS_PARTIES_MAX  64
#define TLS_PARTY_ID_MAX 64

struct tls_identity {
	size_t n_parties;
	char parties[TLS_PARTIES_MAX][TLS_PARTY_ID_MAX];
	char subject[256];
	int64_t not_after_ms; /* wall clock */
};

struct tls_ctx; /* opaque: one SSL_CTX for serving, one for calling, both verify the other side */

/* Loads and cross-checks CA, certificate and key (PEM). TLS 1.2 is the least version. */
MUST_CHECK struct tls_ctx *tls_ctx_new(const char *ca_file, const char *cert_file,
				       const char *key_file, struct err *e);
/* For a server whose clients show no certificate; the other end checks ours as browsers do. */
MUST_CHECK struct tls_ctx *tls_ctx_new_server(const char *cert_file, const char *key_file,
					      struct err *e);
/* For a client that shows no certificate and expects the server's to be of the CA (NULL: one that
 * the system trusts) and for the host name or address of the URL. */
MUST_CHECK struct tls_ctx *tls_ctx_new_client(const char *ca_file, struct err *e);
void tls_ctx_free(struct tls_ctx *c);
MUST_CHECK bool tls_ctx_reload(struct tls_ctx *c,
			       struct err *e); /* new connections use the new files */
const struct tls_identity *tls_ctx_own(const struct tls_ctx *c);
/* When the first certificate of a PEM file ends, by the wall clock. Blocking; small. */
MUST_CHECK bool tls_cert_file_end(const char *cert_file, int64_t *not_after_ms, struct err *e);

MUST_CHECK SSL *tls_server_ssl(struct tls_ctx *c, struct err *e);
MUST_CHECK SSL *tls_client_ssl(struct tls_ctx *c, struct err *e);
/* Whether a server of this context asks its clients for certificates. */
bool tls_ctx_asks_clients(const struct tls_ctx *c);
/* Before the handshake of a client: sets the host (a name, or a numeric address) of the other side,
 * which its certificate must name when the context was made by tls_ctx_new_client(). */
MUST_CHECK bool tls_set_host(struct tls_ctx *c, SSL *ssl, const char *host, bool is_name,
			     struct err *e);
/* After the handshake: who is there. Fails when no verified certificate was shown. */
MUST_CHECK bool tls_peer_identity(SSL *ssl, struct tls_identity *out, struct err *e);
bool tls_identity_has(const struct tls_identity *id, const char *party_id);
/* The reason of a failed handshake in words ("certificate has expired", "unknown CA", ...). */
void tls_error_text(SSL *ssl, char *out, size_t size);
/* The same when the caller has taken the code (0: none) out of OpenSSL's queue already. */
void tls_error_text_code(SSL *ssl, unsigned long code, char *out, size_t size);

/* A demo CA and site certificates (EC P-256). Never overwrites an existing file. */
MUST_CHECK bool tls_make_ca(const char *dir, const char *name, int days, struct err *e);
/* Writes <dir>/<name>.crt and .key; reads <ca_dir>/ca.crt and ca.key. days may be <= 0 (expired,
 * for tests). hosts: DNS names or IP addresses, may be none. */
MUST_CHECK bool tls_make_cert(const char *ca_dir, const char *dir, const char *name,
			      const char *const *parties, size_t n_parties,
			      const char *const *hosts, size_t n_hosts, int days, struct err *e);

#endif
