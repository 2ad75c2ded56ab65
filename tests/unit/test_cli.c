/* The command line's own logic: text for terminals, --set, metrics, charts, statuses, the URL. */
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/chart.h"
#include "cli/cli.h"
#include "cli/cmds.h"
#include "cli/metrics.h"
#include "cli/names.h"
#include "cli/progress.h"
#include "cli/text.h"
#include <check.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static json_t *yaml(const char *text)
{
	struct err e;
	json_t *v = js_parse_yaml(text, strlen(text), &js_limits_default, &e);

	ck_assert_msg(v != NULL, "%s", e.msg);
	return v;
}

START_TEST(test_clean)
{
	char *s = text_clean_line("a\033[31mb\tc\nd\x7f"
				  "\xC2\x9B"
				  "e\xE2\x80\xAE"
				  "f");

	ck_assert_str_eq(s, "a?[31mb c d??e?f");
	free(s);
	s = text_clean_line("\xE6\x97\xA5\xFF\xC0\xAF\xE2\x82");
	ck_assert_str_eq(s, "\xE6\x97\xA5?????");
	free(s);
}
END_TEST

START_TEST(test_width)
{
	struct buf b = {0};

	ck_assert_uint_eq(text_width("abc"), 3);
	ck_assert_uint_eq(text_width("\xE2\x9C\x93"), 1);
	text_cut(&b, "abcdef", 4, false);
	ck_assert_str_eq(buf_str(&b), "abc~");
	buf_reset(&b);
	text_cut(&b, "abcd", 4, false);
	ck_assert_str_eq(buf_str(&b), "abcd");
	buf_reset(&b);
	text_cut(&b, "abcd", 0, false);
	ck_assert_str_eq(buf_str(&b), "");
	text_pad(&b, "\xE2\x9C\x93", 3);
	ck_assert_str_eq(buf_str(&b), "\xE2\x9C\x93  ");
	buf_free(&b);
}
END_TEST

START_TEST(test_wide_characters)
{
	struct buf b = {0};

	if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
		return;
	ck_assert_uint_eq(text_width("\xE6\x97\xA5\xE6\x9C\xAC"), 4);
	text_cut(&b, "\xE6\x97\xA5\xE6\x9C\xAC", 3, false);
	ck_assert_str_eq(buf_str(&b), "\xE6\x97\xA5~");
	buf_free(&b);
	setlocale(LC_CTYPE, "C");
}
END_TEST

START_TEST(test_table)
{
	static const char *const heads[] = {"name", ">n", "end"};
	struct table *t = table_new(heads, 3);
	char text[200] = "";
	FILE *f = fmemopen(text, sizeof(text), "w");

	table_cell(t, "long name");
	table_cellf(t, "%d", 5);
	table_cell(t, "x\ny");
	table_cell(t, "a");
	table_cell(t, "123");
	table_cell(t, NULL);
	ck_assert_uint_eq(table_rows(t), 2);
	table_print(t, f, 0, false);
	fclose(f);
	table_free(t);
	ck_assert_str_eq(text, "name         n  end\n"
			       "long name    5  x y\n"
			       "a          123\n");
}
END_TEST

START_TEST(test_set)
{
	json_t *root =
	    yaml("schema_version: '2.2.0'\ndag: {parties: [{role: guest, party_id: ['1']}], "
		 "tasks: {lr: {parameters: {epochs: 3}}}}");
	struct err e = {0};

	ck_assert(jobfile_set(root, "dag.tasks.lr.parameters.epochs=30", &e));
	ck_assert_int_eq(js_int(js_get(root, "dag.tasks.lr.parameters"), "epochs", 0), 30);
	ck_assert(jobfile_set(root, "tasks.lr.parameters.optimizer.lr=0.5", &e));
	ck_assert_double_eq(js_num(js_get(root, "dag.tasks.lr.parameters.optimizer"), "lr", 0),
			    0.5);
	ck_assert(jobfile_set(root, "parties.0.party_id=[\"7\"]", &e));
	ck_assert_str_eq(
	    json_string_value(json_array_get(
		json_object_get(json_array_get(js_get(root, "dag.parties"), 0), "party_id"), 0)),
	    "7");
	ck_assert(jobfile_set(root, "schema_version='3'", &e));
	ck_assert_str_eq(js_str(root, "schema_version", ""), "3");
	ck_assert(jobfile_set(root, "conf.model_id=202611230053241171559176", &e));
	ck_assert_str_eq(js_str(js_get(root, "dag.conf"), "model_id", ""),
			 "202611230053241171559176");
	ck_assert(jobfile_set(root, "conf.extra=a=b", &e));
	ck_assert_str_eq(js_str(js_get(root, "dag.conf"), "extra", ""), "a=b");
	ck_assert(jobfile_set(root, "conf.nothing=", &e));
	ck_assert(json_is_null(json_object_get(js_get(root, "dag.conf"), "nothing")));
	json_decref(root);
}
END_TEST

START_TEST(test_set_refused)
{
	static const char *const bad[] = {
	    "novalue",           "=1",          "a..b=1",         ".a=1",
	    "parties.5.x=1",     "parties.x=1", "tasks.lr.x.y=1", "parties.-1=2",
	    "tasks.lr={a: b: c}"};
	json_t *root = yaml("dag: {parties: [{role: guest}], tasks: {lr: 5}}");
	json_t *before = json_deep_copy(root);

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = {0};

		ck_assert_msg(!jobfile_set(root, bad[i], &e), "%s was taken", bad[i]);
		ck_assert_str_ne(e.msg, "");
	}
	ck_assert_str_eq(js_str(root, "schema_version", "none"), "none");
	ck_assert(json_equal(js_get(root, "dag.parties"), js_get(before, "dag.parties")));
	ck_assert(json_equal(js_get(root, "dag.tasks"), js_get(before, "dag.tasks")));
	json_decref(before);
	json_decref(root);
}
END_TEST

static const struct metric_scalar *scalar(const struct metric_set *set, const char *name)
{
	for (size_t i = 0; i < set->n_scalars; i++)
		if (str_eq(set->scalars[i].name, name))
			return &set->scalars[i];
	ck_abort_msg("no number %s", name);
	return NULL;
}

static const struct metric_curve *curve(const struct metric_set *set, const char *name)
{
	for (size_t i = 0; i < set->n_curves; i++)
		if (str_eq(set->curves[i].name, name))
			return &set->curves[i];
	ck_abort_msg("no curve %s", name);
	return NULL;
}

START_TEST(test_metric_steps)
{
	json_t *records = yaml(
	    "- {name: loss, groups: [{name: default}], step_axis: epochs, data: [{metric: 0.7, "
	    "step: 0}]}\n"
	    "- {name: loss, groups: [{name: default}], step_axis: epochs, data: [{metric: 0.5, "
	    "step: 1}, {metric: 0.4, step: 2}]}\n"
	    "- {name: loss, groups: [{name: fold_1}], step_axis: epochs, data: [{metric: 1, "
	    "step: 0}]}\n");
	struct metric_set set = {0};
	const struct metric_curve *c;

	metric_set_add(&set, records);
	ck_assert_uint_eq(set.n_curves, 2);
	ck_assert_uint_eq(set.n_scalars, 0);
	c = curve(&set, "loss");
	ck_assert_uint_eq(c->n, 3);
	ck_assert_double_eq(c->x[2], 2);
	ck_assert_double_eq(c->y[2], 0.4);
	ck_assert_str_eq(c->x_label, "epochs");
	ck_assert_uint_eq(curve(&set, "fold_1/loss")->n, 1);
	metric_set_free(&set);
	json_decref(records);
}
END_TEST

START_TEST(test_metric_evaluation)
{
	json_t *records =
	    yaml("- name: evaluation\n"
		 "  data:\n"
		 "    lr_0:\n"
		 "      train_set:\n"
		 "      - {metric: auc, val: 0.98765432}\n"
		 "      - {metric: roc, val: {fpr: [0, 0.5, 1], tpr: [0, 1, 1], threshold: [1, "
		 "0.5, 0]}}\n"
		 "      - [{metric: ks, val: 0.9}, {metric: ks_table, val: {fpr: [0.125, 1], tpr: "
		 "[0.25, 1], threshold: [1, 0], cuts: [0, 0.5]}}]\n"
		 "- {name: summary, data: {count: 455, method: ecdh_psi, ok: true}}\n"
		 "- {name: pairs, data: [{x: 1, y: 5}, {x: 2, y: 6}]}\n");
	struct metric_set set = {0};
	const struct metric_curve *c;

	metric_set_add(&set, records);
	ck_assert_str_eq(scalar(&set, "evaluation/lr_0/train_set/auc")->value, "0.987654");
	ck_assert_str_eq(scalar(&set, "summary/count")->value, "455");
	ck_assert_str_eq(scalar(&set, "summary/method")->value, "ecdh_psi");
	ck_assert_str_eq(scalar(&set, "summary/ok")->value, "true");
	c = curve(&set, "evaluation/lr_0/train_set/roc/tpr");
	ck_assert_str_eq(c->x_label, "fpr");
	ck_assert_uint_eq(c->n, 3);
	ck_assert_double_eq(c->x[1], 0.5);
	ck_assert(!c->two_lines);
	/* A KS chart has both rates over the cuts. */
	c = curve(&set, "evaluation/lr_0/train_set/ks_table");
	ck_assert_str_eq(c->x_label, "cuts");
	ck_assert_str_eq(c->y_label, "tpr, fpr");
	ck_assert(c->two_lines && c->detail);
	ck_assert_double_eq(c->y[0], 0.25);
	ck_assert_double_eq(c->y2[0], 0.125);
	ck_assert_str_eq(scalar(&set, "evaluation/lr_0/train_set/ks")->value, "0.9");
	ck_assert(!curve(&set, "pairs/y")->detail);
	c = curve(&set, "pairs/y");
	ck_assert_double_eq(c->x[0], 1);
	ck_assert_double_eq(c->y[1], 6);
	ck_assert_uint_eq(set.n_curves, 3);
	metric_set_free(&set);
	json_decref(records);
}
END_TEST

START_TEST(test_metric_hostile)
{
	json_t *records =
	    yaml("- 5\n- {}\n- {name: 7, data: null}\n- {name: a, data: [[1], [2], x]}\n"
		 "- {name: b, step_axis: s, data: [{metric: x, step: 1}]}\n"
		 "- {name: c, data: {metric: \"\\e[2J\", val: {}}}\n"
		 "- {name: \"\\e[2Jd\", data: 1}\n");
	json_t *deep = json_integer(1), *list;
	struct metric_set set = {0};

	for (int i = 0; i < 60; i++)
		deep = json_pack("{s:o}", "a", deep);
	list = json_pack("[{s:s, s:o}]", "name", "deep", "data", deep);
	metric_set_add(&set, records);
	metric_set_add(&set, list);
	metric_set_add(&set, NULL);
	ck_assert_uint_eq(set.n_curves, 0);
	for (size_t i = 0; i < set.n_scalars; i++) {
		ck_assert_ptr_null(strchr(set.scalars[i].name, '\033'));
		ck_assert_ptr_null(strchr(set.scalars[i].value, '\033'));
		ck_assert(!str_starts(set.scalars[i].name, "deep"));
	}
	ck_assert_str_eq(scalar(&set, "?[2Jd")->value, "1");
	metric_set_free(&set);
	json_decref(records);
	json_decref(list);
}
END_TEST

START_TEST(test_chart)
{
	static const double x[] = {0, 1, 2, 3}, y[] = {3, 2, 1, 0};
	struct chart ch = {.title = "t",
			   .x_label = "epochs",
			   .y_label = "loss",
			   .x = x,
			   .y = y,
			   .n = 4,
			   .width = 40,
			   .height = 5};
	struct buf out = {0};
	int lines = 0;

	chart_draw(&ch, &out);
	for (size_t i = 0; i < out.len; i++)
		lines += out.data[i] == '\n' ? 1 : 0;
	ck_assert_int_eq(lines, 1 + 5 + 2);
	/* Falling: the first row starts with a mark, the last one ends with one. */
	ck_assert_ptr_nonnull(strstr(buf_str(&out), "        3 +*"));
	ck_assert_ptr_nonnull(strstr(buf_str(&out), "*\n          +---"));
	ck_assert_ptr_nonnull(strstr(buf_str(&out), "epochs"));
	buf_free(&out);
}
END_TEST

START_TEST(test_chart_edges)
{
	const double one[] = {5}, inf[] = {0, 1.0 / 0.0}, x[] = {0, 1};
	struct chart ch = {
	    .title = "t", .x_label = "x", .y_label = "y", .x = one, .y = one, .n = 1};
	struct buf out = {0};

	chart_draw(&ch, &out);
	ck_assert_uint_gt(out.len, 0);
	ck_assert_ptr_nonnull(strchr(buf_str(&out), '*'));
	buf_reset(&out);
	ch.n = 0;
	chart_draw(&ch, &out);
	ck_assert_uint_eq(out.len, 0);
	ch.n = 2;
	ch.x = x;
	ch.y = inf;
	chart_draw(&ch, &out);
	ck_assert_uint_eq(out.len, 0);
	buf_free(&out);
}
END_TEST

START_TEST(test_statuses)
{
	ck_assert_int_eq(progress_exit("success"), CLI_OK);
	ck_assert_int_eq(progress_exit("failed"), CLI_FAILED);
	ck_assert_int_eq(progress_exit("canceled"), CLI_CANCELED);
	ck_assert_int_eq(progress_exit("timeout"), CLI_TIMEOUT);
	ck_assert(!progress_is_end("running"));
	ck_assert(!progress_is_end("waiting"));
	ck_assert(progress_is_end("success"));
	ck_assert(!progress_is_end("something new"));
	ck_assert_int_eq(cli_exit_of(ERR_JOB_NOT_FOUND), CLI_NOT_FOUND);
	ck_assert_int_eq(cli_exit_of(ERR_TABLE_NOT_FOUND), CLI_NOT_FOUND);
	ck_assert_int_eq(cli_exit_of(ERR_CONNECT), CLI_UNREACHABLE);
	ck_assert_int_eq(cli_exit_of(ERR_TIMEOUT), CLI_TIMEOUT);
	ck_assert_int_eq(cli_exit_of(ERR_USAGE), CLI_USAGE);
	ck_assert_int_eq(cli_exit_of(ERR_JOB_PARAMS), CLI_FAILED);
}
END_TEST

START_TEST(test_names)
{
	struct err e = {0};

	ck_assert(names_job("202601312359590000010", &e));
	ck_assert(!names_job("../x", &e));
	ck_assert(!names_job("a/b", &e));
	ck_assert(!names_job("", &e));
	ck_assert(!names_task("a b", &e));
	ck_assert(names_role("arbiter", &e));
	ck_assert(!names_role("boss", &e));
	ck_assert(names_table("name", "any text, \xC3\xA9", &e));
	ck_assert(!names_table("name", "", &e));
	ck_assert(!names_table("name", "a\nb", &e));
	ck_assert(!names_table("name", "\xFF", &e));
	ck_assert_int_eq(e.code, ERR_USAGE);
}
END_TEST

START_TEST(test_url)
{
	char url[CLI_URL_MAX], *file, dir[] = "/tmp/norn-cli-XXXXXX", *sub;
	struct err e = {0};
	FILE *f;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	setenv("XDG_CONFIG_HOME", dir, 1);
	unsetenv("NORN_URL");
	ck_assert(cli_find_url(NULL, url, sizeof(url), &e));
	ck_assert_str_eq(url, "http://127.0.0.1:9380");
	sub = mem_printf("%s/norn", dir);
	file = mem_printf("%s/client.yaml", sub);
	ck_assert_int_eq(mkdir(sub, 0700), 0);
	f = fopen(file, "w");
	ck_assert_ptr_nonnull(f);
	fputs("url: http://file:1/\n", f);
	fclose(f);
	ck_assert(cli_find_url(NULL, url, sizeof(url), &e));
	ck_assert_str_eq(url, "http://file:1");
	setenv("NORN_URL", "http://env:2//", 1);
	ck_assert(cli_find_url(NULL, url, sizeof(url), &e));
	ck_assert_str_eq(url, "http://env:2");
	ck_assert(cli_find_url("https://opt:3", url, sizeof(url), &e));
	ck_assert_str_eq(url, "https://opt:3");
	ck_assert(!cli_find_url("opt:3", url, sizeof(url), &e));
	ck_assert(!cli_find_url("http://a b", url, sizeof(url), &e));
	ck_assert(!cli_find_url("http://a?x", url, sizeof(url), &e));
	ck_assert_int_eq(unlink(file), 0);
	ck_assert_int_eq(rmdir(sub), 0);
	ck_assert_int_eq(rmdir(dir), 0);
	free(file);
	free(sub);
}
END_TEST

START_TEST(test_encode)
{
	struct buf b = {0};

	call_encode(&b, "a-Z_0.~ &=/\xC3\xA9%");
	ck_assert_str_eq(buf_str(&b), "a-Z_0.~%20%26%3D%2F%C3%A9%25");
	buf_free(&b);
}
END_TEST

/* Every command has what its help needs, and its options do not hide those of every command. */
START_TEST(test_tables)
{
	static const char *const reserved[] = {"--url", "--json", "--timeout", "--help", "-h"};

	for (size_t g = 0; g < cli_n_groups; g++) {
		for (size_t i = 0; i < cli_groups[g]->n_cmds; i++) {
			const struct cli_cmd *cmd = &cli_groups[g]->cmds[i];

			ck_assert_str_eq(cmd->group, cli_groups[g]->name);
			ck_assert_ptr_nonnull(cmd->run);
			ck_assert_ptr_nonnull(cmd->summary);
			ck_assert_ptr_nonnull(cmd->example);
			ck_assert_ptr_nonnull(strstr(cmd->example, cmd->name));
			ck_assert_int_le(cmd->min_args, cmd->max_args);
			ck_assert_int_le(cmd->max_args, CLI_ARGS_MAX);
			ck_assert_int_eq(cmd->max_args == 0, cmd->args[0] == '\0');
			for (const struct cli_opt *o = cmd->opts; o != NULL && o->name != NULL; o++)
				for (size_t r = 0; r < ARRAY_LEN(reserved); r++)
					ck_assert_str_ne(o->name, reserved[r]);
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cli");
	TCase *t = tcase_create("cli");
	SRunner *r = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_add_test(t, test_clean);
	tcase_add_test(t, test_width);
	tcase_add_test(t, test_wide_characters);
	tcase_add_test(t, test_table);
	tcase_add_test(t, test_set);
	tcase_add_test(t, test_set_refused);
	tcase_add_test(t, test_metric_steps);
	tcase_add_test(t, test_metric_evaluation);
	tcase_add_test(t, test_metric_hostile);
	tcase_add_test(t, test_chart);
	tcase_add_test(t, test_chart_edges);
	tcase_add_test(t, test_statuses);
	tcase_add_test(t, test_names);
	tcase_add_test(t, test_url);
	tcase_add_test(t, test_encode);
	tcase_add_test(t, test_tables);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
