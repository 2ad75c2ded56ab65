/* norn permission: roles of apps, and what jobs of other parties may use. */
#include "config.h"
#include "cli/cmds.h"
#include "base/js.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/text.h"
#include <string.h>

/* Takes the body. */
static int post(struct cli *c, const char *path, json_t *body)
{
	struct err e = {0};
	json_t *data = call_post_data(c, path, body, &e);

	json_decref(body);
	if (data == NULL)
		return cli_fail(c, &e);
	return cmd_done(c, data);
}

static int change_role(struct cli *c, const char *path)
{
	return post(c, path, json_pack("{s:s, s:s}", "app_id", c->args[0], "role", c->args[1]));
}

static int permission_grant(struct cli *c)
{
	return change_role(c, "/v2/permission/grant");
}

static int permission_revoke(struct cli *c)
{
	return change_role(c, "/v2/permission/delete");
}

static int permission_query(struct cli *c)
{
	static const char *const heads[] = {"role", "method", "route"};
	const char *query[] = {"app_id", c->args[0], NULL};
	struct err e = {0};
	json_t *data = call_get_data(c, "/v2/permission/query", query, &e);
	const char *role;
	json_t *list, *rule;
	size_t i;

	if (data == NULL)
		return cli_fail(c, &e);
	if (c->json)
		return cmd_done(c, data);
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	json_object_foreach (data, role, list) {
		json_array_foreach (list, i, rule) {
			const char *path = json_string_value(json_array_get(rule, 1));
			const char *method = json_string_value(json_array_get(rule, 2));
			table_cell(t, role);
			table_cell(t, method != NULL ? method : "?");
			table_cell(t, path != NULL ? path : "?");
		}
	}
	table_print(t, stdout, cmd_table_width(c), c->utf8);
	table_free(t);
	return cmd_done(c, data);
}

static int permission_roles(struct cli *c)
{
	struct err e = {0};
	json_t *data = call_get_data(c, "/v2/permission/role/query", NULL, &e);
	json_t *role;
	size_t i;

	if (data == NULL)
		return cli_fail(c, &e);
	if (!c->json) {
		json_array_foreach (data, i, role)
			puts(json_string_value(role));
	}
	return cmd_done(c, data);
}

/* ---- other parties ---- */

/* {"component": "a,b", "dataset": [{namespace, name}]} from the options. */
static json_t *resources(const struct cli *c, struct err *e)
{
	json_t *body = json_pack("{s:s}", "party_id", c->args[0]);
	json_t *tables = json_array();
	struct buf names = {0};
	const char *v;
	int pos = 0;

	while ((v = cli_next_value(c, "--component", &pos)) != NULL)
		buf_printf(&names, "%s%s", names.len > 0 ? "," : "", v);
	pos = 0;
	bool ok = true;
	while (ok && (v = cli_next_value(c, "--dataset", &pos)) != NULL) {
		const char *slash = strchr(v, '/');
		ok = slash != NULL && slash > v && slash[1] != '\0';
		if (ok)
			json_array_append_new(tables,
					      json_pack("{s:s#, s:s}", "namespace", v,
							(size_t)(slash - v), "name", slash + 1));
		else
			err_set(e, ERR_USAGE, "--dataset is NAMESPACE/NAME, not '%.60s'", v);
	}
	if (ok && names.len == 0 && json_array_size(tables) == 0)
		ok = err_set(e, ERR_USAGE, "--component or --dataset is needed");
	if (names.len > 0)
		json_object_set_new(body, "component", json_string(buf_str(&names)));
	if (json_array_size(tables) > 0)
		json_object_set(body, "dataset", tables);
	json_decref(tables);
	buf_free(&names);
	if (!ok) {
		json_decref(body);
		return NULL;
	}
	return body;
}

static int change_resources(struct cli *c, const char *path)
{
	struct err e = {0};
	json_t *body = resources(c, &e);

	return body == NULL ? cli_fail(c, &e) : post(c, path, body);
}

static int permission_allow(struct cli *c)
{
	return change_resources(c, "/v2/permission/resource/grant");
}

static int permission_deny(struct cli *c)
{
	return change_resources(c, "/v2/permission/resource/delete");
}

static int permission_show(struct cli *c)
{
	static const char *const heads[] = {"kind", "what"};
	const char *query[] = {"party_id", c->args[0], NULL};
	struct err e = {0};
	json_t *data = call_get_data(c, "/v2/permission/resource/query", query, &e);
	json_t *v;
	size_t i;

	if (data == NULL)
		return cli_fail(c, &e);
	if (c->json)
		return cmd_done(c, data);
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	json_array_foreach (json_object_get(data, "component"), i, v) {
		table_cell(t, "component");
		table_cell(t, json_string_value(v) != NULL ? json_string_value(v) : "?");
	}
	json_array_foreach (json_object_get(data, "dataset"), i, v) {
		table_cell(t, "dataset");
		table_cellf(t, "%s/%s", js_str(v, "namespace", "?"), js_str(v, "name", "?"));
	}
	table_print(t, stdout, cmd_table_width(c), c->utf8);
	table_free(t);
	return cmd_done(c, data);
}

static const struct cli_opt resource_opts[] = {
    {"--component", "NAME", "a component, or '*' for all of now", true},
    {"--dataset", "NAMESPACE/NAME", "a table", true},
    {NULL, NULL, NULL, false},
};

static const struct cli_cmd cmds[] = {
    {"permission", "grant", "APP ROLE", 2, 2, NULL, "give an app its role: client or super_client",
     "The role replaces what the app had before.", "norn permission grant 12345678 client",
     permission_grant},
    {"permission", "revoke", "APP ROLE", 2, 2, NULL, "take a role from an app", NULL,
     "norn permission revoke 12345678 client", permission_revoke},
    {"permission", "query", "APP", 1, 1, NULL, "list the routes that an app may use", NULL,
     "norn permission query 12345678", permission_query},
    {"permission", "roles", "", 0, 0, NULL, "list the roles there are", NULL,
     "norn permission roles", permission_roles},
    {"permission", "allow", "PARTY", 1, 1, resource_opts,
     "let jobs of a party use components and tables",
     "Counts where auth.permission is on in the configuration of the nodes.",
     "norn permission allow 10000 --component psi --component reader --dataset test/mine",
     permission_allow},
    {"permission", "deny", "PARTY", 1, 1, resource_opts, "let them do so no longer", NULL,
     "norn permission deny 10000 --dataset test/mine", permission_deny},
    {"permission", "show", "PARTY", 1, 1, NULL, "show what jobs of a party may use", NULL,
     "norn permission show 10000", permission_show},
};

const struct cli_group cmds_permission = {"permission",
					  "roles of apps, and what other parties may use", cmds,
					  sizeof(cmds) / sizeof(cmds[0])};
