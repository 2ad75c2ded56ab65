/* Names under which exec_child is a spawner that says it serves, and then does not. */
#ifndef NORN_TESTS_UNIT_EXEC_CHILD_H
#define NORN_TESTS_UNIT_EXEC_CHILD_H

#define EX_SLEEPER "sleeper" /* never takes a run */
#define EX_LIAR    "liar"    /* takes one and reports an exit with 4 under another's pid */

#endif
