/* The command line of norn-flow: options as click takes them, a table of commands. */
#include "config.h"
#include "cli/flow.h"
#include "base/js.h"
#include "base/str.h"
#include "cli/flow_table.h"
#include <locale.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const struct flow_opt opts[] = {
    {"c", "-c", "--conf-path", NULL, false, false},
    {"j", "-j", "--job-id", "job_id", false, false},
    {"r", "-r", "--role", "role", false, false},
    {"p", "-p", "--party-id", "party_id", false, false},
    {"s", "-s", "--status", "status", false, false},
    {"l", "-l", "--limit", "limit", true, false},
    {"tn", "-tn", "--task-name", "task_name", false, false},
    {"tid", "-tid", "--task-id", "task_id", false, false},
    {"tv", "-tv", "--task-version", "task_version", false, false},
    {"n", "-n", "--name", "name", false, false},
    {"ns", "-ns", "--namespace", "namespace", false, false},
    {"d", "-d", "--display", "display", false, false},
    {"o", "-o", "--path", "path", false, false},
    {"i", "-i", "--path", "path", false, false},
    {"mid", "-mid", "--model-id", "model_id", false, false},
    {"mv", "-mv", "--model-version", "model_version", false, false},
    {"gid", "-gid", "--guest-party-id", NULL, false, false},
    {"hid", "-hid", "--host-party-id", NULL, false, false},
    {"t", "-t", "--timeout", NULL, true, false},
    {"notes", NULL, "--notes", "notes", false, false},
    {"app", NULL, "--app-id", "app_id", false, false},
    {"app-name", NULL, "--app-name", "app_name", false, false},
    {"token", NULL, "--app-token", "app_token", false, false},
    {"log-type", NULL, "--log-type", "log_type", false, false},
    {"instance", NULL, "--instance-id", "instance_id", false, false},
    {"key", NULL, "--output-key", "output_key", false, false},
    {"device", NULL, "--device", "device", false, false},
    {"version", NULL, "--version", "version", false, false},
    {"provider", NULL, "--provider-name", "provider_name", false, false},
    {"ip", NULL, "--ip", NULL, false, false},
    {"port", NULL, "--port", NULL, true, false},
    {"reset", NULL, "--reset", NULL, false, true},
};

#define TASK "j! r! p! tn!"
static const struct flow_cmd cmds[] = {
    {"", "init", "ip port app token reset", FLOW_INIT, NULL},
    {"", "version", "", FLOW_VERSION, NULL},
    {"client", "create-client", "app-name!", FLOW_POST, "/v2/app/client/create"},
    {"client", "delete-client", "app!", FLOW_POST, "/v2/app/client/delete"},
    {"client", "query-client", "app app-name", FLOW_GET, "/v2/app/client/query"},
    {"client", "create-site", "p!", FLOW_POST, "/v2/app/site/create"},
    {"client", "delete-site", "p!", FLOW_POST, "/v2/app/site/delete"},
    {"client", "query-site", "p!", FLOW_GET, "/v2/app/site/query"},
    {"client", "create-partner", "p! app! token!", FLOW_POST, "/v2/app/partner/create"},
    {"client", "delete-partner", "p!", FLOW_POST, "/v2/app/partner/delete"},
    {"client", "query-partner", "p", FLOW_GET, "/v2/app/partner/query"},
    {"data", "upload", "c!", FLOW_CONF, "/v2/data/component/upload"},
    {"data", "upload-file", "c!", FLOW_SEND, "/v2/data/component/upload/file"},
    {"data", "transformer", "c!", FLOW_CONF, "/v2/data/component/dataframe/transformer"},
    {"data", "download-component", "n! ns! o!", FLOW_POST, "/v2/data/component/download"},
    {"data", "download", "n! ns! o!", FLOW_EXTRACT, "/v2/data/download"},
    {"job", "submit", "c!", FLOW_SUBMIT, "/v2/job/submit"},
    {"job", "query", "j r p s", FLOW_GET, "/v2/job/query"},
    {"job", "add-notes", "j! r! p! notes!", FLOW_POST, "/v2/job/notes/add"},
    {"job", "stop", "j!", FLOW_POST, "/v2/job/stop"},
    {"job", "rerun", "j!", FLOW_POST, "/v2/job/rerun"},
    {"job", "list", "j r p s l", FLOW_GET, "/v2/job/list/query"},
    {"job", "download-log", "j! o!", FLOW_EXTRACT_POST, "/v2/job/log/download"},
    {"job", "clean-queue", "", FLOW_POST, "/v2/job/queue/clean"},
    {"job", "clean", "j!", FLOW_POST, "/v2/job/clean"},
    {"job", "dependency", "j! r! p!", FLOW_GET, "/v2/job/dag/dependency"},
    {"task", "query", "j r p tn s tid tv", FLOW_GET, "/v2/job/task/query"},
    {"task", "list", "j r p tn l", FLOW_GET, "/v2/job/task/list/query"},
    {"log", "count", "log-type! j! r p instance", FLOW_GET, "/v2/log/count"},
    {"log", "query", "log-type! j! r p tn instance", FLOW_GET, "/v2/log/query"},
    {"model", "export", "mid! mv! p! r! o!", FLOW_POST, "/v2/model/export"},
    {"model", "import", "mid! mv! i!", FLOW_IMPORT, "/v2/model/import"},
    {"model", "delete", "mid! mv! r p tn key", FLOW_POST, "/v2/model/delete"},
    {"output", "query-metric-key", TASK, FLOW_GET, "/v2/output/metric/key/query"},
    {"output", "query-metric", TASK, FLOW_GET, "/v2/output/metric/query"},
    {"output", "delete-metric", TASK, FLOW_POST, "/v2/output/metric/delete"},
    {"output", "query-model", TASK, FLOW_GET, "/v2/output/model/query"},
    {"output", "download-model", TASK " o!", FLOW_EXTRACT, "/v2/output/model/download"},
    {"output", "delete-model", TASK, FLOW_POST, "/v2/output/model/delete"},
    {"output", "download-data", TASK " o!", FLOW_EXTRACT, "/v2/output/data/download"},
    {"output", "query-data-table", TASK, FLOW_GET, "/v2/output/data/table"},
    {"output", "display-data", TASK, FLOW_GET, "/v2/output/data/display"},
    {"permission", "grant", "app! r!", FLOW_POST, "/v2/permission/grant"},
    {"permission", "delete", "app! r!", FLOW_POST, "/v2/permission/delete"},
    {"permission", "query", "app!", FLOW_GET, "/v2/permission/query"},
    {"permission", "grant-resource", "c!", FLOW_CONF, "/v2/permission/resource/grant"},
    {"permission", "delete-resource", "c!", FLOW_CONF, "/v2/permission/resource/delete"},
    {"permission", "query-resource", "p!", FLOW_GET, "/v2/permission/resource/query"},
    {"provider", "register", "c!", FLOW_CONF, "/v2/provider/register"},
    {"provider", "query", "n device version provider", FLOW_GET, "/v2/provider/query"},
    {"provider", "delete", "n device version provider", FLOW_POST, "/v2/provider/delete"},
    {"server", "info", "", FLOW_GET, "/v2/server/fateflow"},
    {"site", "query", "", FLOW_GET, "/v2/site/info/query"},
    {"table", "query", "ns! n! d", FLOW_GET, "/v2/table/query"},
    {"table", "delete", "ns! n!", FLOW_POST, "/v2/table/delete"},
    {"table", "bind", "ns! n! o!", FLOW_POST, "/v2/table/bind/path"},
    {"test", "toy", "gid! hid! t", FLOW_TOY, "/v2/job/submit"},
};

void flow_each(void (*fn)(const char *group, const char *name, void *arg), void *arg)
{
	for (size_t i = 0; i < ARRAY_LEN(cmds); i++)
		fn(cmds[i].group, cmds[i].name, arg);
}

/* ---- the list of a command's options ---- */

/* The next id of a list; false at its end. */
static bool next_id(const char **list, char id[16], bool *needed)
{
	size_t n;

	*list += strspn(*list, " ");
	n = strcspn(*list, " !");
	if (n == 0 || n >= 16)
		return false;
	memcpy(id, *list, n);
	id[n] = '\0';
	*needed = (*list)[n] == '!';
	*list += n + (*needed ? 1 : 0);
	return true;
}

/* Never NULL: the tables of commands name only options that there are. */
static const struct flow_opt *opt_by_id(const char *id)
{
	for (size_t i = 0; i < ARRAY_LEN(opts); i++)
		if (str_eq(opts[i].id, id))
			return &opts[i];
	abort();
}

/* The option that a word names; *value: what stands in the same word behind it, or NULL. */
static const struct flow_opt *opt_of_word(const struct flow_cmd *cmd, const char *word,
					  const char **value)
{
	const char *list = cmd->opts, *eq = strchr(word, '=');
	size_t len = eq != NULL ? (size_t)(eq - word) : strlen(word);
	const struct flow_opt *glued = NULL;
	bool needed;
	char id[16];

	*value = NULL;
	while (next_id(&list, id, &needed)) {
		const struct flow_opt *o = opt_by_id(id);

		if (strlen(o->name) == len && strncmp(o->name, word, len) == 0) {
			*value = eq != NULL ? eq + 1 : NULL;
			return o;
		}
		if (str_eq(o->brief, word))
			return o;
		if (o->brief != NULL && strlen(o->brief) == 2 && word[1] != '-' &&
		    str_starts(word, o->brief))
			glued = o;
	}
	if (glued != NULL)
		*value = word + 2; /* -j202601..; only after -tn and the like were tried */
	return glued;
}

const char *flow_value(const struct flow *f, const char *id)
{
	for (int i = 0; i < f->n_values; i++)
		if (str_eq(f->values[i].opt->id, id))
			return f->values[i].value;
	return NULL;
}

json_t *flow_params(const struct flow *f)
{
	json_t *p = json_object();
	int64_t n;

	for (int i = 0; i < f->n_values; i++) {
		const struct flow_opt *o = f->values[i].opt;

		if (o->param == NULL)
			continue;
		if (o->is_int && str_to_i64(f->values[i].value, &n))
			json_object_set_new(p, o->param, json_integer(n));
		else
			json_object_set_new(p, o->param, json_string(f->values[i].value));
	}
	return p;
}

/* ---- help ---- */

static void print_cmd(const struct flow_cmd *cmd)
{
	const char *list = cmd->opts;
	bool needed;
	char id[16];

	printf("Usage: flow %s%s%s [OPTIONS]\n\nOptions:\n", cmd->group, cmd->group[0] ? " " : "",
	       cmd->name);
	while (next_id(&list, id, &needed)) {
		const struct flow_opt *o = opt_by_id(id);
		char left[64];

		snprintf(left, sizeof(left), "%s%s%s%s", o->brief != NULL ? o->brief : "",
			 o->brief != NULL ? ", " : "", o->name,
			 o->is_flag  ? ""
			 : o->is_int ? " INTEGER"
				     : " TEXT");
		printf("  %-32s%s\n", left, needed ? "[required]" : "");
	}
	puts("  -h, --help");
}

static void print_overview(FILE *out, const char *group)
{
	fprintf(out, "Usage: flow %s%sCOMMAND [OPTIONS]\n\nCommands:\n", group != NULL ? group : "",
		group != NULL ? " " : "");
	for (size_t i = 0; i < ARRAY_LEN(cmds); i++) {
		bool first = i == 0 || !str_eq(cmds[i].group, cmds[i - 1].group);

		if (group != NULL ? str_eq(cmds[i].group, group) : cmds[i].group[0] == '\0')
			fprintf(out, "  %s\n", cmds[i].name);
		else if (group == NULL && first)
			fprintf(out, "  %s\n", cmds[i].group);
	}
	if (group == NULL)
		fputs("\nThe commands of FATE's flow, done by Norn; see norn-flow(1).\n", out);
}

static int usage(const struct flow_cmd *cmd, const char *what, const char *word)
{
	fprintf(stderr, "Usage: flow %s%s%s [OPTIONS]\nError: %s '%.60s'\n",
		cmd != NULL ? cmd->group : "", cmd != NULL && cmd->group[0] ? " " : "",
		cmd != NULL ? cmd->name : "COMMAND", what, word);
	return CLI_USAGE;
}

/* ---- the command line ---- */

static bool is_group(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(cmds); i++)
		if (cmds[i].group[0] != '\0' && str_eq(cmds[i].group, word))
			return true;
	return false;
}

static const struct flow_cmd *find_cmd(const char *group, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(cmds); i++)
		if (str_eq(cmds[i].group, group) && str_eq(cmds[i].name, name))
			return &cmds[i];
	return NULL;
}

static bool is_help(const char *word)
{
	return str_eq(word, "-h") || str_eq(word, "--help");
}

/* 0, or the exit status; -1: help was printed. */
static int take_options(struct flow *f, int argc, char **argv, int at)
{
	const char *list = f->cmd->opts;
	char id[16];
	bool needed;
	int64_t n;

	for (; at < argc; at++) {
		const char *value;
		const struct flow_opt *o;

		if (is_help(argv[at])) {
			print_cmd(f->cmd);
			return -1;
		}
		o = argv[at][0] == '-' ? opt_of_word(f->cmd, argv[at], &value) : NULL;
		if (o == NULL)
			return usage(f->cmd,
				     argv[at][0] == '-' ? "no such option" : "unexpected argument",
				     argv[at]);
		if (o->is_flag)
			value = "1";
		else if (value == NULL && at + 1 == argc)
			return usage(f->cmd, "an argument is needed by", o->name);
		else if (value == NULL)
			value = argv[++at];
		if (o->is_int && !str_to_i64(value, &n))
			return usage(f->cmd, "not a whole number:", value);
		if (f->n_values == FLOW_VALUES_MAX)
			return usage(f->cmd, "too many options at", o->name);
		f->values[f->n_values].opt = o;
		f->values[f->n_values++].value = value;
	}
	while (next_id(&list, id, &needed))
		if (needed && flow_value(f, id) == NULL)
			return usage(f->cmd, "missing option", opt_by_id(id)->name);
	return 0;
}

int flow_main(int argc, char **argv)
{
	struct flow f = {0};
	struct err e = {0};
	int at = 1, status;

	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2 || is_help(argv[1])) {
		print_overview(argc < 2 ? stderr : stdout, NULL);
		return argc < 2 ? CLI_USAGE : CLI_OK;
	}
	if (is_group(argv[1])) {
		if (argc < 3 || is_help(argv[2])) {
			print_overview(argc < 3 ? stderr : stdout, argv[1]);
			return argc < 3 ? CLI_USAGE : CLI_OK;
		}
		at = 2;
	}
	f.cmd = find_cmd(at == 2 ? argv[1] : "", argv[at]);
	if (f.cmd == NULL)
		return usage(NULL, "no such command", argv[at]);
	status = take_options(&f, argc, argv, at + 1);
	if (status != 0)
		return status < 0 ? CLI_OK : status;
	if (!cli_find_url(NULL, f.cli.url, sizeof(f.cli.url), &e) ||
	    !cli_find_ca(NULL, f.cli.ca, sizeof(f.cli.ca), &e))
		return flow_trouble(&e);
	f.cli.json = true; /* no bars */
	status = flow_run(&f);
	OPENSSL_cleanse(f.cli.app_token, sizeof(f.cli.app_token));
	return fflush(stdout) != 0 && status == CLI_OK ? CLI_FAILED : status;
}
