#include "config.h"
#include "base/yaml_scalar.h"
#include "base/str.h"
#include <string.h>

#define CORE_PREFIX "tag:yaml.org,2002:"
#define SHOWN_MAX   40 /* bytes of a bad value in a message */

enum kind { KIND_STR, KIND_NULL, KIND_TRUE, KIND_FALSE, KIND_INT, KIND_FLOAT, KIND_NOT_FINITE };

const char *yaml_core_tag(const char *tag)
{
	return str_starts(tag, CORE_PREFIX) ? tag + strlen(CORE_PREFIX) : NULL;
}

static bool is_one_of(const char *s, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(s, words[i]) == 0)
			return true;
	}
	return false;
}

static bool all_in(const char *s, const char *set)
{
	return *s != '\0' && s[strspn(s, set)] == '\0';
}

static bool is_float(const char *s)
{
	static const char digits[] = "0123456789";
	size_t whole, fraction = 0;

	if (*s == '-' || *s == '+')
		s++;
	whole = strspn(s, digits);
	s += whole;
	if (*s == '.') {
		fraction = strspn(s + 1, digits);
		s += 1 + fraction;
	}
	if (whole == 0 && fraction == 0)
		return false;
	if (*s == 'e' || *s == 'E') {
		s++;
		if (*s == '-' || *s == '+')
			s++;
		return all_in(s, digits);
	}
	return *s == '\0';
}

static enum kind plain_kind(const char *s)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
	static const char *const trues[] = {"true", "True", "TRUE"};
	static const char *const falses[] = {"false", "False", "FALSE"};
	static const char *const specials[] = {".inf", ".Inf", ".INF"};
	static const char *const nans[] = {".nan", ".NaN", ".NAN"};
	const char *unsigned_part = *s == '-' || *s == '+' ? s + 1 : s;

	if (is_one_of(s, nulls, ARRAY_LEN(nulls)))
		return KIND_NULL;
	if (is_one_of(s, trues, ARRAY_LEN(trues)))
		return KIND_TRUE;
	if (is_one_of(s, falses, ARRAY_LEN(falses)))
		return KIND_FALSE;
	if (is_one_of(unsigned_part, specials, ARRAY_LEN(specials)) ||
	    is_one_of(s, nans, ARRAY_LEN(nans)))
		return KIND_NOT_FINITE;
	if (all_in(unsigned_part, "0123456789"))
		return KIND_INT;
	if (str_starts(s, "0x") && all_in(s + 2, "0123456789abcdefABCDEF"))
		return KIND_INT;
	if (str_starts(s, "0o") && all_in(s + 2, "01234567"))
		return KIND_INT;
	return is_float(s) ? KIND_FLOAT : KIND_STR;
}

static bool based_int(const char *digits, unsigned base, int64_t *out)
{
	int64_t v = 0;

	for (; *digits != '\0'; digits++) {
		int d = *digits <= '9' ? *digits - '0' : (*digits | 0x20) - 'a' + 10;

		if (__builtin_mul_overflow(v, (int64_t)base, &v) ||
		    __builtin_add_overflow(v, d, &v))
			return false;
	}
	*out = v;
	return true;
}

static json_t *int_value(const char *s, struct err *e)
{
	int64_t v = 0;
	bool ok;

	if (str_starts(s, "0x"))
		ok = based_int(s + 2, 16, &v);
	else if (str_starts(s, "0o"))
		ok = based_int(s + 2, 8, &v);
	else
		ok = str_to_i64(*s == '+' ? s + 1 : s, &v);
	if (!ok) {
		err_set(e, ERR_PARSE,
			"the integer %.*s is out of range; put it in quotes if it is a text",
			SHOWN_MAX, s);
		return NULL;
	}
	return json_integer(v);
}

static json_t *float_value(const char *s, struct err *e)
{
	double v = 0;

	if (!str_to_double(s, &v)) {
		err_set(e, ERR_PARSE,
			"the number %.*s is out of range; put it in quotes if it is a text",
			SHOWN_MAX, s);
		return NULL;
	}
	return json_real(v);
}

static json_t *string_value(const char *text, size_t len, struct err *e)
{
	if (memchr(text, '\0', len) != NULL) {
		err_set(e, ERR_PARSE, "a text holds a NUL character");
		return NULL;
	}
	if (!str_is_utf8(text, len)) {
		err_set(e, ERR_PARSE, "a text is not valid UTF-8");
		return NULL;
	}
	return json_stringn(text, len);
}

/* Does a value of this kind satisfy an explicit core tag? */
static bool kind_fits(enum kind kind, const char *name)
{
	switch (kind) {
	case KIND_NULL:
		return strcmp(name, "null") == 0;
	case KIND_TRUE:
	case KIND_FALSE:
		return strcmp(name, "bool") == 0;
	case KIND_INT:
		return strcmp(name, "int") == 0 || strcmp(name, "float") == 0;
	case KIND_FLOAT:
	case KIND_NOT_FINITE:
		return strcmp(name, "float") == 0;
	case KIND_STR:
		break;
	}
	return false;
}

/* The kind of a scalar with an explicit tag; false with an error when the text does not fit it. */
static bool tagged_kind(const char *text, const char *tag, enum kind *kind, struct err *e)
{
	const char *name = yaml_core_tag(tag);

	if (strcmp(tag, "!") == 0 || (name != NULL && strcmp(name, "str") == 0)) {
		*kind = KIND_STR;
		return true;
	}
	if (name == NULL)
		return err_set(e, ERR_PARSE, "the tag %.*s is not supported", SHOWN_MAX, tag);
	*kind = plain_kind(text);
	if (!kind_fits(*kind, name))
		return err_set(e, ERR_PARSE, "the value does not fit its tag !!%.*s", SHOWN_MAX,
			       name);
	if (*kind == KIND_INT && strcmp(name, "float") == 0)
		*kind = KIND_FLOAT;
	return true;
}

json_t *yaml_scalar_value(const char *text, size_t len, const char *tag, bool plain, struct err *e)
{
	enum kind kind = plain && strlen(text) == len ? plain_kind(text) : KIND_STR;

	if (tag != NULL && !tagged_kind(text, tag, &kind, e))
		return NULL;
	switch (kind) {
	case KIND_NULL:
		return json_null();
	case KIND_TRUE:
		return json_true();
	case KIND_FALSE:
		return json_false();
	case KIND_INT:
		return int_value(text, e);
	case KIND_FLOAT:
		return float_value(text, e);
	case KIND_NOT_FINITE:
		err_set(e, ERR_PARSE, "%.*s is not supported: numbers must be finite", SHOWN_MAX,
			text);
		return NULL;
	case KIND_STR:
		break;
	}
	return string_value(text, len, e);
}
