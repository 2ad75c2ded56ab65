/* PostgreSQL's errors as ours. */
#include "db/db_int.h"
#include "base/log.h"
#include "base/str.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void one_line(const char *text, bool skip_indented, char *out, size_t size)
{
	size_t n = 0;

	for (const char *p = text; *p && n + 1 < size; p++) {
		if (skip_indented && p[0] == '\n' && p[1] == '\t') {
			p += strcspn(p + 1, "\n");
			continue;
		}
		if ((unsigned char)*p >= ' ')
			out[n++] = *p;
		else if (n > 0 && out[n - 1] != ' ')
			out[n++] = ' ';
	}
	while (n > 0 && (out[n - 1] == ' ' || out[n - 1] == '.'))
		n--;
	out[n] = '\0';
}

void db_error_text(const char *message, char *out, size_t size)
{
	one_line(message && *message ? message : "no reason given", false, out, size);
}

void db_connection_error_text(const char *message, char *out, size_t size)
{
	/* libpq's guesses at the cause stand on indented lines */
	one_line(message && *message ? message : "no reason given", true, out, size);
}

/* "1001:No found job" of an NRxxx error, as our SQL functions raise it. */
static bool own_error(const char *text, struct err *e)
{
	const char *colon = strchr(text, ':');
	char number[12];
	int64_t code;

	if (!colon || (size_t)(colon - text) >= sizeof(number))
		return false;
	memcpy(number, text, (size_t)(colon - text));
	number[colon - text] = '\0';
	if (!str_to_i64(number, &code) || code <= 0 || code > 99999)
		return false;
	text = colon + 1;
	while (*text == ' ')
		text++;
	err_set(e, (enum err_code)code, "%s", text);
	return true;
}

/* Short of disk, memory or connections, ending, or unable to read its files: it will pass, and
 * nothing was done. */
static bool is_trouble_of_server(const char *state)
{
	return strncmp(state, "53", 2) == 0 || strncmp(state, "57P", 3) == 0 ||
	       strncmp(state, "58", 2) == 0;
}

void db_error_from_result(const PGresult *res, const char *stmt_name, struct err *e)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	char text[ERR_MSG_MAX];

	db_error_text(primary ? primary : PQresultErrorMessage(res), text, sizeof(text));
	if (!state)
		state = "";
	if (strcmp(state, "NR001") == 0)
		err_set(e, ERR_CONFLICT, "%s", text);
	else if (is_trouble_of_server(state))
		err_set(e, ERR_DB_UNAVAILABLE, "the database cannot do this now: %s", text);
	else if (strncmp(state, "NR", 2) != 0 || !own_error(text, e))
		err_set(e, ERR_DB, "%s: %s", stmt_name, text);
}

void db_notice(void *arg, const PGresult *res)
{
	char text[ERR_MSG_MAX];

	db_error_text(PQresultErrorMessage(res), text, sizeof(text));
	log_debug(LOG_CTX_NONE, "PostgreSQL says: %s", text);
}
