#include "config.h"
#include "exec/title.h"
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

struct room {
	char *at;
	size_t len;
};

static struct room args, vars;

/* The kernel lays the texts out one behind the other. */
static struct room room_of(char *const *texts)
{
	char *end = texts[0];

	for (size_t i = 0; texts[i] != NULL && texts[i] == end; i++)
		end += strlen(end) + 1;
	return (struct room){.at = texts[0], .len = (size_t)(end - texts[0])};
}

void title_init(int argc, char **argv)
{
	if (argc > 0)
		args = room_of(argv);
	if (environ != NULL && environ[0] != NULL)
		vars = room_of(environ);
}

static void fill(const struct room *r, char *const *texts)
{
	size_t at = 0;

	if (r->len == 0)
		return;
	/* the last byte stays NUL: of arguments, another one there would make the kernel read on */
	for (size_t i = 0; texts != NULL && texts[i] != NULL && at < r->len - 1; i++) {
		size_t n = strlen(texts[i]) + 1;

		if (n > r->len - 1 - at)
			n = r->len - 1 - at;
		memcpy(r->at + at, texts[i], n);
		at += n;
	}
	memset(r->at + at, 0, r->len - at);
}

void title_set(const char *comm, char *const *argv, char *const *env)
{
	(void)prctl(PR_SET_NAME, comm);
	fill(&args, argv);
	fill(&vars, env);
}
