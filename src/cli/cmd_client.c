/* norn client: apps that may call the site, and the key of this user. */
#include "config.h"
#include "cli/cmds.h"
#include "base/js.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/keys.h"
#include "cli/text.h"
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* ---- the key of this user ---- */

/* A line from standard input, not shown when it is typed. */
static bool read_token(char token[KEYS_TOKEN_MAX + 1], struct err *e)
{
	struct termios old, quiet;
	bool typed = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &old) == 0;
	char line[KEYS_TOKEN_MAX + 3];

	if (typed) {
		fputs("app token: ", stderr);
		quiet = old;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	}
	const char *got = fgets(line, sizeof(line), stdin);
	if (typed) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
		fputc('\n', stderr);
	}
	if (got == NULL)
		return err_set(e, ERR_USAGE, "a token is expected on standard input");
	line[strcspn(line, "\r\n")] = '\0';
	bool ok = line[0] != '\0' && str_copy(token, KEYS_TOKEN_MAX + 1, line);
	OPENSSL_cleanse(line, sizeof(line));
	if (!ok)
		return err_set(e, ERR_USAGE, "a token has 1 to %d bytes", KEYS_TOKEN_MAX);
	return true;
}

static int client_login(struct cli *c)
{
	struct err e = {0};
	json_t *info;

	if (!str_is_name(c->args[0], KEYS_APP_ID_MAX))
		return cli_usage(c, "'%.60s' is no app id", c->args[0]);
	if (!read_token(c->app_token, &e))
		return cli_fail(c, &e);
	str_copy(c->app_id, sizeof(c->app_id), c->args[0]);
	c->key_looked_for = true; /* this one is tried, and kept only when it is good */
	info = call_get_data(c, "/v2/site/info/query", NULL, &e);
	if (info == NULL)
		return cli_fail(c, &e);
	json_decref(info);
	if (!keys_put(c->url, c->app_id, c->app_token, &e))
		return cli_fail(c, &e);
	if (c->json)
		return cmd_done(c, json_pack("{s:s, s:s}", "url", c->url, "app_id", c->app_id));
	printf("requests to %s are signed as app %s\n", c->url, c->app_id);
	return CLI_OK;
}

static int client_logout(struct cli *c)
{
	struct err e = {0};
	bool had;

	if (!keys_remove(c->url, &had, &e))
		return cli_fail(c, &e);
	if (c->json)
		return cmd_done(c, json_pack("{s:b}", "removed", had ? 1 : 0));
	printf(had ? "the key for %s is forgotten\n" : "there was no key for %s\n", c->url);
	return CLI_OK;
}

static int client_whoami(struct cli *c)
{
	char app_id[KEYS_APP_ID_MAX + 1], token[KEYS_TOKEN_MAX + 1];
	struct err e = {0};

	if (!keys_find(c->url, app_id, token, &e))
		return cli_fail(c, &e);
	OPENSSL_cleanse(token, sizeof(token));
	if (c->json)
		return cmd_done(c, json_pack("{s:s, s:s}", "url", c->url, "app_id", app_id));
	if (app_id[0] != '\0')
		printf("app %s at %s\n", app_id, c->url);
	else
		printf("nobody: no key is kept for %s\n", c->url);
	return CLI_OK;
}

/* ---- apps ---- */

static void print_app(const json_t *app)
{
	char *name = text_clean_line(js_str(app, "app_name", ""));

	printf("app name:  %s\napp id:    %s\napp token: %s\n", name, js_str(app, "app_id", ""),
	       js_str(app, "app_token", ""));
	free(name);
}

static int client_create(struct cli *c)
{
	const char *role = cli_value(c, "--role");
	struct err e = {0};
	json_t *body = json_pack("{s:s}", "app_name", c->args[0]);
	json_t *app = call_post_data(c, "/v2/app/client/create", body, &e);

	json_decref(body);
	if (app == NULL)
		return cli_fail(c, &e);
	if (!c->json)
		print_app(app);
	if (role != NULL) {
		body = json_pack("{s:s, s:s}", "app_id", js_str(app, "app_id", ""), "role", role);
		json_t *done = call_post_data(c, "/v2/permission/grant", body, &e);
		json_decref(body);
		if (done == NULL) {
			if (c->json)
				cli_print_json(app);
			json_decref(app);
			return cli_fail(c, &e);
		}
		json_decref(done);
	}
	if (!c->json && role == NULL)
		printf("it may do nothing yet: norn permission grant %s client\n",
		       js_str(app, "app_id", ""));
	return cmd_done(c, app);
}

static int client_delete(struct cli *c)
{
	struct err e = {0};
	json_t *body = json_pack("{s:s}", "app_id", c->args[0]);
	json_t *data = call_post_data(c, "/v2/app/client/delete", body, &e);

	json_decref(body);
	if (data == NULL)
		return cli_fail(c, &e);
	if (!c->json && !js_bool(data, "status", false)) {
		json_decref(data);
		err_set(&e, ERR_API_NO_APP, "there is no client app %.60s that you may delete",
			c->args[0]);
		return cli_fail(c, &e);
	}
	return cmd_done(c, data);
}

static int client_list(struct cli *c)
{
	static const char *const heads[] = {"app", "name", "type", "roles", "made"};
	struct err e = {0};
	json_t *data = call_get_data(c, "/v2/app/list", NULL, &e);
	json_t *app, *role;
	size_t i, k;

	if (data == NULL)
		return cli_fail(c, &e);
	if (c->json)
		return cmd_done(c, data);
	struct table *t = table_new(heads, ARRAY_LEN(heads));
	json_array_foreach (data, i, app) {
		struct buf roles = {0};
		char when[32];
		json_array_foreach (json_object_get(app, "roles"), k, role)
			buf_printf(&roles, "%s%s", k > 0 ? ", " : "", json_string_value(role));
		text_time(js_int(app, "create_time", 0), when, sizeof(when));
		table_cell(t, js_str(app, "app_id", ""));
		table_cell(t, js_str(app, "app_name", ""));
		table_cell(t, js_str(app, "app_type", ""));
		table_cell(t, buf_str(&roles));
		table_cell(t, when);
		buf_free(&roles);
	}
	table_print(t, stdout, cmd_table_width(c), c->utf8);
	table_free(t);
	return cmd_done(c, data);
}

/* Prints rows with tokens, one block each. */
static int client_query(struct cli *c)
{
	const char *query[] = {"app_id", c->n_args > 0 ? c->args[0] : NULL, "app_name",
			       cli_value(c, "--name"), NULL};
	struct err e = {0};
	json_t *app;
	size_t i;

	if (query[1] == NULL && query[3] == NULL)
		return cli_usage(c, "an app id or --name is needed");
	json_t *data = call_get_data(c, "/v2/app/client/query", query, &e);
	if (data == NULL)
		return cli_fail(c, &e);
	if (!c->json) {
		json_array_foreach (data, i, app)
			print_app(app);
	}
	return cmd_done(c, data);
}

static const struct cli_opt create_opts[] = {
    {"--role", "ROLE", "grant it this role at once: client or super_client", false},
    {NULL, NULL, NULL, false},
};
static const struct cli_opt query_opts[] = {
    {"--name", "NAME", "apps with this name", false},
    {NULL, NULL, NULL, false},
};

static const struct cli_cmd cmds[] = {
    {"client", "login", "APP", 1, 1, NULL, "sign requests to this node as an app",
     "Reads the app's token from standard input, tries it, and keeps it for the URL of the node "
     "in\n"
     "~/.config/norn/keys, which only you may read.",
     "norn client login 12345678", client_login},
    {"client", "logout", "", 0, 0, NULL, "forget the key for this node", NULL, "norn client logout",
     client_logout},
    {"client", "whoami", "", 0, 0, NULL, "show as which app requests are signed", NULL,
     "norn client whoami", client_whoami},
    {"client", "create", "NAME", 1, 1, create_opts, "make an app for a client",
     "Prints its id and token. It may do nothing until a role is granted to it.",
     "norn client create alice --role client", client_create},
    {"client", "delete", "APP", 1, 1, NULL, "delete an app; what it signs is refused at once", NULL,
     "norn client delete 12345678", client_delete},
    {"client", "list", "", 0, 0, NULL, "list all apps and their roles", NULL, "norn client list",
     client_list},
    {"client", "query", "[APP]", 0, 1, query_opts, "show client apps with their tokens", NULL,
     "norn client query 12345678", client_query},
};

const struct cli_group cmds_client = {"client", "apps that may call the site, and your key", cmds,
				      sizeof(cmds) / sizeof(cmds[0])};
