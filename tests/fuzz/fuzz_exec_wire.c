/* The messages between nornd and norn-run; the first byte chooses which. */
#include "config.h"
#include "exec/proc.h"
#include "exec/wire.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void spec(char *text, size_t len)
{
	struct wire_spec s;
	const char *why;
	size_t total = 0;

	if (!wire_spec_decode(text, len, &s, &why)) {
		if (why == NULL || s.argv != NULL)
			abort();
		return;
	}
	for (char **p = s.argv; *p != NULL; p++)
		total += strlen(*p);
	for (char **p = s.env; *p != NULL; p++)
		total += strlen(*p);
	if (total >= len || s.timeout_ms < 0 || s.grace_ms < 0 || s.max_log_bytes < 0)
		abort();
	wire_spec_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct wire_report r;
	struct wire_command c;
	pid_t parent, session;
	char *text;

	if (len == 0)
		return 0;
	text = malloc(len);
	if (text == NULL)
		return 0;
	memcpy(text, data + 1, len - 1);
	text[len - 1] = '\0';
	if (data[0] == 's')
		spec(text, len - 1);
	else if (data[0] == 'r' && wire_report_decode(text, len - 1, &r) &&
		 wire_report_size(&r) != len - 1)
		abort();
	else if (data[0] == 'c' && wire_command_decode(text, len - 1, &c) && c.grace_ms < 0)
		abort();
	else if (data[0] == 'p' && proc_parse_stat(text, &parent, &session) &&
		 strchr(text, ')') == NULL)
		abort();
	free(text);
	return 0;
}
