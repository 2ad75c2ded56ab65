/* Parsing of the command line, errors and exit statuses. */
#include "config.h"
#include "cli/cli.h"
#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/text.h"
#include <langinfo.h>
#include <locale.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_URL "http://127.0.0.1:9380"

static const struct cli_opt global_opts[] = {
    {"--url", "URL", "node to talk to", false},
    {"--ca", "FILE", "CA of an https node's certificate", false},
    {"--json", NULL, "print the answer as JSON", false},
    {"--timeout", "SECONDS", "how long one call may take", false},
    {"--no-color", NULL, "no colours", false},
    {"--help", NULL, "help", false},
    {"-h", NULL, "help", false},
    {"--version", NULL, "version", false},
    {NULL, NULL, NULL, false},
};

/* What the words of the command line were found to be, before the command is known. */
struct words {
	const char *word[CLI_ARGS_MAX + 3]; /* group, one or two words of the name, arguments */
	int n_words;
	bool help;
	bool version;
	bool no_color;
	const char *url;
	const char *ca;
};

const char *cli_value(const struct cli *c, const char *name)
{
	for (int i = 0; i < c->n_opts; i++)
		if (str_eq(c->opts[i].name, name))
			return c->opts[i].value;
	return NULL;
}

bool cli_flag(const struct cli *c, const char *name)
{
	return cli_value(c, name) != NULL;
}

const char *cli_next_value(const struct cli *c, const char *name, int *pos)
{
	while (*pos < c->n_opts) {
		int i = (*pos)++;

		if (str_eq(c->opts[i].name, name))
			return c->opts[i].value;
	}
	return NULL;
}

bool cli_int(const struct cli *c, const char *name, int64_t min, int64_t max, int64_t *out,
	     struct err *e)
{
	const char *s = cli_value(c, name);
	int64_t v;

	if (s == NULL)
		return true;
	if (!str_to_i64(s, &v) || v < min || v > max)
		return err_set(e, ERR_USAGE,
			       "%s must be a whole number from %lld to %lld, not '%.60s'", name,
			       (long long)min, (long long)max, s);
	*out = v;
	return true;
}

int cli_exit_of(enum err_code code)
{
	switch (code) {
	case ERR_OK:
		return CLI_OK;
	case ERR_USAGE:
		return CLI_USAGE;
	case ERR_CONNECT:
	case ERR_TLS:
	case ERR_DB_UNAVAILABLE:
		return CLI_UNREACHABLE;
	case ERR_JOB_NOT_FOUND:
	case ERR_TASK_NOT_FOUND:
	case ERR_MODEL_NOT_FOUND:
	case ERR_TABLE_NOT_FOUND:
	case ERR_FILE_NOT_FOUND:
	case ERR_SERVER_NOT_FOUND:
	case ERR_API_NO_FILE:
		return CLI_NOT_FOUND;
	case ERR_TIMEOUT:
		return CLI_TIMEOUT;
	default:
		return CLI_FAILED;
	}
}

int cli_fail(const struct cli *c, const struct err *e)
{
	char *msg = text_clean_line(e->msg);
	const char *name = err_code_name(e->code);

	if (e->code == ERR_USAGE) {
		int status = cli_usage(c, "%s", msg);

		free(msg);
		return status;
	}
	fprintf(stderr, "norn: %s (%d%s%s)\n", msg, (int)e->code,
		str_eq(name, "UNKNOWN") ? "" : " ", str_eq(name, "UNKNOWN") ? "" : name);
	free(msg);
	return cli_exit_of(e->code);
}

int cli_usage(const struct cli *c, const char *fmt, ...)
{
	va_list ap;

	fputs("norn: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	if (c->cmd != NULL)
		fprintf(stderr, " (see norn %s%s%s --help)\n", c->cmd->group,
			c->cmd->group[0] ? " " : "", c->cmd->name);
	else
		fputs(" (see norn --help)\n", stderr);
	return CLI_USAGE;
}

void cli_print_json(const json_t *v)
{
	if (json_dumpf(v, stdout, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENCODE_ANY) != 0)
		fputs("norn: standard output refuses the answer\n", stderr);
	putchar('\n');
}

char *cli_config_path(const char *name)
{
	const char *dir = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");

	if (dir != NULL && dir[0] != '\0')
		return mem_printf("%s/norn/%s", dir, name);
	if (home != NULL && home[0] != '\0')
		return mem_printf("%s/.config/norn/%s", home, name);
	return NULL;
}

/* A text of client.yaml; "" when it is not there. */
static bool from_file(const char *key, bool required, char *out, size_t size, struct err *e)
{
	char *path = cli_config_path("client.yaml");
	json_t *v = NULL;
	bool ok = true;

	if (path != NULL && fs_exists(path)) {
		v = js_load_file(path, &js_limits_default, e);
		if (v == NULL)
			ok = false;
		else if (required && js_str(v, key, NULL) == NULL)
			ok = err_set(e, ERR_CONFIG, "%s: expected a line 'url: http://HOST:PORT'",
				     path);
		else if (!str_copy(out, size, js_str(v, key, "")))
			ok = err_set(e, ERR_CONFIG, "%s: %s is too long", path, key);
	}
	json_decref(v);
	free(path);
	return ok;
}

bool cli_find_ca(const char *given, char *out, size_t size, struct err *e)
{
	const char *env = getenv("NORN_CA");

	out[0] = '\0';
	if (given == NULL && env != NULL && env[0] != '\0')
		given = env;
	if (given == NULL)
		return from_file("ca", false, out, size, e);
	if (!str_copy(out, size, given))
		return err_set(e, ERR_USAGE, "the name of the CA file is too long");
	return true;
}

bool cli_find_url(const char *given, char *out, size_t size, struct err *e)
{
	const char *env = getenv("NORN_URL");
	const char *source = "--url";
	size_t n;

	out[0] = '\0';
	if (given == NULL && env != NULL && env[0] != '\0') {
		given = env;
		source = "NORN_URL";
	}
	if (given != NULL) {
		if (!str_copy(out, size, given))
			return err_set(e, ERR_USAGE, "%s is too long", source);
	} else {
		source = "client.yaml";
		if (!from_file("url", true, out, size, e))
			return false;
		if (out[0] == '\0' && !str_copy(out, size, DEFAULT_URL))
			return err_set(e, ERR_INTERNAL, "the default URL does not fit");
	}
	if (!str_starts(out, "http://") && !str_starts(out, "https://"))
		return err_set(e, ERR_USAGE, "%s must start with http:// or https://, not '%.60s'",
			       source, out);
	for (n = 0; out[n] != '\0'; n++)
		if ((unsigned char)out[n] <= ' ' || out[n] == '?' || out[n] == '#')
			return err_set(e, ERR_USAGE, "%s is not a URL of a node: '%.60s'", source,
				       out);
	while (n > 0 && out[n - 1] == '/')
		out[--n] = '\0';
	return true;
}

static const struct cli_opt *find_opt(const struct cli_opt *opts, const char *name, size_t len)
{
	for (; opts != NULL && opts->name != NULL; opts++)
		if (strlen(opts->name) == len && strncmp(opts->name, name, len) == 0)
			return opts;
	return NULL;
}

static const struct cli_group *find_group(const char *name)
{
	for (size_t i = 0; i < cli_n_groups; i++)
		if (cli_groups[i]->name[0] != '\0' && str_eq(cli_groups[i]->name, name))
			return cli_groups[i];
	return NULL;
}

/* *used: how many of the n words name the command. */
static const struct cli_cmd *find_cmd(const struct cli_group *g, const char *const *word, int n,
				      int *used)
{
	for (size_t i = 0; i < g->n_cmds; i++) {
		const char *name = g->cmds[i].name;
		const char *blank = strchr(name, ' ');

		if (blank == NULL && n > 0 && str_eq(name, word[0])) {
			*used = 1;
			return &g->cmds[i];
		}
		if (blank != NULL && n > 1 && strlen(word[0]) == (size_t)(blank - name) &&
		    strncmp(name, word[0], (size_t)(blank - name)) == 0 &&
		    str_eq(blank + 1, word[1])) {
			*used = 2;
			return &g->cmds[i];
		}
	}
	return NULL;
}

/* The command named by the words that are not options. Sets *first to the index of its first
 * argument. */
static const struct cli_cmd *command_of(const struct words *w, const struct cli_group **group,
					int *first)
{
	const struct cli_cmd *cmd;
	int used = 0;

	*group = NULL;
	*first = 0;
	if (w->n_words == 0)
		return NULL;
	*group = find_group(w->word[0]);
	if (*group != NULL) {
		cmd = find_cmd(*group, w->word + 1, w->n_words - 1, &used);
		*first = 1 + used;
		if (cmd != NULL)
			return cmd;
	}
	for (size_t i = 0; i < cli_n_groups; i++) {
		if (cli_groups[i]->name[0] != '\0')
			continue;
		cmd = find_cmd(cli_groups[i], w->word, w->n_words, &used);
		if (cmd != NULL) {
			*first = used;
			return cmd;
		}
	}
	return NULL;
}

static bool set_global(struct cli *c, struct words *w, const char *name, const char *value,
		       struct err *e)
{
	int64_t seconds;

	if (str_eq(name, "--url")) {
		w->url = value;
	} else if (str_eq(name, "--ca")) {
		w->ca = value;
	} else if (str_eq(name, "--json")) {
		c->json = true;
	} else if (str_eq(name, "--no-color")) {
		w->no_color = true;
	} else if (str_eq(name, "--version")) {
		w->version = true;
	} else if (str_eq(name, "--timeout")) {
		if (!str_to_i64(value, &seconds) || seconds < 1 || seconds > 86400)
			return err_set(e, ERR_USAGE,
				       "--timeout must be 1 to 86400 seconds, not '%.60s'", value);
		c->timeout_ms = (int)(seconds * 1000);
	} else {
		w->help = true;
	}
	return true;
}

/* One option at argv[*i]; takes its value from the same or the next word. */
static bool parse_option(struct cli *c, struct words *w, int argc, char **argv, int *i,
			 struct err *e)
{
	const char *word = argv[*i];
	const char *eq = str_starts(word, "--") ? strchr(word, '=') : NULL;
	size_t len = eq != NULL ? (size_t)(eq - word) : strlen(word);
	const struct cli_opt *own = c->cmd != NULL ? find_opt(c->cmd->opts, word, len) : NULL;
	const struct cli_opt *opt = own != NULL ? own : find_opt(global_opts, word, len);
	const char *value = "";

	if (opt == NULL)
		return err_set(e, ERR_USAGE, "unknown option '%.60s'", word);
	if (opt->arg == NULL && eq != NULL)
		return err_set(e, ERR_USAGE, "%s takes no value", opt->name);
	if (opt->arg != NULL && eq != NULL) {
		value = eq + 1;
	} else if (opt->arg != NULL) {
		if (*i + 1 >= argc)
			return err_set(e, ERR_USAGE, "%s needs a value: %s", opt->name, opt->arg);
		value = argv[++*i];
	}
	if (own == NULL)
		return set_global(c, w, opt->name, value, e);
	if (!own->many && cli_value(c, own->name) != NULL)
		return err_set(e, ERR_USAGE, "%s is given twice", own->name);
	if (c->n_opts == CLI_OPTS_MAX)
		return err_set(e, ERR_USAGE, "more than %d options", CLI_OPTS_MAX);
	c->opts[c->n_opts].name = own->name;
	c->opts[c->n_opts].value = value;
	c->n_opts++;
	return true;
}

static bool is_option(const char *word)
{
	return word[0] == '-' && word[1] != '\0';
}

/* The words that are not options nor an option's value. The command decides which options take
 * values, so words are collected until it is known. */
static bool collect_words(struct cli *c, struct words *w, int argc, char **argv, struct err *e)
{
	const struct cli_group *group;
	bool only_words = false;
	int first;

	for (int i = 1; i < argc; i++) {
		if (!only_words && str_eq(argv[i], "--")) {
			only_words = true;
		} else if (!only_words && is_option(argv[i])) {
			if (!parse_option(c, w, argc, argv, &i, e))
				return false;
		} else if (w->n_words == (int)ARRAY_LEN(w->word)) {
			return err_set(e, ERR_USAGE, "too many arguments");
		} else {
			w->word[w->n_words++] = argv[i];
			/* Every word may change it: there is norn log JOB, and norn log count JOB.
			 */
			c->cmd = command_of(w, &group, &first);
		}
	}
	return true;
}

static void find_terminal(struct cli *c, bool no_color)
{
	const char *term = getenv("TERM");
	const char *none = getenv("NO_COLOR");

	c->out_tty = isatty(STDOUT_FILENO) && term != NULL && !str_eq(term, "dumb");
	c->color = c->out_tty && !no_color && (none == NULL || none[0] == '\0');
	c->utf8 = str_eq(nl_langinfo(CODESET), "UTF-8");
}

static int unknown_command(const struct words *w, const struct cli_group *group)
{
	if (group != NULL && w->n_words > 1) {
		fprintf(stderr, "norn: '%.60s' is not a command of norn %s (see norn %s --help)\n",
			w->word[1], group->name, group->name);
		return CLI_USAGE;
	}
	if (group != NULL) {
		cli_help_group(stderr, group);
		return CLI_USAGE;
	}
	if (w->n_words > 0) {
		fprintf(stderr, "norn: '%.60s' is not a command (see norn --help)\n", w->word[0]);
		return CLI_USAGE;
	}
	cli_help(stderr);
	return CLI_USAGE;
}

int cli_main(int argc, char **argv)
{
	struct cli c = {0};
	struct words w = {0};
	struct err e = {0};
	const struct cli_group *group = NULL;
	int first = 0;
	int status;

	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN);
	if (!collect_words(&c, &w, argc, argv, &e))
		return cli_fail(&c, &e);
	c.cmd = command_of(&w, &group, &first);
	find_terminal(&c, w.no_color);
	if (w.version) {
		puts("norn " PACKAGE_VERSION);
		return CLI_OK;
	}
	if (w.help) {
		if (c.cmd != NULL && (group == NULL || w.n_words > 1))
			cli_help_cmd(stdout, c.cmd);
		else if (group != NULL)
			cli_help_group(stdout, group);
		else
			cli_help(stdout);
		return CLI_OK;
	}
	if (c.cmd == NULL || (group != NULL && w.n_words == 1))
		return unknown_command(&w, group);
	for (int i = 0; i < c.n_opts; i++)
		if (find_opt(c.cmd->opts, c.opts[i].name, strlen(c.opts[i].name)) == NULL)
			return cli_usage(&c, "%s is not an option here", c.opts[i].name);
	c.n_args = w.n_words - first;
	if (c.n_args < c.cmd->min_args || c.n_args > c.cmd->max_args)
		return cli_usage(&c, "%s arguments; expected: norn %s%s%s %s",
				 c.n_args < c.cmd->min_args ? "missing" : "too many", c.cmd->group,
				 c.cmd->group[0] ? " " : "", c.cmd->name, c.cmd->args);
	for (int i = 0; i < c.n_args; i++)
		c.args[i] = w.word[first + i];
	if (!cli_find_url(w.url, c.url, sizeof(c.url), &e) ||
	    !cli_find_ca(w.ca, c.ca, sizeof(c.ca), &e))
		return cli_fail(&c, &e);
	status = c.cmd->run(&c);
	OPENSSL_cleanse(c.app_token, sizeof(c.app_token));
	if (fflush(stdout) != 0 && status == CLI_OK)
		status = CLI_FAILED;
	return status;
}
