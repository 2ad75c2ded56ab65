#include "sched/retention.h"

#include "base/log.h"
#include "store/gc.h"

#define EVERY_S        3600
#define JOBS_PER_ROUND 1000
#define ROUNDS_MAX     100 /* of an hour */

/* One a process. */
static struct {
	int rounds; /* 0: none is on its way */
	int64_t jobs, bytes, partitions;
} work;

static void round_begin(struct node *n);

static void on_round(const struct gc_result *r, void *arg)
{
	struct node *n = arg;

	work.jobs += r->n_jobs;
	work.bytes += r->bytes;
	work.partitions += (int64_t)json_array_size(r->partitions);
	if (r->error.code != ERR_OK && r->error.code != ERR_CONFLICT)
		log_warn(LOG_CTX_NONE, "retention: %s", r->error.msg);
	if (r->error.code == ERR_OK && r->more && r->n_jobs > 0 && work.rounds < ROUNDS_MAX &&
	    !n->stopping) {
		round_begin(n);
		return;
	}
	work.rounds = 0;
	if (work.jobs > 0 || work.partitions > 0 || work.bytes > 0)
		log_info(
		    LOG_CTX_NONE,
		    "retention: deleted %lld jobs, %lld bytes of files, %lld days of the history",
		    (long long)work.jobs, (long long)work.bytes, (long long)work.partitions);
}

static void round_begin(struct node *n)
{
	const struct gc_opts opts = {
	    .keep_days = n->conf->retention_jobs_days > 0 ? n->conf->retention_jobs_days : -1,
	    .events_days = n->conf->retention_events_days,
	    .limit = JOBS_PER_ROUND,
	};

	work.rounds++;
	gc_run(n, &opts, on_round, n);
}

static void on_taken(struct db_result *res, void *arg)
{
	struct node *n = arg;

	if (db_error(res) != NULL || db_rows(res, 0) == 0 || work.rounds > 0 || n->stopping)
		return;
	work.jobs = work.bytes = work.partitions = 0;
	round_begin(n);
}

void retention_look(struct node *n)
{
	struct db_batch *b;

	if (work.rounds > 0)
		return;
	b = db_batch_new(n->db);
	db_add(b, Q_CHORE_TAKE);
	db_text(b, "retention");
	db_text(b, n->id);
	db_int(b, EVERY_S);
	db_submit(b, on_taken, n);
}
