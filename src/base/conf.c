#include "config.h"
#include "base/conf.h"
#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUGGEST_MAX 128 /* bytes of an unknown key that is worth comparing */

struct loader {
	const struct conf_opt *opts;
	size_t n_opts;
	char *dir; /* of the file, absolute; relative paths start here */
	char *cwd;
	char *out; /* the caller's struct */
	struct err *e;
};

/* Where the value of an option comes from. */
enum origin { FROM_DEFAULT, FROM_FILE, FROM_OVERRIDE };

static const struct conf_opt *find_opt(const struct loader *l, const char *path, size_t len)
{
	for (size_t i = 0; i < l->n_opts; i++) {
		if (strlen(l->opts[i].path) == len && memcmp(l->opts[i].path, path, len) == 0)
			return &l->opts[i];
	}
	return NULL;
}

/* Is path the name of a section, that is, followed by a dot in some option? */
static bool is_section(const struct loader *l, const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < l->n_opts; i++) {
		if (strncmp(l->opts[i].path, path, len) == 0 && l->opts[i].path[len] == '.')
			return true;
	}
	return false;
}

static const char *last_part(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot == NULL ? path : dot + 1;
}

/*
 * The option somebody most likely meant: close as a whole, or the same last part in another
 * section. NULL when nothing is near.
 */
static const char *nearest(const struct loader *l, const char *path)
{
	const char *best = NULL;
	size_t best_distance, len = strlen(path);

	if (len > SUGGEST_MAX)
		return NULL;
	best_distance = len / 3 + 1;
	for (size_t i = 0; i < l->n_opts; i++) {
		size_t d = str_distance(path, l->opts[i].path);

		if (str_eq(last_part(path), last_part(l->opts[i].path)) && d > 1)
			d = 1;
		if (d <= best_distance && (best == NULL || d < best_distance)) {
			best = l->opts[i].path;
			best_distance = d;
		}
	}
	return best;
}

static bool fail_unknown(const struct loader *l, const char *path)
{
	const char *near = nearest(l, path);
	struct buf shown = {0};

	str_vis(&shown, path, strnlen(path, SUGGEST_MAX));
	if (near != NULL)
		err_set(l->e, ERR_CONFIG, "unknown option \"%s\"; did you mean \"%s\"?",
			buf_str(&shown), near);
	else
		err_set(l->e, ERR_CONFIG, "unknown option \"%s\"", buf_str(&shown));
	buf_free(&shown);
	return false;
}

static bool check_known(const struct loader *l, const char *prefix, json_t *section)
{
	const char *key;
	json_t *v;
	bool ok = true;

	json_object_foreach (section, key, v) {
		char *path = *prefix == '\0' ? mem_strdup(key) : mem_printf("%s.%s", prefix, key);

		/* A key that itself holds dots would be looked for in a section, and not found. */
		if (strchr(key, '.') != NULL)
			ok = err_set(l->e, ERR_CONFIG,
				     "\"%.*s\": write sections one inside the other, not with dots",
				     SUGGEST_MAX, path);
		else if (find_opt(l, path, strlen(path)) != NULL)
			ok = true;
		else if (!is_section(l, path))
			ok = fail_unknown(l, path);
		else if (json_is_object(v))
			ok = check_known(l, path, v);
		else if (!json_is_null(v))
			ok = err_set(l->e, ERR_CONFIG, "\"%s\" is a section, it takes no value",
				     path);
		free(path);
		if (!ok)
			break;
	}
	return ok;
}

static bool set_int(const struct loader *l, const struct conf_opt *o, int64_t v)
{
	if (v < o->min || v > o->max)
		return err_set(l->e, ERR_CONFIG,
			       "%s: %" PRId64 " is out of bounds, %" PRId64 " to %" PRId64
			       " are allowed",
			       o->path, v, o->min, o->max);
	memcpy(l->out + o->offset, &v, sizeof(v));
	return true;
}

static void set_pointer(const struct loader *l, const struct conf_opt *o, const void *p)
{
	memcpy(l->out + o->offset, &p, sizeof(p));
}

static bool set_path(const struct loader *l, const struct conf_opt *o, const char *text,
		     enum origin origin)
{
	if (*text == '\0')
		return err_set(l->e, ERR_CONFIG, "%s: the path is empty", o->path);
	if (*text == '/')
		set_pointer(l, o, mem_strdup(text));
	else
		set_pointer(l, o,
			    mem_printf("%s/%s", origin == FROM_OVERRIDE ? l->cwd : l->dir, text));
	return true;
}

static bool set_list(const struct loader *l, const struct conf_opt *o, json_t *v)
{
	json_t *item;
	size_t i;

	if (!json_is_array(v))
		return err_set(l->e, ERR_CONFIG, "%s: a list is expected, as in [\"a\", \"b\"]",
			       o->path);
	json_array_foreach (v, i, item) {
		if (!json_is_string(item))
			return err_set(l->e, ERR_CONFIG,
				       "%s: item %zu must be a text; put it in quotes", o->path,
				       i + 1);
	}
	set_pointer(l, o, json_incref(v));
	return true;
}

static bool set_json(const struct loader *l, const struct conf_opt *o, json_t *v)
{
	bool flag = json_is_true(v);

	switch (o->type) {
	case CONF_STR:
	case CONF_PATH:
		if (!json_is_string(v))
			return err_set(l->e, ERR_CONFIG, "%s: a text is expected; put it in quotes",
				       o->path);
		if (o->type == CONF_PATH)
			return set_path(l, o, json_string_value(v), FROM_FILE);
		set_pointer(l, o, mem_strdup(json_string_value(v)));
		return true;
	case CONF_INT:
		if (!json_is_integer(v))
			return err_set(l->e, ERR_CONFIG, "%s: a whole number is expected", o->path);
		return set_int(l, o, (int64_t)json_integer_value(v));
	case CONF_BOOL:
		if (!json_is_boolean(v))
			return err_set(l->e, ERR_CONFIG, "%s: true or false is expected", o->path);
		memcpy(l->out + o->offset, &flag, sizeof(flag));
		return true;
	case CONF_STR_LIST:
		return set_list(l, o, v);
	}
	return err_set(l->e, ERR_INTERNAL, "%s: an option without a type", o->path);
}

static bool set_text(const struct loader *l, const struct conf_opt *o, const char *text,
		     enum origin origin)
{
	int64_t number;
	bool flag = strcmp(text, "true") == 0, ok;
	json_t *list;

	switch (o->type) {
	case CONF_STR:
		set_pointer(l, o, mem_strdup(text));
		return true;
	case CONF_PATH:
		return set_path(l, o, text, origin);
	case CONF_INT:
		if (!str_to_i64(text, &number))
			return err_set(l->e, ERR_CONFIG, "%s: a whole number is expected", o->path);
		return set_int(l, o, number);
	case CONF_BOOL:
		if (!flag && strcmp(text, "false") != 0)
			return err_set(l->e, ERR_CONFIG, "%s: true or false is expected", o->path);
		memcpy(l->out + o->offset, &flag, sizeof(flag));
		return true;
	case CONF_STR_LIST:
		list = js_parse_yaml(text, strlen(text), NULL, l->e);
		if (list == NULL) {
			l->e->code = ERR_CONFIG;
			return err_prefix(l->e, "%s", o->path);
		}
		ok = set_list(l, o, list);
		json_decref(list);
		return ok;
	}
	return err_set(l->e, ERR_INTERNAL, "%s: an option without a type", o->path);
}

/* The value of the last override of this option, or NULL. */
static const char *find_override(const struct conf_opt *o, const char *const *overrides, size_t n)
{
	size_t len = strlen(o->path);

	while (n-- > 0) {
		if (strncmp(overrides[n], o->path, len) == 0 && overrides[n][len] == '=')
			return overrides[n] + len + 1;
	}
	return NULL;
}

static bool check_overrides(const struct loader *l, const char *const *overrides, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strcspn(overrides[i], "=");
		char *path;

		if (overrides[i][len] == '\0')
			return err_set(l->e, ERR_CONFIG, "\"%.*s\": OPTION=VALUE is expected",
				       SUGGEST_MAX, overrides[i]);
		if (find_opt(l, overrides[i], len) != NULL)
			continue;
		path = mem_strndup(overrides[i], len);
		fail_unknown(l, path);
		free(path);
		return false;
	}
	return true;
}

/* The file's value for an option, or NULL; an empty value is as none. */
static json_t *find_value(const json_t *root, const struct conf_opt *o)
{
	json_t *v = js_get(root, o->path);

	return json_is_null(v) ? NULL : v;
}

static bool set_all(const struct loader *l, json_t *root, const char *file,
		    const char *const *overrides, size_t n_overrides)
{
	for (size_t i = 0; i < l->n_opts; i++) {
		const struct conf_opt *o = &l->opts[i];
		const char *text = find_override(o, overrides, n_overrides);
		json_t *v = find_value(root, o);

		if (text != NULL) {
			if (!set_text(l, o, text, FROM_OVERRIDE))
				return false;
		} else if (v != NULL) {
			if (!set_json(l, o, v))
				return err_prefix(l->e, "%s", file);
		} else if (o->required) {
			return err_set(l->e, ERR_CONFIG, "%s%sthe option \"%s\" is required",
				       file == NULL ? "" : file, file == NULL ? "" : ": ", o->path);
		} else if (o->def != NULL && !set_text(l, o, o->def, FROM_DEFAULT)) {
			return false;
		}
	}
	return true;
}

/* Sets every member to "none", so that conf_free() is safe after a failure half-way. */
static void clear_all(const struct loader *l)
{
	const int64_t zero = 0;
	const bool no = false;

	for (size_t i = 0; i < l->n_opts; i++) {
		const struct conf_opt *o = &l->opts[i];

		if (o->type == CONF_INT)
			memcpy(l->out + o->offset, &zero, sizeof(zero));
		else if (o->type == CONF_BOOL)
			memcpy(l->out + o->offset, &no, sizeof(no));
		else
			set_pointer(l, o, NULL);
	}
}

static char *dir_of(const char *file, const char *cwd)
{
	const char *slash = file == NULL ? NULL : strrchr(file, '/');
	size_t len;

	if (slash == NULL)
		return mem_strdup(cwd);
	len = (size_t)(slash - file);
	if (*file == '/')
		return mem_strndup(file, len);
	return mem_printf("%s/%.*s", cwd, (int)len, file);
}

static json_t *load_root(const struct loader *l, const char *file)
{
	json_t *root = js_load_file(file, NULL, l->e);

	if (root == NULL)
		return NULL;
	if (json_is_null(root)) {
		json_decref(root);
		return json_object();
	}
	if (!json_is_object(root))
		err_set(l->e, ERR_CONFIG, "%s: a mapping of options is expected", file);
	else if (check_known(l, "", root))
		return root;
	else
		err_prefix(l->e, "%s", file);
	json_decref(root);
	return NULL;
}

bool conf_load(const char *file, const struct conf_opt *opts, size_t n_opts,
	       const char *const *overrides, size_t n_overrides, void *out, struct err *e)
{
	struct err unused = {0};
	struct loader l = {
	    .opts = opts, .n_opts = n_opts, .out = out, .e = e != NULL ? e : &unused};
	json_t *root = NULL;
	bool ok = false;

	clear_all(&l);
	l.cwd = getcwd(NULL, 0);
	if (l.cwd == NULL)
		return err_set(e, ERR_IO, "cannot read the working directory: %s", strerror(errno));
	l.dir = dir_of(file, l.cwd);
	root = file == NULL ? json_object() : load_root(&l, file);
	if (root != NULL)
		ok = check_overrides(&l, overrides, n_overrides) &&
		     set_all(&l, root, file, overrides, n_overrides);
	json_decref(root);
	free(l.dir);
	free(l.cwd);
	if (!ok)
		conf_free(opts, n_opts, out);
	return ok;
}

void conf_free(const struct conf_opt *opts, size_t n_opts, void *conf)
{
	struct loader l = {.opts = opts, .n_opts = n_opts, .out = conf};

	for (size_t i = 0; i < n_opts; i++) {
		void *p;

		if (opts[i].type == CONF_INT || opts[i].type == CONF_BOOL)
			continue;
		memcpy(&p, l.out + opts[i].offset, sizeof(p));
		if (opts[i].type == CONF_STR_LIST)
			json_decref(p);
		else
			free(p);
		set_pointer(&l, &opts[i], NULL);
	}
}
