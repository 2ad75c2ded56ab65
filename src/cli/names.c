/* Checks of names. See names.h. */
#include "config.h"
#include "cli/names.h"
#include "base/js.h"
#include "base/str.h"
#include "cli/call.h"
#include <string.h>

bool names_job(const char *s, struct err *e)
{
	if (!str_is_name(s, NAMES_JOB_MAX))
		return err_set(e, ERR_USAGE, "'%.60s' is not a job id (norn job list shows them)",
			       s);
	return true;
}

bool names_task(const char *s, struct err *e)
{
	if (!str_is_name(s, DAG_NAME_MAX))
		return err_set(e, ERR_USAGE,
			       "'%.60s' is not a task name (norn task list JOB shows them)", s);
	return true;
}

bool names_party(const char *s, struct err *e)
{
	if (!str_is_name(s, DAG_PARTY_ID_MAX))
		return err_set(e, ERR_USAGE, "'%.60s' is not a party id", s);
	return true;
}

bool names_role(const char *s, struct err *e)
{
	enum dag_role role;

	if (!dag_role_parse(s, &role))
		return err_set(e, ERR_USAGE, "'%.60s' is not a role: guest, host, arbiter or local",
			       s);
	return true;
}

bool names_table(const char *what, const char *s, struct err *e)
{
	size_t len = strlen(s);

	if (len == 0 || len > NAMES_TABLE_MAX || !str_is_utf8(s, len))
		return err_set(e, ERR_USAGE, "a table's %s has 1 to %d bytes of UTF-8", what,
			       NAMES_TABLE_MAX);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7F)
			return err_set(e, ERR_USAGE, "a table's %s has no control characters",
				       what);
	return true;
}

bool names_own_party(struct cli *c, char *out, size_t size, struct err *e)
{
	json_t *data = call_get_data(c, "/v2/site/info/query", NULL, e);
	bool ok;

	if (data == NULL)
		return false;
	ok = str_copy(out, size, js_str(data, "party_id", "")) && out[0] != '\0';
	json_decref(data);
	return ok || err_set(e, ERR_PARSE, "the node does not tell its party id");
}

bool names_who(struct cli *c, const char *job, struct who *out, struct err *e)
{
	const char *role = cli_value(c, "--role");
	const char *party = cli_value(c, "--party");
	const char *query[] = {"job_id", job, "role", role, "party_id", party, NULL};
	const json_t *best = NULL, *row;
	json_t *rows;
	size_t i;
	bool ok;

	if ((role != NULL && !names_role(role, e)) || (party != NULL && !names_party(party, e)))
		return false;
	if (role != NULL && party != NULL)
		return (str_copy(out->role, sizeof(out->role), role) &&
			str_copy(out->party, sizeof(out->party), party)) ||
		       err_set(e, ERR_USAGE, "--role or --party is too long");
	rows = call_get_data(c, "/v2/job/query", query, e);
	if (rows == NULL)
		return false;
	json_array_foreach (rows, i, row) {
		if (best == NULL || str_eq(js_str(row, "role", ""), "guest"))
			best = row;
		if (str_eq(js_str(best, "role", ""), "guest"))
			break;
	}
	ok = best != NULL && str_copy(out->role, sizeof(out->role), js_str(best, "role", "")) &&
	     str_copy(out->party, sizeof(out->party), js_str(best, "party_id", ""));
	json_decref(rows);
	return ok || err_set(e, ERR_JOB_NOT_FOUND, "this site has no part in job %s", job);
}
