/* Text for people. See text.h. */
#include "config.h"
#include "cli/text.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

/* Decodes one UTF-8 character; returns its length in bytes, 1 with *cp = 0xFFFD when malformed. */
static size_t decode(const char *s, size_t len, uint32_t *cp)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;

	*cp = 0xFFFD;
	if (n == 0 || n > len || p[0] > 0xF4 || !str_is_utf8(s, n))
		return 1;
	*cp = n == 1 ? p[0] : p[0] & (0xFFU >> (n + 1));
	for (size_t i = 1; i < n; i++)
		*cp = (*cp << 6) | (p[i] & 0x3FU);
	return n;
}

static bool is_control(uint32_t cp)
{
	/* C0, DEL, C1, and the marks that change the direction of the text. */
	return cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || (cp >= 0x202A && cp <= 0x202E) ||
	       (cp >= 0x2066 && cp <= 0x2069);
}

void text_clean(struct buf *out, const char *s, size_t len)
{
	uint32_t cp;
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		n = decode(s + i, len - i, &cp);
		if (s[i] == '\n' || s[i] == '\t')
			buf_addc(out, s[i]);
		else if (cp == 0xFFFD || is_control(cp))
			buf_addc(out, '?');
		else
			buf_add(out, s + i, n);
	}
}

char *text_clean_line(const char *s)
{
	struct buf b = {0};

	text_clean(&b, s, strlen(s));
	for (size_t i = 0; i < b.len; i++)
		if (b.data[i] == '\n' || b.data[i] == '\t')
			b.data[i] = ' ';
	return b.data != NULL ? buf_take(&b) : mem_strdup("");
}

static size_t char_width(uint32_t cp)
{
	int w;

	if (cp < 0x80)
		return 1;
	w = wcwidth((wchar_t)cp);
	return w < 0 ? 1 : (size_t)w;
}

size_t text_width(const char *s)
{
	size_t len = strlen(s), width = 0;
	uint32_t cp;

	for (size_t i = 0; i < len;) {
		i += decode(s + i, len - i, &cp);
		width += char_width(cp);
	}
	return width;
}

void text_cut(struct buf *out, const char *s, size_t width, bool utf8)
{
	size_t len = strlen(s), used = 0, n;
	uint32_t cp;

	if (text_width(s) <= width) {
		buf_adds(out, s);
		return;
	}
	if (width == 0)
		return;
	for (size_t i = 0; i < len; i += n) {
		n = decode(s + i, len - i, &cp);
		if (used + char_width(cp) > width - 1)
			break;
		used += char_width(cp);
		buf_add(out, s + i, n);
	}
	buf_adds(out, utf8 ? "\xE2\x80\xA6" : "~");
}

void text_pad(struct buf *out, const char *s, size_t width)
{
	buf_adds(out, s);
	for (size_t w = text_width(s); w < width; w++)
		buf_addc(out, ' ');
}

int text_terminal_width(void)
{
	struct winsize ws;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0)
		return ws.ws_col;
	return 80;
}

int text_terminal_height(void)
{
	struct winsize ws;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_row > 0)
		return ws.ws_row;
	return 24;
}

void text_elapsed(int64_t ms, char *out, size_t size)
{
	out[0] = '\0';
	if (ms >= 0)
		clock_format_elapsed(ms, out, size);
}

void text_time(int64_t wall_ms, char *out, size_t size)
{
	time_t s = (time_t)(wall_ms / 1000);
	struct tm tm;

	out[0] = '\0';
	if (wall_ms > 0 && localtime_r(&s, &tm) != NULL &&
	    strftime(out, size, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		out[0] = '\0';
}

struct table {
	const char *const *heads;
	size_t n_heads;
	char **cells; /* row by row */
	size_t n_cells, cap;
};

struct table *table_new(const char *const *heads, size_t n_heads)
{
	struct table *t = mem_zalloc(sizeof(*t));

	t->heads = heads;
	t->n_heads = n_heads;
	return t;
}

void table_free(struct table *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}

void table_cell(struct table *t, const char *text)
{
	if (t->n_cells == t->cap) {
		t->cap = t->cap == 0 ? 64 : t->cap * 2;
		t->cells = mem_resize(t->cells, t->cap, sizeof(*t->cells));
	}
	t->cells[t->n_cells++] = text_clean_line(text != NULL ? text : "");
}

void table_cellf(struct table *t, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	table_cell(t, text);
}

size_t table_rows(const struct table *t)
{
	return t->n_cells / t->n_heads;
}

static void add_row(struct buf *line, const struct table *t, char *const *cells,
		    const size_t *widths)
{
	for (size_t c = 0; c < t->n_heads; c++) {
		bool right = t->heads[c][0] == '>';
		const char *text = cells != NULL ? cells[c] : t->heads[c] + (right ? 1 : 0);

		if (c > 0)
			buf_adds(line, "  ");
		if (right)
			for (size_t w = text_width(text); w < widths[c]; w++)
				buf_addc(line, ' ');
		if (right || c + 1 == t->n_heads)
			buf_adds(line, text);
		else
			text_pad(line, text, widths[c]);
	}
	while (line->len > 0 && line->data[line->len - 1] == ' ')
		line->data[--line->len] = '\0';
}

void table_print(const struct table *t, FILE *f, size_t max_width, bool utf8)
{
	size_t rows = table_rows(t);
	size_t *widths = mem_array(t->n_heads, sizeof(*widths));
	struct buf line = {0}, cut = {0};

	for (size_t c = 0; c < t->n_heads; c++) {
		widths[c] = text_width(t->heads[c]) - (t->heads[c][0] == '>' ? 1 : 0);
		for (size_t r = 0; r < rows; r++) {
			size_t w = text_width(t->cells[r * t->n_heads + c]);

			if (w > widths[c])
				widths[c] = w;
		}
	}
	for (size_t r = 0; r <= rows; r++) {
		buf_reset(&line);
		buf_reset(&cut);
		add_row(&line, t, r == 0 ? NULL : t->cells + (r - 1) * t->n_heads, widths);
		if (max_width > 0)
			text_cut(&cut, buf_str(&line), max_width, utf8);
		fprintf(f, "%s\n", max_width > 0 ? buf_str(&cut) : buf_str(&line));
	}
	buf_free(&line);
	buf_free(&cut);
	free(widths);
}
