/* The bar of a transfer on standard error: only on a terminal, and not with --json. */
#ifndef NORN_CLI_BAR_H
#define NORN_CLI_BAR_H

#include "cli/cli.h"

struct bar;

/* total_bytes 0: not known. The name is the file's; never NULL. */
struct bar *bar_new(const struct cli *c, const char *name, int64_t total_bytes);
void bar_moved(struct bar *b, int64_t bytes); /* so many have gone, in all; b may be NULL */
void bar_draw(struct bar *b);
int64_t bar_still_ms(const struct bar *b); /* since something last moved */
void bar_free(struct bar *b);              /* wipes the line */

/* "1.5 MiB" */
void bar_size_text(int64_t bytes, char *out, size_t size);

#endif
