#include "config.h"
#include "exec/wire.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The tags. VERSION comes first and END last, so that a cut specification is noticed. */
enum tag {
	TAG_VERSION = 'v',
	TAG_ARG = 'a',
	TAG_ENV = 'e',
	TAG_CWD = 'd',
	TAG_STDOUT = 'o',
	TAG_STDERR = 'r',
	TAG_CGROUP = 'c',
	TAG_TIMEOUT = 't',
	TAG_GRACE = 'g',
	TAG_LOG = 'l',
	TAG_MEMORY = 'm',
	TAG_ADDRESS_SPACE = 's',
	TAG_OWN = 'i',
	TAG_END = 'z',
};

struct out {
	char *data;
	size_t size;
	size_t len;
};

static void put(struct out *o, enum tag tag, const char *value)
{
	size_t n = strlen(value) + 1;

	if (o->len + 1 + n <= o->size) {
		o->data[o->len] = (char)tag;
		memcpy(o->data + o->len + 1, value, n);
	}
	o->len += 1 + n;
}

static void put_opt(struct out *o, enum tag tag, const char *value)
{
	if (value != NULL)
		put(o, tag, value);
}

static void put_int(struct out *o, enum tag tag, int64_t value)
{
	char text[24];

	if (value == 0)
		return;
	(void)snprintf(text, sizeof(text), "%lld", (long long)value);
	put(o, tag, text);
}

size_t wire_spec_encode(const struct launch_spec *s, char *out, size_t size)
{
	struct out o = {.data = out, .size = size};
	char version[16];

	(void)snprintf(version, sizeof(version), "%u", WIRE_VERSION);
	put(&o, TAG_VERSION, version);
	for (size_t i = 0; s->argv[i] != NULL; i++)
		put(&o, TAG_ARG, s->argv[i]);
	for (size_t i = 0; s->env[i] != NULL; i++)
		put(&o, TAG_ENV, s->env[i]);
	put_opt(&o, TAG_CWD, s->cwd);
	put_opt(&o, TAG_STDOUT, s->stdout_path);
	put_opt(&o, TAG_STDERR, s->stderr_path);
	put_opt(&o, TAG_CGROUP, s->cgroup_dir);
	put_int(&o, TAG_TIMEOUT, s->timeout_ms);
	put_int(&o, TAG_GRACE, s->grace_ms);
	put_int(&o, TAG_LOG, s->max_log_bytes);
	put_int(&o, TAG_MEMORY, s->memory_max_bytes);
	put_int(&o, TAG_ADDRESS_SPACE, s->address_space_max_bytes);
	if (s->own)
		put(&o, TAG_OWN, "");
	put(&o, TAG_END, "");
	return o.len;
}

/* Digits only: strtoll() alone would take blanks and signs. */
static bool parse_int(const char *text, int64_t *out)
{
	char *end;
	long long v;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	v = strtoll(text, &end, 10);
	if (errno != 0 || *end != '\0')
		return false;
	*out = v;
	return true;
}

static const char **text_member(struct wire_spec *s, char tag)
{
	switch (tag) {
	case TAG_CWD:
		return &s->cwd;
	case TAG_STDOUT:
		return &s->stdout_path;
	case TAG_STDERR:
		return &s->stderr_path;
	case TAG_CGROUP:
		return &s->cgroup_dir;
	default:
		return NULL;
	}
}

static int64_t *int_member(struct wire_spec *s, char tag)
{
	switch (tag) {
	case TAG_TIMEOUT:
		return &s->timeout_ms;
	case TAG_GRACE:
		return &s->grace_ms;
	case TAG_LOG:
		return &s->max_log_bytes;
	case TAG_MEMORY:
		return &s->memory_max_bytes;
	case TAG_ADDRESS_SPACE:
		return &s->address_space_max_bytes;
	default:
		return NULL;
	}
}

/* Store one field other than arguments and variables; NULL, or what is wrong. */
static const char *take_member(struct wire_spec *s, char tag, const char *value)
{
	const char **text = text_member(s, tag);
	int64_t *num = int_member(s, tag);

	if (text != NULL) {
		if (*text != NULL)
			return "a field is given twice";
		*text = value;
		return NULL;
	}
	if (num == NULL)
		return "a field has an unknown tag";
	if (*num != 0)
		return "a field is given twice";
	return parse_int(value, num) ? NULL : "a number is malformed";
}

/* The fields between the version and the end; the arrays are large enough. */
static const char *take_fields(struct wire_spec *s, char *p, const char *end)
{
	size_t n_arg = 0, n_env = 0;

	for (char *next; p < end; p = next) {
		const char *why = NULL;

		next = p + strlen(p) + 1;
		if (*p == TAG_END)
			return next == end && p[1] == '\0' ? NULL : "text follows the end";
		if (*p == TAG_ARG)
			s->argv[n_arg++] = p + 1;
		else if (*p == TAG_ENV)
			s->env[n_env++] = p + 1;
		else if (*p == TAG_OWN && p[1] == '\0' && !s->own)
			s->own = true;
		else
			why = take_member(s, *p, p + 1);
		if (why != NULL)
			return why;
	}
	return "the end is missing";
}

bool wire_spec_decode(char *data, size_t len, struct wire_spec *out, const char **why)
{
	size_t n_arg = 0, n_env = 0;
	size_t first;
	int64_t version;

	memset(out, 0, sizeof(*out));
	*why = "it is empty or not terminated";
	if (len == 0 || data[len - 1] != '\0')
		return false;
	*why = "its version is not the one this norn-run knows";
	if (data[0] != TAG_VERSION || !parse_int(data + 1, &version) || version != WIRE_VERSION)
		return false;
	first = strlen(data) + 1;
	for (size_t i = first; i < len; i += strlen(data + i) + 1) {
		n_arg += data[i] == TAG_ARG;
		n_env += data[i] == TAG_ENV;
	}
	*why = "it names no program";
	if (n_arg == 0)
		return false;
	*why = "there is no memory for it";
	out->argv = calloc(n_arg + 1, sizeof(*out->argv));
	out->env = calloc(n_env + 1, sizeof(*out->env));
	if (out->argv != NULL && out->env != NULL)
		*why = take_fields(out, data + first, data + len);
	if (*why == NULL)
		return true;
	wire_spec_free(out);
	return false;
}

void wire_spec_free(struct wire_spec *s)
{
	free(s->argv);
	free(s->env);
	memset(s, 0, sizeof(*s));
}

size_t wire_report_size(const struct wire_report *r)
{
	return offsetof(struct wire_report, tail) + r->tail_len;
}

static bool report_is_sane(const struct wire_report *r)
{
	switch (r->kind) {
	case WIRE_STARTED:
	case WIRE_BORN:
		return r->pid > 0;
	case WIRE_FAILED:
		return r->stage > 0 && r->stage < WIRE_STAGE_END && r->errnum >= 0;
	case WIRE_EXITED:
		return r->exit_code >= -1 && r->exit_code <= 255 && r->signal >= 0 &&
		       r->signal <= 128 && (r->signal == 0) == (r->exit_code >= 0) &&
		       r->leftover >= 0 && r->unkillable >= 0 &&
		       (r->flags & ~(uint32_t)WIRE_FLAGS_ALL) == 0 && r->user_us >= 0 &&
		       r->sys_us >= 0 && r->max_rss_kb >= 0 && r->elapsed_ms >= 0 &&
		       r->stdout_dropped >= 0 && r->stderr_dropped >= 0;
	default:
		return false;
	}
}

bool wire_report_decode(const void *data, size_t len, struct wire_report *out)
{
	memset(out, 0, sizeof(*out));
	if (len < offsetof(struct wire_report, tail) || len > sizeof(*out))
		return false;
	memcpy(out, data, len);
	return out->version == WIRE_VERSION && out->tail_len <= LAUNCH_TAIL_MAX &&
	       len == wire_report_size(out) && report_is_sane(out);
}

bool wire_command_decode(const void *data, size_t len, struct wire_command *out)
{
	memset(out, 0, sizeof(*out));
	if (len != sizeof(*out))
		return false;
	memcpy(out, data, len);
	return out->version == WIRE_VERSION && out->grace_ms >= 0 &&
	       (out->order == WIRE_STOP || out->order == WIRE_KILL);
}
