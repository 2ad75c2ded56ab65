#include "config.h"
#include "base/str.h"
#include "base/mem.h"
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

bool str_copy(char *dst, size_t size, const char *src)
{
	size_t len = strnlen(src, size);

	if (size == 0)
		return false;
	if (len == size) {
		memcpy(dst, src, size - 1);
		dst[size - 1] = '\0';
		return false;
	}
	memcpy(dst, src, len + 1);
	return true;
}

bool str_eq(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t len = strlen(s), tail = strlen(suffix);

	return len >= tail && memcmp(s + len - tail, suffix, tail) == 0;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool str_to_i64(const char *s, int64_t *out)
{
	bool negative = *s == '-';
	int64_t v = 0;

	if (negative)
		s++;
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++) {
		int digit = *s - '0';

		if (!is_digit(*s) || __builtin_mul_overflow(v, 10, &v))
			return false;
		/* Counting downwards keeps the smallest number in range. */
		if (negative ? __builtin_sub_overflow(v, digit, &v)
			     : __builtin_add_overflow(v, digit, &v))
			return false;
	}
	*out = v;
	return true;
}

/* [-+] digits [. digits] [e [-+] digits], with a digit before or after the point. */
static bool is_decimal(const char *s)
{
	size_t digits = 0;

	if (*s == '-' || *s == '+')
		s++;
	for (; is_digit(*s); s++)
		digits++;
	if (*s == '.') {
		for (s++; is_digit(*s); s++)
			digits++;
	}
	if (digits == 0)
		return false;
	if (*s == 'e' || *s == 'E') {
		s++;
		if (*s == '-' || *s == '+')
			s++;
		if (!is_digit(*s))
			return false;
		while (is_digit(*s))
			s++;
	}
	return *s == '\0';
}

bool str_to_double(const char *s, double *out)
{
	static locale_t c_locale;
	double v;

	if (!is_decimal(s))
		return false;
	if (c_locale == (locale_t)0)
		c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	v = c_locale == (locale_t)0 ? strtod(s, NULL) : strtod_l(s, NULL, c_locale);
	if (!isfinite(v))
		return false;
	*out = v;
	return true;
}

bool str_is_name(const char *s, size_t max)
{
	size_t len = strnlen(s, max + 1);

	if (len == 0 || len > max || s[0] == '.' || s[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = s[i];
		bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

		if (!letter && !is_digit(c) && c != '_' && c != '.' && c != '-')
			return false;
		if (c == '.' && s[i + 1] == '.')
			return false;
	}
	return true;
}

size_t str_distance(const char *a, const char *b)
{
	size_t n = strlen(b), *row, result;

	row = mem_array(n + 1, sizeof(*row));
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1] != '\0'; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = row[j];
			row[j] = best;
		}
	}
	result = row[n];
	free(row);
	return result;
}

bool str_eq_secret(const void *a, const void *b, size_t len)
{
	const volatile unsigned char *x = a, *y = b;
	unsigned char diff = 0;

	for (size_t i = 0; i < len; i++)
		diff = (unsigned char)(diff | (x[i] ^ y[i]));
	return diff == 0;
}

void str_random_hex(char *out, size_t n_bytes)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char chunk[64];

	while (n_bytes > 0) {
		size_t want = n_bytes < sizeof(chunk) ? n_bytes : sizeof(chunk);
		ssize_t got = getrandom(chunk, want, 0);

		if (got < 0) {
			if (errno == EINTR)
				continue;
			fprintf(stderr, "the kernel gives no random bytes: %s\n", strerror(errno));
			abort();
		}
		for (size_t i = 0; i < (size_t)got; i++) {
			*out++ = digits[chunk[i] >> 4];
			*out++ = digits[chunk[i] & 15];
		}
		n_bytes -= (size_t)got;
	}
	*out = '\0';
	explicit_bzero(chunk, sizeof(chunk));
}
