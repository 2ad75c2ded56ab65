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
#include "cli/route.h"
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

/* The path as the server must see it: absolute, or as it was given, below a directory of its own.
 */
static bool server_path(const char *file, char *out, size_t size, struct err *e)
{
	if (file[0] != '/' && fs_exists(file)) {
		char *real = realpath(file, NULL);
		bool ok = real != NULL && str_copy(out, size, real);

		free(real);
		return ok || err_set(e, ERR_USAGE, "the path is too long");
	}
	return str_copy(out, size, file) || err_set(e, ERR_USAGE, "the path is too long");
}

static json_t *upload_body(const struct cli *c, struct err *e)
{
	const char *id = cli_value(c, "--id"), *label = cli_value(c, "--label");
	const char *name = cli_value(c, "--name"), *ns = cli_value(c, "--namespace");
	char path[PATH_MAX] = "";
	int64_t partitions = 4;
	json_t *meta;

	if (name == NULL || ns == NULL) {
		err_set(e, ERR_USAGE, "--name and --namespace are needed");
		return NULL;
	}
	if (!names_table("name", name, e) || !names_table("namespace", ns, e) ||
	    !cli_int(c, "--partitions", 1, 1024, &partitions, e) ||
	    (cli_flag(c, "--server") && !server_path(c->args[0], path, sizeof(path), e)))
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

/* The file itself, as a form, or only its path at the node. */
static json_t *send_upload(struct cli *c, const json_t *body, struct err *e)
{
	char partitions[24];
	char *meta;
	json_t *env;

	if (cli_flag(c, "--server"))
		return call_post(c, "/v2/data/component/upload", body, e);
	snprintf(partitions, sizeof(partitions), "%lld", (long long)js_int(body, "partitions", 4));
	meta = js_dump_str(json_object_get(body, "meta"));
	const char *fields[] = {"head",       "true",
				"partitions", partitions,
				"meta",       meta,
				"extend_sid", "false",
				"namespace",  js_str(body, "namespace", ""),
				"name",       js_str(body, "name", ""),
				NULL};
	env = call_upload(c, "/v2/data/component/upload/file", fields, c->args[0], false, e);
	free(meta);
	return env;
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
	env = send_upload(c, body, &e);
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

static int data_download(struct cli *c)
{
	static const struct route route = {
	    "/v2/data/download",
	    false,
	    {{"namespace", "0", ROUTE_NAMESPACE}, {"name", "1", ROUTE_NAME}}};
	char *file = mem_printf("%s_%s.tar.gz", c->args[0], c->args[1]), *p;
	int status;

	for (p = file; *p != '\0'; p++)
		*p = *p == '/' ? '_' : *p;
	status = route_download(c, &route, file, "tar, gzip");
	free(file);
	return status;
}

static int data_output(struct cli *c)
{
	static const struct route route = {"/v2/output/data/download",
					   false,
					   {{"job_id", "0", ROUTE_JOB},
					    {"task_name", "1", ROUTE_TASK},
					    {"output_key", "--key", ROUTE_TEXT},
					    {"who", "", ROUTE_WHO}}};
	char *file = mem_printf("%s_%s.tar.gz", c->args[0], c->args[1]), *p;
	int status;

	for (p = file; *p != '\0'; p++)
		*p = *p == '/' ? '_' : *p;
	status = route_download(c, &route, file, "tar, gzip");
	free(file);
	return status;
}

/* The job of a local component: waits for its end unless --detach. */
static int finish_local(struct cli *c, json_t *env, const char *done)
{
	char job[NAMES_JOB_MAX + 1];
	int status;

	snprintf(job, sizeof(job), "%s", js_str(env, "job_id", ""));
	if (cli_flag(c, "--detach")) {
		if (!c->json)
			puts(job);
		return cmd_done(c, env);
	}
	status = progress_watch(c, job, true, 0, NULL);
	if (status != CLI_OK) {
		json_decref(env);
		if (status != PROGRESS_INTERRUPTED)
			why_after_failure(c, job);
		return status;
	}
	if (!c->json)
		puts(done);
	return cmd_done(c, env);
}

static int data_transform(struct cli *c)
{
	struct err e = {0};
	json_t *body, *env;
	char done[512];

	if (!names_table("namespace", c->args[0], &e) || !names_table("name", c->args[1], &e) ||
	    !names_table("namespace", c->args[2], &e) || !names_table("name", c->args[3], &e))
		return cli_fail(c, &e);
	body = json_pack("{s:{s:s, s:s}, s:s, s:s, s:b}", "data_warehouse", "namespace", c->args[0],
			 "name", c->args[1], "namespace", c->args[2], "name", c->args[3], "drop",
			 cli_flag(c, "--keep") ? 0 : 1);
	if (cli_value(c, "--site-name") != NULL)
		json_object_set_new(body, "site_name", json_string(cli_value(c, "--site-name")));
	env = call_post(c, "/v2/data/component/dataframe/transformer", body, &e);
	json_decref(body);
	if (env == NULL)
		return cli_fail(c, &e);
	snprintf(done, sizeof(done), "table %s %s is made", c->args[2], c->args[3]);
	return finish_local(c, env, done);
}

static int data_export(struct cli *c)
{
	struct err e = {0};
	json_t *body, *env;
	char done[512];

	if (!names_table("namespace", c->args[0], &e) || !names_table("name", c->args[1], &e))
		return cli_fail(c, &e);
	body = json_pack("{s:s, s:s, s:s}", "namespace", c->args[0], "name", c->args[1], "path",
			 c->args[2]);
	if (body == NULL)
		return cli_usage(c, "PATH must be UTF-8");
	env = call_post(c, "/v2/data/component/download", body, &e);
	json_decref(body);
	if (env == NULL)
		return cli_fail(c, &e);
	snprintf(done, sizeof(done), "table %s %s is in %s at the node", c->args[0], c->args[1],
		 c->args[2]);
	return finish_local(c, env, done);
}

static const struct cli_opt upload_opts[] = {
    {"--namespace", "NS", "namespace of the table", false},
    {"--name", "NAME", "name of the table", false},
    {"--id", "COLUMN", "column that identifies a row and is matched with others' (id)", false},
    {"--label", "COLUMN", "column with the label", false},
    {"--meta", "KEY=VALUE", "more about the columns, as FATE's upload knows it", true},
    {"--partitions", "N", "1 to 1024 (4)", false},
    {"--server", NULL, "FILE is a path on the node's machine; nothing is sent", false},
    {"--detach", NULL, "print the job id and return at once", false},
    {NULL, NULL, NULL, false},
};
static const struct cli_opt transform_opts[] = {
    {"--keep", NULL, "refuse when the new table is there already", false},
    {"--site-name", "NAME", "name of the site that the rows' ids begin with", false},
    {"--detach", NULL, "print the job id and return at once", false},
    {NULL, NULL, NULL, false},
};
static const struct cli_opt export_opts[] = {
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
     "FILE is sent to the node; with --server the node reads it itself. The first line names the "
     "columns;\n"
     "every other column than --id and --label is a number.",
     "norn data upload guest.csv --namespace demo --name breast_guest --id id --label y\n"
     "norn data upload /srv/data/guest.csv --server --namespace demo --name breast_guest",
     data_upload},
    {"data", "download", "NAMESPACE NAME", 2, 2, download_opts, "fetch a table as a tar.gz archive",
     NULL, "norn data download demo breast_guest --out guest.tar.gz", data_download},
    {"data", "output", "JOB TASK", 2, 2, output_opts, "fetch the data that a task made", NULL,
     "norn data output 202601312359590000010 lr_0 --key train_output_data", data_output},
    {"data", "transform", "NAMESPACE NAME NEW-NAMESPACE NEW-NAME", 4, 4, transform_opts,
     "make a data frame of a raw table", "Of a table that was uploaded without a name of its own.",
     "norn data transform upload 5b1f9c0e demo breast_guest", data_transform},
    {"data", "export", "NAMESPACE NAME PATH", 3, 3, export_opts,
     "write a table into a file of the node",
     "PATH is on the node's machine; norn data download fetches a table to this one.",
     "norn data export demo breast_guest /srv/out/breast_guest.csv", data_export},
};

const struct cli_group cmds_data = {"data", "put tables in, get tables out", cmds,
				    sizeof(cmds) / sizeof(cmds[0])};
