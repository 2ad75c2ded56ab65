#include "config.h"

#include "component/task.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CORES_MAX     64
#define TIMEOUT_S     3600 /* of one message, when the configuration names none */
#define TIMEOUT_S_MAX 604800
#define PARTIES_MAX   256

static const struct {
	enum norn_role role;
	const char *name;
} roles[] = {
    {NORN_LOCAL, "local"}, {NORN_GUEST, "guest"}, {NORN_HOST, "host"}, {NORN_ARBITER, "arbiter"}};

static const struct {
	enum norn_stage stage;
	const char *name;
} stages[] = {{NORN_DEFAULT, "default"}, {NORN_TRAIN, "train"}, {NORN_PREDICT, "predict"}};

bool norn_fail(struct err *e, const char *fmt, ...)
{
	char msg[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof msg, fmt, ap);
	va_end(ap);
	return err_set(e, ERR_COMPONENT_OUTPUT, "%s", msg);
}

const char *role_name(enum norn_role r)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(roles); i++)
		if (roles[i].role == r)
			return roles[i].name;
	return "?";
}

static size_t role_index(enum norn_role r)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(roles) - 1 && roles[i].role != r; i++)
		;
	return i;
}

bool role_parse(const char *s, enum norn_role *out)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(roles); i++) {
		if (str_eq(roles[i].name, s)) {
			*out = roles[i].role;
			return true;
		}
	}
	return false;
}

const char *stage_name(enum norn_stage s)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(stages); i++)
		if (stages[i].stage == s)
			return stages[i].name;
	return "?";
}

bool stage_parse(const char *s, enum norn_stage *out)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(stages); i++) {
		if (str_eq(stages[i].name, s)) {
			*out = stages[i].stage;
			return true;
		}
	}
	return false;
}

const struct norn_component *component_find(const struct norn_component *const *all, size_t n,
					    const char *name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (str_eq(all[i]->name, name))
			return all[i];
	return NULL;
}

bool artifact_active(const struct norn_component *c, const struct norn_artifact *a,
		     enum norn_role role, enum norn_stage stage)
{
	unsigned in_roles = a->roles ? a->roles : c->roles;
	unsigned in_stages = a->stages ? a->stages : c->stages;

	return (in_roles & (unsigned)role) != 0 && (in_stages & (unsigned)stage) != 0;
}

static bool read_identity(struct norn_task *t, const struct norn_component *const *all, size_t n,
			  struct err *e)
{
	const json_t *c = t->config;
	const char *name = js_str(c, "component", NULL), *role = js_str(c, "role", NULL);
	const char *stage = js_str(c, "stage", "default");

	t->task_id = js_str(c, "task_id", NULL);
	t->party_task_id = js_str(c, "party_task_id", NULL);
	t->task_name = js_str(c, "task_name", NULL);
	t->party_id = js_str(c, "party_id", NULL);
	if (!t->task_id || !t->party_task_id || !t->task_name || !t->party_id || !name || !role)
		return err_set(e, ERR_CONFIG,
			       "the task configuration needs the strings task_id, "
			       "party_task_id, task_name, component, role and "
			       "party_id");
	t->def = component_find(all, n, name);
	if (t->def == NULL)
		return err_set(e, ERR_CONFIG, "there is no component '%.60s'", name);
	if (!role_parse(role, &t->role) || !(t->def->roles & (unsigned)t->role))
		return err_set(e, ERR_ROLE_TYPE, "component %s has no role '%.60s'", name, role);
	if (!stage_parse(stage, &t->stage) || !(t->def->stages & (unsigned)t->stage))
		return err_set(e, ERR_CONFIG, "component %s has no stage '%.60s'", name, stage);
	return true;
}

static bool read_parties(struct norn_task *t, struct err *e)
{
	json_t *list = js_get(t->config, "conf.federation.metadata.parties.parties"), *p;
	enum norn_role role;
	size_t i;

	for (i = 0; i < ARRAY_LEN(t->parties); i++)
		t->parties[i] = json_array();
	if (json_array_size(list) > PARTIES_MAX)
		return err_set(e, ERR_LIMIT, "more than %d parties", PARTIES_MAX);
	json_array_foreach (list, i, p) {
		const char *id = js_str(p, "partyid", NULL);

		if (id == NULL || !role_parse(js_str(p, "role", ""), &role))
			return err_set(e, ERR_CONFIG,
				       "conf.federation: party %zu has no valid "
				       "role or partyid",
				       i + 1);
		json_array_append_new(t->parties[role_index(role)], json_string(id));
	}
	return true;
}

static bool read_cores(struct norn_task *t, struct err *e)
{
	json_t *v = js_get(t->config, "conf.computing.metadata.options.task_cores");
	json_int_t n;

	t->cores = 1;
	if (v == NULL || json_is_null(v))
		return true;
	n = json_integer_value(v);
	if (!json_is_integer(v) || n < 1)
		return err_set(e, ERR_CONFIG,
			       "conf.computing.metadata.options.task_cores is not "
			       "a whole number above 0");
	t->cores = n > CORES_MAX ? CORES_MAX : (unsigned)n;
	return true;
}

static bool open_metrics(struct norn_task *t, struct err *e)
{
	const char *uri = js_str(js_get(t->config, "output_artifacts.metric"), "uri", NULL);

	if (uri == NULL)
		return err_set(e, ERR_CONFIG, "output_artifacts.metric is missing");
	t->metrics = metrics_open(uri, getenv("NORN_TASK_TOKEN"), e);
	return t->metrics != NULL;
}

/* Inputs and outputs that the role and stage need must be there. */
static bool check_artifacts(const struct norn_task *t, struct err *e)
{
	const json_t *in = json_object_get(t->config, "input_artifacts");
	const json_t *out = json_object_get(t->config, "output_artifacts"), *v;
	const struct norn_artifact *a;
	size_t i;

	for (i = 0; i < t->def->n_artifacts; i++) {
		a = &t->def->artifacts[i];
		if (!artifact_active(t->def, a, t->role, t->stage))
			continue;
		v = json_object_get(a->dir == NORN_IN ? in : out, a->name);
		if ((v == NULL || json_is_null(v)) && !a->optional)
			return err_set(e, ERR_CONFIG, "%s artifact %s is missing",
				       a->dir == NORN_IN ? "input" : "output", a->name);
		if (v != NULL && !json_is_null(v) && json_is_array(v) && !a->multi)
			return err_set(e, ERR_CONFIG, "artifact %s takes one value, not a list",
				       a->name);
	}
	return true;
}

struct norn_task *task_new(json_t *config, const struct norn_component *const *all, size_t n,
			   struct err *e)
{
	struct norn_task *t = mem_zalloc(sizeof *t);

	t->config = config;
	t->io_inputs = json_pack("{s:{},s:{}}", "data", "model");
	t->io_outputs = json_pack("{s:{},s:{},s:{}}", "data", "model", "metric");
	if (read_identity(t, all, n, e) && read_parties(t, e) && read_cores(t, e) &&
	    check_artifacts(t, e) &&
	    (t->params = params_check(t->def, t->stage, json_object_get(config, "parameters"),
				      e)) != NULL &&
	    open_metrics(t, e))
		return t;
	task_free(t);
	return NULL;
}

void task_free(struct norn_task *t)
{
	size_t i;

	if (t == NULL)
		return;
	channel_free(t->channel);
	metrics_free(t->metrics);
	for (i = 0; i < ARRAY_LEN(t->parties); i++)
		json_decref(t->parties[i]);
	json_decref(t->params);
	json_decref(t->io_inputs);
	json_decref(t->io_outputs);
	json_decref(t->config);
	free(t);
}

bool task_run(struct norn_task *t, struct err *e)
{
	json_t *metric;

	if (!t->def->run(t, e))
		return false;
	if (!metrics_flush(t->metrics, e))
		return false;
	metric =
	    json_pack("{s:O,s:s,s:b,s:{s:{},s:{s:s,s:s,s:s,s:s,s:s}}}", "uri",
		      js_get(t->config, "output_artifacts.metric.uri"), "type_name", "json_metric",
		      "consumed", 1, "metadata", "metadata", "source", "task_id", t->task_id,
		      "party_task_id", t->party_task_id, "task_name", t->task_name, "component",
		      t->def->name, "output_artifact_key", "metric");
	json_object_set_new(json_object_get(t->io_outputs, "metric"), "metric", metric);
	return true;
}

enum norn_role norn_role(const struct norn_task *t)
{
	return t->role;
}

enum norn_stage norn_stage(const struct norn_task *t)
{
	return t->stage;
}

const char *norn_party_id(const struct norn_task *t)
{
	return t->party_id;
}

const char *norn_task_name(const struct norn_task *t)
{
	return t->task_name;
}

unsigned norn_cores(const struct norn_task *t)
{
	return t->cores;
}

size_t norn_party_count(const struct norn_task *t, enum norn_role role)
{
	return json_array_size(t->parties[role_index(role)]);
}

const char *norn_party(const struct norn_task *t, enum norn_role role, size_t i)
{
	return json_string_value(json_array_get(t->parties[role_index(role)], i));
}

const json_t *norn_param(const struct norn_task *t, const char *name)
{
	const json_t *v = json_object_get(t->params, name);

	return v ? v : json_null();
}

const char *norn_param_str(const struct norn_task *t, const char *name)
{
	return json_string_value(norn_param(t, name));
}

int64_t norn_param_int(const struct norn_task *t, const char *name, int64_t when_null)
{
	const json_t *v = norn_param(t, name);

	return json_is_integer(v) ? json_integer_value(v) : when_null;
}

double norn_param_num(const struct norn_task *t, const char *name, double when_null)
{
	const json_t *v = norn_param(t, name);

	return json_is_number(v) ? json_number_value(v) : when_null;
}

bool norn_param_bool(const struct norn_task *t, const char *name)
{
	return json_is_true(norn_param(t, name));
}

void norn_say(const struct norn_task *t, const char *fmt, ...)
{
	char when[32], msg[1024];
	struct buf shown = {0};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof msg, fmt, ap);
	va_end(ap);
	clock_format_utc(clock_wall_ms(), when, sizeof when);
	str_vis(&shown, msg, strlen(msg));
	printf("%s %s %s %s: %s\n", when, t->task_name, role_name(t->role), t->party_id,
	       buf_str(&shown));
	fflush(stdout);
	buf_free(&shown);
}

void norn_metric(struct norn_task *t, const char *name, const char *type, const char *const *groups,
		 size_t n_groups, json_t *data)
{
	metrics_add(t->metrics, metrics_record(name, type, groups, n_groups, NULL, data));
}

void norn_metric_step(struct norn_task *t, const char *name, const char *type, const char *axis,
		      int64_t step, double value)
{
	static const char *const groups[] = {"train"};
	json_t *data = json_pack("[{s:f,s:I,s:f}]", "metric", value, "step", (json_int_t)step,
				 "timestamp", (double)clock_wall_ms() / 1000.0);

	metrics_add(t->metrics, metrics_record(name, type, groups, 1, axis, data));
}

static bool open_channel(struct norn_task *t, struct err *e)
{
	const json_t *fed = js_get(t->config, "conf.federation");
	const json_t *c = js_get(fed, "metadata.norn_config");
	const char *url = js_str(c, "url", NULL);
	const char *id = js_str(c, "execution_id", t->party_task_id);
	int64_t timeout_s = js_int(c, "timeout_s", TIMEOUT_S);

	if (strcmp(js_str(fed, "type", ""), "norn") != 0)
		return err_set(e, ERR_CONFIG,
			       "conf.federation.type is '%.60s': this component exchanges "
			       "messages through its node only (type norn)",
			       js_str(fed, "type", ""));
	if (url == NULL)
		return err_set(e, ERR_CONFIG,
			       "conf.federation.metadata.norn_config.url is "
			       "missing");
	if (timeout_s < 1 || timeout_s > TIMEOUT_S_MAX)
		timeout_s = TIMEOUT_S_MAX; /* 0: the task has no time limit */
	t->channel = channel_node_new(url, id, getenv("NORN_TASK_TOKEN"), timeout_s, e);
	return t->channel != NULL;
}

struct channel *task_channel(struct norn_task *t, struct err *e)
{
	if (t->channel == NULL && !open_channel(t, e))
		return NULL;
	return t->channel;
}

bool norn_send(struct norn_task *t, enum norn_role role, const char *party, const char *tag,
	       const void *data, size_t len, struct err *e)
{
	if (t->channel == NULL && !open_channel(t, e))
		return false;
	return channel_send(t->channel, role_name(role), party, tag, data, len, e);
}

bool norn_recv(struct norn_task *t, enum norn_role role, const char *party, const char *tag,
	       size_t max_len, void **data, size_t *len, struct err *e)
{
	struct buf b = {0};

	if (t->channel == NULL && !open_channel(t, e))
		return false;
	if (!channel_recv(t->channel, role_name(role), party, tag, max_len, &b, e)) {
		buf_free(&b);
		return false;
	}
	*len = b.len;
	*data = buf_take(&b);
	if (*data == NULL)
		*data = mem_zalloc(1);
	return true;
}
