#include "api/inflate.h"

#include <stdint.h>
#include <string.h>

#define CODE_MAX  15  /* bits */
#define N_LITERAL 288 /* literals, end of block, lengths */
#define N_DIST    32
#define N_ORDER   19

struct bits {
	const unsigned char *p;
	size_t len;
	size_t at;
	uint32_t hold;
	int n;
	bool ended; /* more was asked for than there is */
};

/* A canonical Huffman code: how many codes of each length, and the symbols in the order of their
 * codes. */
struct code {
	uint16_t count[CODE_MAX + 1];
	uint16_t symbol[N_LITERAL];
};

struct inflate {
	struct bits in;
	struct buf *out;
	size_t start; /* of what we have written */
	size_t want;
};

static uint32_t take(struct bits *b, int n)
{
	while (b->n < n) {
		if (b->at == b->len) {
			b->ended = true;
			return 0;
		}
		b->hold |= (uint32_t)b->p[b->at++] << b->n;
		b->n += 8;
	}
	uint32_t v = b->hold & ((1U << n) - 1);
	b->hold >>= n;
	b->n -= n;
	return v;
}

/* False: more codes than the lengths leave room for. */
static bool make_code(struct code *c, const uint8_t *lengths, size_t n)
{
	uint16_t next[CODE_MAX + 2] = {0};
	int32_t room = 1;

	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < n; i++)
		c->count[lengths[i]]++;
	c->count[0] = 0;
	for (int i = 1; i <= CODE_MAX; i++) {
		room = room * 2 - c->count[i];
		if (room < 0)
			return false;
		next[i + 1] = (uint16_t)(next[i] + c->count[i]);
	}
	for (size_t i = 0; i < n; i++) {
		if (lengths[i] != 0)
			c->symbol[next[lengths[i]]++] = (uint16_t)i;
	}
	return true;
}

/* -1: no such code, or the end of the input. */
static int symbol_of(struct bits *b, const struct code *c)
{
	int32_t code = 0;
	int32_t first = 0;
	int32_t at = 0;

	for (int len = 1; len <= CODE_MAX; len++) {
		code |= (int32_t)take(b, 1);
		if (b->ended)
			return -1;
		if (code - first < c->count[len])
			return c->symbol[at + code - first];
		at += c->count[len];
		first = (first + c->count[len]) * 2;
		code *= 2;
	}
	return -1;
}

static size_t written(const struct inflate *z)
{
	return z->out->len - z->start;
}

static bool copy_back(struct inflate *z, size_t distance, size_t len)
{
	if (distance > written(z) || len > z->want - written(z))
		return false;
	for (size_t i = 0; i < len; i++)
		buf_addc(z->out, z->out->data[z->out->len - distance]);
	return true;
}

static const uint16_t length_base[29] = {3,  4,  5,  6,   7,   8,   9,   10,  11, 13,
					 15, 17, 19, 23,  27,  31,  35,  43,  51, 59,
					 67, 83, 99, 115, 131, 163, 195, 227, 258};
static const uint8_t length_bits[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
					2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};

/* Base and extra bits of distances follow a rule: two symbols for each number of bits from 1 on. */
static bool distance_of(struct bits *b, int symbol, size_t *out)
{
	int extra = symbol < 4 ? 0 : symbol / 2 - 1;

	if (symbol < 0 || symbol > 29)
		return false;
	if (symbol < 4)
		*out = (size_t)symbol + 1;
	else
		*out = ((size_t)(2 + (symbol & 1)) << extra) + 1 + take(b, extra);
	return !b->ended;
}

static bool coded_block(struct inflate *z, const struct code *literal, const struct code *dist)
{
	for (;;) {
		int s = symbol_of(&z->in, literal);
		if (s < 0 || s > 285)
			return false;
		if (s == 256)
			return true;
		if (s < 256) {
			if (written(z) == z->want)
				return false;
			buf_addc(z->out, (char)(unsigned char)s);
			continue;
		}
		size_t len = length_base[s - 257] + take(&z->in, length_bits[s - 257]);
		size_t distance;
		if (!distance_of(&z->in, symbol_of(&z->in, dist), &distance) ||
		    !copy_back(z, distance, len))
			return false;
	}
}

static bool stored_block(struct inflate *z)
{
	struct bits *b = &z->in;

	b->at -= (size_t)(b->n / 8); /* whole bytes that were read ahead */
	b->hold = 0;
	b->n = 0;
	if (b->len - b->at < 4)
		return false;
	size_t n = b->p[b->at] | (size_t)b->p[b->at + 1] << 8;
	size_t inverse = b->p[b->at + 2] | (size_t)b->p[b->at + 3] << 8;
	b->at += 4;
	if (n != (inverse ^ 0xffff) || b->len - b->at < n || z->want - written(z) < n)
		return false;
	buf_add(z->out, b->p + b->at, n);
	b->at += n;
	return true;
}

static bool fixed_block(struct inflate *z)
{
	uint8_t lengths[N_LITERAL];
	struct code literal;
	struct code dist;

	for (int i = 0; i < N_LITERAL; i++)
		lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
	bool ok = make_code(&literal, lengths, N_LITERAL);
	memset(lengths, 5, N_DIST);
	return ok && make_code(&dist, lengths, N_DIST) && coded_block(z, &literal, &dist);
}

/* The lengths of both codes, themselves coded, with runs. */
static bool read_lengths(struct bits *b, const struct code *c, uint8_t *lengths, size_t n)
{
	size_t i = 0;

	while (i < n) {
		int s = symbol_of(b, c);
		if (s < 0 || (s == 16 && i == 0))
			return false;
		if (s < 16) {
			lengths[i++] = (uint8_t)s;
			continue;
		}
		uint8_t value = s == 16 ? lengths[i - 1] : 0;
		size_t run = s == 16 ? 3 + take(b, 2) : s == 17 ? 3 + take(b, 3) : 11 + take(b, 7);
		if (b->ended || run > n - i)
			return false;
		memset(lengths + i, value, run);
		i += run;
	}
	return true;
}

static bool dynamic_block(struct inflate *z)
{
	static const uint8_t order[N_ORDER] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
					       11, 4,  12, 3, 13, 2, 14, 1, 15};
	struct bits *b = &z->in;
	uint8_t lengths[N_LITERAL + N_DIST] = {0};
	uint8_t meta[N_ORDER] = {0};
	struct code literal;
	struct code dist;
	size_t n_literal = 257 + take(b, 5);
	size_t n_dist = 1 + take(b, 5);
	size_t n_meta = 4 + take(b, 4);

	for (size_t i = 0; i < n_meta; i++)
		meta[order[i]] = (uint8_t)take(b, 3);
	return !b->ended && n_literal <= 286 && n_dist <= 30 &&
	       make_code(&literal, meta, N_ORDER) &&
	       read_lengths(b, &literal, lengths, n_literal + n_dist) &&
	       make_code(&literal, lengths, n_literal) &&
	       make_code(&dist, lengths + n_literal, n_dist) && coded_block(z, &literal, &dist);
}

bool inflate_all(const void *data, size_t len, size_t want, struct buf *out, struct err *e)
{
	struct inflate z = {
	    .in = {.p = data, .len = len}, .out = out, .start = out->len, .want = want};
	bool last = false;
	bool ok = true;

	while (ok && !last) {
		last = take(&z.in, 1) == 1;
		uint32_t kind = take(&z.in, 2);
		ok = !z.in.ended && kind != 3;
		if (ok)
			ok = kind == 0   ? stored_block(&z)
			     : kind == 1 ? fixed_block(&z)
					 : dynamic_block(&z);
	}
	if (!ok || written(&z) != want)
		return err_set(e, ERR_PARSE, "compressed data are damaged");
	return true;
}
