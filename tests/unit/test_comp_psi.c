/* The curve by known answers, and the intersection with one to three hosts. */
#include "config.h"
#include "comp_parties.h"

#include "base/mem.h"
#include "base/str.h"
#include "component/curve.h"
#include "component/psi.h"
#include <stdlib.h>
#include <string.h>

static void hex32(const char *text, unsigned char out[32])
{
	struct buf b = {0};

	ck_assert(str_unhex(text, &b));
	ck_assert_uint_eq(b.len, 32);
	memcpy(out, b.data, 32);
	buf_free(&b);
}

START_TEST(x25519_known_answer)
{
	/* RFC 7748, section 5.2 */
	unsigned char k[32], u[32], want[32], got[32];
	struct curve_key *key;
	struct err e;

	hex32("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4", k);
	hex32("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c", u);
	hex32("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552", want);
	key = curve_key_from(k, &e);
	ck_assert_ptr_nonnull(key);
	ck_assert(curve_mul(key, u, got, 1, 1, &e));
	ck_assert_int_eq(memcmp(got, want, 32), 0);
	curve_key_free(key);
}
END_TEST

START_TEST(hash_known_answers)
{
	/* Computed apart, from the description in curve.h; 3, 0, 1, 0 and 4 points were skipped. */
	static const struct {
		const char *id, *want;
	} known[] = {
	    {"", "fcfdf6c330d65648d7b098b2cec6554a418730bf9aa5ffa63f5ea89c6264e974"},
	    {"alice", "4e2f1941515ccab472ee362ec177c5e7442372b3786b5e6fef011c09f58d1f2b"},
	    {"bob", "0e7e426b113c3e94fd3e11e8dfec5d1416fbf3284be46d71fb22c48fe4ce9226"},
	    {"\xc3\xa9t\xc3\xa9",
	     "dc06d7e5fa6d1b4f2a5d59c98ce9c91ae7e61dc79ea6d2554b18e34f3f34b851"},
	    {"x", "d5238bd3c146f6193370d550d86bc522e8b0016c71fa692bc59406c8e6edfb65"},
	};
	unsigned char got[32], want[32];
	struct err e;
	size_t i;

	for (i = 0; i < ARRAY_LEN(known); i++) {
		hex32(known[i].want, want);
		ck_assert(curve_hash(known[i].id, strlen(known[i].id), got, &e));
		ck_assert_int_eq(memcmp(got, want, 32), 0);
	}
}
END_TEST

START_TEST(keys_commute)
{
	char id[3][2] = {"a", "b", "c"}, *ids[] = {id[0], id[1], id[2]};
	const size_t order[] = {2, 0, 1};
	unsigned char ab[96], ba[96];
	struct curve_key *a, *b;
	struct err e;

	a = curve_key_new(&e);
	b = curve_key_new(&e);
	ck_assert(a != NULL && b != NULL);
	ck_assert(curve_mul_ids(a, ids, order, ab, 3, 2, &e));
	ck_assert(curve_mul(b, ab, ab, 3, 2, &e));
	ck_assert(curve_mul_ids(b, ids, order, ba, 3, 1, &e));
	ck_assert_int_ne(memcmp(ab, ba, 96), 0);
	ck_assert(curve_mul(a, ba, ba, 3, 1, &e));
	ck_assert_int_eq(memcmp(ab, ba, 96), 0);
	curve_key_free(a);
	curve_key_free(b);
}
END_TEST

START_TEST(small_order_points_are_refused)
{
	unsigned char zero[32] = {0}, one[32] = {1}, out[32];
	struct curve_key *k;
	struct err e;

	k = curve_key_new(&e);
	ck_assert(!curve_mul(k, zero, out, 1, 1, &e));
	ck_assert_int_eq(e.code, ERR_PEER);
	ck_assert(!curve_mul(k, one, out, 1, 1, &e));
	curve_key_free(k);
}
END_TEST

/* One party's ids and result. */
struct side {
	char **ids, **sids;
	size_t n;
	const char *const *hosts;
	size_t n_hosts;
	struct psi_result r;
};

static bool run_guest(struct party *p)
{
	struct side *s = p->arg;

	return psi_guest(p->ch, s->hosts, s->n_hosts, s->ids, s->sids, s->n, 2, &s->r, &p->e);
}

static bool run_host(struct party *p)
{
	struct side *s = p->arg;

	return psi_host(p->ch, "g", s->ids, s->n, 2, &s->r, &p->e);
}

static const char *const host_names[] = {"h1", "h2", "h3"};

/* Ids from, from + step, ... below to, in falling order at hosts. */
static void fill(struct side *s, size_t from, size_t to, size_t step, bool falling)
{
	size_t i, k;

	memset(s, 0, sizeof *s);
	s->n = (to - from + step - 1) / step;
	s->ids = mem_array(s->n, sizeof *s->ids);
	s->sids = mem_array(s->n, sizeof *s->sids);
	for (i = 0; i < s->n; i++) {
		k = falling ? s->n - 1 - i : i;
		s->ids[i] = mem_printf("id-%zu", from + k * step);
		s->sids[i] = mem_printf("sid-%zu", from + k * step);
	}
}

static void release(struct side *s)
{
	size_t i;

	for (i = 0; i < s->n; i++) {
		free(s->ids[i]);
		free(s->sids[i]);
	}
	free(s->ids);
	free(s->sids);
	psi_result_free(&s->r);
}

static bool intersect(struct side *sides, size_t n_hosts, struct err *e)
{
	struct party parties[4] = {{.role = "guest", .id = "g", .run = run_guest}};
	size_t i;
	bool ok;

	for (i = 0; i < n_hosts; i++)
		parties[i + 1] =
		    (struct party){.role = "host", .id = host_names[i], .run = run_host};
	for (i = 0; i <= n_hosts; i++)
		parties[i].arg = &sides[i];
	sides[0].hosts = host_names;
	sides[0].n_hosts = n_hosts;
	ok = parties_run(parties, n_hosts + 1);
	*e = parties[0].e;
	for (i = 1; i <= n_hosts && !ok; i++)
		ck_assert(!parties[i].ok);
	return ok;
}

START_TEST(sets_are_right)
{
	static const size_t steps[] = {1, 2, 3, 5};
	size_t n_hosts = (size_t)_i, i, h, want = 0, at = 0, product = 1;
	struct side sides[4];
	struct err e;

	fill(&sides[0], 0, 150, 1, false);
	for (h = 1; h <= n_hosts; h++) {
		fill(&sides[h], 0, 200, steps[h], true);
		product *= steps[h];
	}
	ck_assert_msg(intersect(sides, n_hosts, &e), "%s", e.msg);
	for (i = 0; i < 150; i++)
		want += i % product == 0;
	for (h = 0; h <= n_hosts; h++)
		ck_assert_uint_eq(sides[h].r.n, want);
	for (i = 0; i < 150; i++) {
		if (i % product != 0)
			continue;
		/* the same order everywhere: the guest's; hosts have the guest's sample ids */
		ck_assert_uint_eq(sides[0].r.rows[at], i);
		for (h = 1; h <= n_hosts; h++) {
			ck_assert_str_eq(sides[h].ids[sides[h].r.rows[at]], sides[0].ids[i]);
			ck_assert_str_eq(sides[h].r.sample_ids[at], sides[0].sids[i]);
		}
		at++;
	}
	for (h = 0; h <= n_hosts; h++)
		release(&sides[h]);
}
END_TEST

START_TEST(nothing_in_common)
{
	struct side sides[2];
	struct err e;

	fill(&sides[0], 0, 10, 1, false);
	fill(&sides[1], 100, 110, 1, false);
	ck_assert(!intersect(sides, 1, &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "no common ids"));
	ck_assert_ptr_null(sides[0].r.rows);
	release(&sides[0]);
	release(&sides[1]);
}
END_TEST

/* A guest that answers with indexes out of range, repeated, or too many. */
static bool run_lying_guest(struct party *p)
{
	static const unsigned char out_of_range[] = {0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1, 'a'};
	static const unsigned char repeated[] = {0, 0,   0, 2, 0, 0, 0, 0, 0, 0, 0,
						 1, 'a', 0, 0, 0, 0, 0, 0, 0, 1, 'b'};
	static const unsigned char many[] = {0, 0, 0, 99};
	static const unsigned char cut[] = {0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 'a'};
	static const struct {
		const unsigned char *data;
		size_t len;
	} lies[] = {{out_of_range, sizeof out_of_range},
		    {repeated, sizeof repeated},
		    {many, sizeof many},
		    {cut, sizeof cut}};
	int which = *(int *)p->arg;
	unsigned char point[32];
	struct buf b = {0};
	bool ok;

	ok = curve_hash("x", 1, point, &p->e) &&
	     channel_send(p->ch, "host", "h1", "psi_guest", point, 32, &p->e) &&
	     channel_recv(p->ch, "host", "h1", "psi_both", 1024, &b, &p->e) &&
	     channel_recv(p->ch, "host", "h1", "psi_host", 1024, &b, &p->e) &&
	     channel_send(p->ch, "host", "h1", "psi_common", lies[which].data, lies[which].len,
			  &p->e);
	buf_free(&b);
	return ok;
}

START_TEST(lies_are_refused)
{
	int which = _i;
	struct side host;
	struct party parties[] = {
	    {.role = "guest", .id = "g", .run = run_lying_guest, .arg = &which},
	    {.role = "host", .id = "h1", .run = run_host, .arg = &host}};

	fill(&host, 0, 3, 1, false);
	ck_assert(!parties_run(parties, 2));
	ck_assert_msg(parties[0].ok, "%s", parties[0].e.msg);
	ck_assert(!parties[1].ok);
	ck_assert_int_eq(parties[1].e.code, ERR_PEER);
	release(&host);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("comp_psi");
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, x25519_known_answer);
	tcase_add_test(t, hash_known_answers);
	tcase_add_test(t, keys_commute);
	tcase_add_test(t, small_order_points_are_refused);
	tcase_add_loop_test(t, sets_are_right, 1, 4);
	tcase_add_test(t, nothing_in_common);
	tcase_add_loop_test(t, lies_are_refused, 0, 4);
	suite_add_tcase(s, t);
	return run_suite(s);
}
