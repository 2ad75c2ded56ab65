/* Inside of the delivery: claims and calls (outbox.c), what answers mean (outbox_answer.c). */
#ifndef NORN_PARTY_OUTBOX_INT_H
#define NORN_PARTY_OUTBOX_INT_H

#include "base/err.h"
#include "party/outbox.h"
#include <jansson.h>

#define GROUP_MAX 128 /* messages of one call */

struct group;
struct message;

/* Statements to add to the batch that removes the message. ok: it was answered with code 0. */
typedef void on_answer(const struct group *g, const struct message *m, bool ok, enum err_code code,
		       const char *text, struct db_batch *b);

struct command {
	const char *name;
	const char *path;
	on_answer *answer;
	/* With others in one call: changes nothing when it is carried out again, until a command
	 * that may not has come. */
	bool may_group;
	bool wakes_sched; /* its answer is waited for */
	bool copy_known;  /* a copy is refused there for what it says, also behind later ones */
};

struct message {
	int64_t no;
	int64_t job_no; /* 0: none */
	int party_no;
	int tries;
	const struct command *command; /* NULL: of a newer node */
	char *body;                    /* JSON */
};

/* Messages of one job to one destination, under one lease, in order. */
struct group {
	struct outbox *box;
	int64_t lease_no;
	char dest[51], src[51];
	char job_id[65];
	bool may_group;   /* the destination may take groups */
	bool wakes_sched; /* an answer was of use to the scheduler */
	int64_t retry_ms; /* a message goes again in so many; 0: all were answered */
	int claim_at;     /* statement of the next claim in the batch of the answers */
	size_t n;
	struct message messages[GROUP_MAX];
};

const struct command *outbox_command(const char *name); /* NULL: unknown */
/* Binds the names of those that may go in groups, as an array. */
void outbox_bind_groupable(struct db_batch *b);
/* Adds what the answer of a message means, and notes whether the scheduler is to be woken. */
void outbox_answered(struct group *g, const struct message *m, enum err_code code, const char *text,
		     struct db_batch *b);

#endif
