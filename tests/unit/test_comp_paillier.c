/* Paillier encryption, fixed-point vectors and the matrix product under encryption. */
#include "config.h"
#include "comp_parties.h"

#include "base/mem.h"
#include "component/pvec.h"
#include "component/rng.h"
#include <math.h>
#include <stdlib.h>

static struct paillier_key *key; /* 512 bits: only for speed of the tests */
static BN_CTX *ctx;
static struct err e;

static void set_up(void)
{
	ctx = BN_CTX_new();
	key = paillier_key_new(512, &e);
	ck_assert_msg(key != NULL, "%s", e.msg);
}

static void tear_down(void)
{
	paillier_key_free(key);
	BN_CTX_free(ctx);
}

static BIGNUM *number(unsigned long v)
{
	BIGNUM *b = BN_new();

	BN_set_word(b, v);
	return b;
}

/* p, q, a ciphertext (1 + m n) r^n mod n^2 computed by hand, and its plaintext m. */
static void check_known(unsigned long p, unsigned long q, unsigned long c, unsigned long m)
{
	BIGNUM *bp = number(p), *bq = number(q), *h = number(p * q - 4), *bc = number(c);
	BIGNUM *out = BN_new();
	struct paillier_key *k = paillier_key_from(bp, bq, h, &e);

	ck_assert_msg(k != NULL, "%s", e.msg);
	ck_assert(BN_to_montgomery(bc, bc, k->pub->mont, ctx));
	ck_assert(paillier_decrypt(k, bc, out, ctx, &e));
	ck_assert(BN_is_word(out, m));
	paillier_key_free(k);
	BN_free(bp);
	BN_free(bq);
	BN_free(h);
	BN_free(bc);
	BN_free(out);
}

START_TEST(known_vectors)
{
	check_known(7, 11, 3840, 42);       /* r = 23 */
	check_known(7, 11, 1466, 76);       /* r = 5 */
	check_known(43, 59, 3403104, 1234); /* r = 1000 */
}
END_TEST

START_TEST(key_has_the_promised_form)
{
	BIGNUM *gcd = BN_new(), *t = BN_new();
	static const unsigned long small[] = {3, 5, 7, 11, 13, 8191};
	size_t i;

	ck_assert_int_eq(BN_num_bits(key->pub->n), 512);
	ck_assert_int_eq(BN_num_bits(key->p), 256);
	ck_assert_uint_eq(BN_mod_word(key->p, 4), 3);
	ck_assert_uint_eq(BN_mod_word(key->q, 4), 3);
	ck_assert(BN_gcd(gcd, key->p1, key->q1, ctx));
	ck_assert(BN_is_word(gcd, 2));
	ck_assert(BN_rshift1(t, key->p1));
	for (i = 0; i < ARRAY_LEN(small); i++)
		ck_assert_uint_ne(BN_mod_word(t, small[i]), 0);
	/* hn is an n-th residue: its encryption is of zero */
	ck_assert(BN_to_montgomery(t, key->pub->hn, key->pub->mont, ctx));
	ck_assert(paillier_decrypt(key, t, gcd, ctx, &e));
	ck_assert(BN_is_zero(gcd));
	BN_free(gcd);
	BN_free(t);
}
END_TEST

START_TEST(refused_keys)
{
	BIGNUM *even = number(1234568), *n = number(2537), *hn = number(43 * 43);

	ck_assert_ptr_null(paillier_key_new(127, &e));
	ck_assert_ptr_null(paillier_key_new(100000, &e));
	ck_assert_ptr_null(paillier_pub_new(even, BN_value_one(), &e));
	ck_assert_ptr_null(paillier_pub_new(n, hn, &e)); /* not a unit */
	BN_set_word(hn, 2537UL * 2537UL);
	ck_assert_ptr_null(paillier_pub_new(n, hn, &e)); /* not below n^2 */
	BN_free(even);
	BN_free(n);
	BN_free(hn);
}
END_TEST

START_TEST(round_trips_and_sums)
{
	BIGNUM *a = BN_new(), *b = BN_new(), *ca = BN_new(), *cb = BN_new(), *m = BN_new();
	int i;

	for (i = 0; i < 40; i++) {
		ck_assert(BN_rand_range(a, key->pub->n) && BN_rand_range(b, key->pub->n));
		if (i == 0)
			BN_zero(a);
		if (i == 1)
			ck_assert(BN_sub(a, key->pub->n, BN_value_one()));
		ck_assert(paillier_encrypt(key->pub, a, ca, ctx, &e));
		ck_assert(paillier_encrypt(key->pub, b, cb, ctx, &e));
		ck_assert(paillier_decrypt(key, ca, m, ctx, &e));
		ck_assert_int_eq(BN_cmp(m, a), 0);
		ck_assert(paillier_add(key->pub, ca, ca, cb, ctx, &e));
		ck_assert(paillier_decrypt(key, ca, m, ctx, &e));
		ck_assert(BN_mod_add(a, a, b, key->pub->n, ctx));
		ck_assert_int_eq(BN_cmp(m, a), 0);
	}
	ck_assert(!paillier_encrypt(key->pub, key->pub->n, ca, ctx, &e));
	BN_free(a);
	BN_free(b);
	BN_free(ca);
	BN_free(cb);
	BN_free(m);
}
END_TEST

START_TEST(equal_plaintexts_look_different)
{
	BIGNUM *m = number(5), *a = BN_new(), *b = BN_new();

	ck_assert(paillier_encrypt(key->pub, m, a, ctx, &e));
	ck_assert(paillier_encrypt(key->pub, m, b, ctx, &e));
	ck_assert_int_ne(BN_cmp(a, b), 0);
	BN_free(m);
	BN_free(a);
	BN_free(b);
}
END_TEST

START_TEST(bytes_are_checked)
{
	size_t n = 2 * key->pub->n_bytes;
	unsigned char *bytes = mem_zalloc(n);
	BIGNUM *m = number(99), *c = BN_new(), *d = BN_new();

	ck_assert(paillier_encrypt(key->pub, m, c, ctx, &e));
	ck_assert(paillier_to_bytes(key->pub, c, bytes, ctx, &e));
	ck_assert(paillier_from_bytes(key->pub, bytes, d, ctx, &e));
	ck_assert_int_eq(BN_cmp(c, d), 0);
	memset(bytes, 0, n);
	ck_assert(!paillier_from_bytes(key->pub, bytes, d, ctx, &e));
	memset(bytes, 0xff, n);
	ck_assert(!paillier_from_bytes(key->pub, bytes, d, ctx, &e));
	free(bytes);
	BN_free(m);
	BN_free(c);
	BN_free(d);
}
END_TEST

static double decoded(const struct pvec *v, size_t i)
{
	BIGNUM *m = BN_new();
	double out;

	ck_assert(paillier_decrypt(key, v->c[i], m, ctx, &e));
	out = fixed_decode(key->pub, m, v->exp);
	BN_free(m);
	return out;
}

START_TEST(fixed_point)
{
	static const double values[] = {0, 1, -1, 0.5, -1234.0625, 1e-12, 3.14159265358979, -7e13};
	static const double bad[] = {1e30, -1e30, 0x1p46};
	BIGNUM *m = BN_new();
	size_t i;

	for (i = 0; i < ARRAY_LEN(values); i++) {
		ck_assert(fixed_encode(key->pub, values[i], 60, m, &e));
		ck_assert_double_eq_tol(fixed_decode(key->pub, m, 60), values[i], 1e-15);
	}
	for (i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert(!fixed_encode(key->pub, bad[i], 40, m, &e));
	ck_assert(!fixed_encode(key->pub, (double)NAN, 40, m, &e));
	ck_assert(!fixed_encode(key->pub, (double)INFINITY, 40, m, &e));
	BN_free(m);
}
END_TEST

START_TEST(vectors)
{
	static const double a[] = {1.5, -2.25, 0, 1000}, b[] = {-4, 2.25, 0.125, -0.5};
	static const double w[] = {2, 0, 1, 0.5};
	struct pvec va, vb, other;
	size_t i;

	ck_assert(pvec_encrypt(key->pub, a, 4, 40, 2, &va, &e));
	ck_assert(pvec_encrypt(key->pub, b, 4, 40, 1, &vb, &e));
	ck_assert(pvec_encrypt(key->pub, b, 4, 41, 1, &other, &e));
	ck_assert(pvec_add(key->pub, &va, &vb, &e));
	ck_assert(!pvec_add(key->pub, &va, &other, &e)); /* another scale */
	for (i = 0; i < 4; i++)
		ck_assert_double_eq_tol(decoded(&va, i), a[i] + b[i], 1e-10);
	ck_assert(pvec_scale(key->pub, &va, w, 20, 2, &e));
	ck_assert_int_eq(va.exp, 60);
	for (i = 0; i < 4; i++)
		ck_assert_double_eq_tol(decoded(&va, i), w[i] * (a[i] + b[i]), 1e-10);
	ck_assert(pvec_add_plain(key->pub, &va, 3, -7.75, &e));
	ck_assert_double_eq_tol(decoded(&va, 3), 0.5 * 999.5 - 7.75, 1e-10);
	pvec_free(&va);
	pvec_free(&vb);
	pvec_free(&other);
}
END_TEST

/* Shapes with one row, zero columns of x, both signs, and extreme integers. */
static void check_matvec(size_t n, size_t m, double scale, unsigned threads, uint64_t seed)
{
	double *x = mem_array(n * m, sizeof *x), *d = mem_array(n, sizeof *d), want;
	struct pvec v, out;
	struct rng r;
	size_t i, j;

	rng_seed(&r, seed);
	for (i = 0; i < n * m; i++)
		x[i] = i % m == m - 1 ? 0 : scale * (rng_unit(&r) - 0.5);
	for (i = 0; i < n; i++)
		d[i] = rng_normal(&r);
	ck_assert(pvec_encrypt(key->pub, d, n, 40, threads, &v, &e));
	ck_assert_msg(pvec_matvec(key->pub, &v, x, m, 23, threads, &out, &e), "%s", e.msg);
	ck_assert_int_eq(out.exp, 63);
	for (j = 0; j < m; j++) {
		want = 0;
		for (i = 0; i < n; i++)
			want += x[i * m + j] * d[i];
		ck_assert_double_eq_tol(decoded(&out, j), want,
					1e-6 * (double)n + scale * 1e-11 * (double)n);
	}
	pvec_free(&v);
	pvec_free(&out);
	free(x);
	free(d);
}

START_TEST(matrix_product)
{
	check_matvec(1, 1, 1, 1, 1);
	check_matvec(1, 3, 8, 1, 2);
	check_matvec(7, 5, 1, 2, 3);
	check_matvec(100, 4, 1000, 2, 4);
	check_matvec(33, 2, 1e11, 1, 5);
}
END_TEST

START_TEST(matrix_refuses_what_does_not_fit)
{
	static const double d[] = {1}, x[] = {1e12};
	struct pvec v, out;

	ck_assert(pvec_encrypt(key->pub, d, 1, 40, 1, &v, &e));
	ck_assert(!pvec_matvec(key->pub, &v, x, 1, 23, 1, &out, &e));
	pvec_free(&v);
}
END_TEST

START_TEST(masks_hide_and_vanish)
{
	static const double d[] = {3.5, -8};
	BIGNUM *mask[2], *m[2] = {NULL, NULL};
	struct pvec v;
	size_t i;

	ck_assert(pvec_encrypt(key->pub, d, 2, 40, 1, &v, &e));
	ck_assert(pvec_mask(key->pub, &v, mask, &e));
	ck_assert(pvec_decrypt(key, &v, m, 2, &e));
	for (i = 0; i < 2; i++) {
		/* uniform modulo n: the chance to be this small is 2^-200 */
		ck_assert_int_gt(BN_num_bits(m[i]), 300);
		ck_assert(BN_mod_sub(m[i], m[i], mask[i], key->pub->n, ctx));
		ck_assert_double_eq_tol(fixed_decode(key->pub, m[i], 40), d[i], 1e-11);
		BN_free(m[i]);
		BN_free(mask[i]);
	}
	pvec_free(&v);
}
END_TEST

START_TEST(vectors_on_the_wire)
{
	static const double d[] = {3.5, -8, 0};
	struct buf b = {0};
	struct pvec v, w;
	struct wire in;

	ck_assert(pvec_encrypt(key->pub, d, 3, 40, 1, &v, &e));
	ck_assert(pvec_put(key->pub, &v, &b, &e));
	ck_assert_uint_eq(b.len, pvec_bytes(key->pub, 3));
	wire_init(&in, b.data, b.len);
	ck_assert(pvec_get(key->pub, &in, 3, 40, &w, &e));
	ck_assert(wire_done(&in, &e));
	ck_assert_double_eq_tol(decoded(&w, 1), -8, 1e-11);
	pvec_free(&w);
	wire_init(&in, b.data, b.len);
	ck_assert(!pvec_get(key->pub, &in, 2, 40, &w, &e));
	wire_init(&in, b.data, b.len);
	ck_assert(!pvec_get(key->pub, &in, 3, 41, &w, &e));
	wire_init(&in, b.data, b.len - 1);
	ck_assert(!pvec_get(key->pub, &in, 3, 40, &w, &e));
	wire_init(&in, b.data, 3);
	ck_assert(!pvec_get(key->pub, &in, 3, 40, &w, &e));
	pvec_free(&v);
	buf_free(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("comp_paillier");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, known_vectors);
	tcase_add_test(t, key_has_the_promised_form);
	tcase_add_test(t, refused_keys);
	tcase_add_test(t, round_trips_and_sums);
	tcase_add_test(t, equal_plaintexts_look_different);
	tcase_add_test(t, bytes_are_checked);
	tcase_add_test(t, fixed_point);
	tcase_add_test(t, vectors);
	tcase_add_test(t, matrix_product);
	tcase_add_test(t, matrix_refuses_what_does_not_fit);
	tcase_add_test(t, masks_hide_and_vanish);
	tcase_add_test(t, vectors_on_the_wire);
	suite_add_tcase(s, t);
	return run_suite(s);
}
