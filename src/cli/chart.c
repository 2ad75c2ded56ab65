/* Charts in a terminal. See chart.h. */
#include "config.h"
#include "cli/chart.h"
#include "base/mem.h"
#include "cli/text.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_WIDTH 9
#define DOTS_X      2 /* of one character cell */
#define DOTS_Y      4

struct canvas {
	int cols, rows;       /* characters */
	unsigned char *cells; /* bits of braille; in ASCII any bit is a mark */
	unsigned char *faint; /* the diagonal */
	double x_min, x_max, y_min, y_max;
};

static void set_dot(struct canvas *cv, unsigned char *cells, int x, int y)
{
	static const unsigned char bit[DOTS_Y][DOTS_X] = {
	    {0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};

	if (x < 0 || y < 0 || x >= cv->cols * DOTS_X || y >= cv->rows * DOTS_Y)
		return;
	cells[(y / DOTS_Y) * cv->cols + x / DOTS_X] |= bit[y % DOTS_Y][x % DOTS_X];
}

static int dot_x(const struct canvas *cv, double x)
{
	return (int)lround((x - cv->x_min) / (cv->x_max - cv->x_min) * (cv->cols * DOTS_X - 1));
}

static int dot_y(const struct canvas *cv, double y)
{
	return (int)lround((cv->y_max - y) / (cv->y_max - cv->y_min) * (cv->rows * DOTS_Y - 1));
}

static void draw_line(struct canvas *cv, unsigned char *cells, int x0, int y0, int x1, int y1)
{
	int steps = abs(x1 - x0) > abs(y1 - y0) ? abs(x1 - x0) : abs(y1 - y0);

	for (int i = 0; i <= steps; i++) {
		double t = steps == 0 ? 0 : (double)i / steps;

		set_dot(cv, cells, (int)lround(x0 + t * (x1 - x0)),
			(int)lround(y0 + t * (y1 - y0)));
	}
}

static void draw_curve(struct canvas *cv, const double *xs, const double *ys, size_t n)
{
	int px = 0, py = 0;

	for (size_t i = 0; i < n; i++) {
		int x = dot_x(cv, xs[i]), y = dot_y(cv, ys[i]);

		draw_line(cv, cv->cells, i > 0 ? px : x, i > 0 ? py : y, x, y);
		px = x;
		py = y;
	}
}

static void extend(const double *v, size_t n, double *lo, double *hi)
{
	for (size_t i = 0; i < n; i++) {
		*lo = v[i] < *lo ? v[i] : *lo;
		*hi = v[i] > *hi ? v[i] : *hi;
	}
}

/* A flat curve still needs an axis. */
static void widen(double *lo, double *hi)
{
	if (*hi - *lo < 1e-12) {
		double pad = fabs(*hi) > 0 ? fabs(*hi) * 0.05 : 0.5;

		*lo -= pad;
		*hi += pad;
	}
}

static void add_cell(struct buf *out, const struct chart *ch, unsigned char bits,
		     unsigned char faint)
{
	if (!ch->utf8) {
		buf_addc(out, bits ? '*' : faint ? '.' : ' ');
	} else if ((bits | faint) == 0) {
		buf_addc(out, ' ');
	} else {
		unsigned cp = 0x2800U + (unsigned)(bits | faint);

		buf_addc(out, (char)(0xE0U | (cp >> 12)));
		buf_addc(out, (char)(0x80U | ((cp >> 6) & 0x3FU)));
		buf_addc(out, (char)(0x80U | (cp & 0x3FU)));
	}
}

static void add_rows(const struct chart *ch, const struct canvas *cv, struct buf *out)
{
	const char *bar = ch->utf8 ? "\xE2\x94\x82" : "|";
	const char *tick = ch->utf8 ? "\xE2\x94\xA4" : "+";

	for (int r = 0; r < cv->rows; r++) {
		bool labelled = r == 0 || r == cv->rows - 1 || r == cv->rows / 2;
		double y = cv->y_max - (cv->y_max - cv->y_min) * r / (cv->rows - 1);

		if (labelled)
			buf_printf(out, "%*.4g %s", LABEL_WIDTH, y, tick);
		else
			buf_printf(out, "%*s %s", LABEL_WIDTH, "", bar);
		for (int col = 0; col < cv->cols; col++)
			add_cell(out, ch, cv->cells[r * cv->cols + col],
				 cv->faint[r * cv->cols + col]);
		while (out->len > 0 && out->data[out->len - 1] == ' ')
			out->data[--out->len] = '\0';
		buf_addc(out, '\n');
	}
}

static void add_axis(const struct chart *ch, const struct canvas *cv, struct buf *out)
{
	char left[32], right[32];
	int gap, label = (int)text_width(ch->x_label);

	buf_printf(out, "%*s %s", LABEL_WIDTH, "", ch->utf8 ? "\xE2\x94\x94" : "+");
	for (int i = 0; i < cv->cols; i++)
		buf_adds(out, ch->utf8 ? "\xE2\x94\x80" : "-");
	snprintf(left, sizeof(left), "%.4g", cv->x_min);
	snprintf(right, sizeof(right), "%.4g", cv->x_max);
	gap = cv->cols - (int)strlen(left) - (int)strlen(right) - label;
	gap = gap < 2 ? 2 : gap;
	buf_printf(out, "\n%*s  %s%*s%s%*s%s\n", LABEL_WIDTH, "", left, gap / 2, "", ch->x_label,
		   gap - gap / 2, "", right);
}

void chart_draw(const struct chart *ch, struct buf *out)
{
	struct canvas cv = {.cols = ch->width - LABEL_WIDTH - 2, .rows = ch->height};
	size_t size;

	for (size_t i = 0; i < ch->n; i++)
		if (!isfinite(ch->x[i]) || !isfinite(ch->y[i]) ||
		    (ch->y2 != NULL && !isfinite(ch->y2[i])))
			return;
	if (ch->n == 0)
		return;
	cv.cols = cv.cols < 19 ? 19 : cv.cols;
	cv.rows = cv.rows < 4 ? 4 : cv.rows;
	size = (size_t)cv.cols * (size_t)cv.rows;
	cv.cells = mem_zalloc(size);
	cv.faint = mem_zalloc(size);
	cv.x_min = cv.x_max = ch->x[0];
	cv.y_min = cv.y_max = ch->y[0];
	extend(ch->x, ch->n, &cv.x_min, &cv.x_max);
	extend(ch->y, ch->n, &cv.y_min, &cv.y_max);
	if (ch->y2 != NULL)
		extend(ch->y2, ch->n, &cv.y_min, &cv.y_max);
	widen(&cv.x_min, &cv.x_max);
	widen(&cv.y_min, &cv.y_max);
	if (ch->diagonal)
		for (int x = 0; x < cv.cols * DOTS_X; x += 4)
			set_dot(&cv, cv.faint, x,
				(cv.rows * DOTS_Y - 1) -
				    (int)((double)x / (cv.cols * DOTS_X) * (cv.rows * DOTS_Y)));
	draw_curve(&cv, ch->x, ch->y, ch->n);
	if (ch->y2 != NULL)
		draw_curve(&cv, ch->x, ch->y2, ch->n);
	if (strcmp(ch->y_label, ch->title) == 0)
		buf_printf(out, "%*s\n", LABEL_WIDTH, ch->title);
	else
		buf_printf(out, "%*s %s\n", LABEL_WIDTH, ch->y_label, ch->title);
	add_rows(ch, &cv, out);
	add_axis(ch, &cv, out);
	free(cv.cells);
	free(cv.faint);
}
