#include "config.h"

#include "component/desc.h"

#include "component/task.h"
#include "base/attr.h"
#include <string.h>

static const enum norn_role all_roles[] = {NORN_LOCAL, NORN_GUEST, NORN_HOST, NORN_ARBITER};
static const enum norn_stage all_stages[] = {NORN_DEFAULT, NORN_TRAIN, NORN_PREDICT};

json_t *desc_list(const struct norn_component *const *all, size_t n)
{
	json_t *names = json_array();
	size_t i;

	for (i = 0; i < n; i++)
		json_array_append_new(names, json_string(all[i]->name));
	return json_pack("{s:o,s:[]}", "buildin", names, "thirdparty");
}

static json_t *role_list(unsigned set)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < ARRAY_LEN(all_roles); i++)
		if (set & (unsigned)all_roles[i])
			json_array_append_new(a, json_string(role_name(all_roles[i])));
	return a;
}

static json_t *stage_list(unsigned set)
{
	json_t *a = json_array();
	size_t i;

	for (i = 0; i < ARRAY_LEN(all_stages); i++)
		if (set & (unsigned)all_stages[i])
			json_array_append_new(a, json_string(stage_name(all_stages[i])));
	return a;
}

/* A JSON-schema fragment for one parameter. */
static json_t *type_meta(const struct norn_param *p)
{
	static const char *const names[] = {
	    [NORN_P_STR] = "string", [NORN_P_BOOL] = "boolean", [NORN_P_INT] = "integer",
	    [NORN_P_NUM] = "number", [NORN_P_LIST] = "array",   [NORN_P_MAP] = "object",
	};
	json_t *o = json_object(), *list;
	const char *c;
	size_t n;

	if (p->type != NORN_P_ANY)
		json_object_set_new(o, "type", json_string(names[p->type]));
	json_object_set_new(o, "title", json_string(p->name));
	if (p->min < 0 || p->min > 0 || p->max < 0 || p->max > 0) {
		json_object_set_new(o, "minimum", json_real(p->min));
		json_object_set_new(o, "maximum", json_real(p->max));
	}
	if (p->choices != NULL) {
		list = json_array();
		for (c = p->choices; *c; c += n + (c[n] == '|')) {
			n = strcspn(c, "|");
			json_array_append_new(list, json_stringn(c, n));
		}
		json_object_set_new(o, "enum", list);
	}
	return o;
}

static json_t *param_json(const struct norn_param *p)
{
	static const char *const names[] = {
	    [NORN_P_STR] = "str",   [NORN_P_BOOL] = "bool", [NORN_P_INT] = "int",
	    [NORN_P_NUM] = "float", [NORN_P_LIST] = "list", [NORN_P_MAP] = "dict",
	    [NORN_P_ANY] = "any",
	};
	json_t *def = p->def ? json_loads(p->def, JSON_DECODE_ANY, NULL) : NULL;

	return json_pack("{s:s,s:o,s:b,s:s,s:o}", "type", names[p->type], "default",
			 def ? def : json_null(), "optional", p->def != NULL, "description",
			 p->help ? p->help : "", "type_meta", type_meta(p));
}

static const char *group_name(const struct norn_artifact *a)
{
	return a->kind == NORN_JSON_MODEL ? "model" : "data";
}

static void add_artifact(json_t *io, const struct norn_component *c, const struct norn_artifact *a)
{
	json_t *o = json_pack("{s:[s],s:b,s:o,s:o,s:s,s:b}", "types", artifact_kind_name(a->kind),
			      "optional", a->optional, "stages",
			      stage_list(a->stages ? a->stages : c->stages), "roles",
			      role_list(a->roles ? a->roles : c->roles), "description",
			      a->help ? a->help : "", "is_multi", a->multi);

	json_object_set_new(json_object_get(io, group_name(a)), a->name, o);
}

json_t *desc_component(const struct norn_component *c)
{
	json_t *params = json_object(), *in = json_pack("{s:{},s:{}}", "data", "model");
	json_t *out = json_pack("{s:{},s:{},s:{}}", "data", "model", "metric");
	json_t *metric =
	    json_pack("{s:[s],s:b,s:o,s:o,s:s,s:b}", "types", "json_metric", "optional", 0,
		      "stages", stage_list(c->stages), "roles", role_list(c->roles), "description",
		      "metrics of the task", "is_multi", 0);
	size_t i;

	json_object_set_new(json_object_get(out, "metric"), "metric", metric);
	for (i = 0; i < c->n_params; i++)
		json_object_set_new(params, c->params[i].name, param_json(&c->params[i]));
	for (i = 0; i < c->n_artifacts; i++)
		add_artifact(c->artifacts[i].dir == NORN_IN ? in : out, c, &c->artifacts[i]);
	return json_pack("{s:{s:s,s:s,s:s,s:s,s:[],s:o,s:o,s:o,s:o},s:s}", "component", "name",
			 c->name, "description", c->help, "provider", "norn", "version", c->version,
			 "labels", "roles", role_list(c->roles), "parameters", params,
			 "input_artifacts", in, "output_artifacts", out, "schema_version", "v1");
}

static json_t *type_entry(const char *name, const char *kind, bool multi, bool optional)
{
	bool unresolved = strcmp(kind, "data_unresolved") == 0;
	bool table = strcmp(kind, "table") == 0 || strcmp(kind, "dataframe") == 0;
	json_t *uris = unresolved ? json_array() : json_pack("[s]", "file");

	if (strcmp(kind, "json_metric") == 0)
		json_array_append_new(uris, json_string("http"));
	return json_pack("{s:s,s:b,s:b,s:[{s:s,s:o,s:s}]}", "name", name, "is_multi", multi,
			 "optional", optional, "types", "type_name", kind, "uri_types", uris,
			 "path_type",
			 unresolved ? "unresolved"
			 : table    ? "directory"
				    : "file");
}

json_t *desc_artifact_types(const struct norn_component *c, enum norn_role role,
			    enum norn_stage stage)
{
	json_t *in = json_pack("{s:[],s:[]}", "data", "model");
	json_t *out = json_pack("{s:[],s:[],s:[]}", "data", "model", "metric");
	const struct norn_artifact *a;
	size_t i;

	for (i = 0; i < c->n_artifacts; i++) {
		a = &c->artifacts[i];
		if (!artifact_active(c, a, role, stage))
			continue;
		json_array_append_new(
		    json_object_get(a->dir == NORN_IN ? in : out, group_name(a)),
		    type_entry(a->name, artifact_kind_name(a->kind), a->multi, a->optional));
	}
	json_array_append_new(json_object_get(out, "metric"),
			      type_entry("metric", "json_metric", false, false));
	return json_pack("{s:o,s:o}", "inputs", in, "outputs", out);
}
