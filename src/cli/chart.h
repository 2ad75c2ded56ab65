/* A line chart of one curve, drawn with characters: braille dots, or ASCII. */
#ifndef NORN_CLI_CHART_H
#define NORN_CLI_CHART_H

#include "base/buf.h"
#include <stdbool.h>

struct chart {
	const char *title;
	const char *x_label, *y_label;
	const double *x, *y; /* n >= 1 finite points; x need not ascend */
	const double *y2;    /* a second line over the same x; may be NULL */
	size_t n;
	bool diagonal; /* also the line from the lower left to the upper right corner */
	bool utf8;
	int width;  /* columns in all, at least 30 */
	int height; /* lines of the plot itself, at least 4 */
};

/* Appends the lines. Nothing is drawn when there is no point or a value is not finite. */
void chart_draw(const struct chart *ch, struct buf *out);

#endif
