/* norn-flow: the command forms of FATE's `flow`, answered by a node of Norn. */
#ifndef NORN_CLI_FLOW_H
#define NORN_CLI_FLOW_H

#include <stdio.h>

int flow_main(int argc, char **argv);

/* Calls fn with "GROUP COMMAND" of every command, for tests and completion. */
void flow_each(void (*fn)(const char *group, const char *name, void *arg), void *arg);

#endif
