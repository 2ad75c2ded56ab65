#include "dag/dag_impl.h"

#include "base/str.h"

#include <string.h>

#define MODEL_ID_MAX      100
#define MODEL_VERSION_MAX 10
#define JOB_ID_MAX        64
#define PROVIDER_MAX      100

static bool provider_part(const char *s, size_t len)
{
	char part[PROVIDER_MAX + 1];

	if (len == 0 || (len == 1 && *s == '*'))
		return true;
	memcpy(part, s, len);
	part[len] = 0;
	return str_is_name(part, PROVIDER_MAX);
}

/* text is at most PROVIDER_MAX bytes. */
static bool check_provider(const char *text, const struct dag_at *at, struct err *e)
{
	const char *colon = strchr(text, ':');
	const char *mark = colon ? strchr(colon, '@') : NULL;

	if (mark && provider_part(text, (size_t)(colon - text)) &&
	    provider_part(colon + 1, (size_t)(mark - colon - 1)) &&
	    provider_part(mark + 1, strlen(mark + 1)))
		return true;
	return dag_bad(e, ERR_JOB_PARAMS, at,
		       "%s is not of the form name:version@device; an example is fate:2.2.0@local",
		       DAG_Q(text));
}

struct provider {
	const char *part[3]; /* name, version, device */
	size_t len[3];
};

static struct provider provider_split(const char *text)
{
	size_t name = strcspn(text, ":");
	const char *version = text[name] ? text + name + 1 : text + name;
	size_t vlen = strcspn(version, "@");
	const char *device = version[vlen] ? version + vlen + 1 : version + vlen;

	return (struct provider){{text, version, device}, {name, vlen, strlen(device)}};
}

static bool wild(const struct provider *p, int i)
{
	return p->len[i] == 0 || (p->len[i] == 1 && *p->part[i] == '*');
}

void dag_provider_fill(const char *text, const char *def, struct buf *out)
{
	struct provider p = provider_split(text ? text : "");
	struct provider d = provider_split(def);
	bool same =
	    wild(&p, 0) || (p.len[0] == d.len[0] && !memcmp(p.part[0], d.part[0], d.len[0]));

	for (int i = 0; i < 3; i++) {
		const struct provider *from = wild(&p, i) ? &d : &p;

		if (i)
			buf_addc(out, i == 1 ? ':' : '@');
		if (wild(from, i) || (i == 1 && from == &d && !same))
			buf_addc(out, '*');
		else
			buf_add(out, from->part[i], from->len[i]);
	}
}

static bool check_engine_run(json_t *run, const struct dag_at *at, struct err *e)
{
	int64_t n;

	/* Other keys are options of the engine and pass through. */
	if (!dag_get_int(run, "cores", 1, DAG_CORES_MAX, &n, at, e) ||
	    !dag_get_int(run, "memory", 0, DAG_MEMORY_MB_MAX, &n, at, e) ||
	    !dag_get_int(run, "num-executors", 1, 10000, &n, at, e) ||
	    !dag_get_int(run, "executor-cores", 1, 10000, &n, at, e))
		return false;
	return dag_check_params(run, at, e);
}

bool dag_check_task_conf(json_t *conf, const struct dag_at *at, struct err *e)
{
	static const struct dag_field fields[] = {
	    {"engine_run", false},    {"provider", false},        {"timeout", false},
	    {"launcher_name", false}, {"task_parallelism", true}, {"engine", true},
	};
	const char *provider = NULL, *launcher = NULL;
	json_t *run = NULL;
	int64_t timeout_s;

	if (!DAG_FIELDS(conf, fields, at, e) ||
	    !dag_get_text(conf, "provider", PROVIDER_MAX, false, &provider, at, e) ||
	    !dag_get_int(conf, "timeout", 1, DAG_TIMEOUT_S_MAX, &timeout_s, at, e) ||
	    !dag_get_name(conf, "launcher_name", DAG_NAME_MAX, false, &launcher, at, e) ||
	    !dag_get_object(conf, "engine_run", false, &run, at, e))
		return false;
	if (provider && !check_provider(provider, DAG_KEY(at, "provider"), e))
		return false;
	return !run || check_engine_run(run, DAG_KEY(at, "engine_run"), e);
}

static bool parse_parties_of_conf(struct dag_full *f, json_t *conf, const char *own,
				  const struct dag_at *at, struct err *e)
{
	const char *initiator = own, *scheduler = own;
	struct dag *d = &f->pub;

	if (!dag_get_name(conf, "initiator_party_id", DAG_PARTY_ID_MAX, false, &initiator, at, e) ||
	    !dag_get_name(conf, "scheduler_party_id", DAG_PARTY_ID_MAX, false, &scheduler, at, e))
		return false;
	if (initiator) {
		str_copy(d->initiator_party_id, sizeof(d->initiator_party_id), initiator);
		json_object_set_new(conf, "initiator_party_id", json_string(d->initiator_party_id));
	}
	if (scheduler) {
		str_copy(d->scheduler_party_id, sizeof(d->scheduler_party_id), scheduler);
		json_object_set_new(conf, "scheduler_party_id", json_string(d->scheduler_party_id));
	}
	return true;
}

/* Both or neither: an id without a version names no model. */
static bool get_model(json_t *obj, const char **id, const char **version, const struct dag_at *at,
		      struct err *e)
{
	*id = NULL;
	*version = NULL;
	if (!dag_get_name(obj, "model_id", MODEL_ID_MAX, false, id, at, e) ||
	    !dag_get_name(obj, "model_version", MODEL_VERSION_MAX, false, version, at, e))
		return false;
	if (*id && !*version)
		return dag_bad(e, ERR_JOB_PARAMS, DAG_KEY(at, "model_version"),
			       "is missing; give model_id and model_version, or neither");
	if (*version && !*id)
		return dag_bad(e, ERR_JOB_PARAMS, DAG_KEY(at, "model_id"),
			       "is missing; give model_id and model_version, or neither");
	return true;
}

static bool parse_models(struct dag_full *f, json_t *conf, const struct dag_at *at, struct err *e)
{
	static const struct dag_field fields[] = {{"model_id", false}, {"model_version", false}};
	const char *id, *version;
	json_t *warehouse = NULL;

	if (!get_model(conf, &id, &version, at, e))
		return false;
	if (id) {
		str_copy(f->pub.model_id, sizeof(f->pub.model_id), id);
		str_copy(f->pub.model_version, sizeof(f->pub.model_version), version);
	}
	if (!dag_get_object(conf, "model_warehouse", false, &warehouse, at, e))
		return false;
	if (!warehouse)
		return true;
	at = DAG_KEY(at, "model_warehouse");
	if (!DAG_FIELDS(warehouse, fields, at, e) || !get_model(warehouse, &id, &version, at, e))
		return false;
	if (!id)
		return dag_bad(e, ERR_JOB_PARAMS, DAG_KEY(at, "model_id"), "is missing");
	return true;
}

static bool parse_inheritance(json_t *conf, const struct dag_at *at, struct err *e)
{
	static const struct dag_field fields[] = {{"job_id", false}, {"task_list", false}};
	json_t *inherit = NULL, *list;
	const char *job = NULL;

	if (!dag_get_object(conf, "inheritance", false, &inherit, at, e))
		return false;
	if (!inherit)
		return true;
	if (json_object_size(inherit) == 0) { /* records show "none" this way */
		json_object_del(conf, "inheritance");
		return true;
	}
	at = DAG_KEY(at, "inheritance");
	if (!DAG_FIELDS(inherit, fields, at, e) ||
	    !dag_get_name(inherit, "job_id", JOB_ID_MAX, true, &job, at, e))
		return false;
	list = json_object_get(inherit, "task_list");
	if (!json_is_array(list))
		return dag_bad(e, ERR_JOB_PARAMS, DAG_KEY(at, "task_list"),
			       "must be a list of task names");
	if (json_array_size(list) == 0)
		return dag_bad(e, ERR_JOB_INHERITANCE, DAG_KEY(at, "task_list"),
			       "is empty; name the tasks to take over, or leave inheritance out");
	return true;
}

bool dag_check_inheritance(struct dag_full *f, struct err *e)
{
	const struct dag_at *at = DAG_KEY(DAG_KEY(NULL, "dag"), "conf");
	json_t *list = json_object_get(json_object_get(f->conf, "inheritance"), "task_list"), *v;
	struct map *seen = map_new();
	bool ok = true;
	size_t i;

	at = DAG_KEY(DAG_KEY(at, "inheritance"), "task_list");
	json_array_foreach (list, i, v) {
		const char *name = json_string_value(v);
		const struct dag_at *here = DAG_IDX(at, i);

		if (!name)
			ok = dag_bad(e, ERR_JOB_PARAMS, here, "must be a task name");
		else if (dag_find_task(&f->pub, name) < 0)
			ok = dag_no_task(f, name, here, e);
		else if (map_set(seen, name, f))
			ok =
			    dag_bad(e, ERR_JOB_PARAMS, here, "names %s a second time", DAG_Q(name));
		if (!ok)
			break;
	}
	map_free(seen, NULL);
	return ok;
}

static bool parse_sync_type(struct dag_full *f, json_t *conf, const struct dag_at *at,
			    struct err *e)
{
	const char *sync = "callback";

	if (!dag_get_text(conf, "sync_type", DAG_KEY_MAX, false, &sync, at, e))
		return false;
	if (!str_eq(sync, "callback") && !str_eq(sync, "poll"))
		return dag_bad(e, ERR_JOB_PARAMS, DAG_KEY(at, "sync_type"),
			       "is %s; it must be callback or poll", DAG_Q(sync));
	str_copy(f->pub.sync_type, sizeof(f->pub.sync_type), sync);
	json_object_set_new(conf, "sync_type", json_string(f->pub.sync_type));
	return true;
}

static bool parse_numbers(struct dag *d, json_t *conf, const struct dag_defaults *def,
			  const struct dag_at *at, struct err *e)
{
	d->cores = def->job_cores;
	d->auto_retries = def->auto_retries;
	d->computing_partitions = def->computing_partitions;
	if (!dag_get_int(conf, "priority", -1000000000, 1000000000, &d->priority, at, e) ||
	    !dag_get_int(conf, "cores", 1, DAG_CORES_MAX, &d->cores, at, e) ||
	    !dag_get_int(conf, "memory", 0, DAG_MEMORY_MB_MAX, &d->memory_mb, at, e) ||
	    !dag_get_int(conf, "timeout", 0, DAG_TIMEOUT_S_MAX, &d->timeout_s, at, e) ||
	    !dag_get_int(conf, "auto_retries", 0, 1000, &d->auto_retries, at, e) ||
	    !dag_get_int(conf, "computing_partitions", 1, 100000, &d->computing_partitions, at, e))
		return false;
	/* cores, memory and timeouts are left out: each party fills in its own defaults. */
	json_object_set_new(conf, "priority", json_integer(d->priority));
	json_object_set_new(conf, "auto_retries", json_integer(d->auto_retries));
	json_object_set_new(conf, "computing_partitions", json_integer(d->computing_partitions));
	return true;
}

bool dag_parse_conf(struct dag_full *f, json_t *dag, const struct dag_defaults *def, struct err *e)
{
	static const struct dag_field fields[] = {
	    {"initiator_party_id", false},
	    {"scheduler_party_id", false},
	    {"computing_partitions", false},
	    {"sync_type", false},
	    {"auto_retries", false},
	    {"model_id", false},
	    {"model_version", false},
	    {"priority", false},
	    {"cores", false},
	    {"memory", false},
	    {"timeout", false},
	    {"inheritance", false},
	    {"model_warehouse", false},
	    {"task", false},
	    {"extra", false},
	    {"task_parallelism", true},
	    {"federated_status_collect_type", true},
	    {"engine", true},
	};
	const struct dag_at *at = DAG_KEY(DAG_KEY(NULL, "dag"), "conf");
	json_t *conf = json_object_get(dag, "conf"), *task = NULL, *extra = NULL;

	if (!conf || json_is_null(conf)) {
		conf = json_object();
		json_object_set_new(dag, "conf", conf);
	}
	f->conf = conf;
	if (!DAG_FIELDS(conf, fields, at, e) ||
	    !parse_parties_of_conf(f, conf, def->own_party_id, at, e) ||
	    !parse_numbers(&f->pub, conf, def, at, e) || !parse_sync_type(f, conf, at, e) ||
	    !parse_models(f, conf, at, e) || !parse_inheritance(conf, at, e) ||
	    !dag_get_object(conf, "extra", false, &extra, at, e) ||
	    !dag_get_object(conf, "task", false, &task, at, e))
		return false;
	if (extra && !dag_check_params(extra, DAG_KEY(at, "extra"), e))
		return false;
	return !task || dag_check_task_conf(task, DAG_KEY(at, "task"), e);
}
