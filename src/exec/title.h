/* What ps(1) and /proc show of a process that was forked and not executed. */
#ifndef NORN_EXEC_TITLE_H
#define NORN_EXEC_TITLE_H

/* Remembers where the arguments and the environment of this program stand. Before anybody changes
 * environ. */
void title_init(int argc, char **argv);
/*
 * comm: the short name, at most 15 characters. argv and env (NULL-terminated; env may be NULL) take
 * the place of the program's own in what /proc shows, each cut to the room of the old ones: the
 * command line for everybody, the environment for the same user only. Without title_init() only
 * comm is changed.
 */
void title_set(const char *comm, char *const *argv, char *const *env);

#endif
