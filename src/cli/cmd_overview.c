/* norn top: the site as it is now, redrawn in place. */
#include "config.h"
#include "cli/cmds.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/route.h"
#include "cli/text.h"
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define BAR_COLUMNS 20

const struct cli_opt cmd_top_opts[] = {
    {"--once", NULL, "print it once and return", false},
    {"--interval", "SECONDS", "between two looks, 1 to 3600 (2)", false},
    {"--limit", "N", "jobs of each kind, 1 to 200 (20)", false},
    {NULL, NULL, NULL, false},
};

/* ---- one picture ---- */

static void print_nodes(FILE *f, const json_t *nodes, size_t width, bool utf8)
{
	static const char *const heads[] = {"node", "duties", "address", ">running", "state"};
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	json_t *n, *d;
	size_t i, k;

	json_array_foreach (nodes, i, n) {
		struct buf duties = {0};

		if (!js_bool(n, "alive", false) && json_array_size(nodes) > 8)
			continue;
		json_array_foreach (json_object_get(n, "duties"), k, d)
			buf_printf(&duties, "%s%s", k > 0 ? " " : "",
				   json_is_string(d) ? json_string_value(d) : "?");
		table_cell(t, js_str(n, "name", "?"));
		table_cell(t, duties.len > 0 ? buf_str(&duties) : js_str(n, "duties", ""));
		table_cell(t, js_str(n, "address", ""));
		table_cellf(t, "%lld", (long long)js_int(n, "running", 0));
		table_cell(t, js_bool(n, "alive", false) ? "alive" : "gone");
		buf_free(&duties);
	}
	table_print(t, f, width, utf8);
	table_free(t);
}

static void add_use(struct buf *out, const char *what, int64_t used, int64_t all, const char *unit)
{
	int64_t part = all <= 0 ? 0 : used >= all ? BAR_COLUMNS : used * BAR_COLUMNS / all;

	buf_printf(out, "  %s [", what);
	for (int64_t i = 0; i < BAR_COLUMNS; i++)
		buf_addc(out, i < part ? '|' : ' ');
	buf_printf(out, "] %lld of %lld%s", (long long)used, (long long)all, unit);
}

static void print_engines(FILE *f, const json_t *engines)
{
	json_t *g;
	size_t i;

	json_array_foreach (engines, i, g) {
		char *name = text_clean_line(js_str(g, "engine", "?"));
		struct buf line = {0};

		buf_adds(&line, name);
		add_use(&line, "cores", js_int(g, "cores_used", 0), js_int(g, "cores", 0), "");
		if (js_int(g, "memory_mb", 0) > 0)
			add_use(&line, "memory", js_int(g, "memory_mb_used", 0),
				js_int(g, "memory_mb", 0), " MiB");
		fprintf(f, "%s\n", buf_str(&line));
		buf_free(&line);
		free(name);
	}
}

static void add_parties(struct table *t, const json_t *job)
{
	struct buf parties = {0};
	json_t *p;
	size_t i;

	json_array_foreach (json_object_get(job, "parties"), i, p)
		buf_printf(&parties, "%s%s", i > 0 ? ", " : "",
			   json_is_string(p) ? json_string_value(p) : "?");
	table_cell(t, buf_str(&parties));
	buf_free(&parties);
}

static void print_running(FILE *f, const json_t *v, size_t width, bool utf8)
{
	static const char *const heads[] = {"running job", ">done",   ">for",
					    ">cores",      ">memory", "as"};
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	int64_t now_ms = js_int(v, "now_ms", 0);
	json_t *job;
	char took[32];
	size_t i;

	json_array_foreach (json_object_get(v, "running"), i, job) {
		int64_t start_ms = js_int(job, "start_ms", 0);

		text_elapsed(start_ms > 0 && now_ms >= start_ms ? now_ms - start_ms : -1, took,
			     sizeof(took));
		table_cell(t, js_str(job, "job_id", "?"));
		table_cellf(t, "%lld %%", (long long)js_int(job, "progress", 0));
		table_cell(t, took);
		table_cellf(t, "%lld", (long long)js_int(job, "cores", 0));
		table_cellf(t, "%lld MiB", (long long)js_int(job, "memory_mb", 0));
		add_parties(t, job);
	}
	table_print(t, f, width, utf8);
	table_free(t);
}

static void print_waiting(FILE *f, const json_t *v, size_t width, bool utf8)
{
	static const char *const heads[] = {"waiting job", ">for", ">priority", "waits for"};
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	int64_t now_ms = js_int(v, "now_ms", 0);
	json_t *job;
	char took[32];
	size_t i;

	json_array_foreach (json_object_get(v, "waiting"), i, job) {
		const char *detail = js_str(job, "detail", "");

		text_elapsed(now_ms - js_int(job, "submitted_ms", now_ms), took, sizeof(took));
		table_cell(t, js_str(job, "job_id", "?"));
		table_cell(t, took);
		table_cellf(t, "%lld", (long long)js_int(job, "priority", 0));
		table_cellf(t, "%s%s%s", js_str(job, "for", ""), detail[0] ? ": " : "", detail);
	}
	table_print(t, f, width, utf8);
	table_free(t);
}

static void print_ended(FILE *f, const json_t *v, size_t width, bool utf8)
{
	static const char *const heads[] = {"ended job", "status", "at", ">after", "as", "reason"};
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	json_t *job;
	char when[32], took[32];
	size_t i;

	json_array_foreach (json_object_get(v, "ended"), i, job) {
		text_time(js_int(job, "end_ms", 0), when, sizeof(when));
		text_elapsed(js_int(job, "elapsed_ms", -1), took, sizeof(took));
		table_cell(t, js_str(job, "job_id", "?"));
		table_cell(t, js_str(job, "status", "?"));
		table_cell(t, when);
		table_cell(t, took);
		add_parties(t, job);
		table_cell(t, js_str(job, "reason", ""));
	}
	table_print(t, f, width, utf8);
	table_free(t);
}

static void print_picture(const struct cli *c, FILE *f, const json_t *v, size_t width)
{
	char when[32];

	text_time(js_int(v, "now_ms", 0), when, sizeof(when));
	fprintf(f, "%s  %s  %lld running, %lld waiting\n\n", c->url, when,
		(long long)js_int(v, "n_running", 0), (long long)js_int(v, "n_waiting", 0));
	print_nodes(f, json_object_get(v, "nodes"), width, c->utf8);
	fputc('\n', f);
	print_engines(f, json_object_get(v, "engines"));
	fputc('\n', f);
	print_running(f, v, width, c->utf8);
	fputc('\n', f);
	print_waiting(f, v, width, c->utf8);
	fputc('\n', f);
	print_ended(f, v, width, c->utf8);
}

/* ---- again and again ---- */

static volatile sig_atomic_t stop;

static void note_stop(int sig UNUSED)
{
	stop = 1;
}

/* The picture, line by line over the old one, cut to the height of the terminal. */
static void draw(const struct cli *c, const json_t *v, const char *trouble)
{
	int rows = text_terminal_height(), row = 0;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (f == NULL)
		return;
	if (trouble != NULL)
		fprintf(f, "%s (trying again; q ends)\n", trouble);
	if (v != NULL)
		print_picture(c, f, v, (size_t)text_terminal_width());
	fclose(f);
	fputs("\033[H", stdout);
	for (char *line = text; *line != '\0' && row < rows - 1; row++) {
		char *end = strchr(line, '\n');

		/* Heads stand out where colours are wanted. */
		bool head =
		    c->color && (row == 0 || line == text || (line > text + 1 && line[-2] == '\n'));
		printf("%s%.*s%s\033[K\n", head ? "\033[1m" : "", (int)(end - line), line,
		       head ? "\033[0m" : "");
		line = end + 1;
	}
	fputs("\033[J", stdout);
	fflush(stdout);
	free(text);
}

/* True: go on. */
static bool pause_or_key(int64_t ms)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	char key = 0;

	if (stop)
		return false;
	if (!isatty(STDIN_FILENO))
		in.fd = -1;
	if (poll(&in, 1, (int)ms) > 0 && read(STDIN_FILENO, &key, 1) == 1 &&
	    (key == 'q' || key == 'Q'))
		return false;
	return !stop;
}

static int top_live(struct cli *c, const struct route *route, int64_t interval_ms)
{
	struct sigaction act = {.sa_handler = note_stop}, old_int, old_term;
	struct termios saved, raw;
	bool typed = tcgetattr(STDIN_FILENO, &saved) == 0;
	json_t *v = NULL;
	struct err e = {0};

	sigemptyset(&act.sa_mask);
	sigaction(SIGINT, &act, &old_int);
	sigaction(SIGTERM, &act, &old_term);
	if (typed) {
		raw = saved;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	fputs("\033[?1049h\033[?25l", stdout);
	do {
		json_t *next = route_call(c, route, &e);
		char *trouble = next == NULL ? text_clean_line(e.msg) : NULL;

		if (next != NULL) {
			json_decref(v);
			v = next;
		}
		draw(c, v, trouble);
		free(trouble);
	} while (pause_or_key(interval_ms));
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	if (typed)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	sigaction(SIGINT, &old_int, NULL);
	sigaction(SIGTERM, &old_term, NULL);
	json_decref(v);
	return CLI_OK;
}

int cmd_top(struct cli *c)
{
	static const struct route with_limit = {
	    "/v2/server/overview", false, {{"limit", "--limit", ROUTE_INT}}};
	int64_t interval_s = 2, limit = 20;
	struct err e = {0};

	if (!cli_int(c, "--interval", 1, 3600, &interval_s, &e) ||
	    !cli_int(c, "--limit", 1, 200, &limit, &e))
		return cli_fail(c, &e);
	if (c->out_tty && !c->json && !cli_flag(c, "--once"))
		return top_live(c, &with_limit, interval_s * 1000);
	json_t *v = route_call(c, &with_limit, &e);
	if (v == NULL)
		return cli_fail(c, &e);
	if (!c->json)
		print_picture(c, stdout, v, cmd_table_width(c));
	return cmd_done(c, v);
}
