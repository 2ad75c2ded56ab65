/* The states of jobs and tasks: every step between them, and what many amount to. */
#include "plan/status.h"

#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[ST_COUNT] = {"waiting", "ready",  "running", "canceled",
					    "timeout", "failed", "pass",    "success"};

START_TEST(names_and_parsing)
{
	static const char *const wrong[] = {"",         " ", "Waiting", "waiting ",
					    "finished", "?", "succes",  "successs"};
	enum status s;

	for (int i = 0; i < ST_COUNT; i++) {
		ck_assert_str_eq(status_name((enum status)i), names[i]);
		ck_assert(status_parse(names[i], &s));
		ck_assert_int_eq(s, i);
	}
	ck_assert_str_eq(status_name(ST_COUNT), "?");
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		ck_assert_msg(!status_parse(wrong[i], &s), "'%s' was taken for a status", wrong[i]);
}
END_TEST

/* "from>to ..." */
static bool listed(const char *list, int from, int to)
{
	char step[64], padded[1024];

	snprintf(step, sizeof(step), " %s>%s ", names[from], names[to]);
	snprintf(padded, sizeof(padded), " %s ", list);
	return strstr(padded, step) != NULL;
}

START_TEST(every_step_of_a_job)
{
	static const char steps[] =
	    "ready>waiting ready>canceled ready>timeout ready>failed waiting>running "
	    "waiting>canceled "
	    "waiting>timeout waiting>failed waiting>success running>canceled running>timeout "
	    "running>failed running>success";

	for (int from = 0; from < ST_COUNT; from++) {
		for (int to = 0; to < ST_COUNT; to++)
			ck_assert_msg(status_job_step_ok((enum status)from, (enum status)to) ==
					  listed(steps, from, to),
				      "job %s>%s", names[from], names[to]);
		ck_assert(!status_job_step_ok((enum status)from, ST_COUNT));
		ck_assert(!status_job_step_ok(ST_COUNT, (enum status)from));
	}
}
END_TEST

START_TEST(every_step_of_a_task)
{
	static const char steps[] =
	    "waiting>running waiting>success waiting>canceled waiting>timeout waiting>failed "
	    "running>canceled running>timeout running>failed running>pass running>success";

	for (int from = 0; from < ST_COUNT; from++) {
		for (int to = 0; to < ST_COUNT; to++)
			ck_assert_msg(status_task_step_ok((enum status)from, (enum status)to) ==
					  listed(steps, from, to),
				      "task %s>%s", names[from], names[to]);
		ck_assert(!status_task_step_ok((enum status)from, ST_COUNT));
		ck_assert(!status_task_step_ok(ST_COUNT, (enum status)from));
	}
}
END_TEST

START_TEST(classes)
{
	for (int i = 0; i < ST_COUNT; i++) {
		enum status s = (enum status)i;
		bool interrupt = s == ST_CANCELED || s == ST_TIMEOUT || s == ST_FAILED;

		ck_assert_int_eq(status_is_interrupt(s), interrupt);
		ck_assert_int_eq(status_is_end(s), interrupt || s == ST_PASS || s == ST_SUCCESS);
	}
	ck_assert(!status_is_end(ST_COUNT));
	ck_assert(!status_is_interrupt(ST_COUNT));
	/* nothing leaves an end, and nothing stays */
	for (int i = 0; i < ST_COUNT; i++) {
		enum status s = (enum status)i;
		ck_assert(!status_job_step_ok(s, s) && !status_task_step_ok(s, s));
		for (int to = 0; status_is_end(s) && to < ST_COUNT; to++)
			ck_assert(!status_job_step_ok(s, (enum status)to) &&
				  !status_task_step_ok(s, (enum status)to));
	}
}
END_TEST

/* The rule in the words of the reference, over the set of statuses present. */
static enum status task_by_the_rule(unsigned set)
{
	if (set & (1U << ST_PASS))
		set = (set & ~(1U << ST_PASS)) | 1U << ST_SUCCESS;
	for (int s = 0; s < ST_COUNT; s++) {
		if (set == 1U << s)
			return (enum status)s;
	}
	for (int s = ST_CANCELED; s <= ST_FAILED; s++) {
		if (set & (1U << s))
			return (enum status)s;
	}
	return ST_RUNNING;
}

START_TEST(task_of_all_mixtures)
{
	static const enum status of_tasks[] = {ST_WAITING, ST_RUNNING, ST_CANCELED, ST_TIMEOUT,
					       ST_FAILED,  ST_PASS,    ST_SUCCESS};
	const size_t k = ARRAY_LEN(of_tasks);

	for (size_t n = 1; n <= 4; n++) {
		size_t all = 1;
		for (size_t i = 0; i < n; i++)
			all *= k;
		for (size_t code = 0; code < all; code++) {
			enum status parties[4];
			unsigned set = 0;
			size_t rest = code;
			for (size_t i = 0; i < n; i++, rest /= k) {
				parties[i] = of_tasks[rest % k];
				set |= 1U << parties[i];
			}
			ck_assert_int_eq(status_of_task(parties, n), task_by_the_rule(set));
		}
	}
}
END_TEST

START_TEST(task_examples)
{
	const enum status ended[] = {ST_SUCCESS, ST_PASS};
	const enum status lost[] = {ST_SUCCESS, ST_FAILED, ST_TIMEOUT};
	const enum status stopped[] = {ST_FAILED, ST_CANCELED, ST_RUNNING};
	const enum status half[] = {ST_WAITING, ST_SUCCESS};
	const enum status begun[] = {ST_WAITING, ST_RUNNING};
	const enum status pass[] = {ST_PASS};

	ck_assert_int_eq(status_of_task(ended, 2), ST_SUCCESS);
	ck_assert_int_eq(status_of_task(lost, 3), ST_TIMEOUT);
	ck_assert_int_eq(status_of_task(stopped, 3), ST_CANCELED);
	ck_assert_int_eq(status_of_task(half, 2), ST_RUNNING);
	ck_assert_int_eq(status_of_task(begun, 2), ST_RUNNING);
	ck_assert_int_eq(status_of_task(pass, 1), ST_SUCCESS);
}
END_TEST

static enum status job_by_the_rule(const struct status_counts *c, bool can_start)
{
	if (c->running > 0 || (c->waiting > 0 && can_start))
		return ST_RUNNING;
	if (c->failed > 0)
		return ST_FAILED;
	if (c->timeout > 0)
		return ST_TIMEOUT;
	if (c->canceled > 0 || c->waiting > 0)
		return ST_CANCELED;
	return ST_SUCCESS;
}

START_TEST(job_of_all_mixtures)
{
	/* a digit of base 3 for each count */
	for (int code = 0; code < 729 * 2; code++) {
		int d[6], rest = code / 2;
		for (size_t i = 0; i < 6; i++, rest /= 3)
			d[i] = rest % 3;
		const struct status_counts c = {.waiting = d[0],
						.running = d[1],
						.canceled = d[2],
						.timeout = d[3],
						.failed = d[4],
						.success = d[5]};
		bool can_start = code % 2 == 1;

		ck_assert_msg(
		    status_of_job(&c, can_start) == job_by_the_rule(&c, can_start),
		    "waiting %d running %d canceled %d timeout %d failed %d success %d: %s", d[0],
		    d[1], d[2], d[3], d[4], d[5], status_name(status_of_job(&c, can_start)));
	}
}
END_TEST

START_TEST(counting)
{
	struct status_counts c = {0};

	for (int i = 0; i < ST_COUNT; i++)
		status_count(&c, (enum status)i);
	ck_assert_int_eq(c.waiting, 2); /* ready has not begun either */
	ck_assert_int_eq(c.running, 1);
	ck_assert_int_eq(c.canceled, 1);
	ck_assert_int_eq(c.timeout, 1);
	ck_assert_int_eq(c.failed, 1);
	ck_assert_int_eq(c.success, 2); /* pass and success */
}
END_TEST

START_TEST(progress)
{
	const struct status_counts none = {0};
	const struct status_counts third = {.waiting = 2, .success = 1};
	const struct status_counts two_thirds = {.running = 1, .failed = 1, .success = 1};
	const struct status_counts nearly = {.running = 1, .success = 199};
	const struct status_counts interrupted = {.canceled = 1, .timeout = 1, .failed = 1};
	const struct status_counts huge = {.waiting = INT_MAX / 4, .success = INT_MAX / 2};

	ck_assert_int_eq(status_progress(&none), 100);
	ck_assert_int_eq(status_progress(&third), 33);
	ck_assert_int_eq(status_progress(&two_thirds), 66);
	ck_assert_int_eq(status_progress(&nearly), 99);
	ck_assert_int_eq(status_progress(&interrupted), 100);
	ck_assert_int_eq(status_progress(&huge), 66);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("plan_status");
	TCase *tc = tcase_create("status");
	SRunner *r;
	int failed;

	tcase_add_test(tc, names_and_parsing);
	tcase_add_test(tc, every_step_of_a_job);
	tcase_add_test(tc, every_step_of_a_task);
	tcase_add_test(tc, classes);
	tcase_add_test(tc, task_of_all_mixtures);
	tcase_add_test(tc, task_examples);
	tcase_add_test(tc, job_of_all_mixtures);
	tcase_add_test(tc, counting);
	tcase_add_test(tc, progress);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
