/*
 * Chained hash table. Keys come from the network, so they are hashed with SipHash-2-4 under a key
 * drawn once per process: nobody outside can choose names that collide.
 */
#include "config.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MIN_SLOTS 16

struct entry {
	struct entry *next;
	uint64_t hash;
	void *value;
	char key[];
};

struct map {
	struct entry **slots;
	size_t n_slots; /* a power of two */
	size_t count;
};

static uint64_t rotl(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

static uint64_t siphash(const uint64_t key[2], const void *data, size_t len)
{
	uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
			 key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
	const unsigned char *p = data;
	size_t blocks = len / 8;

	for (size_t i = 0; i <= blocks; i++) {
		size_t n = i < blocks ? 8 : len % 8;
		uint64_t word = i < blocks ? 0 : (uint64_t)(len & 0xff) << 56;

		for (size_t j = 0; j < n; j++)
			word |= (uint64_t)p[i * 8 + j] << (8 * j);
		v[3] ^= word;
		sip_round(v);
		sip_round(v);
		v[0] ^= word;
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint64_t hash_key(const char *key)
{
	static uint64_t secret[2];
	static bool drawn;

	if (!drawn) {
		char hex[2 * sizeof(secret) + 1];
		struct buf raw = {0};

		str_random_hex(hex, sizeof(secret));
		if (str_unhex(hex, &raw) && raw.len == sizeof(secret))
			memcpy(secret, raw.data, sizeof(secret));
		buf_free(&raw);
		drawn = true;
	}
	return siphash(secret, key, strlen(key));
}

struct map *map_new(void)
{
	struct map *m = mem_zalloc(sizeof(*m));

	m->n_slots = MIN_SLOTS;
	m->slots = mem_array(m->n_slots, sizeof(*m->slots));
	return m;
}

void map_free(struct map *m, void (*free_value)(void *))
{
	if (m == NULL)
		return;
	for (size_t i = 0; i < m->n_slots; i++) {
		struct entry *next;

		for (struct entry *en = m->slots[i]; en != NULL; en = next) {
			next = en->next;
			if (free_value != NULL && en->value != NULL)
				free_value(en->value);
			free(en);
		}
	}
	free(m->slots);
	free(m);
}

/* The link that points to the entry of the key, or the one at the end of its chain. */
static struct entry **find(const struct map *m, const char *key, uint64_t hash)
{
	struct entry **link = &m->slots[hash & (m->n_slots - 1)];

	while (*link != NULL && ((*link)->hash != hash || strcmp((*link)->key, key) != 0))
		link = &(*link)->next;
	return link;
}

static void grow(struct map *m)
{
	size_t n = m->n_slots * 2;
	struct entry **slots = mem_array(n, sizeof(*slots));

	for (size_t i = 0; i < m->n_slots; i++) {
		struct entry *next;

		for (struct entry *en = m->slots[i]; en != NULL; en = next) {
			struct entry **slot = &slots[en->hash & (n - 1)];

			next = en->next;
			en->next = *slot;
			*slot = en;
		}
	}
	free(m->slots);
	m->slots = slots;
	m->n_slots = n;
}

void *map_get(const struct map *m, const char *key)
{
	struct entry *en = *find(m, key, hash_key(key));

	return en == NULL ? NULL : en->value;
}

void *map_set(struct map *m, const char *key, void *value)
{
	uint64_t hash = hash_key(key);
	struct entry **link = find(m, key, hash), *en = *link;
	size_t size;

	if (en != NULL) {
		void *old = en->value;

		en->value = value;
		return old;
	}
	size = strlen(key) + 1;
	en = mem_alloc(sizeof(*en) + size);
	en->next = NULL;
	en->hash = hash;
	en->value = value;
	memcpy(en->key, key, size);
	*link = en;
	if (++m->count > m->n_slots)
		grow(m);
	return NULL;
}

void *map_del(struct map *m, const char *key)
{
	struct entry **link = find(m, key, hash_key(key)), *en = *link;
	void *value;

	if (en == NULL)
		return NULL;
	*link = en->next;
	value = en->value;
	free(en);
	m->count--;
	return value;
}

size_t map_count(const struct map *m)
{
	return m->count;
}

void map_each(const struct map *m, bool (*fn)(const char *key, void *value, void *arg), void *arg)
{
	for (size_t i = 0; i < m->n_slots; i++) {
		for (const struct entry *en = m->slots[i]; en != NULL; en = en->next) {
			if (!fn(en->key, en->value, arg))
				return;
		}
	}
}
