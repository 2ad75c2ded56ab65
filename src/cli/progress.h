/* Watching a job: a table of tasks and parties that is redrawn on a terminal, or plain lines. */
#ifndef NORN_CLI_PROGRESS_H
#define NORN_CLI_PROGRESS_H

#include "cli/cli.h"

#define PROGRESS_INTERRUPTED 130 /* Ctrl-C: the job goes on */

/* Prints progress data (doc/api.md) once, as a table. */
void progress_print(const struct cli *c, const json_t *data);

/*
 * Waits for the end of the job, shows progress unless quiet, and returns the exit status that fits
 * the result; limit_ms 0: no limit. *final, when not NULL, gets the last progress data (a new
 * reference or NULL). An unreachable node is tried again for half a minute.
 */
int progress_watch(struct cli *c, const char *job, bool quiet, int64_t limit_ms, json_t **final);

/* The exit status of a job that ended so; CLI_OK for one that has not ended. */
int progress_exit(const char *status);
bool progress_is_end(const char *status);

#endif
