/*
 * What a node and its supervisor norn-run tell each other. The launch specification is a sequence
 * of NUL-terminated fields, each a tag letter and a value, in a memory file that norn-run inherits.
 * Reports and commands are packets of fixed shape on a SOCK_SEQPACKET pair, one a packet: both
 * ends are on one machine. Only libc is used, because norn-run links nothing else.
 */
#ifndef NORN_EXEC_WIRE_H
#define NORN_EXEC_WIRE_H

#include "exec/launch.h"
#include <stdbool.h>

#define WIRE_VERSION  1u
#define WIRE_SPEC_MAX ((size_t)16 << 20) /* bytes of an encoded specification */

/* A decoded specification. Strings point into the decoded data. */
struct wire_spec {
	char **argv; /* owned array, at least one argument */
	char **env;  /* owned array */
	const char *cwd, *stdout_path, *stderr_path, *cgroup_dir; /* NULL when not given */
	bool own; /* the component is the supervising program itself, if that is one */
	int64_t timeout_ms, grace_ms, max_log_bytes, memory_max_bytes, address_space_max_bytes;
};

/* Like snprintf(): writes at most size bytes, returns how many the whole takes. */
size_t wire_spec_encode(const struct launch_spec *s, char *out, size_t size);
/* data must outlive out. On failure *why is a constant text and out is empty. */
MUST_CHECK bool wire_spec_decode(char *data, size_t len, struct wire_spec *out, const char **why);
void wire_spec_free(struct wire_spec *s);

/* BORN comes first, from a supervisor that was forked; after FAILED, EXITED says nothing. */
enum wire_kind { WIRE_STARTED = 1, WIRE_FAILED, WIRE_EXITED, WIRE_BORN };

/* Where a start failed. */
enum wire_stage {
	WIRE_AT_SPEC = 1,
	WIRE_AT_STDOUT,
	WIRE_AT_STDERR,
	WIRE_AT_RESOURCES, /* pipes, memory, process table */
	WIRE_AT_CWD,
	WIRE_AT_LIMITS,
	WIRE_AT_EXEC,
	WIRE_STAGE_END,
};

enum {
	WIRE_TIMED_OUT = 1u << 0,
	WIRE_STOPPED = 1u << 1,
	WIRE_OOM = 1u << 2,
	WIRE_FLAGS_ALL = (1u << 3) - 1,
};

/* norn-run to node. BORN uses pid, its own, STARTED pid, the component's, FAILED stage and errnum,
 * EXITED the rest. */
struct wire_report {
	uint32_t version;
	uint32_t kind;
	int32_t pid;
	int32_t stage;
	int32_t errnum;
	int32_t exit_code;
	int32_t signal;
	int32_t leftover;
	int32_t unkillable;
	uint32_t flags;
	int64_t user_us, sys_us, max_rss_kb, elapsed_ms, stdout_dropped, stderr_dropped;
	uint32_t tail_len;
	char tail[LAUNCH_TAIL_MAX]; /* only tail_len bytes are sent */
};

enum wire_order { WIRE_STOP = 1, WIRE_KILL };

/* Node to norn-run. */
struct wire_command {
	uint32_t version;
	uint32_t order;
	int64_t grace_ms;
};

size_t wire_report_size(const struct wire_report *r); /* bytes to send */
MUST_CHECK bool wire_report_decode(const void *data, size_t len, struct wire_report *out);
MUST_CHECK bool wire_command_decode(const void *data, size_t len, struct wire_command *out);

#endif
