/*
 * Delivery of messages to other sites: claims due rows of the outbox, posts each to the party's
 * node over mutual TLS, and records the answer in the transaction that removes the row. Sent again
 * with growing pauses until it is answered (or its time is up); messages of one job to one party
 * arrive in order.
 */
#ifndef NORN_PARTY_OUTBOX_H
#define NORN_PARTY_OUTBOX_H

#include "store/node.h"

void outbox_start(struct node *n); /* sets n->outbox and registers for WAKE_OUTBOX */
void outbox_stop(struct node *n);
void outbox_free(struct node *n);

#endif
