#include "sched/cycle.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define TASKS_PER_PLAN                                                                             \
	500 /* of one job, of those reported and of those ready; the rest wait for the next cycle  \
	     */

enum { L_JOBS, L_PARTIES, L_TASKS, L_USED };

static int by_job_no(const void *a, const void *b)
{
	const struct cycle_job *x = a;
	const struct cycle_job *y = b;

	return x->job_no < y->job_no ? -1 : x->job_no > y->job_no;
}

struct cycle *cycle_claimed(const struct db_result *r, int k)
{
	int n = db_rows(r, k);
	struct cycle *c;

	if (n == 0)
		return NULL;
	c = mem_zalloc(sizeof(*c));
	c->n_jobs = n;
	c->jobs = mem_array((size_t)n, sizeof(*c->jobs));
	for (int i = 0; i < n; i++) {
		c->jobs[i].job_no = db_get_int(r, k, i, "job_no");
		c->jobs[i].lease_no = db_get_int(r, k, i, "lease_no");
		c->jobs[i].poke = db_get_int(r, k, i, "poke");
		c->jobs[i].rank = i;
	}
	qsort(c->jobs, (size_t)n, sizeof(*c->jobs), by_job_no);
	c->order = mem_array((size_t)n, sizeof(*c->order));
	for (int i = 0; i < n; i++)
		c->order[c->jobs[i].rank] = i;
	return c;
}

void cycle_free(struct cycle *c)
{
	if (c == NULL)
		return;
	for (int i = 0; i < c->n_jobs; i++) {
		struct cycle_job *j = &c->jobs[i];
		for (int t = 0; t < j->plan.n_tasks; t++)
			free(j->plan.tasks[t].parties);
		free(j->plan.tasks);
		free(j->plan.parties);
		free(j->plan.edges);
		free(j->tasks);
		plan_result_free(&j->result);
	}
	free(c->jobs);
	free(c->order);
	free(c);
}

void cycle_load_batch(const struct cycle *c, struct db_batch *b)
{
	static const enum db_stmt stmts[] = {
	    [L_JOBS] = Q_SCHED_LOAD_JOBS,
	    [L_PARTIES] = Q_SCHED_LOAD_PARTIES,
	    [L_TASKS] = Q_SCHED_LOAD_TASKS,
	    [L_USED] = Q_SCHED_LOAD_USED,
	};

	for (size_t s = 0; s < ARRAY_LEN(stmts); s++) {
		struct db_array nos = {0};
		for (int i = 0; i < c->n_jobs; i++)
			db_array_int(&nos, c->jobs[i].job_no);
		db_add(b, stmts[s]);
		db_array(b, &nos);
		if (s == L_TASKS)
			db_int(b, TASKS_PER_PLAN);
	}
}

static struct cycle_job *find_job(struct cycle *c, int64_t job_no)
{
	struct cycle_job key = {.job_no = job_no};

	return bsearch(&key, c->jobs, (size_t)c->n_jobs, sizeof(*c->jobs), by_job_no);
}

static int by_task_no(const void *a, const void *b)
{
	const struct plan_task *x = a;
	const struct plan_task *y = b;

	return x->task_no < y->task_no ? -1 : x->task_no > y->task_no;
}

static struct plan_task *find_task(struct cycle_job *j, int task_no)
{
	struct plan_task key = {.task_no = task_no};

	if (j->plan.n_tasks == 0)
		return NULL;
	return bsearch(&key, j->plan.tasks, (size_t)j->plan.n_tasks, sizeof(*j->plan.tasks),
		       by_task_no);
}

static enum status parse_status(const char *s)
{
	enum status st = ST_WAITING;

	/* The database's own check leaves no other value. */
	return status_parse(s, &st) ? st : ST_COUNT;
}

static void load_counts(struct cycle_job *j, const struct db_result *r, int row)
{
	struct status_counts *c = &j->plan.counts;
	json_t *groups = db_get_json(r, L_JOBS, row, "interrupted");
	size_t i;
	json_t *g;

	c->running = (int)db_get_int(r, L_JOBS, row, "n_running");
	c->success = (int)db_get_int(r, L_JOBS, row, "n_success");
	json_array_foreach (groups, i, g) {
		enum status s = parse_status(json_string_value(json_array_get(g, 0)));
		int n = (int)json_integer_value(json_array_get(g, 1));
		if (s == ST_CANCELED)
			c->canceled = n;
		else if (s == ST_TIMEOUT)
			c->timeout = n;
		else if (s == ST_FAILED)
			c->failed = n;
	}
	json_decref(groups);
	c->waiting = (int)db_get_int(r, L_JOBS, row, "n_tasks") - c->running - c->success -
		     c->canceled - c->timeout - c->failed;
}

static void load_jobs(struct cycle *c, const struct db_result *r)
{
	for (int i = 0; i < db_rows(r, L_JOBS); i++) {
		struct cycle_job *j = find_job(c, db_get_int(r, L_JOBS, i, "job_no"));
		if (j == NULL)
			continue;
		j->loaded = true;
		str_copy(j->job_id, sizeof(j->job_id), db_get(r, L_JOBS, i, "job_id"));
		j->version = db_get_int(r, L_JOBS, i, "version");
		j->now_ms = db_get_int(r, L_JOBS, i, "now_ms");
		j->queued_ms = db_is_null(r, L_JOBS, i, "queued_ms")
				   ? -1
				   : db_get_int(r, L_JOBS, i, "queued_ms");
		j->asked_ms = db_is_null(r, L_JOBS, i, "asked_ms")
				  ? -1
				  : db_get_int(r, L_JOBS, i, "asked_ms");
		j->plan.status = j->was = parse_status(db_get(r, L_JOBS, i, "status"));
		j->plan.stop_status = db_is_null(r, L_JOBS, i, "stop_status")
					  ? ST_COUNT
					  : parse_status(db_get(r, L_JOBS, i, "stop_status"));
		j->plan.suspended = db_get_bool(r, L_JOBS, i, "suspended");
		j->plan.reserve_tries = (int)db_get_int(r, L_JOBS, i, "reserve_tries");
		j->plan.salt = (unsigned)j->job_no;
		j->plan.deadline_ms = db_get_int(r, L_JOBS, i, "deadline_ms");
		load_counts(j, r, i);
	}
}

static int code_of(const char *s, const char *const *names, int n)
{
	for (int i = 0; i < n; i++) {
		if (strcmp(names[i], s) == 0)
			return i;
	}
	return 0;
}

struct site_key {
	const char *party_id, *role;
	int index;
};

/* Byte by byte, whatever the locale: all sites must find the same order. */
static int by_site(const void *a, const void *b)
{
	const struct site_key *x = a;
	const struct site_key *y = b;
	int d = strcmp(x->party_id, y->party_id);

	return d != 0 ? d : strcmp(x->role, y->role);
}

/* The parties of a job that may have to ask for resources; their rows end before row `end`. */
static void order_parties(struct cycle_job *j, const struct db_result *r, int end)
{
	int n = j->plan.n_parties;
	struct site_key *keys;

	if (j->plan.status != ST_WAITING || n < 2)
		return;
	keys = mem_array((size_t)n, sizeof(*keys));
	for (int i = 0; i < n; i++)
		keys[i] = (struct site_key){db_get(r, L_PARTIES, end - n + i, "party_id"),
					    db_get(r, L_PARTIES, end - n + i, "role"), i};
	qsort(keys, (size_t)n, sizeof(*keys), by_site);
	for (int i = 0; i < n; i++)
		j->plan.parties[keys[i].index].order = i;
	free(keys);
}

static void load_parties(struct cycle *c, const struct db_result *r)
{
	struct cycle_job *last = NULL;

	static const char *const creates[] = {"asked", "ok", "refused"};
	static const char *const reserves[] = {"none", "asked", "granted", "refused", "never"};

	for (int i = 0; i < db_rows(r, L_PARTIES); i++) {
		struct cycle_job *j = find_job(c, db_get_int(r, L_PARTIES, i, "job_no"));
		if (last != NULL && last != j)
			order_parties(last, r, i);
		last = j;
		if (j == NULL)
			continue;
		/* Rows come in the order of party_no, which counts from 0: index and number agree.
		 */
		int n = j->plan.n_parties++;
		j->plan.parties =
		    mem_resize(j->plan.parties, (size_t)n + 1, sizeof(*j->plan.parties));
		j->plan.parties[n] = (struct plan_party){
		    .create = (enum plan_create)code_of(db_get(r, L_PARTIES, i, "create_state"),
							creates, ARRAY_LEN(creates)),
		    .reserve = (enum plan_reserve)code_of(db_get(r, L_PARTIES, i, "reserve_state"),
							  reserves, ARRAY_LEN(reserves)),
		    .local = db_get_bool(r, L_PARTIES, i, "local"),
		    .cores = (int)db_get_int(r, L_PARTIES, i, "cores"),
		};
	}
	if (last != NULL)
		order_parties(last, r, db_rows(r, L_PARTIES));
}

static void load_task_parties(struct cycle_job *j, struct plan_task *t, const struct db_result *r,
			      int row)
{
	json_t *parties = db_get_json(r, L_TASKS, row, "parties");
	json_t *cores = db_get_json(r, L_TASKS, row, "cores");
	size_t n = json_array_size(parties);

	t->parties = mem_array(n, sizeof(*t->parties));
	for (size_t k = 0; k < n; k++) {
		int party = (int)json_integer_value(json_array_get(parties, k));
		if (party < 0 || party >= j->plan.n_parties)
			continue;
		t->parties[t->n_parties++] = (struct plan_task_party){
		    .party = party,
		    .cores = (int)json_integer_value(json_array_get(cores, k)),
		    .status = ST_WAITING,
		};
	}
	json_decref(parties);
	json_decref(cores);
}

static void load_tasks(struct cycle *c, const struct db_result *r)
{
	struct cycle_job *last = NULL;
	int cap = 0;
	int marked = 0;

	for (int i = 0; i < db_rows(r, L_TASKS); i++) {
		struct cycle_job *j = find_job(c, db_get_int(r, L_TASKS, i, "job_no"));
		if (j == NULL)
			continue;
		if (j != last) {
			last = j;
			cap = 0;
			marked = 0;
		}
		int n = j->plan.n_tasks;
		if (n == cap) {
			cap = cap == 0 ? 8 : cap * 2;
			j->plan.tasks =
			    mem_resize(j->plan.tasks, (size_t)cap, sizeof(*j->plan.tasks));
			j->tasks = mem_resize(j->tasks, (size_t)cap, sizeof(*j->tasks));
		}
		j->plan.n_tasks++;
		struct plan_task *t = &j->plan.tasks[n];
		*t = (struct plan_task){
		    .task_no = (int)db_get_int(r, L_TASKS, i, "task_no"),
		    .status = parse_status(db_get(r, L_TASKS, i, "status")),
		    .attempt = (int)db_get_int(r, L_TASKS, i, "attempt"),
		    .deps_left = (int)db_get_int(r, L_TASKS, i, "deps_left"),
		    .retries_left = (int)db_get_int(r, L_TASKS, i, "retries_left"),
		    .rescues = (int)db_get_int(r, L_TASKS, i, "rescues"),
		    .retry_at_ms = db_get_int(r, L_TASKS, i, "retry_at_ms"),
		};
		j->tasks[n] = (struct cycle_task){
		    .mark =
			db_is_null(r, L_TASKS, i, "mark") ? -1 : db_get_int(r, L_TASKS, i, "mark"),
		    .was = t->status,
		    .attempt_was = t->attempt,
		    .deps_were = t->deps_left,
		};
		load_task_parties(j, t, r, i);
		marked += j->tasks[n].mark >= 0;
		j->more_tasks = marked >= TASKS_PER_PLAN;
	}
}

static void add_edge(struct cycle_job *j, const struct plan_task *parent,
		     const struct plan_task *child)
{
	int n = j->plan.n_edges++;

	if ((n & (n + 1)) == 0) /* at 0, 1, 3, 7 ...: the next power of two */
		j->plan.edges =
		    mem_resize(j->plan.edges, (size_t)(n + 1) * 2, sizeof(*j->plan.edges));
	j->plan.edges[n] = (struct plan_edge){.parent = (int)(parent - j->plan.tasks),
					      .child = (int)(child - j->plan.tasks)};
}

static void load_edges(struct cycle_job *j, const struct plan_task *t, const struct db_result *r,
		       int row)
{
	json_t *ended = db_get_json(r, L_TASKS, row, "ended");
	size_t i;
	json_t *no;

	json_array_foreach (ended, i, no) {
		const struct plan_task *p = find_task(j, (int)json_integer_value(no));
		if (p != NULL)
			add_edge(j, p, t);
	}
	json_decref(ended);
}

static void load_reports(struct plan_task *t, const struct node_conf *conf,
			 const struct db_result *r, int row)
{
	json_t *reports = db_get_json(r, L_TASKS, row, "reports");
	size_t i;
	json_t *said;

	json_array_foreach (reports, i, said) {
		int party = (int)json_integer_value(json_array_get(said, 0));
		for (int k = 0; k < t->n_parties; k++) {
			if (t->parties[k].party != party)
				continue;
			t->parties[k].status =
			    parse_status(json_string_value(json_array_get(said, 1)));
			t->parties[k].node_lost = json_is_true(json_array_get(said, 2));
			t->parties[k].no_retry =
			    node_conf_no_retry(conf, json_integer_value(json_array_get(said, 3)));
		}
	}
	json_decref(reports);
}

/* What joins the tasks, when all are there. */
static void load_ends(struct cycle *c, const struct node_conf *conf, const struct db_result *r)
{
	for (int i = 0; i < db_rows(r, L_TASKS); i++) {
		bool child = !db_is_null(r, L_TASKS, i, "ended");
		bool reported = !db_is_null(r, L_TASKS, i, "reports");
		struct cycle_job *j =
		    !child && !reported ? NULL : find_job(c, db_get_int(r, L_TASKS, i, "job_no"));
		if (j == NULL)
			continue;
		struct plan_task *t = find_task(j, (int)db_get_int(r, L_TASKS, i, "task_no"));
		if (child && t != NULL)
			load_edges(j, t, r, i);
		if (reported && t != NULL)
			load_reports(t, conf, r, i);
	}
}

static void load_used(struct cycle *c, const struct db_result *r)
{
	for (int i = 0; i < db_rows(r, L_USED); i++) {
		struct cycle_job *j = find_job(c, db_get_int(r, L_USED, i, "job_no"));
		if (j == NULL || find_task(j, (int)db_get_int(r, L_USED, i, "task_no")) != NULL)
			continue; /* the planner counts those it sees itself */
		int party = (int)db_get_int(r, L_USED, i, "party_no");
		if (party >= 0 && party < j->plan.n_parties)
			j->plan.parties[party].cores_used += (int)db_get_int(r, L_USED, i, "cores");
	}
}

void cycle_loaded(struct cycle *c, const struct node_conf *conf, const struct db_result *r)
{
	load_jobs(c, r);
	load_parties(c, r);
	load_tasks(c, r);
	load_ends(c, conf, r);
	load_used(c, r);
}
