/*
 * The command line: const tables of commands, one parser, one way to say what went wrong.
 *
 * A command's function gets a parsed struct cli and returns its exit status. On failure it returns
 * cli_fail(), which prints one line on standard error and maps the error to a status.
 */
#ifndef NORN_CLI_CLI_H
#define NORN_CLI_CLI_H

#include "base/err.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CLI_ARGS_MAX 8
#define CLI_OPTS_MAX 256 /* values given, repeated ones counted each */
#define CLI_URL_MAX  512

enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,      /* the job failed, or the answer was an error */
	CLI_USAGE = 2,       /* the command line is wrong; nothing was sent */
	CLI_UNREACHABLE = 3, /* no node answers at the URL */
	CLI_NOT_FOUND = 4,   /* no such job, task, table, model or file */
	CLI_CANCELED = 5,    /* the job was canceled */
	CLI_TIMEOUT = 6,     /* no answer, or no end of the job, in the time given */
};

struct cli;

struct cli_opt {
	const char *name; /* "--role", or "-f" */
	const char *arg;  /* what the help calls the value; NULL: a flag */
	const char *help;
	bool many; /* may be given several times */
};

struct cli_cmd {
	const char *group; /* "job"; "" for commands without a group */
	const char *name;  /* "submit"; two words are possible: "ca init" */
	const char *args;  /* "JOB [TASK]"; "" for none */
	int min_args, max_args;
	const struct cli_opt *opts; /* ends with a NULL name; may be NULL */
	const char *summary;        /* one line */
	const char *help;           /* paragraphs; may be NULL */
	const char *example;        /* one line or several */
	int (*run)(struct cli *c);
};

/* One command group, or the commands without one (name ""). */
struct cli_group {
	const char *name;
	const char *summary;
	const struct cli_cmd *cmds;
	size_t n_cmds;
};

struct cli {
	const struct cli_cmd *cmd;
	const char *args[CLI_ARGS_MAX];
	int n_args;
	struct {
		const char *name;
		const char *value;
	} opts[CLI_OPTS_MAX];
	int n_opts;
	bool json;
	char url[CLI_URL_MAX]; /* of the node, without a trailing slash */
	char ca[CLI_URL_MAX];  /* file of the CA of an https node; "": the system's */
	bool key_looked_for;   /* the next two are known */
	char app_id[65];       /* "": requests are not signed */
	char app_token[129];
	int timeout_ms; /* of one call; 0: the client's default */
	bool out_tty;   /* standard output is a terminal */
	bool color;
	bool utf8;
	/* Called about twice a second while a call waits; may be NULL. */
	void (*on_tick)(void *arg);
	void *tick_arg;
	bool catch_interrupt; /* Ctrl-C ends a waiting call instead of the program */
	volatile bool interrupted;
};

extern const struct cli_group *const cli_groups[];
extern const size_t cli_n_groups;

int cli_main(int argc, char **argv);

/* Option values; NULL or false when not given. Names must be in the command's table. */
const char *cli_value(const struct cli *c, const char *name);
bool cli_flag(const struct cli *c, const char *name);
/* The values of an option that may be repeated: call with *pos = 0, ends with NULL. */
const char *cli_next_value(const struct cli *c, const char *name, int *pos);
/* A whole number option within bounds; *out keeps its value when the option is not given. */
MUST_CHECK bool cli_int(const struct cli *c, const char *name, int64_t min, int64_t max,
			int64_t *out, struct err *e);

/* One line on standard error; returns the exit status that fits the error. */
int cli_fail(const struct cli *c, const struct err *e);
int cli_exit_of(enum err_code code);
/* Usage error of a command: the text, and where its help is. Returns CLI_USAGE. */
int cli_usage(const struct cli *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* With --json: prints v (indented, keys sorted) on standard output. Does not take the reference. */
void cli_print_json(const json_t *v);

/* Help texts. */
void cli_help(FILE *f);
void cli_help_group(FILE *f, const struct cli_group *g);
void cli_help_cmd(FILE *f, const struct cli_cmd *cmd);

/* From the environment and ~/.config/norn/client.yaml; an explicit text comes first. */
MUST_CHECK bool cli_find_url(const char *given, char *out, size_t size, struct err *e);
/* The same for the CA file; "" when none is given. */
MUST_CHECK bool cli_find_ca(const char *given, char *out, size_t size, struct err *e);
/* A file of that name in ~/.config/norn, or NULL when there is no home; to be freed. */
char *cli_config_path(const char *name);

#endif
