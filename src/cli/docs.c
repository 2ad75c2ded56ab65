/* Manual pages and completion from the command tables. See docs.h. */
#include "config.h"
#include "cli/docs.h"
#include "base/buf.h"
#include "base/str.h"
#include <ctype.h>
#include <string.h>

#define PAGE_DATE "November 23, 2026"

/* The page norn-component(1) is that of the program; its group stands with the providers. */
static const char *page_of(const struct cli_group *g)
{
	return str_eq(g->name, "component") ? "provider" : g->name;
}

/* ---- mdoc ---- */

/* Text of a line: nothing in it is a macro or an escape. */
static void put_text(FILE *f, const char *s, size_t len)
{
	if (len > 0 && (s[0] == '.' || s[0] == '\''))
		fputs("\\&", f);
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\\')
			fputs("\\e", f);
		else
			fputc(s[i], f);
	}
}

/* Words of a macro's line are quoted, so that none is taken for a macro. */
static void put_word(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s != '\0'; s++) {
		if (*s == '"')
			fputs("\\(dq", f);
		else if (*s == '\\')
			fputs("\\e", f);
		else
			fputc(*s, f);
	}
	fputc('"', f);
}

/* A paragraph: each sentence begins a line, as mdoc wants it. */
static void put_paragraph(FILE *f, const char *s, bool add_stop)
{
	struct buf line = {0};

	for (size_t i = 0; s[i] != '\0'; i++) {
		bool end = strchr(".:!?", s[i]) != NULL && (s[i + 1] == ' ' || s[i + 1] == '\n') &&
			   (i == 0 || s[i - 1] != '.') && s[i] == '.';

		if (line.len == 0 && (s[i] == ' ' || s[i] == '\n'))
			continue;
		if (line.len == 0 && !add_stop)
			buf_addc(&line, s[i]);
		else if (line.len == 0)
			buf_addc(&line, (char)toupper((unsigned char)s[i]));
		else
			buf_addc(&line, s[i] == '\n' ? ' ' : s[i]);
		if (end || s[i + 1] == '\0') {
			put_text(f, line.data, line.len);
			if (s[i + 1] == '\0' && add_stop && s[i] != '.')
				fputc('.', f);
			fputc('\n', f);
			buf_reset(&line);
		}
	}
	buf_free(&line);
}

static void put_options(FILE *f, const struct cli_opt *opts)
{
	if (opts == NULL)
		return;
	fputs(".Bl -tag -width Ds\n", f);
	for (const struct cli_opt *o = opts; o->name != NULL; o++) {
		fprintf(f, ".It Fl %s", o->name + 1);
		if (o->arg != NULL) {
			fputs(" Ar ", f);
			put_word(f, o->arg);
		}
		fputc('\n', f);
		put_paragraph(f, o->help, true);
		if (o->many)
			fputs("May be given several times.\n", f);
	}
	fputs(".El\n", f);
}

static void put_command(FILE *f, const struct cli_cmd *cmd)
{
	fprintf(f, ".It Ic %s %s", cmd->group, cmd->name);
	if (cmd->args[0] != '\0') {
		fputs(" Ar ", f);
		put_word(f, cmd->args);
	}
	fputc('\n', f);
	put_paragraph(f, cmd->summary, true);
	if (cmd->help != NULL)
		put_paragraph(f, cmd->help, false);
	put_options(f, cmd->opts);
}

static void put_examples(FILE *f, const struct cli_cmd *cmd)
{
	for (const char *s = cmd->example; s != NULL && *s != '\0';) {
		const char *end = strchr(s, '\n');
		size_t len = end != NULL ? (size_t)(end - s) : strlen(s);

		fputs("$ ", f);
		put_text(f, s, len);
		fputc('\n', f);
		s += len + (end != NULL ? 1 : 0);
	}
}

static void put_group(FILE *f, const struct cli_group *g)
{
	fprintf(f, ".Ss norn %s\n", g->name);
	fputs(".Bl -tag -width Ds\n", f);
	for (size_t i = 0; i < g->n_cmds; i++)
		put_command(f, &g->cmds[i]);
	fputs(".El\n", f);
}

bool docs_man(FILE *f, const char *name)
{
	const struct cli_group *first = NULL;
	char upper[64];

	for (size_t i = 0; i < cli_n_groups && first == NULL; i++)
		if (str_eq(cli_groups[i]->name, name) && str_eq(page_of(cli_groups[i]), name))
			first = cli_groups[i];
	if (first == NULL || name[0] == '\0')
		return false;
	str_copy(upper, sizeof(upper), name);
	for (char *p = upper; *p != '\0'; p++)
		*p = (char)toupper((unsigned char)*p);
	fprintf(f,
		".\\\" Made from the command tables by `make docs`.\n"
		".Dd " PAGE_DATE "\n.Dt NORN-%s 1\n.Os\n.Sh NAME\n.Nm norn-%s\n.Nd %s\n"
		".Sh SYNOPSIS\n.Nm norn\n.Cm %s\n.Ar command\n.Op Ar arguments\n.Op Ar options\n"
		".Sh DESCRIPTION\n",
		upper, name, first->summary, name);
	fputs("The options of every command, the environment and the files are in\n.Xr norn 1 .\n",
	      f);
	for (size_t i = 0; i < cli_n_groups; i++)
		if (cli_groups[i]->name[0] != '\0' && str_eq(page_of(cli_groups[i]), name))
			put_group(f, cli_groups[i]);
	fputs(".Sh EXIT STATUS\n.Bl -tag -width Ds -compact\n.It 0\nDone.\n.It 1\nThe job failed, "
	      "or the "
	      "answer was an error.\n.It 2\nWrong usage; nothing was sent.\n.It 3\nNo node "
	      "answers.\n.It "
	      "4\nNot found.\n.It 5\nThe job was canceled.\n.It 6\nTime is up.\n.El\n.Sh "
	      "EXAMPLES\n.Bd "
	      "-literal -offset indent\n",
	      f);
	for (size_t i = 0; i < cli_n_groups; i++)
		for (size_t k = 0; k < cli_groups[i]->n_cmds; k++)
			if (cli_groups[i]->name[0] != '\0' && str_eq(page_of(cli_groups[i]), name))
				put_examples(f, &cli_groups[i]->cmds[k]);
	fputs(".Ed\n.Sh SEE ALSO\n.Xr norn 1 ,\n.Xr norn-flow 1\n", f);
	return true;
}

void docs_pages(FILE *f)
{
	for (size_t i = 0; i < cli_n_groups; i++)
		if (cli_groups[i]->name[0] != '\0' &&
		    str_eq(page_of(cli_groups[i]), cli_groups[i]->name))
			fprintf(f, "%s\n", cli_groups[i]->name);
}

/* ---- completion ---- */

static const char completion_head[] =
    "# bash completion of norn; made from the command tables by `make docs`\n"
    "_norn_jobs()\n"
    "{\n"
    "\tnorn job list --limit 50 --timeout 2 2>/dev/null | sed -n '2,$s/ .*//p'\n"
    "}\n\n"
    "_norn()\n"
    "{\n"
    "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "\tlocal i word path= n=0 words= opts= arg=\n"
    "\tCOMPREPLY=()\n"
    "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
    "\t\tword=${COMP_WORDS[i]}\n"
    "\t\tcase $word in\n"
    "\t\t--url | --ca | --timeout";

static const char completion_middle[] =
    ") ((i++)) ;;\n"
    "\t\t-*) ;;\n"
    "\t\t*)\n"
    "\t\t\tpath=\"$path${path:+ }$word\"\n"
    "\t\t\t((++n))\n"
    "\t\t\t;;\n"
    "\t\tesac\n"
    "\tdone\n"
    "\tcase $prev in\n"
    "\t--role) words='guest host arbiter local' ;;\n"
    "\t--status) words='waiting ready running success failed canceled timeout' ;;\n"
    "\t--job) words=$(_norn_jobs) ;;\n"
    "\t--out | --ca | --config | --id-file)\n"
    "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "\t\treturn\n"
    "\t\t;;\n"
    "\tesac\n"
    "\tif [[ -n $words ]]; then\n"
    "\t\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
    "\t\treturn\n"
    "\tfi\n";

static const char completion_tail[] =
    "\topts=\"$opts --url --ca --json --timeout --no-color --help --version\"\n"
    "\tcase $cur in\n"
    "\t-*) words=$opts ;;\n"
    "\tesac\n"
    "\tcase $arg in\n"
    "\tJOB) [[ $cur == -* ]] || words=\"$words $(_norn_jobs)\" ;;\n"
    "\tFILE | DIR | PATH | CA-DIR)\n"
    "\t\tif [[ $cur != -* ]]; then\n"
    "\t\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "\t\t\treturn\n"
    "\t\tfi\n"
    "\t\t;;\n"
    "\tesac\n"
    "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
    "}\n"
    "complete -o filenames -F _norn norn\n";

/* Whether an option before this one has the same name. */
static bool is_known(size_t group, size_t cmd, const struct cli_opt *opt)
{
	for (size_t i = 0; i <= group; i++) {
		for (size_t k = 0; k < (i < group ? cli_groups[i]->n_cmds : cmd + 1); k++) {
			const struct cli_opt *o = cli_groups[i]->cmds[k].opts;

			for (; o != NULL && o->name != NULL && o != opt; o++)
				if (str_eq(o->name, opt->name))
					return true;
			if (o == opt)
				return i < group || k < cmd; /* several share a table */
		}
	}
	return false;
}

/* The options behind which a value stands, as patterns. */
static void put_valued(FILE *f)
{
	for (size_t i = 0; i < cli_n_groups; i++) {
		for (size_t k = 0; k < cli_groups[i]->n_cmds; k++) {
			const struct cli_opt *o = cli_groups[i]->cmds[k].opts;

			for (; o != NULL && o->name != NULL; o++)
				if (o->arg != NULL && !is_known(i, k, o))
					fprintf(f, " | %s", o->name);
		}
	}
}

static void put_names(FILE *f, const struct cli_group *g)
{
	for (size_t i = 0; i < g->n_cmds; i++) {
		size_t len = strcspn(g->cmds[i].name, " ");

		fprintf(f, " %.*s", (int)len, g->cmds[i].name);
	}
}

/* The word at this place of the arguments, without brackets. */
static void put_argument(FILE *f, const char *args)
{
	size_t len;

	args += strspn(args, "[ ");
	len = strcspn(args, " ]");
	fprintf(f, "%.*s", (int)len, args);
}

static void put_case(FILE *f, const struct cli_group *g, const struct cli_cmd *cmd)
{
	const char *args = cmd->args;

	fprintf(f, "\t'%s%s%s' | '%s%s%s '*)\n\t\topts='", g->name, g->name[0] ? " " : "",
		cmd->name, g->name, g->name[0] ? " " : "", cmd->name);
	for (const struct cli_opt *o = cmd->opts; o != NULL && o->name != NULL; o++)
		fprintf(f, "%s%s", o == cmd->opts ? "" : " ", o->name);
	fputs("'\n", f);
	int before = (g->name[0] != '\0' ? 1 : 0) + (strchr(cmd->name, ' ') != NULL ? 2 : 1);
	for (int i = 0; *args != '\0'; i++) {
		fprintf(f, "\t\t((n == %d)) && arg=", before + i);
		put_argument(f, args);
		fputc('\n', f);
		args += strspn(args, "[ ");
		args += strcspn(args, " ");
		args += strspn(args, " ");
	}
	fputs("\t\t;;\n", f);
}

void docs_completion(FILE *f)
{
	fputs(completion_head, f);
	put_valued(f);
	fputs(completion_middle, f);
	/* Longer commands first: `log count` before `log`. */
	fputs("\tcase $path in\n\t'') words='", f);
	for (size_t i = 0; i < cli_n_groups; i++)
		if (cli_groups[i]->name[0] != '\0')
			fprintf(f, "%s ", cli_groups[i]->name);
	put_names(f, cli_groups[0]);
	fputs("' ;;\n", f);
	for (size_t i = 0; i < cli_n_groups; i++) {
		if (cli_groups[i]->name[0] == '\0')
			continue;
		fprintf(f, "\t%s)\n\t\twords='", cli_groups[i]->name);
		put_names(f, cli_groups[i]);
		fprintf(f, "'\n%s\t\t;;\n",
			str_eq(cli_groups[i]->name, "log") ? "\t\targ=JOB\n" : "");
	}
	for (size_t i = 1; i <= cli_n_groups; i++) {
		const struct cli_group *g = cli_groups[i % cli_n_groups];

		for (size_t k = 0; k < g->n_cmds; k++)
			put_case(f, g, &g->cmds[k]);
	}
	fputs("\tesac\n", f);
	fputs(completion_tail, f);
}
