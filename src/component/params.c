/* Parameters against their declarations. */
#include "config.h"

#include "component/task.h"

#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const type_names[] = {
    [NORN_P_STR] = "a string", [NORN_P_BOOL] = "true or false", [NORN_P_INT] = "a whole number",
    [NORN_P_NUM] = "a number", [NORN_P_LIST] = "a list",        [NORN_P_MAP] = "a map",
    [NORN_P_ANY] = "a value",
};

static bool type_fits(enum norn_param_type t, const json_t *v)
{
	switch (t) {
	case NORN_P_STR:
		return json_is_string(v);
	case NORN_P_BOOL:
		return json_is_boolean(v);
	case NORN_P_INT:
		return json_is_integer(v) || (json_is_real(v) && fabs(json_real_value(v)) < 9e15 &&
					      json_real_value(v) == floor(json_real_value(v)));
	case NORN_P_NUM:
		return json_is_number(v) && isfinite(json_number_value(v));
	case NORN_P_LIST:
		return json_is_array(v);
	case NORN_P_MAP:
		return json_is_object(v);
	case NORN_P_ANY:
		return true;
	}
	return false;
}

/* The choice that equals s but for case, lower-cased as declared; NULL when none does. */
static json_t *choose(const char *choices, const char *s)
{
	const char *p = choices;
	size_t n, len = strlen(s), i;

	for (; *p; p += n + (p[n] == '|')) {
		n = strcspn(p, "|");
		if (n != len)
			continue;
		for (i = 0; i < n; i++)
			if (tolower((unsigned char)p[i]) != tolower((unsigned char)s[i]))
				break;
		if (i == n)
			return json_stringn(p, n);
	}
	return NULL;
}

static json_t *wrong_type(const struct norn_param *p, const json_t *v, const char *where,
			  struct err *e)
{
	char *shown = js_dump_str(v);

	err_set(e, ERR_JOB_PARAMS, "parameter %s: %.100s is not %s", where, shown,
		type_names[p->type]);
	free(shown);
	return NULL;
}

json_t *param_check(const struct norn_param *p, const json_t *v, const char *where, struct err *e)
{
	bool nullable = p->def != NULL && strcmp(p->def, "null") == 0;
	json_t *chosen;
	double x;

	if (json_is_null(v)) {
		if (nullable)
			return json_null();
		err_set(e, ERR_JOB_PARAMS, "parameter %s must not be null", where);
		return NULL;
	}
	if (!type_fits(p->type, v))
		return wrong_type(p, v, where, e);
	if (p->choices != NULL && json_is_string(v)) {
		chosen = choose(p->choices, json_string_value(v));
		if (chosen == NULL)
			err_set(e, ERR_JOB_PARAMS,
				"parameter %s: '%.60s' is not supported, only %s", where,
				json_string_value(v), p->choices);
		return chosen;
	}
	if (json_is_number(v) && (p->min < 0 || p->min > 0 || p->max < 0 || p->max > 0)) {
		x = json_number_value(v);
		if (x < p->min || x > p->max) {
			err_set(e, ERR_JOB_PARAMS,
				"parameter %s: %.15g is not within %.15g and %.15g", where, x,
				p->min, p->max);
			return NULL;
		}
	}
	if (p->type == NORN_P_INT && json_is_real(v))
		return json_integer((json_int_t)json_real_value(v));
	return json_deep_copy(v);
}

static const struct norn_param *find(const struct norn_param *decl, size_t n, unsigned stage,
				     const char *name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(decl[i].name, name) == 0 &&
		    (stage == 0 || decl[i].stages == 0 || (decl[i].stages & stage)))
			return &decl[i];
	return NULL;
}

static json_t *unknown(const struct norn_param *decl, size_t n, unsigned stage, const char *where,
		       struct err *e)
{
	struct buf known = {0};
	size_t i;

	for (i = 0; i < n; i++)
		if (stage == 0 || decl[i].stages == 0 || (decl[i].stages & stage))
			buf_printf(&known, "%s%s", known.len ? ", " : "", decl[i].name);
	err_set(e, ERR_JOB_PARAMS, "unknown parameter %s (known: %.700s)", where,
		known.len ? known.data : "none");
	buf_free(&known);
	return NULL;
}

static json_t *check_all(const struct norn_param *decl, size_t n, unsigned stage,
			 const json_t *given, const char *prefix, struct err *e)
{
	json_t *out = json_object(), *v, *def;
	const char *key;
	char *where;
	void *it;
	size_t i;

	/* jansson's iteration wants a mutable object; nothing is changed. */
	for (it = json_object_iter((json_t *)(uintptr_t)given); it != NULL;
	     it = json_object_iter_next((json_t *)(uintptr_t)given, it)) {
		const struct norn_param *p;

		key = json_object_iter_key(it);
		p = find(decl, n, stage, key);
		if (p == NULL && find(decl, n, 0, key) != NULL)
			continue; /* of another stage: a deployed task keeps them all */
		if (p != NULL && p->def != NULL && json_is_null(json_object_iter_value(it)))
			continue; /* FATE's clients say so of what its user has not set */
		where = mem_printf("%s%s%.100s", prefix, *prefix ? "." : "", key);
		v = p ? param_check(p, json_object_iter_value(it), where, e)
		      : unknown(decl, n, stage, where, e);
		free(where);
		if (v == NULL)
			goto fail;
		json_object_set_new(out, key, v);
	}
	for (i = 0; i < n; i++) {
		if (json_object_get(out, decl[i].name) != NULL ||
		    (stage != 0 && decl[i].stages != 0 && !(decl[i].stages & stage)))
			continue;
		if (decl[i].def == NULL) {
			err_set(e, ERR_JOB_PARAMS, "parameter %s%s%s is missing", prefix,
				*prefix ? "." : "", decl[i].name);
			goto fail;
		}
		def = json_loads(decl[i].def, JSON_DECODE_ANY, NULL);
		if (def == NULL) {
			err_set(e, ERR_INTERNAL, "parameter %s has a bad default", decl[i].name);
			goto fail;
		}
		json_object_set_new(out, decl[i].name, def);
	}
	return out;
fail:
	json_decref(out);
	return NULL;
}

json_t *params_check(const struct norn_component *c, enum norn_stage stage, const json_t *given,
		     struct err *e)
{
	if (given != NULL && !json_is_null(given) && !json_is_object(given)) {
		err_set(e, ERR_JOB_PARAMS, "parameters is not a map");
		return NULL;
	}
	return check_all(c->params, c->n_params, stage, given, "", e);
}

json_t *params_check_map(const struct norn_param *decl, size_t n, const json_t *map,
			 const char *where, struct err *e)
{
	if (map != NULL && !json_is_null(map) && !json_is_object(map)) {
		err_set(e, ERR_JOB_PARAMS, "parameter %s is not a map", where);
		return NULL;
	}
	return check_all(decl, n, 0, map, where, e);
}
