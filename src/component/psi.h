/*
 * Private set intersection of the guest with any number of hosts, by elliptic-curve Diffie-Hellman.
 * With each host h, the guest's key a and the host's key b, both new for every run:
 *
 *	guest -> host	a H(x) for its ids, in a secret random order
 *	host -> guest	b (a H(x)), in the order received
 *	host -> guest	b H(y) for its ids, in a secret random order
 *	guest		a (b H(y)); equal values are common ids
 *	guest -> host	positions in the host's order of the ids common to all parties, with the
 *			guest's sample ids, in the guest's row order
 *
 * A host learns how many ids the guest has and which of its own are common to all parties. The
 * guest learns how many ids each host has and which of its own each host has. Nobody learns an id
 * that is not its own. All parties end with the same rows in the same order.
 */
#ifndef NORN_COMPONENT_PSI_H
#define NORN_COMPONENT_PSI_H

#include "base/err.h"
#include "component/channel.h"

#define PSI_IDS_MAX 20000000

/* Which rows are common, in the order of the result. Free with psi_result_free(). */
struct psi_result {
	size_t *rows;      /* own row numbers */
	char **sample_ids; /* host only: the guest's sample ids of the rows */
	size_t n;
};
void psi_result_free(struct psi_result *r);

/* ids must not repeat. No common id is an error at every party. */
MUST_CHECK bool psi_guest(struct channel *ch, const char *const *hosts, size_t n_hosts,
			  char *const *ids, char *const *sample_ids, size_t n, unsigned threads,
			  struct psi_result *out, struct err *e);
MUST_CHECK bool psi_host(struct channel *ch, const char *guest, char *const *ids, size_t n,
			 unsigned threads, struct psi_result *out, struct err *e);

#endif
