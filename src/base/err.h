/*
 * Errors. An error is made once, where it happens, with a stable code and words a user can act
 * on. A fallible function is MUST_CHECK, returns bool (or a pointer), and on failure fills the
 * caller's struct err. Codes below 9000 are the return codes of the FATE-Flow 2.x HTTP API, so an
 * error can be answered to a client as it is; codes from 9000 on are Norn's own.
 */
#ifndef NORN_BASE_ERR_H
#define NORN_BASE_ERR_H

#include "base/attr.h"
#include <stdbool.h>

#define ERR_MSG_MAX 1024

enum err_code {
	ERR_OK = 0,
	ERR_FEDERATED = 104, /* a call to another site failed */
	ERR_JOB_PARAMS = 1000,
	ERR_JOB_NOT_FOUND = 1001,
	ERR_JOB_CREATE = 1002,
	ERR_JOB_UPDATE = 1003,
	ERR_JOB_KILL = 1004,
	ERR_JOB_RESOURCE = 1005,
	ERR_JOB_RESOURCE_LIMIT = 1006, /* asks for more than the site will ever have */
	ERR_JOB_INHERITANCE = 1007,
	ERR_TASK_NOT_FOUND = 2000,
	ERR_TASK_START = 2001,
	ERR_TASK_UPDATE = 2002,
	ERR_TASK_KILL = 2003,
	ERR_TASK_RESOURCE = 2004,
	ERR_MODEL_NOT_FOUND = 2005,
	ERR_SITE_STANDALONE = 3000,
	ERR_PROVIDER_PARAMS = 4000,
	ERR_PROVIDER_DEVICE = 4001,
	ERR_API_EXPIRED = 5000,
	ERR_API_PARAMETER = 5001,
	ERR_API_NO_APP = 5002,
	ERR_API_VERIFY = 5003,
	ERR_API_AUTH = 5004,
	ERR_API_PERMISSION = 5005,
	ERR_API_PERMISSION_OPERATE = 5006,
	ERR_API_NO_FILE = 5007,
	ERR_COMPONENT_OUTPUT = 5008,
	ERR_ROLE_TYPE = 5009,
	ERR_SERVER = 6000, /* also: unknown route, wrong method, malformed body */
	ERR_RESTRICTED = 6001,
	ERR_SERVER_NOT_FOUND = 6003,
	ERR_NO_INSTANCE = 6004,
	ERR_TABLE_NOT_FOUND = 7001,
	ERR_TABLE_EXISTS = 7002,
	ERR_FILE_NOT_FOUND = 8001,
	ERR_INTERNAL = 9000,
	ERR_IO = 9001,
	ERR_CONFIG = 9002,
	ERR_USAGE = 9003,
	ERR_PARSE = 9004,          /* malformed JSON, YAML, CSV, HTTP ... */
	ERR_LIMIT = 9005,          /* a configured bound was exceeded */
	ERR_DB = 9006,             /* PostgreSQL refused the statement */
	ERR_DB_UNAVAILABLE = 9007, /* no connection, no time or no room; nothing was done */
	ERR_DB_LOST = 9008,        /* the connection broke: the outcome is unknown */
	ERR_CONFLICT = 9009,       /* somebody else was first: re-read and decide again */
	ERR_TLS = 9010,
	ERR_CONNECT = 9011,
	ERR_TIMEOUT = 9012,
	ERR_PEER = 9013, /* the other site answered, and refused */
	ERR_UNSUPPORTED = 9014,
	ERR_CRYPTO = 9015,
};

struct err {
	enum err_code code;
	char msg[ERR_MSG_MAX]; /* one line, no trailing dot or newline */
};

/* Fill e (may be NULL) and return false, so that `return err_set(e, ...)` reads well. */
bool err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Put "<text>: " in front of the message, keep the code; returns false. */
bool err_prefix(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Stable upper-case name of a code, "JOB_NOT_FOUND"; "UNKNOWN" for others. */
const char *err_code_name(enum err_code code);

#endif
