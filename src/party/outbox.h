/*
 * Delivery of messages to other sites: claims due rows of the outbox, posts them to the party's
 * node over mutual TLS, and records the answers in the transaction that removes the rows. Sent
 * again with growing pauses until they are answered (or their time is up). Messages of one job to
 * one party arrive in order: what waits goes in one call (POST /v2/partner/messages), one by one
 * where the other site does not take groups.
 */
#ifndef NORN_PARTY_OUTBOX_H
#define NORN_PARTY_OUTBOX_H

#include "store/node.h"

void outbox_start(struct node *n); /* sets n->outbox and registers for WAKE_OUTBOX */
void outbox_stop(struct node *n);
void outbox_free(struct node *n);

/* For a batch that writes messages: adds their claim as its last statement, so that they go out
 * with its commit and not a round trip later. Returns its number for outbox_claimed(), or -1 when
 * this node delivers none. */
int outbox_claim_add(struct node *n, struct db_batch *b);
/* When the batch is committed or has failed; k: of outbox_claim_add(). */
void outbox_claimed(struct node *n, const struct db_result *r, int k);

/* Reports that a run has begun become due so much later (norn.runs_report). */
#define OUTBOX_BEGUN_MS 100
/* There will be due messages in so many ms. */
void outbox_look(struct node *n, int64_t ms);

#endif
