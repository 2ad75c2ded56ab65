/* norn data: upload and download tables. */
#include "config.h"
#include "cli/cmds.h"
#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/names.h"
#include "cli/progress.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* What --meta may set besides --id and --label, as the upload component knows it. */
static const char *const meta_keys[] = {
    "sample_id_name", "match_id_name", "match_id_list", "match_id_range", "label_name",
    "label_type",     "weight_name",   "weight_type",   "header",         "delimiter",
    "dtype",          "na_values",     "input_format",  "tag_with_value", "tag_value_delimiter",
};

static bool add_meta(const struct cli *c, json_t *meta, struct err *e)
{
	const char *text;
	int pos = 0;

	while ((text = cli_next_value(c, "--meta", &pos)) != NULL) {
		const char *eq = strchr(text, '=');
		char *key;
		json_t *v;
		size_t i;

		if (eq == NULL || eq == text)
			return err_set(e, ERR_USAGE, "--meta wants KEY=VALUE, not '%.60s'", text);
		key = mem_strndup(text, (size_t)(eq - text));
		for (i = 0; i < ARRAY_LEN(meta_keys) && !str_eq(meta_keys[i], key); i++)
			;
		free(key);
		if (i == ARRAY_LEN(meta_keys))
			return err_set(e, ERR_USAGE, "--meta %.60s: unknown key", text);
		/* Column names and delimiters stay texts, whatever YAML makes of them. */
		if (str_ends(meta_keys[i], "_name") || strstr(meta_keys[i], "delimiter") != NULL ||
		    eq[1] == '\0')
			v = json_string(eq + 1);
		else
			v = js_parse_yaml(eq + 1, strlen(eq + 1), &js_limits_default, e);
		if (v == NULL)
			return err_prefix(e, "--meta %.60s", text);
		json_object_set_new(meta, meta_keys[i], v);
	}
	return true;
}

/* The path as the server must see it. */
static bool server_path(const char *file, char *out, size_t size, struct err *e)
{
	char *real = realpath(file, NULL);
	bool ok;

	if (real == NULL && file[0] != '/')
		return err_set(
		    e, ERR_FILE_NOT_FOUND,
		    "%s: no such file here; of a file on the node's machine give the whole "
		    "path, from / on",
		    file);
	ok = str_copy(out, size, real != NULL ? real : file);
	free(real);
	return ok || err_set(e, ERR_USAGE, "the path is too long");
}

static json_t *upload_body(const struct cli *c, struct err *e)
{
	const char *id = cli_value(c, "--id"), *label = cli_value(c, "--label");
	const char *name = cli_value(c, "--name"), *ns = cli_value(c, "--namespace");
	char path[PATH_MAX];
	int64_t partitions = 4;
	json_t *meta;

	if (name == NULL || ns == NULL) {
		err_set(e, ERR_USAGE, "--name and --namespace are needed");
		return NULL;
	}
	if (!names_table("name", name, e) || !names_table("namespace", ns, e) ||
	    !cli_int(c, "--partitions", 1, 1024, &partitions, e) ||
	    !server_path(c->args[0], path, sizeof(path), e))
		return NULL;
	meta = json_pack("{s:s, s:s, s:s}", "delimiter", ",", "sample_id_name",
			 id != NULL ? id : "id", "match_id_name", id != NULL ? id : "id");
	if (label != NULL)
		json_object_set_new(meta, "label_name", json_string(label));
	if (!add_meta(c, meta, e)) {
		json_decref(meta);
		return NULL;
	}
	return json_pack("{s:s, s:b, s:I, s:o, s:s, s:s, s:b}", "file", path, "head", 1,
			 "partitions", (json_int_t)partitions, "meta", meta, "namespace", ns,
			 "name", name, "extend_sid", 0);
}

static json_t *query_table(struct cli *c, const char *ns, const char *name, struct err *e)
{
	const char *query[] = {"namespace", ns, "name", name, NULL};

	return call_get_data(c, "/v2/table/query", query, e);
}

static int data_upload(struct cli *c)
{
	const char *name = cli_value(c, "--name"), *ns = cli_value(c, "--namespace");
	struct err e = {0};
	json_t *body = upload_body(c, &e), *env, *table;
	char job[NAMES_JOB_MAX + 1];
	int status;

	if (body == NULL)
		return cli_fail(c, &e);
	env = call_post(c, "/v2/data/component/upload", body, &e);
	json_decref(body);
	if (env == NULL)
		return cli_fail(c, &e);
	snprintf(job, sizeof(job), "%s", js_str(env, "job_id", ""));
	if (cli_flag(c, "--detach")) {
		if (!c->json)
			puts(job);
		return cmd_done(c, env);
	}
	json_decref(env);
	status = progress_watch(c, job, true, 0, NULL);
	if (status != CLI_OK) {
		if (status != PROGRESS_INTERRUPTED)
			why_after_failure(c, job);
		return status;
	}
	table = query_table(c, ns, name, &e);
	if (table == NULL)
		return cli_fail(c, &e);
	if (!c->json)
		printf("table %s %s: %lld rows\n", ns, name, (long long)js_int(table, "count", 0));
	return cmd_done(c, table);
}

static int download(struct cli *c, const char *path, const char *const *query, const char *fallback)
{
	const char *out = cli_value(c, "--out");
	struct err e = {0};
	int64_t bytes = 0;

	out = out != NULL ? out : fallback;
	if (fs_exists(out) && !cli_flag(c, "--force"))
		return cli_usage(c, "%s exists; --force replaces it", out);
	if (!call_download(c, path, query, out, &bytes, &e))
		return cli_fail(c, &e);
	if (c->json)
		return cmd_done(c,
				json_pack("{s:s, s:I}", "file", out, "bytes", (json_int_t)bytes));
	printf("%s: %lld bytes (tar, gzip)\n", out, (long long)bytes);
	return CLI_OK;
}

static int data_download(struct cli *c)
{
	const char *query[] = {"namespace", c->args[0], "name", c->args[1], NULL};
	struct err e = {0};
	char *file, *p;
	int status;

	if (!names_table("namespace", c->args[0], &e) || !names_table("name", c->args[1], &e))
		return cli_fail(c, &e);
	file = mem_printf("%s_%s.tar.gz", c->args[0], c->args[1]);
	for (p = file; *p != '\0'; p++)
		*p = *p == '/' ? '_' : *p;
	status = download(c, "/v2/data/download", query, file);
	free(file);
	return status;
}

static int data_output(struct cli *c)
{
	struct err e = {0};
	struct who who;
	char *file;
	int status;

	if (!names_job(c->args[0], &e) || !names_task(c->args[1], &e) ||
	    !names_who(c, c->args[0], &who, &e))
		return cli_fail(c, &e);
	const char *query[] = {
	    "job_id", c->args[0], "task_name", c->args[1],   "role",
	    who.role, "party_id", who.party,   "output_key", cli_value(c, "--key"),
	    NULL};
	file = mem_printf("%s_%s.tar.gz", c->args[0], c->args[1]);
	status = download(c, "/v2/output/data/download", query, file);
	free(file);
	return status;
}

static const struct cli_opt upload_opts[] = {
    {"--namespace", "NS", "namespace of the table", false},
    {"--name", "NAME", "name of the table", false},
    {"--id", "COLUMN", "column that identifies a row and is matched with others' (id)", false},
    {"--label", "COLUMN", "column with the label", false},
    {"--meta", "KEY=VALUE", "more about the columns, as FATE's upload knows it", true},
    {"--partitions", "N", "1 to 1024 (4)", false},
    {"--detach", NULL, "print the job id and return at once", false},
    {NULL, NULL, NULL, false},
};
static const struct cli_opt download_opts[] = {
    {"--out", "FILE", "file to write", false},
    {"--force", NULL, "replace the file", false},
    {NULL, NULL, NULL, false},
};
static const struct cli_opt output_opts[] = {
    {"--role", "ROLE", "guest, host or arbiter", false},
    {"--party", "PARTY", "party id", false},
    {"--key", "KEY", "only this output, e.g. train_output_data", false},
    {"--out", "FILE", "file to write", false},
    {"--force", NULL, "replace the file", false},
    {NULL, NULL, NULL, false},
};

static const struct cli_cmd cmds[] = {
    {"data", "upload", "FILE", 1, 1, upload_opts, "make a table of a CSV file",
     "FILE is read by the node: it is on the node's machine. The first line names the columns;\n"
     "every other column than --id and --label is a number.",
     "norn data upload guest.csv --namespace demo --name breast_guest --id id --label y",
     data_upload},
    {"data", "download", "NAMESPACE NAME", 2, 2, download_opts, "fetch a table as a tar.gz archive",
     NULL, "norn data download demo breast_guest --out guest.tar.gz", data_download},
    {"data", "output", "JOB TASK", 2, 2, output_opts, "fetch the data that a task made", NULL,
     "norn data output 202601312359590000010 lr_0 --key train_output_data", data_output},
};

const struct cli_group cmds_data = {"data", "put tables in, get tables out", cmds,
				    sizeof(cmds) / sizeof(cmds[0])};
