/* norn metric: numbers and curves of a task. */
#include "config.h"
#include "cli/cmds.h"
#include "base/js.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/chart.h"
#include "cli/metrics.h"
#include "cli/names.h"
#include "cli/text.h"
#include <string.h>
#include <strings.h>

#define CHART_WIDTH  76
#define CHART_HEIGHT 12

static json_t *ask(struct cli *c, const char *path, struct err *e)
{
	struct who who;

	if (!names_job(c->args[0], e) || !names_task(c->args[1], e) ||
	    !names_who(c, c->args[0], &who, e))
		return NULL;
	const char *query[] = {"job_id", c->args[0], "task_name", c->args[1], "role",
			       who.role, "party_id", who.party,   NULL};
	return call_get_data(c, path, query, e);
}

static int metric_list(struct cli *c)
{
	static const char *const heads[] = {"metric", "type", "axis", "groups"};
	struct err e = {0};
	json_t *keys = ask(c, "/v2/output/metric/key/query", &e), *k, *g;
	struct table *t;
	size_t i, j;

	if (keys == NULL)
		return cli_fail(c, &e);
	if (c->json)
		return cmd_done(c, keys);
	t = table_new(heads, 4);
	json_array_foreach (keys, i, k) {
		struct buf groups = {0};

		json_array_foreach (json_object_get(k, "groups"), j, g)
			buf_printf(&groups, "%s%s", j > 0 ? "/" : "", js_str(g, "name", "?"));
		table_cell(t, js_str(k, "name", "?"));
		table_cell(t, js_str(k, "type", ""));
		table_cell(t, js_str(k, "step_axis", ""));
		table_cell(t, buf_str(&groups));
		buf_free(&groups);
	}
	table_print(t, stdout, cmd_table_width(c), c->utf8);
	table_free(t);
	return cmd_done(c, keys);
}

static void print_scalars(const struct cli *c, const struct metric_set *set)
{
	static const char *const heads[] = {"metric", ">value"};
	struct table *t = table_new(heads, 2);

	for (size_t i = 0; i < set->n_scalars; i++) {
		table_cell(t, set->scalars[i].name);
		table_cell(t, set->scalars[i].value);
	}
	table_print(t, stdout, cmd_table_width(c), c->utf8);
	table_free(t);
}

static void print_curve(const struct cli *c, const struct metric_curve *v)
{
	int width =
	    c->out_tty && text_terminal_width() < CHART_WIDTH ? text_terminal_width() : CHART_WIDTH;
	struct chart ch = {
	    .title = v->name,
	    .x_label = v->x_label,
	    .y_label = v->y_label,
	    .x = v->x,
	    .y = v->y,
	    .y2 = v->two_lines ? v->y2 : NULL,
	    .n = v->n,
	    .diagonal = str_eq(v->x_label, "fpr"),
	    .utf8 = c->utf8,
	    .width = width,
	    .height = CHART_HEIGHT,
	};
	struct buf out = {0};

	chart_draw(&ch, &out);
	fputs(buf_str(&out), stdout);
	if (v->two_lines || ch.diagonal)
		printf("%9s  %zu points\n", "", v->n);
	else
		printf("%9s  %zu points, last %.6g\n", "", v->n, v->y[v->n - 1]);
	buf_free(&out);
}

/* Tables inside a value are drawn when asked for; else it is said that they are there. */
static void print_curves(const struct cli *c, const struct metric_set *set, bool all)
{
	size_t hidden = 0;
	bool first = true;

	for (size_t i = 0; i < set->n_curves; i++) {
		if (set->curves[i].detail && !all) {
			hidden++;
			continue;
		}
		if (!first)
			putchar('\n');
		first = false;
		print_curve(c, &set->curves[i]);
	}
	if (hidden > 0)
		printf("%s%zu more curves (--curves)\n", first ? "" : "\n", hidden);
}

/* Keeps the records with this name only. */
static json_t *only_named(json_t *records, const char *name)
{
	json_t *kept = json_array(), *r;
	size_t i;

	json_array_foreach (records, i, r)
		if (str_eq(js_str(r, "name", ""), name))
			json_array_append(kept, r);
	json_decref(records);
	return kept;
}

static int metric_show(struct cli *c)
{
	const char *name = cli_value(c, "--name");
	bool scalars = !cli_flag(c, "--curves"), curves = !cli_flag(c, "--scalars");
	struct metric_set set = {0};
	struct err e = {0};
	json_t *records;

	if (!scalars && !curves)
		return cli_usage(c, "--scalars and --curves exclude each other");
	records = ask(c, "/v2/output/metric/query", &e);
	if (records == NULL)
		return cli_fail(c, &e);
	if (name != NULL)
		records = only_named(records, name);
	if (c->json)
		return cmd_done(c, records);
	metric_set_add(&set, records);
	json_decref(records);
	if ((!scalars || set.n_scalars == 0) && (!curves || set.n_curves == 0)) {
		metric_set_free(&set);
		err_set(&e, ERR_TASK_NOT_FOUND, "task %s has recorded no %s%s%s here", c->args[1],
			!curves    ? "numbers"
			: !scalars ? "curves"
				   : "metrics",
			name != NULL ? " named " : "", name != NULL ? name : "");
		return cli_fail(c, &e);
	}
	if (scalars && set.n_scalars > 0)
		print_scalars(c, &set);
	if (scalars && set.n_scalars > 0 && curves && set.n_curves > 0)
		putchar('\n');
	if (curves)
		print_curves(c, &set, !scalars || name != NULL);
	metric_set_free(&set);
	return CLI_OK;
}

static const struct cli_opt list_opts[] = {
    {"--role", "ROLE", "guest, host, arbiter or local", false},
    {"--party", "PARTY", "party id", false},
    {NULL, NULL, NULL, false},
};
static const struct cli_opt show_opts[] = {
    {"--role", "ROLE", "guest, host, arbiter or local", false},
    {"--party", "PARTY", "party id", false},
    {"--name", "NAME", "only the metric of this name", false},
    {"--scalars", NULL, "only single numbers", false},
    {"--curves", NULL, "only curves", false},
    {NULL, NULL, NULL, false},
};

static const struct cli_cmd cmds[] = {
    {"metric", "list", "JOB TASK", 2, 2, list_opts, "list the metrics of a task", NULL,
     "norn metric list 202601312359590000010 lr_0", metric_list},
    {"metric", "show", "JOB TASK", 2, 2, show_opts, "show numbers, and draw curves",
     "Numbers in a table; curves (loss, ROC, KS) as charts of characters. Each site has the\n"
     "metrics of its own parties.",
     "norn metric show 202601312359590000010 evaluation_0 --scalars", metric_show},
};

const struct cli_group cmds_metric = {"metric", "numbers and curves that tasks recorded", cmds,
				      sizeof(cmds) / sizeof(cmds[0])};
