#include "dag/dag_impl.h"

#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NEAR_MAX 64 /* longer names are not compared */
#define LIST_MAX 8

const char *dag_quote(char out[DAG_QUOTE_SIZE], const char *s)
{
	struct buf b = {0};
	size_t len = strlen(s), max = 64;
	bool cut = len > max;

	if (cut) {
		while (max > 0 && ((unsigned char)s[max] & 0xc0) == 0x80)
			max--;
		len = max;
	}
	str_vis(&b, s, len);
	snprintf(out, DAG_QUOTE_SIZE, "'%.80s%s'", buf_str(&b), cut ? "..." : "");
	buf_free(&b);
	return out;
}

static void add_path(struct buf *b, const struct dag_at *at)
{
	if (at->up)
		add_path(b, at->up);
	if (!at->key) {
		buf_printf(b, "[%zu]", at->index);
		return;
	}
	if (b->len)
		buf_addc(b, '.');
	if (str_is_name(at->key, DAG_KEY_MAX)) {
		buf_adds(b, at->key);
	} else {
		char q[DAG_QUOTE_SIZE];

		buf_adds(b, dag_quote(q, at->key));
	}
}

bool dag_bad(struct err *e, enum err_code code, const struct dag_at *at, const char *fmt, ...)
{
	struct buf path = {0};
	char text[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (at)
		add_path(&path, at);
	else
		buf_adds(&path, "job definition");
	err_set(e, code, "%s: %s", buf_str(&path), text);
	buf_free(&path);
	return false;
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

/* Edits that turn a into b: insert, delete, change, swap of neighbours. Both at most NEAR_MAX long.
 */
static size_t edits(const char *a, size_t na, const char *b, size_t nb)
{
	size_t row[3][NEAR_MAX + 1];

	for (size_t j = 0; j <= nb; j++)
		row[0][j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t *cur = row[i % 3], *up = row[(i + 2) % 3], *up2 = row[(i + 1) % 3];

		cur[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;

			cur[j] = min3(up[j] + 1, cur[j - 1] + 1, up[j - 1] + cost);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    up2[j - 2] + 1 < cur[j])
				cur[j] = up2[j - 2] + 1;
		}
	}
	return row[na % 3][nb];
}

void dag_near_try(struct dag_near *n, const char *candidate)
{
	size_t nw = strlen(n->wanted), nc = strlen(candidate);
	size_t limit = nw < 3 ? 1 : nw / 3 + 1, d;

	if (nw == 0 || nw > NEAR_MAX || nc > NEAR_MAX)
		return;
	if (limit > 3)
		limit = 3;
	d = edits(n->wanted, nw, candidate, nc);
	if (d > limit || d >= nw || (n->best && d >= n->distance))
		return;
	n->best = candidate;
	n->distance = d;
}

bool dag_near_text(const struct dag_near *n, struct buf *out)
{
	if (!n->best)
		return false;
	buf_printf(out, "; did you mean %s?", DAG_Q(n->best));
	return true;
}

void dag_list_add(struct buf *out, size_t i, const char *name)
{
	if (i >= LIST_MAX)
		return;
	if (i)
		buf_adds(out, ", ");
	if (str_is_name(name, DAG_NAME_MAX))
		buf_adds(out, name);
	else
		buf_adds(out, DAG_Q(name));
}

void dag_list_end(struct buf *out, size_t n)
{
	if (n > LIST_MAX)
		buf_printf(out, " and %zu more", n - LIST_MAX);
}

static bool unknown_field(const char *key, const struct dag_field *fields, size_t n,
			  const struct dag_at *at, struct err *e)
{
	struct dag_near near = {key, NULL, 0};
	struct buf b = {0};
	size_t shown = 0;

	for (size_t i = 0; i < n; i++)
		if (!fields[i].dropped)
			dag_near_try(&near, fields[i].name);
	if (!dag_near_text(&near, &b)) {
		buf_adds(&b, "; the fields here are ");
		for (size_t i = 0; i < n; i++)
			if (!fields[i].dropped)
				buf_printf(&b, "%s%s", shown++ ? ", " : "", fields[i].name);
	}
	dag_bad(e, ERR_JOB_PARAMS, DAG_KEY(at, key), "unknown field%s", buf_str(&b));
	buf_free(&b);
	return false;
}

static const char *kind_of(const json_t *v)
{
	if (!v)
		return "nothing";
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "a list";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	case JSON_NULL:
		break;
	}
	return "null";
}

bool dag_fields(json_t *v, const struct dag_field *fields, size_t n, const struct dag_at *at,
		struct err *e)
{
	const char *key;
	json_t *val;
	void *next;

	if (!json_is_object(v))
		return dag_bad(e, ERR_JOB_PARAMS, at, "must be an object, not %s", kind_of(v));
	json_object_foreach_safe(v, next, key, val)
	{
		size_t i = 0;

		while (i < n && strcmp(fields[i].name, key) != 0)
			i++;
		if (i == n)
			return unknown_field(key, fields, n, at, e);
		if (fields[i].dropped || json_is_null(val))
			json_object_del(v, key);
	}
	return true;
}

/* A number as the text a person would have written. */
static json_t *number_text(const json_t *v)
{
	char s[64];

	if (json_is_integer(v))
		snprintf(s, sizeof(s), "%lld", (long long)json_integer_value(v));
	else
		snprintf(s, sizeof(s), "%.15g", json_real_value(v));
	return json_string(s);
}

bool dag_get_text(json_t *obj, const char *key, size_t max, bool required, const char **out,
		  const struct dag_at *at, struct err *e)
{
	json_t *v = json_object_get(obj, key);
	const struct dag_at *here = DAG_KEY(at, key);
	const char *s;
	size_t len;

	if (!v || json_is_null(v)) {
		if (required)
			return dag_bad(e, ERR_JOB_PARAMS, here, "is missing");
		return true;
	}
	if (json_is_number(v)) {
		json_object_set_new(obj, key, number_text(v));
		v = json_object_get(obj, key);
	}
	if (!json_is_string(v))
		return dag_bad(e, ERR_JOB_PARAMS, here, "must be a string, not %s", kind_of(v));
	s = json_string_value(v);
	len = json_string_length(v);
	if (len == 0)
		return dag_bad(e, ERR_JOB_PARAMS, here, "must not be empty");
	if (len > max)
		return dag_bad(e, ERR_LIMIT, here, "is longer than %zu bytes", max);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return dag_bad(e, ERR_JOB_PARAMS, here, "%s has a control character",
				       DAG_Q(s));
	*out = s;
	return true;
}

static bool bad_name(const char *name, size_t max, const struct dag_at *at, struct err *e)
{
	if (strlen(name) > max)
		return dag_bad(e, ERR_LIMIT, at, "is longer than %zu characters", max);
	return dag_bad(e, ERR_JOB_PARAMS, at,
		       "%s is not a name; use letters, digits, '_', '-' and '.', and begin with a "
		       "letter, digit or '_'",
		       DAG_Q(name));
}

bool dag_get_name(json_t *obj, const char *key, size_t max, bool required, const char **out,
		  const struct dag_at *at, struct err *e)
{
	const char *s = NULL;

	if (!dag_get_text(obj, key, max, required, &s, at, e))
		return false;
	if (!s)
		return true;
	if (!str_is_name(s, max))
		return bad_name(s, max, DAG_KEY(at, key), e);
	*out = s;
	return true;
}

bool dag_check_key(const char *key, size_t max, const struct dag_at *at, struct err *e)
{
	return str_is_name(key, max) || bad_name(key, max, at, e);
}

bool dag_get_int(json_t *obj, const char *key, int64_t min, int64_t max, int64_t *out,
		 const struct dag_at *at, struct err *e)
{
	json_t *v = json_object_get(obj, key);
	const struct dag_at *here = DAG_KEY(at, key);
	int64_t n = 0;
	bool ok = false;

	if (!v || json_is_null(v))
		return true;
	if (json_is_integer(v)) {
		n = json_integer_value(v);
		ok = true;
	} else if (json_is_real(v)) {
		double r = json_real_value(v);

		ok = r >= -9007199254740992.0 && r <= 9007199254740992.0 && floor(r) == r;
		n = ok ? (int64_t)r : 0;
	} else if (json_is_string(v)) {
		ok = str_to_i64(json_string_value(v), &n);
	}
	if (!ok)
		return dag_bad(e, ERR_JOB_PARAMS, here, "must be a whole number");
	if (n < min || n > max)
		return dag_bad(e, ERR_JOB_PARAMS, here, "is %lld; it must be between %lld and %lld",
			       (long long)n, (long long)min, (long long)max);
	if (!json_is_integer(v))
		json_object_set_new(obj, key, json_integer(n));
	*out = n;
	return true;
}

bool dag_get_object(json_t *obj, const char *key, bool required, json_t **out,
		    const struct dag_at *at, struct err *e)
{
	json_t *v = json_object_get(obj, key);

	if (!v || json_is_null(v)) {
		if (required)
			return dag_bad(e, ERR_JOB_PARAMS, DAG_KEY(at, key), "is missing");
		return true;
	}
	if (!json_is_object(v))
		return dag_bad(e, ERR_JOB_PARAMS, DAG_KEY(at, key), "must be an object, not %s",
			       kind_of(v));
	*out = v;
	return true;
}

bool dag_get_stage(json_t *obj, enum dag_stage *out, bool *found, const struct dag_at *at,
		   struct err *e)
{
	const char *s = NULL;

	*found = false;
	if (!dag_get_text(obj, "stage", DAG_KEY_MAX, false, &s, at, e))
		return false;
	if (!s)
		return true;
	if (!dag_stage_parse(s, out))
		return dag_bad(e, ERR_JOB_PARAMS, DAG_KEY(at, "stage"),
			       "no stage %s; stages are default, train, predict, cross_validation",
			       DAG_Q(s));
	*found = true;
	return true;
}

static bool deeper_than(json_t *v, size_t max)
{
	const char *key;
	json_t *val;
	size_t i;

	if (!json_is_object(v) && !json_is_array(v))
		return false;
	if (max == 0)
		return true;
	json_array_foreach (v, i, val)
		if (deeper_than(val, max - 1))
			return true;
	json_object_foreach (v, key, val)
		if (deeper_than(val, max - 1))
			return true;
	return false;
}

bool dag_check_params(json_t *params, const struct dag_at *at, struct err *e)
{
	if (deeper_than(params, DAG_PARAM_DEPTH_MAX))
		return dag_bad(e, ERR_LIMIT, at, "is nested deeper than %d levels",
			       DAG_PARAM_DEPTH_MAX);
	if (json_dumpb(params, NULL, 0, JSON_COMPACT) > DAG_PARAM_BYTES_MAX)
		return dag_bad(e, ERR_LIMIT, at,
			       "is larger than %d bytes of JSON; put large data in a table",
			       DAG_PARAM_BYTES_MAX);
	return true;
}
