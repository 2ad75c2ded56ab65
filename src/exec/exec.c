#include "exec/exec.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "exec/run.h"
#include "exec/spawner.h"
#include "party/outbox.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define POLL_MS   1000 /* the safety net when a wake-up was lost */
#define CLAIM_MAX 32
#define SAID_MAX  4000 /* bytes of what a component says of its failure */
/* After a claim whose outcome is unknown it is looked for so long: the server may still be at it.
 */
#define UNSURE_MS 60000

LIST_HEAD(runs, run);

/* A task token and its SHA-256. One that no run has got serves the next claim too. */
struct token {
	char text[65];
	char hash[65];
	bool unused;
};

struct exec {
	struct node *node;
	struct event *timer;
	struct runs runs;
	struct finish finish;
	struct spawner *run_spawner, *component_spawner;
	int n_runs;
	bool claiming;
	bool again;
	bool stopped;
	bool idle;               /* nobody has woken us: there is time to look for lost claims */
	int64_t unsure_until_ms; /* runs may be ours that we do not know of */
	bool looks_for_lost;     /* the batch on its way does */
	struct token tokens[CLAIM_MAX]; /* brought by the claim on its way */
};

static void claim(struct exec *x);

struct finish *exec_finish(struct exec *x)
{
	return &x->finish;
}

struct spawner *exec_spawner(struct exec *x, bool component)
{
	return component ? x->component_spawner : x->run_spawner;
}

void exec_look_for_lost(struct exec *x)
{
	x->unsure_until_ms = clock_mono_ms() + UNSURE_MS;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct exec *x = arg;

	x->idle = true;
	claim(x);
}

static void on_wake(void *arg)
{
	claim(arg);
}

static void sleep_ms(struct exec *x, int64_t ms)
{
	const struct timeval tv = {ms / 1000, (ms % 1000) * 1000};

	if (!x->stopped)
		evtimer_add(x->timer, &tv);
}

static struct run *find_run(struct exec *x, int64_t run_no, int64_t lease_no)
{
	struct run *r;

	LIST_FOREACH (r, &x->runs, next) {
		if (r->run_no == run_no && r->lease_no == lease_no)
			return r;
	}
	return NULL;
}

static void take_stops(struct exec *x, const struct db_result *res, int k)
{
	for (int i = 0; i < db_rows(res, k); i++) {
		struct run *r =
		    find_run(x, db_get_int(res, k, i, "run_no"), db_get_int(res, k, i, "lease_no"));
		if (r != NULL)
			run_stop(r, db_get(res, k, i, "stop_status"));
	}
}

static void take_lost_claims(struct exec *x, const struct db_result *res)
{
	int64_t n = db_get_int(res, 0, 0, "n");

	if (n == 0)
		return;
	log_warn(LOG_CTX_NONE,
		 "executor: %lld runs were claimed as the database connection broke; they are "
		 "given up for new attempts",
		 (long long)n);
	node_wake(x->node, WAKE_SCHED);
	node_wake(x->node, WAKE_OUTBOX);
}

static void add_lost_claims(struct exec *x, struct db_batch *b)
{
	char *actor = mem_printf("node %s", x->node->name);
	struct db_array known = {0};
	struct run *r;

	LIST_FOREACH (r, &x->runs, next)
		db_array_int(&known, r->run_no);
	db_add(b, Q_RUN_LOST_CLAIMS);
	db_text(b, x->node->id);
	db_array(b, &known);
	db_text(b, actor);
	free(actor);
}

static void on_claimed(struct db_result *res, void *arg)
{
	struct exec *x = arg;
	bool away = false;
	int n;

	x->claiming = false;
	if (db_error(res) != NULL) {
		for (int i = 0; i < CLAIM_MAX; i++) /* perhaps there are runs that have them */
			x->tokens[i].unused = false;
		log_warn(LOG_CTX_NONE, "executor: %s", db_error(res)->msg);
		if (db_error(res)->code == ERR_DB_LOST)
			exec_look_for_lost(x);
		sleep_ms(x, POLL_MS);
		return;
	}
	if (x->looks_for_lost)
		take_lost_claims(x, res);
	take_stops(x, res, x->looks_for_lost ? 2 : 0);
	n = db_rows(res, 1);
	for (int i = 0; i < n; i++) {
		int64_t k = db_get_int(res, 1, i, "hash_no") - 1;
		struct token *t = &x->tokens[k >= 0 && k < CLAIM_MAX ? k : 0];
		struct run *r = run_new(x, x->node, res, i, t->text);
		t->unused = false;
		LIST_INSERT_HEAD(&x->runs, r, next);
		x->n_runs++;
		away |= r->away;
		run_prepare(r);
	}
	/* That they run is told to schedulers elsewhere a little later: it must not hold up the
	 * word of the end. */
	if (away)
		outbox_look(x->node, OUTBOX_BEGUN_MS);
	if (x->again || n == CLAIM_MAX)
		claim(x);
	else
		sleep_ms(x, POLL_MS);
}

static void make_token(struct token *t)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned int n = 0;
	struct buf hex = {0};

	str_random_hex(t->text, 32);
	EVP_Digest(t->text, strlen(t->text), md, &n, EVP_sha256(), NULL);
	str_hex(&hex, md, n);
	str_copy(t->hash, sizeof(t->hash), buf_str(&hex));
	t->unused = true;
	buf_free(&hex);
}

/* As many unused tokens as runs are wanted; the database keeps only their hashes. */
static void bind_hashes(struct exec *x, struct db_batch *b, int64_t room)
{
	struct db_array hashes = {0};

	for (int64_t i = 0; i < room && i < CLAIM_MAX; i++) {
		if (!x->tokens[i].unused)
			make_token(&x->tokens[i]);
		db_array_text(&hashes, x->tokens[i].hash);
	}
	db_array(b, &hashes);
}

static void add_stops(struct exec *x, struct db_batch *b)
{
	db_add(b, Q_RUN_STOPS);
	db_text(b, x->node->id);
}

/* Claims runs while there is room, as the second statement. The first asks which are to be stopped,
 * or looks for lost claims: before new ones come. */
static void claim(struct exec *x)
{
	struct node *n = x->node;
	int64_t room = n->conf->exec_max_runs - x->n_runs;
	struct db_batch *b;

	if (x->claiming) {
		x->again = true;
		return;
	}
	x->claiming = true;
	x->again = false;
	evtimer_del(x->timer);
	b = db_batch_new(n->db);
	x->looks_for_lost = x->idle || clock_mono_ms() < x->unsure_until_ms;
	x->idle = false;
	if (x->looks_for_lost)
		add_lost_claims(x, b);
	else
		add_stops(x, b);
	db_add(b, Q_RUN_CLAIM);
	db_text(b, n->id);
	bind_hashes(x, b, x->stopped ? 0 : room);
	if (x->looks_for_lost)
		add_stops(x, b);
	db_submit(b, on_claimed, x);
}

void run_over(struct run *r)
{
	struct exec *x = r->exec;
	bool was_full = x->n_runs >= x->node->conf->exec_max_runs;

	LIST_REMOVE(r, next);
	x->n_runs--;
	run_free(r);
	if (was_full)
		claim(x);
}

void exec_start(struct node *n)
{
	struct exec *x = mem_zalloc(sizeof(*x));

	x->node = n;
	LIST_INIT(&x->runs);
	finish_init(&x->finish, n);
	x->run_spawner = spawner_new(n->conf->norn_run);
	x->component_spawner = spawner_new(n->conf->norn_component);
	x->timer = evtimer_new(n->base, on_timer, x);
	n->exec = x;
	node_on_wake(n, WAKE_EXEC, on_wake, x);
	claim(x);
}

void exec_stop(struct node *n)
{
	if (n->exec != NULL)
		n->exec->stopped = true;
}

int exec_running(const struct node *n)
{
	return n->exec == NULL ? 0 : n->exec->n_runs;
}

void exec_said_failed(struct node *n, int64_t run_no, const char *error)
{
	size_t len = strnlen(error, SAID_MAX);
	struct run *r;

	if (n->exec == NULL)
		return;
	while (len > 0 && ((unsigned char)error[len] & 0xc0) == 0x80)
		len--; /* not in the middle of a character */
	LIST_FOREACH (r, &n->exec->runs, next) {
		if (r->run_no != run_no)
			continue;
		free(r->said_failed);
		r->said_failed = mem_printf("%.*s", (int)len, error);
	}
}

void exec_lease_lost(struct node *n)
{
	struct run *r;

	if (n->exec == NULL)
		return;
	LIST_FOREACH (r, &n->exec->runs, next) {
		const struct log_ctx ctx = run_ctx(r);
		if (r->launch == NULL)
			continue;
		log_error(&ctx,
			  "killed: this node was given up as dead, another attempt takes over");
		r->node_lost = true;
		launch_kill(r->launch);
	}
}

void exec_kill_all(struct node *n)
{
	struct run *r;

	if (n->exec == NULL)
		return;
	LIST_FOREACH (r, &n->exec->runs, next) {
		if (r->launch != NULL)
			launch_stop(r->launch, n->conf->exec_grace_ms);
	}
}

void exec_free(struct node *n)
{
	struct exec *x = n->exec;

	if (x == NULL)
		return;
	while (!LIST_EMPTY(&x->runs)) {
		struct run *r = LIST_FIRST(&x->runs);
		LIST_REMOVE(r, next);
		run_free(r);
	}
	finish_free(&x->finish);
	spawner_free(x->run_spawner);
	spawner_free(x->component_spawner);
	event_free(x->timer);
	free(x);
	n->exec = NULL;
}
