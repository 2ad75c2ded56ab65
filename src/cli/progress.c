/* The table of a job's tasks and parties. See progress.h. */
#include "config.h"
#include "cli/progress.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/js.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/text.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COLUMNS_MAX    64 /* parties shown side by side */
#define WAIT_MS        20000
#define RETRY_MS       1000
#define UNREACHABLE_MS 30000
#define NAME_WIDTH_MAX 32

struct watch {
	struct cli *cli;
	json_t *data;        /* the last progress */
	int64_t received_ms; /* monotonic */
	int lines;           /* drawn, to be drawn over */
	struct map *seen;    /* plain mode: "task/role/party" -> status */
	bool live, quiet;
};

/* How a status looks. */
struct look {
	const char *status;
	const char *sign, *ascii_sign;
	const char *color;
	int exit;
	bool end;
};
static const struct look looks[] = {
    {"waiting", "\xC2\xB7", ".", "\033[2m", CLI_OK, false},
    {"ready", "\xC2\xB7", ".", "\033[2m", CLI_OK, false},
    {"running", "\xE2\x96\xB6", ">", "\033[33m", CLI_OK, false},
    {"success", "\xE2\x9C\x93", "+", "\033[32m", CLI_OK, true},
    {"pass", "\xE2\x9C\x93", "+", "\033[32m", CLI_OK, true},
    {"failed", "\xE2\x9C\x97", "x", "\033[31m", CLI_FAILED, true},
    {"timeout", "\xE2\x9C\x97", "x", "\033[31m", CLI_TIMEOUT, true},
    {"canceled", "\xE2\x96\xA0", "-", "\033[35m", CLI_CANCELED, true},
    {NULL, "?", "?", "", CLI_FAILED, false},
};

/* Ctrl-C between two calls; within one the event loop sees it. */
static volatile sig_atomic_t got_interrupt;

static void note_interrupt(int sig UNUSED)
{
	got_interrupt = 1;
}

static const struct look *look_of(const char *status)
{
	const struct look *l = looks;

	while (l->status != NULL && !str_eq(l->status, status))
		l++;
	return l;
}

int progress_exit(const char *status)
{
	return look_of(status)->exit;
}

bool progress_is_end(const char *status)
{
	return look_of(status)->end;
}

static void add_colored(struct buf *out, const struct cli *c, const char *color, const char *text)
{
	if (c->color && color[0] != '\0')
		buf_printf(out, "%s%s\033[0m", color, text);
	else
		buf_adds(out, text);
}

/* "host 10000" of the party's entry. */
static void party_label(const json_t *p, char *out, size_t size)
{
	char *role = text_clean_line(js_str(p, "role", "?"));
	char *id = text_clean_line(js_str(p, "party_id", "?"));

	snprintf(out, size, "%s %s", role, id);
	free(role);
	free(id);
}

/* The distinct parties of all tasks, in order of appearance. */
static size_t find_columns(const json_t *tasks, char labels[COLUMNS_MAX][96])
{
	size_t n = 0, i, k, j;
	const json_t *t, *p;
	char label[96];

	json_array_foreach (tasks, i, t) {
		json_array_foreach (json_object_get(t, "parties"), k, p) {
			party_label(p, label, sizeof(label));
			for (j = 0; j < n && !str_eq(labels[j], label); j++)
				;
			if (j == n && n < COLUMNS_MAX)
				str_copy(labels[n++], 96, label);
		}
	}
	return n;
}

/* What a running entry has taken by now: the node's number and the time since it said so. */
static int64_t elapsed_now(const json_t *v, int64_t since_ms)
{
	int64_t ms = js_int(v, "elapsed_ms", -1);

	if (ms >= 0 && str_eq(js_str(v, "status", ""), "running"))
		ms += since_ms;
	return ms;
}

static void cell_text(const struct cli *c, const json_t *v, int64_t since_ms, struct buf *out)
{
	const char *status = js_str(v, "status", "?");
	const struct look *l = look_of(status);
	char took[32];

	text_elapsed(elapsed_now(v, since_ms), took, sizeof(took));
	buf_adds(out, c->utf8 ? l->sign : l->ascii_sign);
	buf_addc(out, ' ');
	if (!l->end || l->exit != CLI_OK || took[0] == '\0')
		buf_adds(out, l->status != NULL ? l->status : "unknown");
	if (took[0] != '\0' && !str_eq(status, "waiting"))
		buf_printf(out, "%s%s", out->data[out->len - 1] == ' ' ? "" : " ", took);
}

static const json_t *find_party(const json_t *task, const char *label)
{
	const json_t *p;
	char l[96];
	size_t i;

	json_array_foreach (json_object_get(task, "parties"), i, p) {
		party_label(p, l, sizeof(l));
		if (str_eq(l, label))
			return p;
	}
	return NULL;
}

/* One line of at most width columns: name, one cell a party, elapsed. */
static void add_task_line(const struct cli *c, const json_t *task, char labels[][96],
			  const size_t *widths, size_t n, size_t name_width, int64_t since_ms,
			  size_t max_width, struct buf *out)
{
	char *name = text_clean_line(js_str(task, "task_name", "?"));
	struct buf cell = {0}, cut = {0}, pad = {0};
	int64_t attempt = js_int(task, "attempt", 0);
	size_t used = name_width + 2;

	if (attempt > 0)
		buf_printf(&cell, "%s #%lld", name, (long long)attempt);
	text_cut(&cut, attempt > 0 ? buf_str(&cell) : name, name_width, c->utf8);
	buf_adds(out, "  ");
	text_pad(out, buf_str(&cut), name_width);
	for (size_t i = 0; i < n && used + 2 + widths[i] <= max_width; i++) {
		const json_t *p = find_party(task, labels[i]);

		buf_reset(&cell);
		buf_reset(&pad);
		if (p != NULL)
			cell_text(c, p, since_ms, &cell);
		text_pad(&pad, buf_str(&cell), widths[i]);
		buf_adds(out, "  ");
		add_colored(out, c, p != NULL ? look_of(js_str(p, "status", ""))->color : "",
			    buf_str(&pad));
		used += 2 + widths[i];
	}
	while (out->len > 0 && out->data[out->len - 1] == ' ')
		out->data[--out->len] = '\0';
	if (c->out_tty)
		buf_adds(out, "\033[K");
	buf_addc(out, '\n');
	free(name);
	buf_free(&cell);
	buf_free(&cut);
	buf_free(&pad);
}

static void add_head(const struct cli *c, const json_t *data, int64_t since_ms, struct buf *out)
{
	const json_t *job = json_object_get(data, "job"), *t;
	const char *status = js_str(job, "status", "?");
	char *id = text_clean_line(js_str(job, "job_id", "?"));
	size_t done = 0, n = json_array_size(json_object_get(data, "tasks")), i;
	int64_t ms = js_int(job, "elapsed_ms", -1);
	char took[32];

	json_array_foreach (json_object_get(data, "tasks"), i, t)
		done += look_of(js_str(t, "status", ""))->end ? 1 : 0;
	if (ms >= 0 && !progress_is_end(status))
		ms += since_ms;
	text_elapsed(ms, took, sizeof(took));
	buf_printf(out, "job %s  ", id);
	add_colored(out, c, look_of(status)->color,
		    look_of(status)->status != NULL ? look_of(status)->status : "unknown");
	buf_printf(out, "  %zu of %zu tasks  %s%s\n", done, n, took, c->out_tty ? "\033[K" : "");
	free(id);
}

/* Appends the whole picture; max_rows 0: all tasks. Returns the lines added. */
static int picture(const struct cli *c, const json_t *data, int64_t since_ms, size_t max_rows,
		   size_t max_width, struct buf *out)
{
	const json_t *tasks = json_object_get(data, "tasks"), *t;
	char labels[COLUMNS_MAX][96];
	size_t widths[COLUMNS_MAX], n = find_columns(tasks, labels), name_width = 4;
	size_t first = 0, count = json_array_size(tasks), i;
	const char *eol = c->out_tty ? "\033[K\n" : "\n";
	int lines = 2;

	json_array_foreach (tasks, i, t) {
		size_t w = text_width(js_str(t, "task_name", "?"));

		w += js_int(t, "attempt", 0) > 0 ? 3 : 0;
		name_width = w > name_width ? w : name_width;
	}
	name_width = name_width > NAME_WIDTH_MAX ? NAME_WIDTH_MAX : name_width;
	for (i = 0; i < n; i++)
		widths[i] = text_width(labels[i]) > 17 ? text_width(labels[i]) : 17;
	if (max_rows > 0 && count > max_rows) {
		/* Not enough lines: those around the first task that has not ended. */
		for (i = 0; i < count; i++)
			if (!look_of(js_str(json_array_get(tasks, i), "status", ""))->end)
				break;
		first = i > max_rows / 3 ? i - max_rows / 3 : 0;
		first = first > count - max_rows ? count - max_rows : first;
		count = max_rows;
	}
	add_head(c, data, since_ms, out);
	buf_adds(out, "  ");
	text_pad(out, "task", name_width);
	for (size_t k = 0, used = name_width + 2; k < n && used + 2 + widths[k] <= max_width; k++) {
		buf_adds(out, "  ");
		text_pad(out, labels[k], widths[k]);
		used += 2 + widths[k];
	}
	buf_adds(out, eol);
	for (i = first; i < first + count; i++, lines++)
		add_task_line(c, json_array_get(tasks, i), labels, widths, n, name_width, since_ms,
			      max_width, out);
	if (count < json_array_size(tasks)) {
		buf_printf(out, "  tasks %zu to %zu of %zu%s", first + 1, first + count,
			   json_array_size(tasks), eol);
		lines++;
	}
	return lines;
}

void progress_print(const struct cli *c, const json_t *data)
{
	size_t width = c->out_tty ? (size_t)text_terminal_width() : 4096;
	struct buf out = {0};

	picture(c, data, 0, 0, width, &out);
	fputs(buf_str(&out), stdout);
	buf_free(&out);
}

static void draw(void *arg)
{
	struct watch *w = arg;
	size_t rows = (size_t)text_terminal_height();
	struct buf out = {0};

	if (w->data == NULL)
		return;
	if (w->lines > 0)
		buf_printf(&out, "\033[%dA\r", w->lines);
	w->lines = picture(w->cli, w->data, clock_mono_ms() - w->received_ms,
			   rows > 8 ? rows - 5 : 4, (size_t)text_terminal_width(), &out);
	buf_adds(&out, "\033[J");
	fwrite(out.data, 1, out.len, stdout);
	fflush(stdout);
	buf_free(&out);
}

static void print_change(struct watch *w, const char *what, const json_t *v)
{
	const char *status = js_str(v, "status", "?");
	const char *old = map_get(w->seen, what);
	char at[32], took[32], *clean, *line;

	if (old == NULL && !progress_is_end(status) && !str_eq(status, "running")) {
		free(map_set(w->seen, what, mem_strdup(status)));
		return;
	}
	if (str_eq(old, status))
		return;
	text_elapsed(progress_is_end(status) ? js_int(v, "elapsed_ms", -1) : -1, took,
		     sizeof(took));
	text_elapsed(js_int(json_object_get(w->data, "job"), "elapsed_ms", -1), at, sizeof(at));
	line = mem_printf("%9s  %-40s %s%s%s", at, what, status, took[0] ? " in " : "", took);
	clean = text_clean_line(line);
	puts(clean);
	fflush(stdout);
	free(line);
	free(clean);
	free(map_set(w->seen, what, mem_strdup(status)));
}

/* Without a terminal: one line for every change. */
static void print_changes(struct watch *w)
{
	const json_t *t, *p;
	size_t i, k;

	json_array_foreach (json_object_get(w->data, "tasks"), i, t) {
		json_array_foreach (json_object_get(t, "parties"), k, p) {
			char label[96], attempt[32] = "";
			char *what;

			party_label(p, label, sizeof(label));
			if (js_int(t, "attempt", 0) > 0)
				snprintf(attempt, sizeof(attempt), " #%lld",
					 (long long)js_int(t, "attempt", 0));
			what = mem_printf("%s%s, %s", js_str(t, "task_name", "?"), attempt, label);
			print_change(w, what, p);
			free(what);
		}
	}
}

static void show(struct watch *w)
{
	if (w->quiet)
		return;
	if (w->live)
		draw(w);
	else
		print_changes(w);
}

/* Asks until something changed. False: *e says why, and whether to try again is the caller's. */
static bool ask(struct watch *w, const char *job, int64_t wait_ms, struct err *e)
{
	char known[32], timeout[32];
	const char *query[] = {"job_id", job, "known", NULL, "timeout_ms", timeout, NULL};
	json_t *data;

	snprintf(timeout, sizeof(timeout), "%lld", (long long)wait_ms);
	if (w->data != NULL && json_is_integer(json_object_get(w->data, "change"))) {
		snprintf(known, sizeof(known), "%lld", (long long)js_int(w->data, "change", 0));
		query[3] = known;
	}
	data = call_get_data(w->cli, "/v2/job/wait", query, e);
	if (data == NULL)
		return false;
	if (!json_is_object(json_object_get(data, "job"))) {
		json_decref(data);
		return err_set(e, ERR_PARSE, "the node's answer has no job");
	}
	json_decref(w->data);
	w->data = data;
	w->received_ms = clock_mono_ms();
	return true;
}

static const char *job_status(const struct watch *w)
{
	return js_str(json_object_get(w->data, "job"), "status", "");
}

static int watch_loop(struct watch *w, const char *job, int64_t limit_ms)
{
	struct cli *c = w->cli;
	int64_t start = clock_mono_ms(), lost = -1;
	struct err e = {0};

	for (;;) {
		int64_t now = clock_mono_ms();
		int64_t left = limit_ms > 0 ? start + limit_ms - now : WAIT_MS;

		if (left <= 0) {
			err_set(&e, ERR_TIMEOUT, "job %s has not ended in the time given", job);
			return cli_fail(c, &e);
		}
		if (ask(w, job, left < WAIT_MS ? left : WAIT_MS, &e)) {
			lost = -1;
			show(w);
			if (progress_is_end(job_status(w)))
				return progress_exit(job_status(w));
			if (got_interrupt)
				return PROGRESS_INTERRUPTED;
			continue;
		}
		if (c->interrupted || got_interrupt)
			return PROGRESS_INTERRUPTED;
		if (e.code != ERR_CONNECT && e.code != ERR_TIMEOUT)
			return cli_fail(c, &e);
		now = clock_mono_ms();
		lost = lost < 0 ? now : lost;
		if (now - lost > UNREACHABLE_MS)
			return cli_fail(c, &e);
		usleep(RETRY_MS * 1000);
	}
}

int progress_watch(struct cli *c, const char *job, bool quiet, int64_t limit_ms, json_t **final)
{
	struct watch w = {.cli = c, .quiet = quiet, .live = c->out_tty && !quiet};
	struct sigaction catch = {.sa_handler = note_interrupt}, saved;
	int saved_timeout_ms = c->timeout_ms;
	int status;

	w.seen = map_new();
	sigemptyset(&catch.sa_mask);
	sigaction(SIGINT, &catch, &saved);
	c->catch_interrupt = true;
	c->timeout_ms = WAIT_MS + 10000;
	c->on_tick = w.live ? draw : NULL;
	/* cppcheck-suppress autoVariables ; on_tick is taken back before this returns */
	c->tick_arg = &w;
	status = watch_loop(&w, job, limit_ms);
	c->on_tick = NULL;
	c->catch_interrupt = false;
	sigaction(SIGINT, &saved, NULL);
	c->timeout_ms = saved_timeout_ms;
	map_free(w.seen, free);
	if (status == PROGRESS_INTERRUPTED)
		fprintf(stderr,
			"\nnorn: detached; the job goes on. To see it again: norn job wait %s; "
			"to stop it: norn job stop %s\n",
			job, job);
	if (final != NULL)
		*final = w.data;
	else
		json_decref(w.data);
	return status;
}
