/*
 * toy_example: whether guest and host can compute together, as `flow test toy` asks. Both hold a
 * vector of ones, each splits it into two random shares and gives one away; the guest gets the
 * host's sum of shares and must find twos.
 */
#include "config.h"

#include "component/builtin.h"

#include "base/mem.h"
#include "component/task.h"
#include "component/wire.h"
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

static bool send_vector(struct channel *ch, const char *role, const char *party, const char *tag,
			const uint64_t *v, size_t n, struct err *e)
{
	struct buf b = {0};

	for (size_t i = 0; i < n; i++)
		wire_put_u64(&b, v[i]);
	bool ok = channel_send(ch, role, party, tag, b.data, b.len, e);
	buf_free(&b);
	return ok;
}

/* Adds what comes to v, modulo 2^64. */
static bool add_vector(struct channel *ch, const char *role, const char *party, const char *tag,
		       uint64_t *v, size_t n, struct err *e)
{
	struct buf b = {0};
	struct wire w;
	bool ok = channel_recv(ch, role, party, tag, n * 8, &b, e);

	wire_init(&w, buf_str(&b), b.len);
	for (size_t i = 0; ok && i < n; i++)
		v[i] += wire_u64(&w);
	ok = ok && wire_done(&w, e);
	buf_free(&b);
	return ok;
}

/* mine becomes what this party holds of the sum. */
static bool exchange(struct channel *ch, const char *role, const char *party, uint64_t *mine,
		     size_t n, struct err *e)
{
	uint64_t *given = mem_array(n, sizeof(*given));
	bool ok = RAND_priv_bytes((unsigned char *)given, (int)(n * sizeof(*given))) == 1;

	if (!ok)
		err_set(e, ERR_CRYPTO, "no random numbers");
	for (size_t i = 0; i < n; i++)
		mine[i] = 1 - given[i];
	ok = ok && send_vector(ch, role, party, "share", given, n, e) &&
	     add_vector(ch, role, party, "share", mine, n, e);
	free(given);
	return ok;
}

static bool check_sum(struct norn_task *t, const uint64_t *sum, size_t n, struct err *e)
{
	uint64_t total = 0;

	for (size_t i = 0; i < n; i++) {
		if (sum[i] != 2)
			return err_set(e, ERR_COMPONENT_OUTPUT,
				       "the sum at %zu is %llu and not 2: the parties do not "
				       "compute the same",
				       i, (unsigned long long)sum[i]);
		total += sum[i];
	}
	norn_say(t, "success to calculate secure_sum, it is %llu", (unsigned long long)total);
	norn_metric(t, "secure_sum", "custom", NULL, 0, json_integer((json_int_t)total));
	return true;
}

static bool run_toy(struct norn_task *t, struct err *e)
{
	bool guest = t->role == NORN_GUEST;
	const char *role = guest ? "host" : "guest";
	size_t n = (size_t)norn_param_int(t, "data_num", 1024);
	struct channel *ch = task_channel(t, e);

	if (ch == NULL)
		return false;
	if (norn_party_count(t, NORN_GUEST) != 1 || norn_party_count(t, NORN_HOST) != 1)
		return err_set(e, ERR_JOB_PARAMS, "toy_example needs one guest and one host");
	const char *party = norn_party(t, guest ? NORN_HOST : NORN_GUEST, 0);
	uint64_t *sum = mem_array(n, sizeof(*sum));
	bool ok = exchange(ch, role, party, sum, n, e);
	if (ok && guest)
		ok = add_vector(ch, role, party, "sum", sum, n, e) && check_sum(t, sum, n, e);
	else if (ok)
		ok = send_vector(ch, role, party, "sum", sum, n, e);
	free(sum);
	return ok;
}

static const struct norn_param params[] = {
    {"data_num", NORN_P_INT, "1024", 1, 1000000, NULL, 0, "length of the vectors"},
    {"partition", NORN_P_INT, "4", 1, 100000, NULL, 0, "kept for FATE's clients; of no effect"},
};
const struct norn_component comp_toy = {
    "toy_example",
    BUILTIN_VERSION,
    "add shared ones: whether guest and host can compute together",
    NORN_GUEST | NORN_HOST,
    NORN_DEFAULT,
    params,
    ARRAY_LEN(params),
    NULL,
    0,
    run_toy,
};
