/*
 * What a launch costs: processes started and waited for per second, bare and through the launcher
 * with a spawner, one at a time and several at once, in alternating rounds on the same machine.
 *
 * usage: bench/spawn [PROCESSES [AT-ONCE [NORN-RUN]]]     (1000, 4, ./norn-run)
 */
#include "config.h"
#include "base/clock.h"
#include "base/str.h"
#include "exec/launch.h"
#include "exec/spawner.h"
#include <event2/event.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS           5
#define SPAWNER_READY_MS 5000

static struct event_base *base;
static const char *run_path = "./norn-run";
static struct spawner *spawner;
static int64_t to_start, to_end;

static void start_bare(void)
{
	char name[] = "/bin/true";
	char *const argv[] = {name, NULL};
	char *const env[] = {NULL};
	pid_t pid;

	if (posix_spawn(&pid, name, NULL, NULL, argv, env) != 0)
		abort();
}

static void start_spawner(void)
{
	int64_t end = clock_mono_ms() + SPAWNER_READY_MS;

	spawner = spawner_new(run_path);
	while (!spawner_serves(spawner)) {
		if (clock_mono_ms() > end) {
			(void)fprintf(stderr, "%s does not serve\n", run_path);
			exit(EXIT_FAILURE);
		}
		(void)usleep(1000);
	}
}

/* It waits for any child: before there is a spawner. */
static int64_t bare(int64_t n, int64_t at_once)
{
	int64_t at = clock_mono_us(), started = 0;

	for (; started < at_once; started++)
		start_bare();
	for (int64_t ended = 0; ended < n; ended++) {
		if (waitpid(-1, NULL, 0) < 0)
			abort();
		if (started++ < n)
			start_bare();
	}
	return clock_mono_us() - at;
}

static void on_exit_cb(const struct launch_result *r, void *arg);

static void start_launch(void)
{
	static const char *const argv[] = {"/bin/true", NULL}, *const env[] = {NULL};
	const struct launch_spec s = {
	    .argv = argv, .env = env, .run_path = run_path, .spawner = spawner};
	struct err e;

	if (launch_start(base, &s, NULL, on_exit_cb, NULL, &e) == NULL) {
		(void)fprintf(stderr, "%s\n", e.msg);
		exit(EXIT_FAILURE);
	}
	to_start--;
}

static void on_exit_cb(const struct launch_result *r, void *arg)
{
	if (r->exit_code != 0) {
		(void)fprintf(stderr, "a launch failed: %s\n", r->error.msg);
		exit(EXIT_FAILURE);
	}
	to_end--;
	if (to_start > 0)
		start_launch();
}

static int64_t launched(int64_t n, int64_t at_once)
{
	int64_t at = clock_mono_us();

	to_start = to_end = n;
	for (int64_t i = 0; i < at_once; i++)
		start_launch();
	while (to_end > 0)
		(void)event_base_loop(base, EVLOOP_ONCE);
	return clock_mono_us() - at;
}

static int64_t min_of(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void compare(int64_t n, int64_t at_once)
{
	int64_t best_bare = INT64_MAX, best_launched = INT64_MAX;

	for (int i = 0; i < ROUNDS; i++) {
		best_bare = min_of(best_bare, bare(n, at_once));
		start_spawner();
		best_launched = min_of(best_launched, launched(n, at_once));
		spawner_free(spawner);
	}
	(void)printf("%3lld at once: bare %6.0f/s (%5.0f us)  launched %6.0f/s (%5.0f us)  "
		     "ratio %.2f\n",
		     (long long)at_once, 1e6 * (double)n / (double)best_bare,
		     (double)best_bare / (double)n, 1e6 * (double)n / (double)best_launched,
		     (double)best_launched / (double)n, (double)best_bare / (double)best_launched);
}

int main(int argc, char **argv)
{
	int64_t n = 1000, at_once = 4;

	if ((argc > 1 && !str_to_i64(argv[1], &n)) ||
	    (argc > 2 && !str_to_i64(argv[2], &at_once)) || at_once < 1 || at_once > 1000 ||
	    n < at_once || n > 1000000) {
		(void)fputs("usage: spawn [PROCESSES [AT-ONCE [NORN-RUN]]]\n", stderr);
		return EXIT_FAILURE;
	}
	if (argc > 3)
		run_path = argv[3];
	base = event_base_new();
	if (base == NULL)
		return EXIT_FAILURE;
	compare(n, 1);
	if (at_once > 1)
		compare(n, at_once);
	event_base_free(base);
	return EXIT_SUCCESS;
}
