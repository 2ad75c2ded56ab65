/* norn component: what tasks can run. */
#include "config.h"
#include "cli/cmds.h"
#include "base/js.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/text.h"

/* A description is a text, or an object as `component desc` prints it. */
static const char *one_line(const json_t *desc)
{
	if (json_is_string(desc))
		return json_string_value(desc);
	if (json_is_object(json_object_get(desc, "component")))
		desc = json_object_get(desc, "component");
	return js_str(desc, "description", "");
}

static int component_list(struct cli *c)
{
	static const char *const heads[] = {"component", "description"};
	struct err e = {0};
	json_t *all = call_get_data(c, "/v2/component/list", NULL, &e), *desc;
	const char *name;
	struct table *t;

	if (all == NULL)
		return cli_fail(c, &e);
	if (c->json)
		return cmd_done(c, all);
	t = table_new(heads, ARRAY_LEN(heads));
	json_object_foreach (all, name, desc) {
		table_cell(t, name);
		table_cell(t, one_line(desc));
	}
	table_print(t, stdout, cmd_table_width(c), c->utf8);
	table_free(t);
	return cmd_done(c, all);
}

static int component_show(struct cli *c)
{
	struct err e = {0};
	json_t *all, *desc;

	if (!str_is_name(c->args[0], 50))
		return cli_usage(c, "'%.60s' is not a component's name", c->args[0]);
	all = call_get_data(c, "/v2/component/list", NULL, &e);
	if (all == NULL)
		return cli_fail(c, &e);
	desc = json_object_get(all, c->args[0]);
	if (desc == NULL) {
		json_decref(all);
		err_set(&e, ERR_SERVER_NOT_FOUND,
			"no component is named %s (see norn component list)", c->args[0]);
		return cli_fail(c, &e);
	}
	json_incref(desc);
	json_decref(all);
	if (!c->json)
		outline_print(stdout, desc, 0);
	return cmd_done(c, desc);
}

static const struct cli_cmd cmds[] = {
    {"component", "list", "", 0, 0, NULL, "list the components that tasks can use", NULL,
     "norn component list", component_list},
    {"component", "show", "NAME", 1, 1, NULL, "show parameters, inputs and outputs of one", NULL,
     "norn component show psi", component_show},
};

const struct cli_group cmds_component = {"component", "what tasks can run", cmds,
					 sizeof(cmds) / sizeof(cmds[0])};
