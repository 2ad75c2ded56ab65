/* What the commands of norn-flow do. */
#include "config.h"
#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/flow_table.h"
#include "cli/keys.h"
#include "cli/names.h"
#include "cli/progress.h"
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CODE_LOCAL 100 /* as flow has it: this end could not do it */
#define TOY_LIMIT  300
#define LIST_LIMIT 10

extern char **environ;

int flow_print(json_t *answer)
{
	int64_t code = js_int(answer, "code", 0);

	if (json_dumpf(answer, stdout, JSON_INDENT(4) | JSON_ENCODE_ANY) != 0)
		fputs("flow: standard output refuses the answer\n", stderr);
	fputs("\n\n", stdout);
	json_decref(answer);
	return code == 0 ? CLI_OK : CLI_FAILED;
}

/* A text of this end's own, under the key that flow uses. */
static int flow_say(int code, const char *text)
{
	return flow_print(json_pack("{s:i, s:s}", "code", code, "retmsg", text));
}

int flow_trouble(const struct err *e)
{
	int status = cli_exit_of(e->code);

	(void)flow_say(CODE_LOCAL, e->msg);
	return status;
}

static int print_or_trouble(json_t *answer, const struct err *e)
{
	return answer != NULL ? flow_print(answer) : flow_trouble(e);
}

/* ---- calls ---- */

static int get(struct flow *f)
{
	json_t *params = flow_params(f), *v, *answer;
	const char *query[FLOW_VALUES_MAX * 2 + 3];
	char limit[24];
	struct err e = {0};
	const char *key;
	size_t n = 0;

	/* flow asks for ten rows when it is not told how many. */
	if (str_ends(f->cmd->path, "/list/query") && json_object_get(params, "limit") == NULL)
		json_object_set_new(params, "limit", json_integer(LIST_LIMIT));
	json_object_foreach (params, key, v) {
		query[n++] = key;
		if (json_is_integer(v)) {
			snprintf(limit, sizeof(limit), "%lld", (long long)json_integer_value(v));
			query[n++] = limit;
		} else {
			query[n++] = json_string_value(v);
		}
	}
	query[n] = NULL;
	answer = call_any(&f->cli, f->cmd->path, query, NULL, &e);
	json_decref(params);
	return print_or_trouble(answer, &e);
}

static int post(struct flow *f, json_t *body)
{
	struct err e = {0};
	json_t *answer = call_any(&f->cli, f->cmd->path, NULL, body, &e);

	json_decref(body);
	return print_or_trouble(answer, &e);
}

/* The file of -c as an object. */
static json_t *conf_file(const struct flow *f, struct err *e)
{
	json_t *v = js_load_file(flow_value(f, "c"), &js_limits_default, e);

	if (v != NULL && !json_is_object(v)) {
		err_set(e, ERR_USAGE, "%s has no map", flow_value(f, "c"));
		json_decref(v);
		return NULL;
	}
	return v;
}

static int post_conf(struct flow *f, bool is_dag)
{
	struct err e = {0};
	json_t *v = conf_file(f, &e);

	if (v == NULL)
		return flow_trouble(&e);
	return post(f, is_dag ? json_pack("{s:o}", "dag_schema", v) : v);
}

/* ---- files ---- */

/* upload-file: the members of the file become the fields of the form. */
static int send_file(struct flow *f)
{
	struct err e = {0};
	json_t *conf = conf_file(f, &e), *v, *answer = NULL;
	const char *fields[41], *key, *file;
	json_t *texts = json_array();
	size_t n = 0;

	file = js_str(conf, "file", NULL);
	if (conf != NULL && file == NULL)
		err_set(&e, ERR_USAGE, "%s: file is missing", flow_value(f, "c"));
	if (file != NULL && json_object_size(conf) > 20) {
		err_set(&e, ERR_USAGE, "%s has more than 20 members", flow_value(f, "c"));
		file = NULL;
	}
	if (file != NULL) {
		json_object_foreach (conf, key, v) {
			if (str_eq(key, "file") || json_is_null(v))
				continue;
			char *text =
			    json_is_string(v) ? mem_strdup(json_string_value(v)) : js_dump_str(v);
			json_array_append_new(texts, json_string(text));
			free(text);
			fields[n++] = key;
			fields[n++] =
			    json_string_value(json_array_get(texts, json_array_size(texts) - 1));
		}
		fields[n] = NULL;
		answer = call_upload(&f->cli, f->cmd->path, fields, file, true, &e);
	}
	json_decref(texts);
	json_decref(conf);
	return print_or_trouble(answer, &e);
}

static int import_file(struct flow *f)
{
	const char *fields[] = {"model_id", flow_value(f, "mid"), "model_version",
				flow_value(f, "mv"), NULL};
	struct err e = {0};
	json_t *answer = call_upload(&f->cli, f->cmd->path, fields, flow_value(f, "i"), true, &e);

	return print_or_trouble(answer, &e);
}

/* tar takes neither absolute names nor "..", and knows by itself how the archive is packed. */
static bool extract(const char *archive, const char *dir, struct err *e)
{
	char tar[] = "tar", from[] = "-xf", to[] = "-C", own[] = "--no-same-owner";
	char *file = mem_strdup(archive), *into = mem_strdup(dir);
	char *argv[] = {tar, own, from, file, to, into, NULL};
	int status = 1;
	pid_t pid;
	int error = posix_spawnp(&pid, "tar", NULL, NULL, argv, environ);

	free(file);
	free(into);
	if (error != 0)
		return err_set(e, ERR_IO, "cannot run tar: %s", strerror(error));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return (WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
	       err_set(e, ERR_IO, "tar could not extract the answer into %s", dir);
}

/* Where flow puts it, below --path. */
static char *extract_dir(const struct flow *f)
{
	const char *path = flow_value(f, "o"), *job = flow_value(f, "j");

	if (str_eq(f->cmd->name, "download"))
		return mem_printf("%s/download_data_%s_%s", path, flow_value(f, "ns"),
				  flow_value(f, "n"));
	if (str_eq(f->cmd->name, "download-log"))
		return mem_printf("%s/%s_logs", path, job);
	return mem_printf("%s/output_%s_%s_%s_%s_%s", path,
			  str_eq(f->cmd->name, "download-model") ? "model" : "data", job,
			  flow_value(f, "r"), flow_value(f, "p"), flow_value(f, "tn"));
}

/* Names become parts of a path here. */
static bool parts_fit(const struct flow *f, struct err *e)
{
	static const char *const ids[] = {"j", "r", "p", "tn", "n", "ns"};

	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		const char *v = flow_value(f, ids[i]);

		if (v != NULL && (v[0] == '\0' || strchr(v, '/') != NULL || strlen(v) > 200))
			return err_set(e, ERR_USAGE, "'%.60s' cannot be part of a file's name", v);
	}
	return true;
}

static int download(struct flow *f)
{
	struct err e = {0};
	json_t *params, *v;
	const char *query[FLOW_VALUES_MAX * 2 + 1], *key;
	char *dir, *file;
	int64_t bytes;
	size_t n = 0;

	if (!parts_fit(f, &e))
		return flow_trouble(&e);
	dir = extract_dir(f);
	params = flow_params(f);
	json_object_del(params, "path");
	json_object_foreach (params, key, v) {
		query[n++] = key;
		query[n++] = json_string_value(v);
	}
	query[n] = NULL;
	file = mem_printf("%s.archive", dir);
	bool is_post = f->cmd->act == FLOW_EXTRACT_POST;
	bool ok = fs_mkdirs(dir, 0755, &e) &&
		  call_download(&f->cli, f->cmd->path, is_post ? NULL : query,
				is_post ? params : NULL, file, &bytes, &e) &&
		  extract(file, dir, &e);
	unlink(file);
	if (!ok)
		rmdir(dir); /* only when nothing has come into it */
	json_decref(params);
	free(file);
	int status;
	if (ok) {
		status =
		    flow_print(json_pack("{s:i, s:s, s:s}", "code", 0, "directory", dir, "message",
					 "download successfully, please check the path"));
	} else if (e.code >= 1000 && e.code < 9000) {
		status = flow_print(json_pack("{s:i, s:s}", "code", (int)e.code, "message", e.msg));
	} else {
		status = flow_trouble(&e);
	}
	free(dir);
	return status;
}

/* ---- init ---- */

/* ~/.config/norn/client.yaml with this URL; the CA in it stays. */
static bool keep_url(const char *url, struct err *e)
{
	char *path = cli_config_path("client.yaml"), *slash;
	struct buf text = {0};
	char ca[CLI_URL_MAX];
	bool ok = cli_find_ca(NULL, ca, sizeof(ca), e);

	if (path == NULL) {
		buf_free(&text);
		return err_set(e, ERR_CONFIG, "HOME is not set: nowhere to keep the settings");
	}
	json_t *v = json_pack("{s:s, s:s*}", "url", url, "ca", ca[0] != '\0' ? ca : NULL);
	char *dump = js_dump_str(v); /* JSON is YAML */
	buf_printf(&text, "%s\n", dump);
	slash = strrchr(path, '/');
	*slash = '\0';
	ok = ok && fs_mkdirs(path, 0700, e);
	*slash = '/';
	ok = ok && fs_write(path, text.data, text.len, 0644, e);
	free(dump);
	json_decref(v);
	free(path);
	buf_free(&text);
	return ok;
}

static int reset(struct flow *f)
{
	char *path = cli_config_path("client.yaml");
	struct err e = {0};
	bool had;

	if (path != NULL)
		unlink(path);
	free(path);
	if (!keys_remove(f->cli.url, &had, &e))
		return flow_trouble(&e);
	return flow_say(0, "the settings are reset; call flow init again before other commands");
}

static int init(struct flow *f)
{
	const char *ip = flow_value(f, "ip"), *port = flow_value(f, "port");
	const char *app = flow_value(f, "app"), *token = flow_value(f, "token");
	char url[CLI_URL_MAX];
	struct buf body = {0};
	struct err e = {0};
	int status = 0;

	if (flow_value(f, "reset") != NULL)
		return reset(f);
	if ((ip == NULL) != (port == NULL) || (app == NULL) != (token == NULL) ||
	    (ip == NULL && app == NULL))
		return flow_say(CODE_LOCAL, "give --ip with --port, or --app-id with --app-token");
	if (ip != NULL) {
		snprintf(url, sizeof(url),
			 strchr(ip, ':') != NULL ? "http://[%s]:%s" : "http://%s:%s", ip, port);
		if (!cli_find_url(url, f->cli.url, sizeof(f->cli.url), &e))
			return flow_trouble(&e);
	}
	bool reached = call_text(&f->cli, "/livez", &status, &body, &e);
	buf_free(&body);
	if (!reached)
		return flow_trouble(&e);
	if ((ip != NULL && !keep_url(f->cli.url, &e)) ||
	    (app != NULL && !keys_put(f->cli.url, app, token, &e)))
		return flow_trouble(&e);
	return flow_say(0, "flow is set up");
}

/* ---- test toy ---- */

static json_t *toy_job(const char *guest, const char *host)
{
	return json_pack("{s:{s:s, s:{s:[{s:s, s:[s]}, {s:s, s:[s]}], s:s, "
			 "s:{s:{s:s, s:{s:i, s:i}}}}}}",
			 "dag_schema", "schema_version", "2.0.0.alpha", "dag", "parties", "role",
			 "guest", "party_id", guest, "role", "host", "party_id", host, "stage",
			 "default", "tasks", "toy_example_0", "component_ref", "toy_example",
			 "parameters", "data_num", 1024, "partition", 4);
}

static int toy(struct flow *f)
{
	const char *limit = flow_value(f, "t");
	int64_t limit_s = TOY_LIMIT;
	struct err e = {0};
	json_t *body, *answer;
	char job[NAMES_JOB_MAX + 1];

	if (limit != NULL && (!str_to_i64(limit, &limit_s) || limit_s < 1 || limit_s > 86400))
		return flow_say(CODE_LOCAL, "--timeout is from 1 to 86400 seconds");
	body = toy_job(flow_value(f, "gid"), flow_value(f, "hid"));
	answer = call_any(&f->cli, f->cmd->path, NULL, body, &e);
	json_decref(body);
	if (answer == NULL || js_int(answer, "code", 0) != 0)
		return print_or_trouble(answer, &e);
	str_copy(job, sizeof(job), js_str(answer, "job_id", ""));
	json_decref(answer);
	int status = progress_watch(&f->cli, job, true, limit_s * 1000, NULL);
	if (status == CLI_TIMEOUT) {
		body = json_pack("{s:s}", "job_id", job);
		json_decref(call_any(&f->cli, "/v2/job/stop", NULL, body, &e));
		json_decref(body);
	}
	printf("toy test job %s is %s\n", job,
	       status == CLI_OK         ? "success"
	       : status == CLI_CANCELED ? "canceled"
	       : status == CLI_TIMEOUT  ? "timeout"
					: "failed");
	return status;
}

int flow_run(struct flow *f)
{
	switch (f->cmd->act) {
	case FLOW_GET:
		return get(f);
	case FLOW_POST:
		return post(f, flow_params(f));
	case FLOW_CONF:
	case FLOW_SUBMIT:
		return post_conf(f, f->cmd->act == FLOW_SUBMIT);
	case FLOW_SEND:
		return send_file(f);
	case FLOW_IMPORT:
		return import_file(f);
	case FLOW_EXTRACT:
	case FLOW_EXTRACT_POST:
		return download(f);
	case FLOW_INIT:
		return init(f);
	case FLOW_TOY:
		return toy(f);
	case FLOW_VERSION:
		puts(PACKAGE_VERSION);
		return CLI_OK;
	}
	return CLI_USAGE;
}
