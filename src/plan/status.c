#include "plan/status.h"

#include <string.h>

static const char *const names[ST_COUNT] = {
    [ST_WAITING] = "waiting",   [ST_READY] = "ready",     [ST_RUNNING] = "running",
    [ST_CANCELED] = "canceled", [ST_TIMEOUT] = "timeout", [ST_FAILED] = "failed",
    [ST_PASS] = "pass",         [ST_SUCCESS] = "success",
};

#define TO(s)      (1U << (s))
#define INTERRUPTS (TO(ST_CANCELED) | TO(ST_TIMEOUT) | TO(ST_FAILED))

static const unsigned job_steps[ST_COUNT] = {
    [ST_READY] = TO(ST_WAITING) | INTERRUPTS,
    [ST_WAITING] = TO(ST_RUNNING) | TO(ST_SUCCESS) | INTERRUPTS,
    [ST_RUNNING] = TO(ST_SUCCESS) | INTERRUPTS,
};

/* An attempt that never got a process may be ended too: hence the steps from waiting. */
static const unsigned task_steps[ST_COUNT] = {
    [ST_WAITING] = TO(ST_RUNNING) | TO(ST_SUCCESS) | INTERRUPTS,
    [ST_RUNNING] = TO(ST_PASS) | TO(ST_SUCCESS) | INTERRUPTS,
};

const char *status_name(enum status s)
{
	return s < ST_COUNT ? names[s] : "?";
}

bool status_parse(const char *s, enum status *out)
{
	for (int i = 0; i < ST_COUNT; i++) {
		if (strcmp(names[i], s) == 0) {
			*out = (enum status)i;
			return true;
		}
	}
	return false;
}

bool status_is_end(enum status s)
{
	return s >= ST_CANCELED && s < ST_COUNT;
}

bool status_name_is_end(const char *name)
{
	enum status s;

	return status_parse(name, &s) && status_is_end(s);
}

bool status_is_interrupt(enum status s)
{
	return s == ST_CANCELED || s == ST_TIMEOUT || s == ST_FAILED;
}

bool status_job_step_ok(enum status from, enum status to)
{
	return from < ST_COUNT && to < ST_COUNT && (job_steps[from] & TO(to)) != 0;
}

bool status_task_step_ok(enum status from, enum status to)
{
	return from < ST_COUNT && to < ST_COUNT && (task_steps[from] & TO(to)) != 0;
}

enum status status_of_task(const enum status *parties, size_t n)
{
	enum status lowest = ST_COUNT;
	bool any_started = false;
	bool all_success = true;
	bool all_waiting = true;

	for (size_t i = 0; i < n; i++) {
		enum status s = parties[i] == ST_PASS ? ST_SUCCESS : parties[i];
		if (status_is_interrupt(s) && s < lowest)
			lowest = s;
		any_started |= s == ST_RUNNING || s == ST_SUCCESS;
		all_success &= s == ST_SUCCESS;
		all_waiting &= s == ST_WAITING;
	}
	if (lowest != ST_COUNT)
		return lowest;
	if (all_success)
		return ST_SUCCESS;
	return any_started && !all_waiting ? ST_RUNNING : ST_WAITING;
}

void status_count(struct status_counts *c, enum status s)
{
	switch (s) {
	case ST_RUNNING:
		c->running++;
		break;
	case ST_CANCELED:
		c->canceled++;
		break;
	case ST_TIMEOUT:
		c->timeout++;
		break;
	case ST_FAILED:
		c->failed++;
		break;
	case ST_PASS:
	case ST_SUCCESS:
		c->success++;
		break;
	case ST_WAITING:
	case ST_READY:
	case ST_COUNT:
		c->waiting++;
		break;
	}
}

enum status status_of_job(const struct status_counts *c, bool can_start)
{
	int interrupted = c->canceled + c->timeout + c->failed;

	if (c->running > 0)
		return ST_RUNNING;
	if (c->waiting > 0 && can_start)
		return ST_RUNNING;
	if (interrupted == 0)
		return c->waiting == 0 ? ST_SUCCESS : ST_CANCELED;
	if (c->failed > 0)
		return ST_FAILED;
	return c->timeout > 0 ? ST_TIMEOUT : ST_CANCELED;
}

int status_progress(const struct status_counts *c)
{
	int ended = c->canceled + c->timeout + c->failed + c->success;
	int all = ended + c->running + c->waiting;

	return all == 0 ? 100 : (int)(100LL * ended / all);
}
