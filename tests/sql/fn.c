#include "fn.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

PGconn *fn_session[N_SESSIONS];

static char *text_of(const char *fmt, va_list ap)
{
	struct buf b = {0};
	char *s;
	va_list again;

	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	s = mem_alloc((size_t)n + 1);
	vsnprintf(s, (size_t)n + 1, fmt, ap);
	buf_free(&b);
	return s;
}

#define TEXT(s)                                                                                    \
	char *s;                                                                                   \
	do {                                                                                       \
		va_list ap;                                                                        \
		va_start(ap, fmt);                                                                 \
		s = text_of(fmt, ap);                                                              \
		va_end(ap);                                                                        \
	} while (0)

static bool good(const PGresult *res)
{
	return PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK;
}

void fn_migrate(void)
{
	struct err e;
	int applied;

	ck_assert_msg(db_migrate(test_conninfo(), &applied, &e), "%s", e.msg);
}

void fn_open(void)
{
	for (int i = 0; i < N_SESSIONS; i++) {
		fn_session[i] = PQconnectdb(test_conninfo());
		ck_assert_msg(PQstatus(fn_session[i]) == CONNECTION_OK, "%s",
			      PQerrorMessage(fn_session[i]));
		fn_do(fn_session[i], "SET client_min_messages = error");
		fn_do(fn_session[i], "SET statement_timeout = '20s'");
	}
	fn_do(
	    A,
	    "TRUNCATE norn.job_dag, norn.job, norn.party_job, norn.engine, norn.node, norn.outbox, "
	    "norn.resource_waiter, norn.resource_freed, norn.event, norn.site_route, "
	    "norn.job_work, "
	    "norn.task_work, norn.run_work CASCADE");
	fn_do(A, "INSERT INTO norn.engine VALUES ('standalone', 8, 0)");
	fn_do(A, "INSERT INTO norn.node (node_id, name, duties, version, lease_ms) "
		 "VALUES ('n1', 'one', 'exec', '0', 60000), ('n2', 'two', 'exec', '0', 60000)");
}

void fn_close(void)
{
	for (int i = 0; i < N_SESSIONS; i++) {
		PQfinish(fn_session[i]);
		fn_session[i] = NULL;
	}
}

int fn_run(Suite *s)
{
	SRunner *r = srunner_create(s);
	int failed;

	srunner_set_fork_status(r, CK_NOFORK);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

void fn_do(PGconn *pg, const char *fmt, ...)
{
	TEXT(sql);
	PGresult *res = PQexec(pg, sql);

	ck_assert_msg(good(res), "%s: %s", sql, PQresultErrorMessage(res));
	PQclear(res);
	free(sql);
}

const char *fn_text(PGconn *pg, const char *fmt, ...)
{
	static char out[8192];
	TEXT(sql);
	PGresult *res = PQexec(pg, sql);

	ck_assert_msg(good(res), "%s: %s", sql, PQresultErrorMessage(res));
	ck_assert_msg(PQntuples(res) <= 1, "%s: %d rows", sql, PQntuples(res));
	snprintf(out, sizeof(out), "%s", PQntuples(res) == 1 ? PQgetvalue(res, 0, 0) : "");
	PQclear(res);
	free(sql);
	return out;
}

static int64_t number(const PGresult *res)
{
	const char *v;

	if (PQntuples(res) == 0 || PQnfields(res) == 0 || PQgetisnull(res, 0, 0))
		return -1;
	v = PQgetvalue(res, 0, 0);
	return strcmp(v, "t") == 0 ? 1 : strcmp(v, "f") == 0 ? 0 : strtoll(v, NULL, 10);
}

int64_t fn_int(PGconn *pg, const char *fmt, ...)
{
	TEXT(sql);
	PGresult *res = PQexec(pg, sql);
	int64_t n;

	ck_assert_msg(good(res), "%s: %s", sql, PQresultErrorMessage(res));
	ck_assert_msg(PQntuples(res) <= 1, "%s: %d rows", sql, PQntuples(res));
	n = number(res);
	PQclear(res);
	free(sql);
	return n;
}

void fn_refused(PGconn *pg, const char *sqlstate, const char *fmt, ...)
{
	TEXT(sql);
	PGresult *res = PQexec(pg, sql);
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	ck_assert_msg(state != NULL && strcmp(state, sqlstate) == 0, "%s: %s instead of %s: %s",
		      sql, state != NULL ? state : "no error", sqlstate, PQresultErrorMessage(res));
	PQclear(res);
	free(sql);
}

void fn_send(PGconn *pg, const char *fmt, ...)
{
	TEXT(sql);

	ck_assert_msg(PQsendQuery(pg, sql) == 1, "%s", PQerrorMessage(pg));
	free(sql);
}

void fn_waits(PGconn *pg)
{
	int64_t end = clock_mono_ms() + TEST_PATIENCE_MS;
	PGconn *look = fn_session[N_SESSIONS - 1];

	while (
	    fn_int(
		look,
		"SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND wait_event_type = 'Lock'",
		PQbackendPID(pg)) != 1) {
		ck_assert_msg(PQconsumeInput(pg) == 1 && PQisBusy(pg),
			      "the statement ended instead of waiting for a lock");
		ck_assert_msg(clock_mono_ms() < end, "the statement does not wait for a lock");
		usleep(2000);
	}
}

const char *fn_done(PGconn *pg, int64_t *first_column)
{
	static char state[8];
	PGresult *res;

	state[0] = '\0';
	while ((res = PQgetResult(pg)) != NULL) {
		const char *s = PQresultErrorField(res, PG_DIAG_SQLSTATE);
		if (s != NULL)
			snprintf(state, sizeof(state), "%s", s);
		if (first_column != NULL && good(res))
			*first_column = number(res);
		PQclear(res);
	}
	return state;
}

PGresult *fn_stmt(PGconn *pg, enum db_stmt stmt, int n, const char *const *params)
{
	PGresult *res = PQexecParams(pg, db_stmt_sql(stmt), n, NULL, params, NULL, NULL, 0);

	ck_assert_msg(good(res), "%s: %s", db_stmt_name(stmt), PQresultErrorMessage(res));
	return res;
}

/* ---- jobs ---- */

static const char *role(int i)
{
	return i == 0 ? "guest" : "host";
}

/* How many tasks a task waits for. */
static int deps_of(const struct fn_job *j, int task)
{
	char child[16];
	int deps = 0;

	snprintf(child, sizeof(child), ">%d", task);
	for (const char *e = j->edges; e != NULL && (e = strstr(e, child)) != NULL; e++) {
		char after = e[strlen(child)];
		deps += after == ',' || after == '\0';
	}
	return deps;
}

/* ", '{...}'": n elements; in `each` "%d" is the index divided by `of`. */
static void add_array(struct buf *b, const char *each, int n, int of)
{
	buf_adds(b, ", '{");
	for (int i = 0; i < n; i++) {
		const char *at = strstr(each, "%d");
		buf_adds(b, i > 0 ? "," : "");
		if (at == NULL)
			buf_adds(b, each);
		else
			buf_printf(b, "%.*s%d%s", (int)(at - each), each, i / of, at + 2);
	}
	buf_adds(b, "}'");
}

static void add_parties(struct buf *b, const struct fn_job *j, int n_parties)
{
	buf_adds(b, ", '{");
	for (int p = 0; p < n_parties; p++)
		buf_printf(b, "%s%s", p > 0 ? "," : "", role(p));
	buf_adds(b, "}', '{");
	for (int p = 0; p < n_parties; p++)
		buf_printf(b, "%s%d", p > 0 ? "," : "", 9999 - p);
	buf_adds(b, "}', '{");
	for (int p = 0; p < n_parties; p++)
		buf_printf(b, "%s%c", p > 0 ? "," : "", p < n_parties - j->n_remote ? 't' : 'f');
	buf_adds(b, "}', '{");
	for (int p = 0; p < n_parties; p++)
		buf_printf(b, "%s%d", p > 0 ? "," : "", j->cores);
	buf_adds(b, "}'");
	add_array(b, "0", n_parties, 1);
}

static void add_tasks(struct buf *b, const struct fn_job *j, int n_tasks, int n_parties)
{
	struct buf parties = {0};
	struct buf cores = {0};

	buf_adds(&parties, "\"{");
	buf_adds(&cores, "\"{");
	for (int p = 0; p < n_parties; p++) {
		buf_printf(&parties, "%s%d", p > 0 ? "," : "", p);
		buf_printf(&cores, "%s1", p > 0 ? "," : "");
	}
	buf_adds(&parties, "}\"");
	buf_adds(&cores, "}\"");
	add_array(b, "t%d", n_tasks, 1);
	add_array(b, "noop", n_tasks, 1);
	add_array(b, parties.data, n_tasks, 1);
	add_array(b, cores.data, n_tasks, 1);
	buf_adds(b, ", '{");
	for (int t = 0; t < n_tasks; t++)
		buf_printf(b, "%s%d", t > 0 ? "," : "", deps_of(j, t));
	buf_adds(b, "}'");
	add_array(b, "NULL", n_tasks, 1);
	buf_free(&parties);
	buf_free(&cores);
}

static void add_edges(struct buf *b, const char *edges)
{
	struct buf children = {0};
	const char *sep = "";

	buf_adds(b, ", '{");
	while (edges != NULL && *edges != '\0') {
		int parent = 0, child = 0, n = 0;
		ck_assert_int_eq(sscanf(edges, "%d>%d%n", &parent, &child, &n), 2);
		buf_printf(b, "%s%d", sep, parent);
		buf_printf(&children, "%s%d", sep, child);
		edges += n;
		edges += *edges == ',';
		sep = ",";
	}
	buf_printf(b, "}', '{%s}'", buf_str(&children));
	buf_free(&children);
}

static void add_runs(struct buf *b, int n_tasks, int n_local)
{
	int n = n_tasks * n_local;

	buf_adds(b, ", '{");
	for (int i = 0; i < n; i++)
		buf_printf(b, "%s%d", i > 0 ? "," : "", i % n_tasks);
	buf_adds(b, "}'");
	add_array(b, "%d", n, n_tasks);
	add_array(b, "norn:1@local", n, 1);
	add_array(b, "\"{}\"", n, 1);
	add_array(b, "1", n, 1);
	add_array(b, "0", n, 1);
	add_array(b, "60", n, 1);
}

static void add_messages(struct buf *b, int n_parties, int n_local)
{
	buf_adds(b, ", '{");
	for (int p = n_local; p < n_parties; p++)
		buf_printf(b, "%s%d", p > n_local ? "," : "", p);
	buf_adds(b, "}'");
	add_array(b, "\"{}\"", n_parties - n_local, 1);
}

char *fn_submit_text(const struct fn_job *j)
{
	struct buf b = {0};
	int n_tasks = j->n_tasks > 0 ? j->n_tasks : 1,
	    n_parties = j->n_parties > 0 ? j->n_parties : 1;
	int n_local = n_parties - j->n_remote;

	buf_printf(&b, "norn.job_submit('{\"job_id\":\"%s\",\"priority\":0,\"priority_ms\":600000,",
		   j->id);
	if (j->key != NULL)
		buf_printf(&b, "\"idempotency_key\":\"%s\",", j->key);
	buf_adds(
	    &b,
	    "\"initiator_party_id\":\"9999\",\"scheduler_party_id\":\"9999\",\"model_id\":\"m\","
	    "\"model_version\":\"0\",\"auto_retries\":0,\"timeout_s\":0,\"create_timeout_s\":30}', "
	    "'{}'");
	add_parties(&b, j, n_parties);
	add_tasks(&b, j, n_tasks, n_parties);
	add_edges(&b, j->edges);
	add_runs(&b, n_tasks, n_local);
	add_messages(&b, n_parties, n_local);
	buf_adds(&b, ")");
	return buf_take(&b);
}

int64_t fn_submit(PGconn *pg, const struct fn_job *j)
{
	char *text = fn_submit_text(j);
	int64_t no;

	fn_do(pg, "SELECT %s", text);
	free(text);
	no = fn_int(pg, "SELECT job_no FROM norn.job WHERE job_id = '%s'", j->id);
	if (j->age_ms != 0)
		fn_do(pg, "UPDATE norn.job_work SET prio = prio - %lld WHERE job_no = %lld",
		      (long long)j->age_ms, (long long)no);
	return no;
}

/* ---- a scheduler ---- */

int fn_claim(PGconn *pg, int n, int lease_ms, struct fn_cycle *out)
{
	char most[16], lease[16];
	const char *params[] = {"sched", most, lease};
	PGresult *res;
	int rows;

	snprintf(most, sizeof(most), "%d", n);
	snprintf(lease, sizeof(lease), "%d", lease_ms);
	res = fn_stmt(pg, Q_SCHED_CLAIM, 3, params);
	rows = PQntuples(res);
	ck_assert_int_le(rows, n);
	for (int i = 0; i < rows; i++)
		out[i] = (struct fn_cycle){
		    .job_no = strtoll(PQgetvalue(res, i, PQfnumber(res, "job_no")), NULL, 10),
		    .lease_no = strtoll(PQgetvalue(res, i, PQfnumber(res, "lease_no")), NULL, 10),
		    .poke = strtoll(PQgetvalue(res, i, PQfnumber(res, "poke")), NULL, 10),
		};
	PQclear(res);
	return rows;
}

void fn_load(PGconn *pg, struct fn_cycle *c)
{
	c->version =
	    fn_int(pg, "SELECT version FROM norn.job WHERE job_no = %lld", (long long)c->job_no);
}

bool fn_guard(PGconn *pg, const struct fn_cycle *c, const char *to)
{
	char no[32], version[32], lease[32], status[32];
	const char *params[] = {no,    version, lease, status, "{f}",   "{0}",
				"{0}", "{0}",   "{0}", "{0}",  "{NULL}"};
	PGresult *res;
	bool mine;

	snprintf(no, sizeof(no), "{%lld}", (long long)c->job_no);
	snprintf(version, sizeof(version), "{%lld}", (long long)c->version);
	snprintf(lease, sizeof(lease), "{%lld}", (long long)c->lease_no);
	snprintf(status, sizeof(status), "{%s}", to != NULL ? to : "NULL");
	res = fn_stmt(pg, Q_SCHED_APPLY_JOBS, ARRAY_LEN(params), params);
	mine = strcmp(PQcmdTuples(res), "1") == 0;
	PQclear(res);
	return mine;
}

bool fn_leave(PGconn *pg, const struct fn_cycle *c, int64_t due_ms, bool blocked)
{
	char no[32], lease[32], poke[32], due[32] = "{NULL}";
	const char *params[] = {no, lease, poke, due, blocked ? "{t}" : "{f}"};
	PGresult *res;
	bool again;

	snprintf(no, sizeof(no), "{%lld}", (long long)c->job_no);
	snprintf(lease, sizeof(lease), "{%lld}", (long long)c->lease_no);
	snprintf(poke, sizeof(poke), "{%lld}", (long long)c->poke);
	if (due_ms >= 0)
		snprintf(due, sizeof(due), "{%lld}", (long long)due_ms);
	res = fn_stmt(pg, Q_SCHED_LEAVE, ARRAY_LEN(params), params);
	again = PQntuples(res) > 0;
	PQclear(res);
	return again;
}

/* A cycle of one's own on this job, whether it is due or not: opens a transaction behind the guard.
 */
static struct fn_cycle begin(PGconn *pg, int64_t job_no, const char *to)
{
	struct fn_cycle c = {.job_no = job_no};

	c.lease_no = fn_int(pg,
			    "UPDATE norn.job_work SET lease_no = nextval('norn.lease_seq'), "
			    "lease_until = now() + interval '5 s', due_at = now() + interval '5 s' "
			    "WHERE job_no = %lld RETURNING lease_no",
			    (long long)job_no);
	c.poke =
	    fn_int(pg, "SELECT poke FROM norn.job_work WHERE job_no = %lld", (long long)job_no);
	fn_load(pg, &c);
	fn_do(pg, "BEGIN");
	ck_assert(fn_guard(pg, &c, to));
	return c;
}

static void commit(PGconn *pg, const struct fn_cycle *c, bool blocked)
{
	fn_leave(pg, c, -1, blocked);
	fn_do(pg, "COMMIT");
}

void fn_reserve(PGconn *pg, int64_t job_no)
{
	struct fn_cycle c = begin(pg, job_no, NULL);

	fn_do(pg, "SELECT norn.sched_reserve(ARRAY[%lld::bigint], NULL, 60000)", (long long)job_no);
	commit(pg, &c, true);
}

void fn_ask(PGconn *pg, int64_t job_no, int party_no)
{
	struct fn_cycle c = begin(pg, job_no, NULL);

	fn_do(pg, "SELECT norn.sched_reserve(ARRAY[%lld::bigint], ARRAY[%d::smallint], 60000)",
	      (long long)job_no, party_no);
	fn_leave(pg, &c, fn_int(pg, "SELECT norn.ms(now()) + 3600000"), true);
	fn_do(pg, "COMMIT");
}

void fn_start_job(PGconn *pg, int64_t job_no)
{
	struct fn_cycle c = begin(pg, job_no, "running");

	fn_do(pg, "SELECT norn.sched_start_jobs(ARRAY[%lld::bigint])", (long long)job_no);
	commit(pg, &c, false);
}

void fn_start_task(PGconn *pg, int64_t job_no, int task, int attempt)
{
	struct fn_cycle c = begin(pg, job_no, NULL);

	fn_do(
	    pg,
	    "SELECT norn.sched_start_tasks(ARRAY[%lld::bigint], ARRAY[%d], ARRAY[%d], ARRAY['x'])",
	    (long long)job_no, task, attempt);
	commit(pg, &c, false);
}

void fn_end_task(PGconn *pg, int64_t job_no, int task, int attempt, const char *status, bool retry)
{
	struct fn_cycle c = begin(pg, job_no, NULL);

	fn_do(pg,
	      "SELECT norn.sched_end_tasks(ARRAY[%lld::bigint], ARRAY[%d], ARRAY[%d], ARRAY['%s'], "
	      "ARRAY['x'], ARRAY[NULL::smallint], ARRAY[0], ARRAY[%s::bigint], ARRAY[0], ARRAY[0], "
	      "array_agg(e.job_no), array_agg(e.child_no), array_agg(1)) FROM norn.task_edge e "
	      "WHERE e.job_no = %lld AND e.parent_no = %d AND '%s' IN ('success', 'pass')",
	      (long long)job_no, task, attempt, status, retry ? "0" : "NULL", (long long)job_no,
	      task, status);
	commit(pg, &c, false);
}

void fn_end_job(PGconn *pg, int64_t job_no, const char *status)
{
	struct fn_cycle c = begin(pg, job_no, status);

	fn_do(pg, "SELECT norn.sched_end_jobs(ARRAY[%lld::bigint])", (long long)job_no);
	commit(pg, &c, false);
}

int64_t fn_running_job(PGconn *pg, const struct fn_job *j, int n_started)
{
	int64_t no = fn_submit(pg, j);

	if (j->n_remote > 0) {
		fn_do(pg, "UPDATE norn.job SET status = 'waiting' WHERE job_no = %lld",
		      (long long)no);
		fn_do(pg, "DELETE FROM norn.outbox");
	}
	fn_reserve(pg, no);
	fn_start_job(pg, no);
	for (int t = 0; t < n_started; t++)
		fn_start_task(pg, no, t, 0);
	return no;
}

/* ---- an executor ---- */

int64_t fn_run_claim(PGconn *pg, const char *node, int64_t *lease_no)
{
	const char *params[] = {node, "{hash}"};
	PGresult *res = fn_stmt(pg, Q_RUN_CLAIM, 2, params);
	int64_t no = -1;

	if (PQntuples(res) == 1) {
		no = strtoll(PQgetvalue(res, 0, PQfnumber(res, "run_no")), NULL, 10);
		*lease_no = strtoll(PQgetvalue(res, 0, PQfnumber(res, "lease_no")), NULL, 10);
	}
	PQclear(res);
	return no;
}

const char *fn_finish_sql(int64_t run_no, int64_t lease_no, const char *status)
{
	static char sql[512];

	snprintf(
	    sql, sizeof(sql),
	    "SELECT norn.run_finish(%lld, %lld, '%s', %s, NULL, 'text', 'tail', 1, 1, 1, false, "
	    "'exited', 'test', true)",
	    (long long)run_no, (long long)lease_no, status,
	    strcmp(status, "success") == 0 ? "0" : "1");
	return sql;
}
