/*
 * Runs the simulation of scheduling under many seeds, or with an argument under that one, telling
 * what happens: tests/unit/test_plan_sim [SEED] NORN_SIM_SEEDS sets how many, NORN_SIM_FIRST the
 * first.
 */
#include "sim.h"

#include "base/mem.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SEEDS 2000
#define KEPT_LINES    40
#define LINE_MAX_LEN  120

struct sim *sim;

const struct plan_policy sim_policy = {
    .reserve_retry_ms = 100,
    .reserve_retry_max_ms = 2000,
    .reserve_retry_local_ms = 1000000000, /* a release that wakes nobody shows */
    .reserve_ttl_ms = 3000,
    .retry_delay_ms = 100,
    .retry_delay_max_ms = 1000,
    .max_rescues = 5,
};

static char lines[KEPT_LINES][LINE_MAX_LEN];
static unsigned n_lines;

void sim_say(const char *fmt, ...)
{
	char *line = lines[n_lines++ % KEPT_LINES];
	va_list ap;
	int n = snprintf(line, LINE_MAX_LEN, "%8.3f ", (double)sim->now / 1000.0);

	va_start(ap, fmt);
	vsnprintf(line + n, (size_t)(LINE_MAX_LEN - n), fmt, ap);
	va_end(ap);
	if (sim->trace)
		puts(line);
}

void sim_fail(const char *fmt, ...)
{
	va_list ap;

	if (!sim->trace) {
		for (unsigned i = n_lines < KEPT_LINES ? 0 : n_lines - KEPT_LINES; i < n_lines; i++)
			fprintf(stderr, "%s\n", lines[i % KEPT_LINES]);
	}
	fprintf(stderr, "seed %" PRIu64 " at %.3f s: ", sim->seed, (double)sim->now / 1000.0);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\nrepeat with: tests/unit/test_plan_sim %" PRIu64 "\n", sim->seed);
	exit(EXIT_FAILURE);
}

uint32_t sim_rand(uint32_t n)
{
	uint64_t z = sim->rng += 0x9e3779b97f4a7c15U;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return (uint32_t)((z ^ (z >> 31)) >> 32) % n;
}

bool sim_chance(int percent)
{
	return !sim->calm && (int)sim_rand(100) < percent;
}

static int pick(int from, int to)
{
	return from + (int)sim_rand((uint32_t)(to - from + 1));
}

static void make_task(struct sim_job *x, int t, int density)
{
	struct sim_task *k = &x->task[t];

	*k = (struct sim_task){.st = ST_WAITING, .retries_left = pick(0, 2)};
	for (int p = 0; p < sim->n_parties; p++) {
		if (sim_rand(100) >= 70 && !(p == sim->n_parties - 1 && k->n_parties == 0))
			continue;
		k->party[k->n_parties] = p;
		k->cores[k->n_parties++] = x->cores[p] == 0 ? 0 : pick(0, x->cores[p]);
	}
	for (int parent = 0; parent < t; parent++) {
		if ((int)sim_rand(100) < density) {
			x->edge[parent][t] = true;
			k->deps_left++;
		}
	}
}

static void make_world(uint64_t seed)
{
	sim->seed = seed;
	sim->rng = seed * 0xd1342543de82ef95U + 1;
	sim->n_jobs = pick(1, MAX_JOBS);
	sim->n_parties = pick(1, MAX_PARTIES);
	sim->n_scheds = pick(1, MAX_SCHEDS);
	sim->n_nodes = pick(1, MAX_NODES);
	sim->loss = pick(0, 25);
	sim->delay = pick(2, 400);
	sim->cuts = sim_rand(2) == 0;
	sim->deaths = sim_rand(20) == 0 ? 30 : pick(0, 2);
	for (int p = 0; p < sim->n_parties; p++) {
		/* some sites serve several parties */
		sim->site_of[p] = p == 0 ? SITE_SCHED : pick(0, p);
		if (sim->site_of[p] >= sim->n_sites)
			sim->site_of[p] = sim->n_sites++;
	}
	for (int s = 0; s < sim->n_sites; s++)
		sim->capacity[s] = pick(4, 12);
	for (int j = 0; j < sim->n_jobs; j++) {
		struct sim_job *x = &sim->job[j];
		int density = pick(0, 60);
		/* ST_WAITING in stop marks a job that was not submitted yet */
		x->stop = ST_WAITING;
		x->st = ST_READY;
		x->n_tasks = pick(1, MAX_TASKS);
		if (sim_rand(100) < 10)
			x->deadline = pick(3000, 20000);
		for (int p = 0; p < sim->n_parties; p++)
			x->cores[p] = sim_rand(100) < 3 ? 13 : pick(0, 4);
		for (int t = 0; t < x->n_tasks; t++)
			make_task(x, t, density);
	}
}

struct totals {
	int64_t steps, stale, lost_runs, refused, dup;
	int ends[ST_COUNT];
};

static void run_seed(uint64_t seed, bool trace, struct totals *sum)
{
	memset(sim, 0, sizeof(*sim));
	n_lines = 0;
	sim->trace = trace;
	make_world(seed);
	sim_world();
	sum->steps += sim->n_steps;
	sum->stale += sim->n_stale;
	sum->lost_runs += sim->n_lost_runs;
	sum->refused += sim->n_refused;
	sum->dup += sim->n_dup;
	for (int j = 0; j < sim->n_jobs; j++)
		sum->ends[sim->job[j].st]++;
}

/* Faults that never happened would prove nothing. */
static bool worth(const struct totals *t, int64_t seeds)
{
	return seeds < 200 ||
	       (t->stale > seeds / 20 && t->lost_runs > seeds / 20 && t->refused > seeds &&
		t->dup > seeds / 2 && t->ends[ST_SUCCESS] > 0 && t->ends[ST_FAILED] > 0 &&
		t->ends[ST_CANCELED] > 0);
}

static int64_t setting(const char *name, int64_t def)
{
	const char *s = getenv(name);
	int64_t v;

	return s != NULL && str_to_i64(s, &v) && v >= 0 ? v : def;
}

int main(int argc, char **argv)
{
	int64_t first = setting("NORN_SIM_FIRST", 1);
	int64_t n = setting("NORN_SIM_SEEDS", DEFAULT_SEEDS);
	struct totals sum = {0};

	sim = mem_zalloc(sizeof(*sim));
	if (argc > 1) {
		if (!str_to_i64(argv[1], &first)) {
			fprintf(stderr, "usage: test_plan_sim [SEED]\n");
			return 64;
		}
		n = 1;
	}
	for (int64_t i = 0; i < n; i++)
		run_seed((uint64_t)(first + i), argc > 1, &sum);
	printf("%" PRId64 " seeds, %" PRId64 " steps: %d jobs succeeded, %d failed, %d canceled; "
	       "%" PRId64 " plans came too late, %" PRId64 " runs were lost, %" PRId64
	       " reports were refused, %" PRId64 " requests came twice\n",
	       n, sum.steps, sum.ends[ST_SUCCESS], sum.ends[ST_FAILED], sum.ends[ST_CANCELED],
	       sum.stale, sum.lost_runs, sum.refused, sum.dup);
	free(sim);
	if (!worth(&sum, n)) {
		fprintf(stderr, "too few faults happened for the simulation to prove anything\n");
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
