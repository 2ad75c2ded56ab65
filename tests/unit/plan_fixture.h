/* Builds jobs for the planner's tests, and finds effects. */
#ifndef NORN_TESTS_UNIT_PLAN_FIXTURE_H
#define NORN_TESTS_UNIT_PLAN_FIXTURE_H

#include "plan/plan.h"

#include <check.h>

#define FX_MAX_PARTIES 4
#define FX_NOW         1000000

/* One job and its last plan, owned by the fixture until the next fx_new. */
struct fx {
	struct plan_job job;
	struct plan_result res;
};

/* A job in status with n parties that have accepted it and granted cores each. */
struct fx *fx_new(enum status status, int n_parties, int cores);
void fx_free(void);
/* A waiting task at the first n_parties parties, cores each; returns its index. */
int fx_task(struct fx *f, int n_parties, int cores, int deps_left);
void fx_edge(struct fx *f, int parent, int child);
/* Puts it into running, and its count. */
void fx_running(struct fx *f, int task);
void fx_report(struct fx *f, int task, int party, enum status s);
void fx_report_all(struct fx *f, int task, enum status s);
/* Plans at FX_NOW + at_ms with the default policy; checks what holds for every plan. */
void fx_plan(struct fx *f, int64_t at_ms);

int fx_count(const struct fx *f, enum plan_kind kind);
/* The effect of a kind, of a task when task >= 0; exactly one is expected. */
const struct plan_effect *fx_effect(const struct fx *f, enum plan_kind kind, int task);
bool fx_started(const struct fx *f, int task);

#endif
