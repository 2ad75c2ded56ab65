/* Commands that are one route. See route.h. */
#include "config.h"
#include "cli/route.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/js.h"
#include "base/str.h"
#include "cli/bar.h"
#include "cli/call.h"
#include "cli/cmds.h"
#include "cli/names.h"
#include "cli/text.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *const statuses[] = {"waiting", "ready",    "running", "success",
				       "failed",  "canceled", "timeout", "pass"};

static bool status_fits(const char *s, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		if (str_eq(s, statuses[i]))
			return true;
	return err_set(e, ERR_USAGE,
		       "'%.60s' is not a status: waiting, ready, running, success, failed, "
		       "canceled, timeout or pass",
		       s);
}

static bool text_fits(const char *name, const char *s, struct err *e)
{
	if (s[0] == '\0')
		return err_set(e, ERR_USAGE, "%s is empty", name);
	return str_is_utf8(s, strlen(s)) || err_set(e, ERR_USAGE, "%s must be UTF-8", name);
}

static bool value_fits(enum route_check check, const char *name, const char *s, struct err *e)
{
	int64_t n;

	switch (check) {
	case ROUTE_JOB:
		return names_job(s, e);
	case ROUTE_TASK:
		return names_task(s, e);
	case ROUTE_PARTY:
		return names_party(s, e);
	case ROUTE_ROLE:
		return names_role(s, e);
	case ROUTE_STATUS:
		return status_fits(s, e);
	case ROUTE_NAMESPACE:
		return names_table("namespace", s, e);
	case ROUTE_NAME:
		return names_table("name", s, e);
	case ROUTE_INT:
		return (str_to_i64(s, &n) && n >= 0 && n <= INT32_MAX) ||
		       err_set(e, ERR_USAGE, "%s must be a whole number from 0 on, not '%.60s'",
			       name, s);
	default:
		return text_fits(name, s, e);
	}
}

static const char *value_of(const struct cli *c, const char *from)
{
	int i = from[0] - '0';

	if (from[0] == '-')
		return cli_value(c, from);
	return i < c->n_args ? c->args[i] : NULL;
}

static bool add_who(struct cli *c, json_t *params, struct err *e)
{
	struct who who;

	if (!names_job(c->args[0], e) || !names_who(c, c->args[0], &who, e))
		return false;
	json_object_set_new(params, "role", json_string(who.role));
	json_object_set_new(params, "party_id", json_string(who.party));
	return true;
}

static json_t *value_json(enum route_check check, const char *s)
{
	int64_t n = 0;

	if (check == ROUTE_FLAG)
		return json_true();
	if (check == ROUTE_INT && str_to_i64(s, &n))
		return json_integer(n);
	return json_string(s);
}

json_t *route_params(struct cli *c, const struct route *r, struct err *e)
{
	json_t *params = json_object();

	/* Everything that was typed is checked before the node is asked for what was not. */
	for (int who = 0; who < 2; who++) {
		for (size_t i = 0; i < ROUTE_PARAMS_MAX && r->params[i].name != NULL; i++) {
			enum route_check check = r->params[i].check;
			bool ok = true;

			if ((check == ROUTE_WHO) != (who == 1))
				continue;
			if (check == ROUTE_WHO) {
				ok = add_who(c, params, e);
			} else {
				const char *s = value_of(c, r->params[i].from);

				if (s == NULL)
					continue;
				ok = check == ROUTE_FLAG ||
				     value_fits(check, r->params[i].name, s, e);
				if (ok)
					json_object_set_new(params, r->params[i].name,
							    value_json(check, s));
			}
			if (!ok) {
				json_decref(params);
				return NULL;
			}
		}
	}
	return params;
}

/* name, value, ..., NULL: texts of params, which must live on; numbers are printed into room. */
struct query {
	const char *list[ROUTE_PARAMS_MAX * 2 + 5];
	char numbers[ROUTE_PARAMS_MAX][24];
};

static void make_query(json_t *params, struct query *q)
{
	size_t n = 0, numbers = 0;
	const char *key;
	json_t *v;

	json_object_foreach (params, key, v) {
		q->list[n++] = key;
		if (json_is_integer(v)) {
			snprintf(q->numbers[numbers], sizeof(q->numbers[0]), "%lld",
				 (long long)json_integer_value(v));
			q->list[n++] = q->numbers[numbers++];
		} else {
			q->list[n++] = json_is_true(v) ? "true" : json_string_value(v);
		}
	}
	q->list[n] = NULL;
}

json_t *route_call(struct cli *c, const struct route *r, struct err *e)
{
	json_t *params = route_params(c, r, e), *data;
	struct query q;

	if (params == NULL)
		return NULL;
	if (r->post) {
		data = call_post_data(c, r->path, params, e);
	} else {
		make_query(params, &q);
		data = call_get_data(c, r->path, q.list, e);
	}
	json_decref(params);
	return data;
}

int route_download(struct cli *c, const struct route *r, const char *fallback, const char *kind)
{
	const char *out = cli_value(c, "--out") != NULL ? cli_value(c, "--out") : fallback;
	struct err e = {0};
	int64_t bytes = 0;
	struct query q;
	char size[32];

	if (fs_exists(out) && !cli_flag(c, "--force"))
		return cli_usage(c, "%s exists; --force replaces it", out);
	json_t *params = route_params(c, r, &e);
	if (params == NULL)
		return cli_fail(c, &e);
	make_query(params, &q);
	bool ok = call_download(c, r->path, r->post ? NULL : q.list, r->post ? params : NULL, out,
				&bytes, &e);
	json_decref(params);
	if (!ok)
		return cli_fail(c, &e);
	if (c->json)
		return cmd_done(c,
				json_pack("{s:s, s:I}", "file", out, "bytes", (json_int_t)bytes));
	bar_size_text(bytes, size, sizeof(size));
	printf("%s: %s (%s)\n", out, size, kind);
	return CLI_OK;
}

int route_do(struct cli *c, const struct route *r, const char *fmt, ...)
{
	struct err e = {0};
	json_t *data = route_call(c, r, &e);
	va_list ap;

	if (data == NULL)
		return cli_fail(c, &e);
	if (!c->json) {
		va_start(ap, fmt);
		vprintf(fmt, ap);
		va_end(ap);
		putchar('\n');
	}
	return cmd_done(c, data);
}

int route_outline(struct cli *c, const struct route *r)
{
	struct err e = {0};
	json_t *data = route_call(c, r, &e);

	if (data == NULL)
		return cli_fail(c, &e);
	if (!c->json)
		outline_print(stdout, data, 0);
	return cmd_done(c, data);
}

static void add_cell(struct table *t, const json_t *row, const struct column *col)
{
	const json_t *v = col->key != NULL ? json_object_get(row, col->key) : NULL;
	int64_t n = json_is_integer(v) ? json_integer_value(v) : -1;
	char text[64] = "";

	switch (col->kind) {
	case CELL_TIME:
		text_time(n, text, sizeof(text));
		break;
	case CELL_ELAPSED:
		text_elapsed(n, text, sizeof(text));
		break;
	case CELL_YES:
		snprintf(text, sizeof(text), "%s", json_is_true(v) ? "yes" : "no");
		break;
	case CELL_PARTY:
		table_cellf(t, "%s %s", js_str(row, "role", "?"), js_str(row, "party_id", "?"));
		return;
	case CELL_PERCENT:
	case CELL_INT:
		if (json_is_integer(v))
			snprintf(text, sizeof(text), "%lld%s", (long long)n,
				 col->kind == CELL_PERCENT ? " %" : "");
		break;
	case CELL_TEXT: {
		char *dump =
		    v != NULL && !json_is_null(v) && !json_is_string(v) ? js_dump_str(v) : NULL;
		table_cell(t, dump != NULL ? dump : json_string_value(v));
		free(dump);
		return;
	}
	}
	table_cell(t, text);
}

void rows_print(const struct cli *c, const json_t *rows, const struct column *cols, size_t n)
{
	const char *heads[COLUMNS_MAX];
	struct table *t;
	json_t *row;
	size_t i;

	for (i = 0; i < n; i++)
		heads[i] = cols[i].head;
	t = table_new(heads, n);
	json_array_foreach (rows, i, row)
		for (size_t k = 0; k < n; k++)
			add_cell(t, row, &cols[k]);
	table_print(t, stdout, cmd_table_width(c), c->utf8);
	table_free(t);
}

int route_table(struct cli *c, const struct route *r, const struct column *cols, size_t n)
{
	struct err e = {0};
	json_t *data = route_call(c, r, &e), *page;

	if (data == NULL)
		return cli_fail(c, &e);
	page = json_object_get(data, "data");
	if (!c->json) {
		const json_t *rows = page != NULL ? page : data;
		int64_t count = js_int(data, "count", 0);

		rows_print(c, rows, cols, n);
		if (page != NULL && count > (int64_t)json_array_size(rows))
			printf("%lld in all (--limit, --page)\n", (long long)count);
	}
	return cmd_done(c, data);
}
