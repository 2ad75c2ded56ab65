/* The bar of a transfer. See bar.h. */
#include "config.h"
#include "cli/bar.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/text.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BAR_COLUMNS 24

struct bar {
	char *name;
	int64_t total, bytes;
	int64_t start_ms, moved_ms; /* monotonic */
	bool shown, drawn, utf8;
};

void bar_size_text(int64_t bytes, char *out, size_t size)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double v = (double)bytes;
	size_t u = 0;

	while (v >= 1024 && u + 1 < sizeof(units) / sizeof(units[0])) {
		v /= 1024;
		u++;
	}
	snprintf(out, size, u == 0 ? "%.0f %s" : "%.1f %s", v, units[u]);
}

struct bar *bar_new(const struct cli *c, const char *name, int64_t total_bytes)
{
	struct bar *b = mem_zalloc(sizeof(*b));
	const char *term = getenv("TERM");
	const char *slash = strrchr(name, '/');

	b->name = text_clean_line(slash != NULL ? slash + 1 : name);
	b->total = total_bytes;
	b->start_ms = b->moved_ms = clock_mono_ms();
	b->shown = !c->json && isatty(STDERR_FILENO) && term != NULL && !str_eq(term, "dumb");
	b->utf8 = c->utf8;
	return b;
}

void bar_moved(struct bar *b, int64_t bytes)
{
	if (b == NULL)
		return;
	b->bytes = bytes;
	b->moved_ms = clock_mono_ms();
}

int64_t bar_still_ms(const struct bar *b)
{
	return clock_mono_ms() - b->moved_ms;
}

void bar_draw(struct bar *b)
{
	int64_t took_ms = clock_mono_ms() - b->start_ms;
	char done[32], all[32], rate[32];
	struct buf line = {0};

	if (!b->shown)
		return;
	bar_size_text(b->bytes, done, sizeof(done));
	bar_size_text(took_ms > 0 ? b->bytes * 1000 / took_ms : 0, rate, sizeof(rate));
	text_cut(&line, b->name, 30, b->utf8);
	if (b->total > 0) {
		int64_t part =
		    b->bytes >= b->total ? BAR_COLUMNS : b->bytes * BAR_COLUMNS / b->total;

		bar_size_text(b->total, all, sizeof(all));
		buf_adds(&line, "  [");
		for (int64_t i = 0; i < BAR_COLUMNS; i++)
			buf_addc(&line, i < part ? '#' : '.');
		buf_printf(&line, "] %3lld %%  %s of %s", (long long)(b->bytes * 100 / b->total),
			   done, all);
	} else {
		buf_printf(&line, "  %s", done);
	}
	fprintf(stderr, "\r%s  %s/s\033[K", buf_str(&line), rate);
	fflush(stderr);
	b->drawn = true;
	buf_free(&line);
}

void bar_free(struct bar *b)
{
	if (b == NULL)
		return;
	if (b->drawn)
		fputs("\r\033[K", stderr);
	free(b->name);
	free(b);
}
