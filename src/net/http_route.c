/* Which route a request takes. Literal paths are looked up in a map, patterns are tried in order.
 */
#include "config.h"
#include "net/http_int.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct route_entry {
	const struct http_route *route;
	size_t order;             /* of registration: the first match wins */
	struct route_entry *next; /* the same literal path, or the next pattern */
};

struct http_router {
	struct map *literal; /* path -> route_entry list, in order */
	struct route_entry *patterns;
	size_t n;
};

struct http_router *http_router_new(void)
{
	struct http_router *r = mem_zalloc(sizeof(*r));

	r->literal = map_new();
	return r;
}

static void free_entries(void *list)
{
	struct route_entry *e = list;

	while (e != NULL) {
		struct route_entry *next = e->next;
		free(e);
		e = next;
	}
}

void http_router_free(struct http_router *r)
{
	if (r == NULL)
		return;
	map_free(r->literal, free_entries);
	free_entries(r->patterns);
	free(r);
}

static void append(struct route_entry **list, struct route_entry *e)
{
	while (*list != NULL)
		list = &(*list)->next;
	*list = e;
}

void http_router_add(struct http_router *r, const struct http_route *routes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct route_entry *e = mem_zalloc(sizeof(*e));
		e->route = &routes[i];
		e->order = r->n++;
		if (strchr(routes[i].path, '{') != NULL) {
			append(&r->patterns, e);
			continue;
		}
		struct route_entry *head = map_get(r->literal, routes[i].path);
		if (head == NULL)
			map_set(r->literal, routes[i].path, e);
		else
			append(&head, e);
	}
}

/* Parts between slashes; a pattern's part "{name}" takes any one part. */
static bool match_pattern(const char *pattern, const char *path)
{
	while (*pattern == '/' && *path == '/') {
		pattern++;
		path++;
		size_t want = strcspn(pattern, "/");
		size_t have = strcspn(path, "/");
		if (pattern[0] == '{') {
			if (have == 0)
				return false;
		} else if (want != have || memcmp(pattern, path, want) != 0) {
			return false;
		}
		pattern += want;
		path += have;
	}
	return *pattern == 0 && *path == 0;
}

static void take_parts(struct http_req *req, const char *pattern, const char *path)
{
	/* Reserved at once, so that the values do not move. */
	buf_reset(&req->part_text);
	buf_reserve(&req->part_text, strlen(path) + 1);
	req->n_parts = 0;
	while (*pattern == '/') {
		pattern++;
		path++;
		size_t want = strcspn(pattern, "/");
		size_t have = strcspn(path, "/");
		if (pattern[0] == '{' && req->n_parts < HTTP_PARTS_MAX) {
			struct http_part *part = &req->parts[req->n_parts++];
			size_t at = req->part_text.len;
			buf_add(&req->part_text, path, have);
			buf_addc(&req->part_text, 0);
			part->name = pattern + 1;
			part->name_len = want >= 2 ? want - 2 : 0;
			part->value = req->part_text.data + at;
		}
		pattern += want;
		path += have;
	}
}

/* The better of two: the earlier one that takes the method. */
static const struct route_entry *pick(const struct route_entry *best, const struct route_entry *e,
				      const char *method, bool *path_known)
{
	*path_known = true;
	if (strcmp(e->route->method, method) != 0 || (best != NULL && best->order < e->order))
		return best;
	return e;
}

static const struct route_entry *find(const struct http_router *r, const char *path,
				      const char *method, bool *path_known)
{
	const struct route_entry *best = NULL;

	for (const struct route_entry *e = map_get(r->literal, path); e != NULL; e = e->next)
		best = pick(best, e, method, path_known);
	for (const struct route_entry *e = r->patterns; e != NULL; e = e->next) {
		if (best != NULL && best->order < e->order)
			break;
		if (match_pattern(e->route->path, path))
			best = pick(best, e, method, path_known);
	}
	return best;
}

void http_router_match(const struct http_router *r, struct http_req *req)
{
	const char *path = buf_str(&req->target.path);
	const char *method = http_parser_method(&req->parser);
	const struct route_entry *found = find(r, path, method, &req->path_known);

	req->head_only = strcmp(method, "HEAD") == 0;
	if (found == NULL && req->head_only)
		found = find(r, path, "GET", &req->path_known);
	req->route = found != NULL ? found->route : NULL;
	if (found != NULL && strchr(found->route->path, '{') != NULL)
		take_parts(req, found->route->path, path);
}
