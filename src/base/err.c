#include "config.h"
#include "base/err.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/*
 * Keep the promise that a message is one line: texts of libraries come with newlines, and texts of
 * users with anything. A character cut in two by truncation is dropped.
 */
static void make_one_line(char *msg)
{
	size_t len = strlen(msg), back = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)msg[i];

		if (c < 0x20 || c == 0x7f)
			msg[i] = ' ';
	}
	if (len == ERR_MSG_MAX - 1) {
		while (back < 3 && back < len &&
		       ((unsigned char)msg[len - 1 - back] & 0xc0) == 0x80)
			back++;
		if (back < len && (unsigned char)msg[len - 1 - back] >= 0xc0) {
			unsigned char lead = (unsigned char)msg[len - 1 - back];
			size_t need = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;

			if (back < need)
				len -= back + 1;
		}
	}
	while (len > 0 && (msg[len - 1] == ' ' || msg[len - 1] == '.'))
		len--;
	msg[len] = '\0';
}

bool err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	char text[ERR_MSG_MAX]; /* the arguments may point into e->msg */
	va_list ap;

	if (e == NULL)
		return false;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	make_one_line(text);
	e->code = code;
	memcpy(e->msg, text, sizeof(text));
	return false;
}

bool err_prefix(struct err *e, const char *fmt, ...)
{
	char text[2 * ERR_MSG_MAX]; /* both parts whole, then cut */
	va_list ap;
	size_t len;

	if (e == NULL)
		return false;
	va_start(ap, fmt);
	vsnprintf(text, ERR_MSG_MAX, fmt, ap);
	va_end(ap);
	len = strlen(text);
	snprintf(text + len, sizeof(text) - len, ": %s", e->msg);
	text[ERR_MSG_MAX - 1] = '\0';
	make_one_line(text);
	memcpy(e->msg, text, sizeof(e->msg));
	return false;
}

const char *err_code_name(enum err_code code)
{
	static const struct {
		enum err_code code;
		const char *name;
	} names[] = {
	    {ERR_OK, "OK"},
	    {ERR_FEDERATED, "FEDERATED"},
	    {ERR_JOB_PARAMS, "JOB_PARAMS"},
	    {ERR_JOB_NOT_FOUND, "JOB_NOT_FOUND"},
	    {ERR_JOB_CREATE, "JOB_CREATE"},
	    {ERR_JOB_UPDATE, "JOB_UPDATE"},
	    {ERR_JOB_KILL, "JOB_KILL"},
	    {ERR_JOB_RESOURCE, "JOB_RESOURCE"},
	    {ERR_JOB_RESOURCE_LIMIT, "JOB_RESOURCE_LIMIT"},
	    {ERR_JOB_INHERITANCE, "JOB_INHERITANCE"},
	    {ERR_TASK_NOT_FOUND, "TASK_NOT_FOUND"},
	    {ERR_TASK_START, "TASK_START"},
	    {ERR_TASK_UPDATE, "TASK_UPDATE"},
	    {ERR_TASK_KILL, "TASK_KILL"},
	    {ERR_TASK_RESOURCE, "TASK_RESOURCE"},
	    {ERR_MODEL_NOT_FOUND, "MODEL_NOT_FOUND"},
	    {ERR_SITE_STANDALONE, "SITE_STANDALONE"},
	    {ERR_PROVIDER_PARAMS, "PROVIDER_PARAMS"},
	    {ERR_PROVIDER_DEVICE, "PROVIDER_DEVICE"},
	    {ERR_API_EXPIRED, "API_EXPIRED"},
	    {ERR_API_PARAMETER, "API_PARAMETER"},
	    {ERR_API_NO_APP, "API_NO_APP"},
	    {ERR_API_VERIFY, "API_VERIFY"},
	    {ERR_API_AUTH, "API_AUTH"},
	    {ERR_API_PERMISSION, "API_PERMISSION"},
	    {ERR_API_PERMISSION_OPERATE, "API_PERMISSION_OPERATE"},
	    {ERR_API_NO_FILE, "API_NO_FILE"},
	    {ERR_COMPONENT_OUTPUT, "COMPONENT_OUTPUT"},
	    {ERR_ROLE_TYPE, "ROLE_TYPE"},
	    {ERR_SERVER, "SERVER"},
	    {ERR_RESTRICTED, "RESTRICTED"},
	    {ERR_SERVER_NOT_FOUND, "SERVER_NOT_FOUND"},
	    {ERR_NO_INSTANCE, "NO_INSTANCE"},
	    {ERR_TABLE_NOT_FOUND, "TABLE_NOT_FOUND"},
	    {ERR_TABLE_EXISTS, "TABLE_EXISTS"},
	    {ERR_FILE_NOT_FOUND, "FILE_NOT_FOUND"},
	    {ERR_INTERNAL, "INTERNAL"},
	    {ERR_IO, "IO"},
	    {ERR_CONFIG, "CONFIG"},
	    {ERR_USAGE, "USAGE"},
	    {ERR_PARSE, "PARSE"},
	    {ERR_LIMIT, "LIMIT"},
	    {ERR_DB, "DB"},
	    {ERR_DB_UNAVAILABLE, "DB_UNAVAILABLE"},
	    {ERR_DB_LOST, "DB_LOST"},
	    {ERR_CONFLICT, "CONFLICT"},
	    {ERR_TLS, "TLS"},
	    {ERR_CONNECT, "CONNECT"},
	    {ERR_TIMEOUT, "TIMEOUT"},
	    {ERR_PEER, "PEER"},
	    {ERR_UNSUPPORTED, "UNSUPPORTED"},
	    {ERR_CRYPTO, "CRYPTO"},
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i].code == code)
			return names[i].name;
	}
	return "UNKNOWN";
}
