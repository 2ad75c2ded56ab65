/*
 * Runs a fuzz target without libFuzzer, for compilers that lack it: every file of the corpus, then
 * mutations of them that depend on the seed alone. Knows those of libFuzzer's options that
 * tests/fuzz/run.sh gives. No feedback of coverage guides it: it keeps old faults away, finding new
 * ones is left to libFuzzer.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define INPUT_MAX     (1 << 20) /* bytes of one file of the corpus */
#define INPUTS_MAX    20000
#define TOKENS_MAX    1000
#define TOKEN_MAX     256
#define CHANGES_MAX   6    /* mutations on top of each other */
#define CLOCK_EVERY   64   /* inputs between looks at the clock */
#define DEFAULT_LEN   8192 /* longest mutated input */
#define DEFAULT_RUNS  100000
#define ARTIFACT_NAME 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Of the sanitizers' runtime, when that is there. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

struct bytes {
	uint8_t *data;
	size_t len;
};

static struct bytes inputs[INPUTS_MAX], tokens[TOKENS_MAX];
static size_t n_inputs, n_tokens;
static struct bytes current; /* written to a file when the target dies */
static char artifact[ARTIFACT_NAME] = "crash-input";
static uint64_t random_state;

static void die(const char *what, const char *name)
{
	fprintf(stderr, "drive: %s: %s: %s\n", what, name, strerror(errno));
	exit(2);
}

static void *take(size_t size)
{
	void *p = malloc(size > 0 ? size : 1);

	if (p == NULL)
		die("memory", "malloc");
	return p;
}

/* ---- when the target dies ---- */

static void keep_input(void)
{
	FILE *f = current.data != NULL ? fopen(artifact, "wb") : NULL;

	if (f == NULL)
		return;
	if (fwrite(current.data, 1, current.len, f) == current.len)
		fprintf(stderr, "drive: the input was written to %s\n", artifact);
	fclose(f);
}

static void on_abort(int sig)
{
	keep_input();
	signal(sig, SIG_DFL);
	raise(sig);
}

/* ---- corpus and dictionary ---- */

static void add_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = take(INPUT_MAX);
	size_t len;

	if (f == NULL)
		die("cannot open", path);
	len = fread(data, 1, INPUT_MAX, f);
	fclose(f);
	if (n_inputs < INPUTS_MAX) {
		inputs[n_inputs].data = take(len);
		memcpy(inputs[n_inputs].data, data, len);
		inputs[n_inputs++].len = len;
	}
	free(data);
}

static int visible(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

/* In the order of their names, so that a seed always means the same. */
static void add_path(const char *path)
{
	struct stat st;
	struct dirent **list;
	int n;

	if (stat(path, &st) != 0)
		die("cannot read", path);
	if (!S_ISDIR(st.st_mode)) {
		add_file(path);
		return;
	}
	n = scandir(path, &list, visible, alphasort);
	if (n < 0)
		die("cannot read", path);
	for (int i = 0; i < n; i++) {
		char name[ARTIFACT_NAME];
		snprintf(name, sizeof(name), "%s/%s", path, list[i]->d_name);
		if (stat(name, &st) == 0 && S_ISREG(st.st_mode))
			add_file(name);
		free(list[i]);
	}
	free(list);
}

/* The text between the first and the last quote of a line, with \\, \" and \xAB. */
static void add_token(const char *line)
{
	const char *p = strchr(line, '"'), *stop = strrchr(line, '"');
	uint8_t out[TOKEN_MAX];
	size_t len = 0;

	if (line[0] == '#' || p == NULL || stop == p || n_tokens == TOKENS_MAX)
		return;
	for (p++; p < stop && len < sizeof(out); p++) {
		unsigned byte;
		if (p[0] == '\\' && p[1] == 'x' && sscanf(p + 2, "%2x", &byte) == 1) {
			out[len++] = (uint8_t)byte;
			p += 3;
		} else {
			if (p[0] == '\\')
				p++;
			out[len++] = (uint8_t)*p;
		}
	}
	tokens[n_tokens].data = take(len);
	memcpy(tokens[n_tokens].data, out, len);
	tokens[n_tokens++].len = len;
}

static void read_dictionary(const char *path)
{
	char line[1024];
	FILE *f = fopen(path, "r");

	if (f == NULL)
		die("cannot open", path);
	while (fgets(line, sizeof(line), f) != NULL)
		add_token(line);
	fclose(f);
}

/* ---- mutation ---- */

/* xorshift64*: the same on every machine */
static uint64_t random_next(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * UINT64_C(2685821657736338717);
}

static size_t below(size_t n)
{
	return n > 0 ? (size_t)((random_next() >> 16) % n) : 0;
}

/* Puts a piece at `at`, over what is there or before it. */
static void put(struct bytes *b, size_t max, size_t at, struct bytes piece, bool over)
{
	size_t gone = !over ? 0 : b->len - at < piece.len ? b->len - at : piece.len;

	if (b->len - gone + piece.len > max)
		return;
	memmove(b->data + at + piece.len, b->data + at + gone, b->len - at - gone);
	memcpy(b->data + at, piece.data, piece.len);
	b->len = b->len - gone + piece.len;
}

/* A part of an input of the corpus; copied, since it may be b's own memory that moves. */
static void put_part(struct bytes *b, size_t max, const struct bytes *from)
{
	size_t at = below(from->len), len = 1 + below(from->len - at < 512 ? from->len - at : 512);
	struct bytes part;

	if (from->len == 0 || at + len > from->len)
		return;
	part.data = take(len);
	part.len = len;
	memcpy(part.data, from->data + at, len);
	put(b, max, below(b->len + 1), part, below(2) == 0);
	free(part.data);
}

static void mutate(struct bytes *b, size_t max)
{
	static const uint8_t odd[] = {0,  1,  9,  10, 13, 32,  34,  39,
				      44, 45, 48, 58, 92, 127, 128, 255};
	size_t at = below(b->len), len;

	switch (below(n_tokens > 0 ? 8 : 6)) {
	case 0:
		if (b->len > 0)
			b->data[at] ^= (uint8_t)(1U << below(8));
		break;
	case 1:
		if (b->len > 0)
			b->data[at] = odd[below(sizeof(odd))];
		break;
	case 2:
		if (b->len > 0)
			b->data[at] = (uint8_t)random_next();
		break;
	case 3:
		len = 1 + below(b->len - at < 64 ? b->len - at : 64);
		if (at + len <= b->len) {
			memmove(b->data + at, b->data + at + len, b->len - at - len);
			b->len -= len;
		}
		break;
	case 4:
		put_part(b, max, b);
		break;
	case 5:
		put_part(b, max, &inputs[below(n_inputs)]);
		break;
	default:
		put(b, max, below(b->len + 1), tokens[below(n_tokens)], below(2) == 0);
		break;
	}
}

static void run(const struct bytes *b)
{
	/* Of exactly this size, so that reading past its end is noticed. */
	current.data = take(b->len);
	current.len = b->len;
	memcpy(current.data, b->data, b->len);
	(void)LLVMFuzzerTestOneInput(current.data, current.len);
	free(current.data);
	current.data = NULL;
}

static long long mutate_all(long long runs, long seconds, size_t max)
{
	struct bytes b = {take(max), 0};
	time_t end = time(NULL) + seconds;
	long long i;

	for (i = 0; i < runs; i++) {
		const struct bytes *from = &inputs[below(n_inputs)];
		if (seconds > 0 && i % CLOCK_EVERY == 0 && time(NULL) >= end)
			break;
		b.len = from->len < max ? from->len : max;
		memcpy(b.data, from->data, b.len);
		for (size_t n = 1 + below(CHANGES_MAX); n > 0; n--)
			mutate(&b, max);
		run(&b);
	}
	free(b.data);
	return i;
}

static const char *value_of(const char *arg, const char *name)
{
	size_t n = strlen(name);

	return strncmp(arg, name, n) == 0 ? arg + n : NULL;
}

int main(int argc, char **argv)
{
	long long runs = DEFAULT_RUNS;
	long seconds = 0;
	size_t max = DEFAULT_LEN;
	uint64_t seed = 1;
	const char *v;

	for (int i = 1; i < argc; i++) {
		if ((v = value_of(argv[i], "-runs=")) != NULL)
			runs = atoll(v);
		else if ((v = value_of(argv[i], "-max_total_time=")) != NULL)
			seconds = atol(v);
		else if ((v = value_of(argv[i], "-max_len=")) != NULL)
			max = strtoul(v, NULL, 10);
		else if ((v = value_of(argv[i], "-seed=")) != NULL)
			seed = strtoull(v, NULL, 10);
		else if ((v = value_of(argv[i], "-artifact_prefix=")) != NULL)
			snprintf(artifact, sizeof(artifact), "%scrash-input", v);
		else if ((v = value_of(argv[i], "-dict=")) != NULL)
			read_dictionary(v);
		else if (argv[i][0] != '-')
			add_path(argv[i]);
	}
	if (n_inputs == 0) {
		fputs("drive: no inputs were given\n", stderr);
		return 2;
	}
	if (__sanitizer_set_death_callback != NULL)
		__sanitizer_set_death_callback(keep_input);
	signal(SIGABRT, on_abort);
	random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	for (size_t i = 0; i < n_inputs; i++)
		run(&inputs[i]);
	long long done = mutate_all(runs, seconds, max);
	printf("%zu inputs and %lld mutations of seed %llu\n", n_inputs, done,
	       (unsigned long long)seed);
	for (size_t i = 0; i < n_inputs; i++)
		free(inputs[i].data);
	for (size_t i = 0; i < n_tokens; i++)
		free(tokens[i].data);
	return 0;
}
