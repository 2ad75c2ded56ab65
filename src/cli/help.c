/* The help texts, made from the command tables. */
#include "cli/cli.h"
#include "base/str.h"
#include <string.h>

static const char footer[] =
    "Options of every command:\n"
    "  --url URL          node to talk to; else NORN_URL, else url in ~/.config/norn/client.yaml,\n"
    "                     else http://127.0.0.1:9380\n"
    "  --ca FILE          CA of an https node's certificate (also: NORN_CA)\n"
    "  --json             print the answer as JSON\n"
    "  --timeout SECONDS  how long one call may take (30)\n"
    "  --no-color         no colours (also: NO_COLOR)\n"
    "  -h, --help         this help, or the help of a group or a command\n"
    "  --version          version\n"
    "\n"
    "Exit status: 0 done, 1 the job failed or the answer was an error, 2 wrong usage, 3 no node\n"
    "answers, 4 not found, 5 the job was canceled, 6 time is up.\n";

static void print_cmd_line(FILE *f, const struct cli_cmd *cmd)
{
	char left[80];

	snprintf(left, sizeof(left), "%s%s%s", cmd->name, cmd->args[0] ? " " : "", cmd->args);
	if (strlen(left) > 28)
		fprintf(f, "  %s\n  %-28s %s\n", left, "", cmd->summary);
	else
		fprintf(f, "  %-28s %s\n", left, cmd->summary);
}

void cli_help(FILE *f)
{
	fputs("usage: norn COMMAND ...\n\nThe command line of Norn, job scheduling of federated "
	      "learning.\n\n",
	      f);
	for (size_t i = 0; i < cli_n_groups; i++) {
		if (cli_groups[i]->name[0] != '\0')
			continue;
		for (size_t k = 0; k < cli_groups[i]->n_cmds; k++)
			print_cmd_line(f, &cli_groups[i]->cmds[k]);
	}
	fputs("\nGroups (norn GROUP --help):\n", f);
	for (size_t i = 0; i < cli_n_groups; i++)
		if (cli_groups[i]->name[0] != '\0')
			fprintf(f, "  %-28s %s\n", cli_groups[i]->name, cli_groups[i]->summary);
	fprintf(f, "\n%s", footer);
}

void cli_help_group(FILE *f, const struct cli_group *g)
{
	fprintf(f, "usage: norn %s COMMAND ...\n\n%s\n\n", g->name, g->summary);
	for (size_t i = 0; i < g->n_cmds; i++)
		print_cmd_line(f, &g->cmds[i]);
	/* A command that has the name of the group: norn log JOB. */
	for (size_t i = 0; i < cli_groups[0]->n_cmds; i++) {
		const struct cli_cmd *cmd = &cli_groups[0]->cmds[i];

		if (!str_eq(cmd->name, g->name))
			continue;
		fprintf(f, "\nnorn %s %s: %s", cmd->name, cmd->args, cmd->summary);
		fprintf(f, " (norn %s JOB --help)\n", cmd->name);
	}
	fprintf(f, "\n%s", footer);
}

static void print_indented(FILE *f, const char *text)
{
	while (*text != '\0') {
		const char *end = strchr(text, '\n');
		size_t len = end != NULL ? (size_t)(end - text) : strlen(text);

		fprintf(f, "  %.*s\n", (int)len, text);
		text += len + (end != NULL ? 1 : 0);
	}
}

void cli_help_cmd(FILE *f, const struct cli_cmd *cmd)
{
	fprintf(f, "usage: norn %s%s%s%s%s%s\n\n%s.\n", cmd->group, cmd->group[0] ? " " : "",
		cmd->name, cmd->args[0] ? " " : "", cmd->args,
		cmd->opts != NULL ? " [options]" : "", cmd->summary);
	if (cmd->help != NULL)
		fprintf(f, "\n%s\n", cmd->help);
	if (cmd->opts != NULL) {
		fputs("\nOptions:\n", f);
		for (const struct cli_opt *o = cmd->opts; o->name != NULL; o++) {
			char left[64];

			snprintf(left, sizeof(left), "%s%s%s", o->name, o->arg != NULL ? " " : "",
				 o->arg != NULL ? o->arg : "");
			fprintf(f, "  %-18s %s%s\n", left, o->help, o->many ? "; repeatable" : "");
		}
	}
	if (cmd->example != NULL) {
		fputs("\nExample:\n", f);
		print_indented(f, cmd->example);
	}
	fprintf(f, "\n%s", footer);
}
