#include "config.h"

#include "component/metrics.h"

#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "component/artifact.h"
#include "component/httpc.h"
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POST_MS        10000
#define POST_FAILS_MAX 3 /* then the endpoint is left alone, so that it cannot slow the task */

struct metrics {
	char *path; /* file:// */
	json_t *kept;
	struct httpc http;
	bool use_http;
	int fails; /* in a row */
};

struct metrics *metrics_open(const char *uri, const char *token, struct err *e)
{
	struct metrics *m = mem_zalloc(sizeof *m);

	m->http.fd = -1;
	m->kept = json_array();
	m->use_http = str_starts(uri, "http://");
	if (m->use_http ? httpc_init(&m->http, uri, token, e) : artifact_path(uri, &m->path, e))
		return m;
	err_prefix(e, "metric artifact");
	metrics_free(m);
	return NULL;
}

void metrics_free(struct metrics *m)
{
	if (m == NULL)
		return;
	json_decref(m->kept);
	free(m->path);
	httpc_free(&m->http);
	free(m);
}

static void post(struct metrics *m, json_t *record)
{
	json_t *body = json_pack("{s:[O]}", "data", record);
	char *text = js_dump_str(body);
	struct httpc_answer a;
	struct err e = {0};

	if (!httpc_request(&m->http, "POST", "", "application/json", text, strlen(text), POST_MS,
			   &a, &e)) {
		m->fails++;
		fprintf(stderr, "warning: metric %s was not delivered: %s\n",
			js_str(record, "name", "?"), e.msg);
	} else {
		m->fails = 0;
		if (a.status / 100 != 2)
			fprintf(stderr, "warning: metric %s was refused with status %d\n",
				js_str(record, "name", "?"), a.status);
		httpc_answer_free(&a);
	}
	free(text);
	json_decref(body);
}

/* Steps of the same metric are one record in a file. */
static bool join_steps(struct metrics *m, const json_t *record)
{
	json_t *r, *data = json_object_get(record, "data");
	size_t i;

	if (!json_is_string(json_object_get(record, "step_axis")))
		return false;
	json_array_foreach (m->kept, i, r) {
		if (json_equal(json_object_get(r, "name"), json_object_get(record, "name")) &&
		    json_equal(json_object_get(r, "groups"), json_object_get(record, "groups")) &&
		    json_equal(json_object_get(r, "step_axis"),
			       json_object_get(record, "step_axis"))) {
			json_array_extend(json_object_get(r, "data"), data);
			return true;
		}
	}
	return false;
}

void metrics_add(struct metrics *m, json_t *record)
{
	if (m->use_http) {
		if (m->fails < POST_FAILS_MAX)
			post(m, record);
	} else if (!join_steps(m, record)) {
		json_array_append(m->kept, record);
	}
	json_decref(record);
}

bool metrics_flush(struct metrics *m, struct err *e)
{
	char *dir;
	bool ok;

	if (m->use_http)
		return true;
	dir = mem_strdup(m->path);
	ok = fs_mkdirs(dirname(dir), 0700, e) && js_save_file(m->path, m->kept, e);
	free(dir);
	return ok;
}

json_t *metrics_record(const char *name, const char *type, const char *const *groups,
		       size_t n_groups, const char *axis, json_t *data)
{
	json_t *list = json_array(), *o = json_object();
	size_t i;

	json_array_append_new(list, json_pack("{s:s,s:n}", "name", "default", "index"));
	for (i = 0; i < n_groups; i++)
		json_array_append_new(list, json_pack("{s:s,s:n}", "name", groups[i], "index"));
	json_object_set_new(o, "name", json_string(name));
	json_object_set_new(o, "type", type ? json_string(type) : json_null());
	json_object_set_new(o, "groups", list);
	json_object_set_new(o, "step_axis", axis ? json_string(axis) : json_null());
	json_object_set_new(o, "data", data);
	return o;
}
