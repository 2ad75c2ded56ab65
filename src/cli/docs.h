/* What is made from the command tables: a manual page a group, and the completion for bash. */
#ifndef NORN_CLI_DOCS_H
#define NORN_CLI_DOCS_H

#include "cli/cli.h"

/* The page norn-NAME(1) in mdoc. False: there is no such page. */
bool docs_man(FILE *f, const char *name);
/* The names of the pages, one a line. */
void docs_pages(FILE *f);
void docs_completion(FILE *f);

#endif
