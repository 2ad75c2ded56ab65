#include "auth/signature.h"

#include "base/buf.h"
#include "base/str.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static bool md5_hex(const struct buf *text, char out[SIGNATURE_LEN + 1], struct err *e)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned int n = 0;
	struct buf hex = {0};

	if (EVP_Digest(text->data, text->len, md, &n, EVP_md5(), NULL) != 1)
		return err_set(e, ERR_CRYPTO,
			       "OpenSSL of this system has no MD5, which the signatures of FATE "
			       "need");
	str_hex(&hex, md, n);
	str_copy(out, SIGNATURE_LEN + 1, buf_str(&hex));
	buf_free(&hex);
	return true;
}

bool signature_make(const char *app_id, const char *user, const char *nonce, const char *timestamp,
		    const char *token, char out[SIGNATURE_LEN + 1], struct err *e)
{
	struct buf text = {0};
	char key[SIGNATURE_LEN + 1];

	buf_printf(&text, "%s%s%s%s", app_id, user, nonce, timestamp);
	bool ok = md5_hex(&text, key, e);
	buf_reset(&text);
	if (ok) {
		buf_printf(&text, "%s%s", key, token);
		ok = md5_hex(&text, out, e);
		OPENSSL_cleanse(text.data, text.len);
	}
	buf_free(&text);
	return ok;
}

bool signature_same(const char *given, const char *want)
{
	return strlen(given) == SIGNATURE_LEN && strlen(want) == SIGNATURE_LEN &&
	       str_eq_secret(given, want, SIGNATURE_LEN);
}

void signature_random(char *out, size_t n)
{
	static const char letters[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	const size_t n_letters = sizeof(letters) - 1;

	for (size_t i = 0; i < n;) {
		unsigned char b;
		if (getrandom(&b, 1, 0) != 1)
			abort(); /* there is nothing safe to go on with */
		if (b < 256 - 256 % n_letters)
			out[i++] = letters[b % n_letters];
	}
	out[n] = '\0';
}
