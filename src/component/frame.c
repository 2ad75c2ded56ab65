#include "config.h"

#include "component/frame.h"

#include "base/map.h"
#include "base/mem.h"
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct norn_frame *norn_frame_new(size_t n_rows, const char *sample_id_name,
				  const char *match_id_name)
{
	struct norn_frame *f = mem_zalloc(sizeof *f);

	f->n_rows = n_rows;
	f->sample_id_name = mem_strdup(sample_id_name);
	f->match_id_name = mem_strdup(match_id_name);
	f->sample_id = mem_array(n_rows ? n_rows : 1, sizeof *f->sample_id);
	f->match_id = mem_array(n_rows ? n_rows : 1, sizeof *f->match_id);
	return f;
}

static void free_strings(char **s, size_t n)
{
	size_t i;

	if (s == NULL)
		return;
	for (i = 0; i < n; i++)
		free(s[i]);
	free(s);
}

static void column_clear(struct norn_column *c, size_t n_rows)
{
	free(c->name);
	free(c->anonymous_name);
	free(c->num);
	free_strings(c->str, n_rows);
}

void norn_frame_free(struct norn_frame *f)
{
	size_t i;

	if (f == NULL)
		return;
	free(f->sample_id_name);
	free(f->match_id_name);
	free(f->site_name);
	free_strings(f->sample_id, f->n_rows);
	free_strings(f->match_id, f->n_rows);
	if (f->label != NULL)
		column_clear(f->label, f->n_rows);
	if (f->weight != NULL)
		column_clear(f->weight, f->n_rows);
	free(f->label);
	free(f->weight);
	for (i = 0; i < f->n_columns; i++)
		column_clear(&f->columns[i], f->n_rows);
	free(f->columns);
	free(f);
}

static void column_init(struct norn_column *c, const char *name, enum norn_dtype dtype, size_t n)
{
	memset(c, 0, sizeof *c);
	c->name = mem_strdup(name);
	c->dtype = dtype;
	if (dtype == NORN_STRING)
		c->str = mem_array(n ? n : 1, sizeof *c->str);
	else
		c->num = mem_array(n ? n : 1, sizeof *c->num);
}

struct norn_column *norn_frame_add_column(struct norn_frame *f, const char *name,
					  enum norn_dtype dtype)
{
	f->columns = mem_resize(f->columns, f->n_columns + 1, sizeof *f->columns);
	column_init(&f->columns[f->n_columns], name, dtype, f->n_rows);
	return &f->columns[f->n_columns++];
}

static void set_special(struct norn_frame *f, struct norn_column **slot, const char *name,
			enum norn_dtype dtype)
{
	if (*slot != NULL)
		column_clear(*slot, f->n_rows);
	else
		*slot = mem_alloc(sizeof **slot);
	column_init(*slot, name, dtype, f->n_rows);
}

void norn_frame_set_label(struct norn_frame *f, const char *name, enum norn_dtype dtype)
{
	set_special(f, &f->label, name, dtype);
}

void norn_frame_set_weight(struct norn_frame *f, const char *name, enum norn_dtype dtype)
{
	set_special(f, &f->weight, name, dtype);
}

struct norn_column *norn_frame_column(const struct norn_frame *f, const char *name)
{
	size_t i;

	for (i = 0; i < f->n_columns; i++)
		if (strcmp(f->columns[i].name, name) == 0)
			return &f->columns[i];
	return NULL;
}

static void copy_cells(struct norn_column *to, size_t at, const struct norn_column *from,
		       const size_t *rows, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (to->str != NULL)
			to->str[at + i] = mem_strdup(from->str[rows ? rows[i] : i]);
		else
			to->num[at + i] = from->num[rows ? rows[i] : i];
	}
}

/* A frame with the fields of f and room for n rows; the cells are still empty. */
static struct norn_frame *like(const struct norn_frame *f, size_t n)
{
	struct norn_frame *g = norn_frame_new(n, f->sample_id_name, f->match_id_name);
	struct norn_column *c;
	size_t i;

	g->site_name = mem_strdup(f->site_name);
	if (f->label != NULL) {
		norn_frame_set_label(g, f->label->name, f->label->dtype);
		g->label->anonymous_name = mem_strdup(f->label->anonymous_name);
	}
	if (f->weight != NULL) {
		norn_frame_set_weight(g, f->weight->name, f->weight->dtype);
		g->weight->anonymous_name = mem_strdup(f->weight->anonymous_name);
	}
	for (i = 0; i < f->n_columns; i++) {
		c = norn_frame_add_column(g, f->columns[i].name, f->columns[i].dtype);
		c->anonymous_name = mem_strdup(f->columns[i].anonymous_name);
	}
	return g;
}

/* Copy n rows of f (the given ones, or the first n) into g from row `at` on. */
static void copy_rows(struct norn_frame *g, size_t at, const struct norn_frame *f,
		      const size_t *rows, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		g->sample_id[at + i] = mem_strdup(f->sample_id[rows ? rows[i] : i]);
		g->match_id[at + i] = mem_strdup(f->match_id[rows ? rows[i] : i]);
	}
	if (f->label != NULL)
		copy_cells(g->label, at, f->label, rows, n);
	if (f->weight != NULL)
		copy_cells(g->weight, at, f->weight, rows, n);
	for (i = 0; i < f->n_columns; i++)
		copy_cells(&g->columns[i], at, &f->columns[i], rows, n);
}

struct norn_frame *norn_frame_select(const struct norn_frame *f, const size_t *rows, size_t n)
{
	struct norn_frame *g = like(f, n);

	copy_rows(g, 0, f, rows, n);
	return g;
}

static bool same_special(const struct norn_column *a, const struct norn_column *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return a->dtype == b->dtype;
}

struct norn_frame *frame_stack(const struct norn_frame *a, const struct norn_frame *b,
			       struct err *e)
{
	struct norn_frame *g;
	size_t i;

	if (a->n_columns != b->n_columns || !same_special(a->label, b->label) ||
	    !same_special(a->weight, b->weight))
		goto differ;
	for (i = 0; i < a->n_columns; i++)
		if (strcmp(a->columns[i].name, b->columns[i].name) != 0 ||
		    a->columns[i].dtype != b->columns[i].dtype)
			goto differ;
	g = like(a, a->n_rows + b->n_rows);
	copy_rows(g, 0, a, NULL, a->n_rows);
	copy_rows(g, a->n_rows, b, NULL, b->n_rows);
	return g;
differ:
	err_set(e, ERR_COMPONENT_OUTPUT, "the two tables have different fields");
	return NULL;
}

bool frame_find_duplicate(char *const *ids, size_t n, size_t *first, size_t *second)
{
	struct map *seen = map_new();
	uintptr_t before = 0;
	size_t i;

	for (i = 0; i < n && before == 0; i++)
		before = (uintptr_t)map_set(seen, ids[i], (void *)(uintptr_t)(i + 1));
	map_free(seen, NULL);
	if (before == 0)
		return false;
	*first = (size_t)before;
	*second = i;
	return true;
}

bool frame_ids_hash(const struct norn_frame *f, unsigned char out[32], struct err *e)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t i;
	bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;

	for (i = 0; i < f->n_rows && ok; i++)
		ok = EVP_DigestUpdate(ctx, f->sample_id[i], strlen(f->sample_id[i]) + 1) == 1;
	ok = ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return ok || err_set(e, ERR_CRYPTO, "SHA-256 failed");
}
