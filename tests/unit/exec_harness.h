/*
 * What the tests of the launcher share: a directory, an event loop, norn-run and the helper program
 * exec_child of the build tree, and a look at the processes that exec_child has started.
 */
#ifndef NORN_TESTS_UNIT_EXEC_HARNESS_H
#define NORN_TESTS_UNIT_EXEC_HARNESS_H

#include "exec/launch.h"
#include <check.h>
#include <stdbool.h>
#include <sys/types.h>

#define EX_PATIENCE_MS                                                                             \
	50000 /* for anything that is expected to happen: on a busy machine late is not wrong */
#define EX_MAX_PIDS 128

extern char ex_dir[64];
extern char ex_child[512];          /* the program exec_child */
extern char ex_norn_run[512];       /* the program norn-run */
extern char ex_out[96], ex_err[96]; /* logs in ex_dir */
extern char ex_pids[96];            /* where exec_child records its processes */
extern struct event_base *ex_base;
extern struct spawner *ex_spawner; /* of ex_spec(); NULL: each supervisor is executed */

struct outcome {
	bool began;
	bool done;
	int started_calls;
	pid_t pid;
	struct launch_result r;
};

/* Checked fixture of each test. Supervisors are executed, or forked by norn-run, or by exec_child,
 * which is then forked as a component too. */
void ex_set_up(void);
void ex_set_up_spawner(void);
void ex_set_up_own(void);
void ex_tear_down(void); /* also fails when a child of the test is left */

struct spawner *ex_new_spawner(const char *path); /* one that serves */

launch_started_cb ex_on_started; /* arg is a struct outcome */
launch_exit_cb ex_on_exit;

struct launch_spec ex_spec(const char *const *argv);
struct launch *ex_begin(const struct launch_spec *s, struct outcome *o);
void ex_run_until(const bool *flag);
void ex_run(const struct launch_spec *s, struct outcome *o); /* both */
void ex_assert_clean_exit(const struct outcome *o, int code);

size_t ex_read_file(const char *path, char *out, size_t size); /* text, "" when absent */
size_t ex_read_pids(pid_t pids[EX_MAX_PIDS]);
void ex_wait_for_pids(int n); /* until n processes have recorded themselves */
int ex_assert_all_gone(void); /* returns how many had recorded themselves */
pid_t ex_parent_of(pid_t pid);

/* Runs the suite; the status to exit with. */
int ex_run_suite(Suite *suite);

#endif
