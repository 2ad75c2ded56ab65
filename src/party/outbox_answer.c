/* The commands that go to other sites, and what their answers mean here. */
#include "party/outbox_int.h"

#include "base/js.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

static void created(const struct group *g, const struct message *m, bool ok, enum err_code code,
		    const char *text, struct db_batch *b)
{
	db_add(b, Q_SCHED_CREATED);
	db_int(b, m->job_no);
	db_int(b, m->party_no);
	db_bool(b, ok);
	db_text(b, ok ? NULL : text);
}

static void reserved(const struct group *g, const struct message *m, bool ok, enum err_code code,
		     const char *text, struct db_batch *b)
{
	db_add(b, Q_SCHED_RESERVED);
	db_int(b, m->job_no);
	db_int(b, m->party_no);
	db_text(b, ok ? "granted" : code == ERR_JOB_RESOURCE_LIMIT ? "never" : "refused");
	db_text(b, ok ? NULL : text);
}

static void job_started(const struct group *g, const struct message *m, bool ok, enum err_code code,
			const char *text, struct db_batch *b)
{
	if (ok)
		return;
	char why[ERR_MSG_MAX + 128];
	snprintf(why, sizeof(why), "party %s refused to start the job: %s", g->dest, text);
	db_add(b, Q_SCHED_FAIL_JOB);
	db_text(b, g->job_id);
	db_text(b, why);
}

static json_t *body_of(const struct message *m)
{
	struct err e;

	return js_parse(m->body, strlen(m->body), NULL, &e);
}

static void task_started(const struct group *g, const struct message *m, bool ok,
			 enum err_code code, const char *text, struct db_batch *b)
{
	if (ok)
		return;
	char why[ERR_MSG_MAX + 128];
	json_t *body = body_of(m);
	snprintf(why, sizeof(why), "party %s refused to start the task: %s", g->dest, text);
	db_add(b, Q_SCHED_REMOTE_REPORT);
	db_text(b, g->job_id);
	db_text(b, js_str(body, "task_name", ""));
	db_int(b, js_int(body, "task_version", 0));
	db_text(b, js_str(body, "role", ""));
	db_text(b, js_str(body, "party_id", ""));
	db_text(b, "failed");
	db_null(b);
	db_null(b);
	db_text(b, why);
	db_null(b);
	db_bool(b, false);
	db_null(b);
	json_decref(body);
}

static void refused(const struct group *g, const struct message *m, bool ok, enum err_code code,
		    const char *text, struct db_batch *b)
{
	if (ok)
		return;
	char who[64];
	json_t *body = body_of(m);
	snprintf(who, sizeof(who), "party %s", g->dest);
	db_add(b, Q_OUTBOX_REFUSED);
	db_text(b, g->job_id);
	db_text(b, js_str(body, "role", NULL));
	db_text(b, js_str(body, "party_id", NULL));
	db_text(b, "refused");
	db_text(b, text);
	db_text(b, who);
	json_decref(body);
}

/* Whoever reserves or releases anew, or runs again, must not meet a copy of an earlier message:
 * those go alone, each behind the answer of the one before. */
static const struct command commands[] = {
    {"job_create", "/v2/partner/job/create", created, false, true},
    {"job_reserve", "/v2/partner/job/resource/apply", reserved, false, true},
    {"job_release", "/v2/partner/job/resource/return", refused, false, false},
    {"job_start", "/v2/partner/job/start", job_started, true, false},
    {"job_finish", "/v2/partner/job/status/update", refused, true, false},
    {"task_start", "/v2/partner/task/start", task_started, true, false},
    {"task_stop", "/v2/partner/task/stop", refused, true, false},
    {"task_report", "/v2/scheduler/task/report", refused, true, false, .copy_known = true},
    {"resource_wake", "/v2/scheduler/job/wake", refused, false, false},
    {"job_stop", "/v2/scheduler/job/stop", refused, false, false},
    {"job_rerun", "/v2/partner/job/rerun", job_started, false, false},
};

const struct command *outbox_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

void outbox_bind_groupable(struct db_batch *b)
{
	struct db_array names = {0};

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (commands[i].may_group)
			db_array_text(&names, commands[i].name);
	}
	db_array(b, &names);
}

void outbox_answered(struct group *g, const struct message *m, enum err_code code, const char *text,
		     struct db_batch *b)
{
	const struct log_ctx ctx = {.job_id = g->job_id, .party_id = g->dest, .attempt = -1};
	bool ok = code == ERR_OK;

	if (!ok)
		log_warn(&ctx, "%s to party %s: %d %s", m->command->name, g->dest, (int)code, text);
	m->command->answer(g, m, ok, code, text, b);
	g->wakes_sched |= m->command->wakes_sched || !ok;
}
