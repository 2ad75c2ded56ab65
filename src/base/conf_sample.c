/*
 * The sample configuration file. Sections stand as they are; options are commented out as "#name:",
 * explanations as "# text", so that a program or a person can tell the two apart.
 */
#include "config.h"
#include "base/conf.h"
#include "base/js.h"
#include <inttypes.h>
#include <string.h>

#define WIDTH 90

struct table {
	const struct conf_opt *opts;
	size_t n;
};

static void indent(struct buf *out, size_t depth)
{
	for (size_t i = 0; i < depth; i++)
		buf_adds(out, "  ");
}

/* The text as comment lines, broken at spaces. */
static void print_help(const char *text, size_t depth, struct buf *out)
{
	size_t column = 0;

	while (*text != '\0') {
		size_t len = strcspn(text, " ");

		if (column > 0 && column + 1 + len > WIDTH) {
			buf_addc(out, '\n');
			column = 0;
		}
		if (column == 0) {
			indent(out, depth);
			buf_addc(out, '#');
			column = depth * 2 + 1;
		}
		buf_addc(out, ' ');
		buf_add(out, text, len);
		column += len + 1;
		text += len;
		text += strspn(text, " ");
	}
	if (column > 0)
		buf_addc(out, '\n');
}

static void print_default(const struct conf_opt *o, struct buf *out)
{
	json_t *text;

	if (o->def == NULL)
		return;
	buf_addc(out, ' ');
	if (o->type == CONF_STR || o->type == CONF_PATH) {
		text = json_string(o->def);
		js_dump(text, out);
		json_decref(text);
	} else {
		buf_adds(out, o->def);
	}
}

static void print_option(const struct conf_opt *o, const char *name, size_t depth, struct buf *out)
{
	struct buf bounds = {0};

	print_help(o->help == NULL ? "" : o->help, depth, out);
	if (o->type == CONF_INT)
		buf_printf(&bounds, "From %" PRId64 " to %" PRId64 ".", o->min, o->max);
	if (o->required)
		buf_adds(&bounds, bounds.len > 0 ? " Required." : "Required.");
	print_help(buf_str(&bounds), depth, out);
	buf_free(&bounds);
	indent(out, depth);
	buf_printf(out, "#%s:", name);
	print_default(o, out);
	buf_addc(out, '\n');
}

/* Did an option before number i already open the section of the first len bytes of its path? */
static bool is_open(const struct table *t, size_t i, size_t len)
{
	for (size_t j = 0; j < i; j++) {
		if (strncmp(t->opts[j].path, t->opts[i].path, len) == 0)
			return true;
	}
	return false;
}

/* All options whose path starts with the first len bytes of prefix, which ends with a dot. */
static void print_section(const struct table *t, const char *prefix, size_t len, size_t depth,
			  struct buf *out)
{
	bool first = true;

	for (size_t i = 0; i < t->n; i++) {
		const char *path = t->opts[i].path, *name = path + len, *dot;

		if (strncmp(path, prefix, len) != 0)
			continue;
		dot = strchr(name, '.');
		if (dot != NULL && is_open(t, i, (size_t)(dot - path) + 1))
			continue;
		if (!first)
			buf_addc(out, '\n');
		first = false;
		if (dot == NULL) {
			print_option(&t->opts[i], name, depth, out);
			continue;
		}
		indent(out, depth);
		buf_printf(out, "%.*s:\n", (int)(dot - name), name);
		print_section(t, path, (size_t)(dot - path) + 1, depth + 1, out);
	}
}

void conf_print_sample(const struct conf_opt *opts, size_t n_opts, struct buf *out)
{
	const struct table t = {.opts = opts, .n = n_opts};

	print_section(&t, "", 0, 0, out);
}
