/* A demo CA and the certificates it signs: enough to try two sites on one machine. */
#include "config.h"
#include "net/tls.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PEM_FILE_MAX    (64 * 1024)
#define DAY_S           (24 * 60 * 60)
#define CLOCK_SKEW_S    3600
#define COMMON_NAME_MAX 64

static bool crypto_err(struct err *e, const char *what)
{
	unsigned long code = ERR_get_error();
	const char *why = ERR_reason_error_string(code);

	ERR_clear_error();
	return err_set(e, ERR_CRYPTO, "cannot %s: %s", what, why != NULL ? why : "unknown reason");
}

static EVP_PKEY *make_key(struct err *e)
{
	EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);

	if (ctx == NULL || EVP_PKEY_keygen_init(ctx) != 1 ||
	    EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, NID_X9_62_prime256v1) != 1 ||
	    EVP_PKEY_keygen(ctx, &key) != 1) {
		crypto_err(e, "make a key");
		key = NULL;
	}
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* 128 random bits, positive, as the CA rules ask for. */
static bool set_serial(X509 *cert)
{
	unsigned char raw[16];

	if (RAND_bytes(raw, sizeof(raw)) != 1)
		return false;
	raw[0] = (unsigned char)((raw[0] & 0x7f) | 0x40);
	BIGNUM *n = BN_bin2bn(raw, sizeof(raw), NULL);
	bool ok = n != NULL && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;
	BN_free(n);
	return ok;
}

static bool set_dates(X509 *cert, int days)
{
	time_t now = time(NULL);
	time_t until = now + (time_t)days * DAY_S - (days <= 0 ? 1 : 0);
	time_t from = (until < now ? until - DAY_S : now) - CLOCK_SKEW_S;

	return ASN1_TIME_set(X509_getm_notBefore(cert), from) != NULL &&
	       ASN1_TIME_set(X509_getm_notAfter(cert), until) != NULL;
}

static bool add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool ok = ext != NULL && X509_add_ext(cert, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok;
}

/* A certificate with everything but its extensions and signature. */
static X509 *new_cert(const char *name, EVP_PKEY *key, X509 *issuer, int days, struct err *e)
{
	X509 *cert = X509_new();

	if (cert == NULL || X509_set_version(cert, 2) != 1 || !set_serial(cert) ||
	    !set_dates(cert, days) || X509_set_pubkey(cert, key) != 1)
		goto fail;
	X509_NAME *subject = X509_get_subject_name(cert);
	if (X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name,
				       -1, -1, 0) != 1 ||
	    X509_set_issuer_name(cert, X509_get_subject_name(issuer != NULL ? issuer : cert)) != 1)
		goto fail;
	return cert;
fail:
	crypto_err(e, "make a certificate");
	X509_free(cert);
	return NULL;
}

static bool write_new(const char *path, BIO *pem, mode_t mode, struct err *e)
{
	char *data = NULL;
	long len = BIO_get_mem_data(pem, &data);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	if (fd < 0) {
		if (errno == EEXIST)
			return err_set(e, ERR_IO, "%s exists already and is not overwritten", path);
		return err_set(e, ERR_IO, "cannot create %s: %s", path, strerror(errno));
	}
	bool ok = len > 0 && write(fd, data, (size_t)len) == len && fsync(fd) == 0;
	if (!ok)
		err_set(e, ERR_IO, "cannot write %s: %s", path, strerror(errno));
	close(fd);
	if (!ok)
		unlink(path);
	return ok;
}

/* Both files or neither; the key first, since it is the one that must never be lost. */
static bool write_pair(const char *dir, const char *name, X509 *cert, EVP_PKEY *key, struct err *e)
{
	char *key_path = mem_printf("%s/%s.key", dir, name);
	char *cert_path = mem_printf("%s/%s.crt", dir, name);
	BIO *key_pem = BIO_new(BIO_s_mem());
	BIO *cert_pem = BIO_new(BIO_s_mem());
	bool ok = false;

	if (key_pem == NULL || cert_pem == NULL || PEM_write_bio_X509(cert_pem, cert) != 1 ||
	    PEM_write_bio_PKCS8PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL) != 1) {
		crypto_err(e, "write a certificate");
		goto out;
	}
	if (fs_exists(cert_path)) {
		err_set(e, ERR_IO, "%s exists already and is not overwritten", cert_path);
		goto out;
	}
	if (!fs_mkdirs(dir, 0755, e) || !write_new(key_path, key_pem, 0600, e))
		goto out;
	ok = write_new(cert_path, cert_pem, 0644, e);
	if (!ok)
		unlink(key_path);
out:
	BIO_free(key_pem);
	BIO_free(cert_pem);
	free(key_path);
	free(cert_path);
	return ok;
}

static bool check_common_name(const char *name, struct err *e)
{
	size_t len = name != NULL ? strlen(name) : 0;

	if (len == 0 || len > COMMON_NAME_MAX || !str_is_utf8(name, len))
		return err_set(e, ERR_USAGE, "the name of a certificate has 1 to %d bytes of UTF-8",
			       COMMON_NAME_MAX);
	return true;
}

bool tls_make_ca(const char *dir, const char *name, int days, struct err *e)
{
	bool ok = false;

	if (!check_common_name(name, e))
		return false;
	EVP_PKEY *key = make_key(e);
	X509 *cert = key != NULL ? new_cert(name, key, NULL, days, e) : NULL;
	if (cert == NULL)
		goto out;
	if (!add_ext(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
	    !add_ext(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") ||
	    !add_ext(cert, cert, NID_subject_key_identifier, "hash") ||
	    X509_sign(cert, key, EVP_sha256()) == 0) {
		crypto_err(e, "sign the certificate of the CA");
		goto out;
	}
	ok = write_pair(dir, "ca", cert, key, e);
out:
	X509_free(cert);
	EVP_PKEY_free(key);
	return ok;
}

static bool push_name(GENERAL_NAMES *names, int type, const void *data, size_t len)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_STRING *s = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();

	if (name == NULL || s == NULL || ASN1_STRING_set(s, data, (int)len) != 1) {
		GENERAL_NAME_free(name);
		ASN1_STRING_free(s);
		return false;
	}
	GENERAL_NAME_set0_value(name, type, s);
	if (sk_GENERAL_NAME_push(names, name) == 0) {
		GENERAL_NAME_free(name);
		return false;
	}
	return true;
}

static bool push_host(GENERAL_NAMES *names, const char *host, struct err *e)
{
	unsigned char ip[16];

	if (inet_pton(AF_INET, host, ip) == 1)
		return push_name(names, GEN_IPADD, ip, 4) || crypto_err(e, "name a host");
	if (inet_pton(AF_INET6, host, ip) == 1)
		return push_name(names, GEN_IPADD, ip, 16) || crypto_err(e, "name a host");
	if (!str_is_name(host, 253))
		return err_set(e, ERR_USAGE, "%.100s is neither a DNS name nor an IP address",
			       host);
	return push_name(names, GEN_DNS, host, strlen(host)) || crypto_err(e, "name a host");
}

/* Built value by value: a text in OpenSSL's configuration syntax would let a name inject others. */
static bool add_alt_names(X509 *cert, const char *const *parties, size_t n_parties,
			  const char *const *hosts, size_t n_hosts, struct err *e)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	bool ok = names != NULL || crypto_err(e, "name the parties");

	for (size_t i = 0; ok && i < n_parties; i++) {
		if (!str_is_name(parties[i], TLS_PARTY_ID_MAX - 1)) {
			ok = err_set(e, ERR_USAGE,
				     "a party id has 1 to %d letters, digits, '_', '.' or '-'",
				     TLS_PARTY_ID_MAX - 1);
			break;
		}
		char *uri = mem_printf("urn:norn:party:%s", parties[i]);
		ok = push_name(names, GEN_URI, uri, strlen(uri)) ||
		     crypto_err(e, "name the parties");
		free(uri);
	}
	for (size_t i = 0; ok && i < n_hosts; i++)
		ok = push_host(names, hosts[i], e);
	if (ok && sk_GENERAL_NAME_num(names) > 0)
		ok = X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) == 1 ||
		     crypto_err(e, "name the parties");
	GENERAL_NAMES_free(names);
	return ok;
}

static bool load_ca(const char *ca_dir, X509 **cert, EVP_PKEY **key, struct err *e)
{
	struct buf cert_pem = {0}, key_pem = {0};
	char *cert_path = mem_printf("%s/ca.crt", ca_dir);
	char *key_path = mem_printf("%s/ca.key", ca_dir);
	bool ok = false;

	if (!fs_read(cert_path, PEM_FILE_MAX, &cert_pem, e) ||
	    !fs_read(key_path, PEM_FILE_MAX, &key_pem, e))
		goto out;
	BIO *bio = BIO_new_mem_buf(buf_str(&cert_pem), (int)cert_pem.len);
	*cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	char none[] = "";
	bio = BIO_new_mem_buf(buf_str(&key_pem), (int)key_pem.len);
	*key = PEM_read_bio_PrivateKey(bio, NULL, NULL, none);
	BIO_free(bio);
	ok = *cert != NULL && *key != NULL && X509_check_private_key(*cert, *key) == 1;
	if (!ok)
		err_set(e, ERR_CRYPTO, "%s/ca.crt and ca.key are not a certificate and its key",
			ca_dir);
out:
	ERR_clear_error();
	if (key_pem.data != NULL)
		OPENSSL_cleanse(key_pem.data, key_pem.len);
	buf_free(&cert_pem);
	buf_free(&key_pem);
	free(cert_path);
	free(key_path);
	return ok;
}

bool tls_make_cert(const char *ca_dir, const char *dir, const char *name,
		   const char *const *parties, size_t n_parties, const char *const *hosts,
		   size_t n_hosts, int days, struct err *e)
{
	X509 *ca = NULL, *cert = NULL;
	EVP_PKEY *ca_key = NULL, *key = NULL;
	bool ok = false;

	if (!check_common_name(name, e))
		return false;
	if (!str_is_name(name, COMMON_NAME_MAX))
		return err_set(e, ERR_USAGE, "%.100s cannot be the name of a file", name);
	if (n_parties > TLS_PARTIES_MAX)
		return err_set(e, ERR_USAGE, "a certificate names at most %d parties",
			       TLS_PARTIES_MAX);
	if (!load_ca(ca_dir, &ca, &ca_key, e) || (key = make_key(e)) == NULL ||
	    (cert = new_cert(name, key, ca, days, e)) == NULL ||
	    !add_alt_names(cert, parties, n_parties, hosts, n_hosts, e))
		goto out;
	if (!add_ext(cert, ca, NID_basic_constraints, "critical,CA:FALSE") ||
	    !add_ext(cert, ca, NID_key_usage, "critical,digitalSignature") ||
	    !add_ext(cert, ca, NID_ext_key_usage, "serverAuth,clientAuth") ||
	    !add_ext(cert, ca, NID_subject_key_identifier, "hash") ||
	    !add_ext(cert, ca, NID_authority_key_identifier, "keyid") ||
	    X509_sign(cert, ca_key, EVP_sha256()) == 0) {
		crypto_err(e, "sign a certificate");
		goto out;
	}
	ok = write_pair(dir, name, cert, key, e);
out:
	X509_free(ca);
	X509_free(cert);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(key);
	return ok;
}
