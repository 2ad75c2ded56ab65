#include "config.h"
#include "net/http_target.h"
#include "net/http_parse.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void http_target_reset(struct http_target *t)
{
	buf_reset(&t->path);
	buf_reset(&t->query);
	t->n_pairs = 0;
}

void http_target_free(struct http_target *t)
{
	buf_free(&t->path);
	buf_free(&t->query);
	free(t->pairs);
	memset(t, 0, sizeof(*t));
}

/* Append s[0, len) decoded; false on a malformed escape or an encoded NUL. */
static bool decode(struct buf *out, const char *s, size_t len, bool plus_is_space)
{
	size_t i = 0;

	while (i < len) {
		size_t plain = i;
		while (plain < len && s[plain] != '%' && s[plain] != '+')
			plain++;
		buf_add(out, s + i, plain - i);
		i = plain;
		if (i == len)
			break;
		if (s[i] == '+') {
			buf_addc(out, plus_is_space ? ' ' : '+');
			i++;
			continue;
		}
		if (len - i < 3)
			return false;
		int hi = http_hex_digit(s[i + 1]);
		int lo = http_hex_digit(s[i + 2]);
		if (hi < 0 || lo < 0 || (hi == 0 && lo == 0))
			return false;
		buf_addc(out, (char)(unsigned char)(hi * 16 + lo));
		i += 3;
	}
	return true;
}

static bool part_is_safe(const char *s, size_t len)
{
	if ((len == 1 && s[0] == '.') || (len == 2 && s[0] == '.' && s[1] == '.'))
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		if (c < 0x20 || c == 0x7f || c == '/')
			return false;
	}
	return str_is_utf8(s, len);
}

static bool parse_path(struct buf *out, const char *s, size_t len, const char **why)
{
	const char *end = s + len;

	while (s < end) {
		if (*s == '/') {
			s++;
			continue;
		}
		const char *slash = memchr(s, '/', (size_t)(end - s));
		size_t n = slash != NULL ? (size_t)(slash - s) : (size_t)(end - s);
		buf_addc(out, '/');
		size_t start = out->len;
		if (!decode(out, s, n, false)) {
			*why = "malformed escape in the path";
			return false;
		}
		if (!part_is_safe(out->data + start, out->len - start)) {
			*why = "the path has a part that is not allowed";
			return false;
		}
		s += n;
	}
	if (out->len == 0)
		buf_addc(out, '/');
	return true;
}

static void add_pair(struct http_target *t, size_t key, size_t value)
{
	if (t->n_pairs == t->cap_pairs) {
		t->cap_pairs = t->cap_pairs == 0 ? 8 : t->cap_pairs * 2;
		t->pairs = mem_resize(t->pairs, t->cap_pairs, sizeof(*t->pairs));
	}
	t->pairs[t->n_pairs++] = (struct http_pair){(uint32_t)key, (uint32_t)value};
}

static bool parse_query(struct http_target *t, const char *s, const char **why)
{
	while (*s != 0) {
		size_t len = strcspn(s, "&");
		const char *eq = memchr(s, '=', len);
		size_t key_len = eq != NULL ? (size_t)(eq - s) : len;
		if (len > 0) {
			if (t->n_pairs == HTTP_QUERY_MAX) {
				*why = "too many parameters in the query";
				return false;
			}
			size_t key = t->query.len;
			bool ok = decode(&t->query, s, key_len, true);
			buf_addc(&t->query, 0);
			size_t value = t->query.len;
			if (ok && eq != NULL)
				ok = decode(&t->query, eq + 1, len - key_len - 1, true);
			if (!ok || !str_is_utf8(t->query.data + key, value - 1 - key) ||
			    !str_is_utf8(t->query.data + value, t->query.len - value)) {
				*why = "malformed escape in the query";
				return false;
			}
			buf_addc(&t->query, 0);
			add_pair(t, key, value);
		}
		s += len;
		if (*s == '&')
			s++;
	}
	return true;
}

bool http_target_parse(struct http_target *t, const char *target, const char **why)
{
	http_target_reset(t);
	*why = NULL;
	/* The form that proxies get: scheme and authority say nothing new here. */
	if (strncasecmp(target, "http://", 7) == 0 || strncasecmp(target, "https://", 8) == 0) {
		target = strstr(target, "://") + 3;
		target += strcspn(target, "/?");
	} else if (strcmp(target, "*") == 0) {
		buf_addc(&t->path, '*');
		return true;
	} else if (target[0] != '/') {
		*why = "the request target must begin with a slash";
		return false;
	}
	size_t len = strcspn(target, "?");
	if (!parse_path(&t->path, target, len, why))
		return false;
	return target[len] == 0 || parse_query(t, target + len + 1, why);
}

/* ---- URLs ---- */

static bool parse_port(const char *s, size_t len, char *out)
{
	int port = 0;

	if (len == 0 || len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		port = port * 10 + (s[i] - '0');
	}
	if (port == 0 || port > 65535)
		return false;
	memcpy(out, s, len);
	out[len] = 0;
	return true;
}

static bool is_host(const char *s, size_t len, bool ipv6)
{
	for (size_t i = 0; i < len; i++) {
		char c = s[i];
		bool alnum =
		    (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!alnum && c != '.' && (ipv6 ? c != ':' && c != '%' : c != '-' && c != '_'))
			return false;
	}
	return len > 0;
}

static bool parse_unix(const char *url, struct http_url *out, struct err *e)
{
	const char *sock = url + strlen("unix:");
	const char *colon = strstr(sock, ":/");

	/* 107 is what a socket address holds. */
	if (sock[0] != '/' || colon == NULL || colon - sock > 107)
		return err_set(e, ERR_USAGE, "malformed URL \"%.200s\": want unix:/socket:/path",
			       url);
	memcpy(out->host, sock, (size_t)(colon - sock));
	out->host[colon - sock] = 0;
	out->port[0] = 0;
	str_copy(out->authority, sizeof(out->authority), "localhost");
	out->target = colon + 1;
	return true;
}

static bool target_is_clean(const char *s)
{
	for (; *s != 0; s++)
		if (*s <= 0x20 || *s >= 0x7f || *s == '#')
			return false;
	return true;
}

bool http_url_parse(const char *url, struct http_url *out, struct err *e)
{
	memset(out, 0, sizeof(*out));
	if (url == NULL || !target_is_clean(url))
		return err_set(
		    e, ERR_USAGE,
		    "malformed URL: it has spaces, a fragment or other bytes that must be encoded");
	if (str_starts(url, "unix:")) {
		out->scheme = HTTP_SCHEME_UNIX;
		return parse_unix(url, out, e);
	}
	bool https = str_starts(url, "https://");
	if (!https && !str_starts(url, "http://"))
		return err_set(e, ERR_USAGE,
			       "malformed URL \"%.200s\": want http://, https:// or unix:", url);
	out->scheme = https ? HTTP_SCHEME_HTTPS : HTTP_SCHEME_HTTP;
	const char *auth = url + (https ? 8 : 7);
	size_t auth_len = strcspn(auth, "/?");
	const char *host = auth;
	const char *host_end = memchr(auth, ':', auth_len);
	bool ipv6 = auth_len > 0 && auth[0] == '[';
	const char *after;
	if (ipv6) {
		host++;
		host_end = memchr(auth, ']', auth_len);
		after = host_end != NULL ? host_end + 1 : auth;
	} else {
		if (host_end == NULL)
			host_end = auth + auth_len;
		after = host_end;
	}
	size_t host_len = host_end != NULL ? (size_t)(host_end - host) : 0;
	if (host_len >= sizeof(out->host) || !is_host(host, host_len, ipv6))
		return err_set(e, ERR_USAGE, "malformed host in the URL \"%.200s\"", url);
	memcpy(out->host, host, host_len);
	out->host[host_len] = 0;
	size_t after_len = auth_len - (size_t)(after - auth);
	if (after_len == 0)
		str_copy(out->port, sizeof(out->port), https ? "443" : "80");
	else if (after[0] != ':' || !parse_port(after + 1, after_len - 1, out->port))
		return err_set(e, ERR_USAGE, "malformed port in the URL \"%.200s\"", url);
	if (auth_len >= sizeof(out->authority))
		return err_set(e, ERR_USAGE, "malformed host in the URL \"%.200s\"", url);
	memcpy(out->authority, auth, auth_len);
	out->authority[auth_len] = 0;
	out->target = auth + auth_len;
	return true;
}
