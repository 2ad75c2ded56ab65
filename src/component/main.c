/* The command line of a component program. */
#include "config.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "component/desc.h"
#include "component/task.h"
#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Set before a failure that must be told apart from one of the component itself. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_WRONG_USAGE = 2 };

struct program {
	const struct norn_component *const *all;
	size_t n;
	const char *name;
};

struct options {
	const char *config, *meta, *component, *role, *stage, *save;
	bool every;
};

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"execution-final-meta-path", required_argument, NULL, 'm'},
    {"name", required_argument, NULL, 'n'},
    {"role", required_argument, NULL, 'r'},
    {"stage", required_argument, NULL, 's'},
    {"save", required_argument, NULL, 'o'},
    {"output-path", required_argument, NULL, 'o'},
    {"process-tag", required_argument, NULL, 't'},
    {"all", no_argument, NULL, 'a'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static void usage(FILE *out, const char *name)
{
	fprintf(out,
		"usage: %s component execute --config FILE [--execution-final-meta-path FILE]\n"
		"       %s component list [--save FILE]\n"
		"       %s component desc --name NAME | --all [--save FILE]\n"
		"       %s component artifact-type --name NAME --role ROLE --stage STAGE\n"
		"       %s component cleanup --config FILE\n"
		"       %s --help | --version\n",
		name, name, name, name, name, name);
}

static int fail(const struct program *p, const struct err *e)
{
	fflush(stdout);
	fprintf(stderr, "%s: %s\n", p->name, e->msg);
	return EXIT_FAILED;
}

static int wrong_usage(const struct program *p, const char *what)
{
	fprintf(stderr, "%s: %s\n", p->name, what);
	usage(stderr, p->name);
	return EXIT_WRONG_USAGE;
}

/* v (stolen) to the file named by --save, else to standard output. */
static int print_json(const struct program *p, const struct options *o, json_t *v)
{
	char *text = json_dumps(v, JSON_INDENT(2) | JSON_SORT_KEYS);
	struct err e = {0};
	bool ok = text != NULL;

	if (!ok)
		err_set(&e, ERR_INTERNAL, "cannot print the description");
	else if (o->save != NULL)
		ok = js_save_file(o->save, v, &e);
	else if (puts(text) == EOF || fflush(stdout) != 0)
		ok = err_set(&e, ERR_IO, "cannot write: %s", strerror(errno));
	free(text);
	json_decref(v);
	return ok ? EXIT_OK : fail(p, &e);
}

static int do_list(const struct program *p, const struct options *o)
{
	return print_json(p, o, desc_list(p->all, p->n));
}

static int do_desc(const struct program *p, const struct options *o)
{
	const struct norn_component *c;
	struct err e = {0};
	json_t *v;
	size_t i;

	if (o->every) {
		v = json_object();
		for (i = 0; i < p->n; i++)
			json_object_set_new(v, p->all[i]->name, desc_component(p->all[i]));
		return print_json(p, o, v);
	}
	if (o->component == NULL)
		return wrong_usage(p, "desc needs --name or --all");
	c = component_find(p->all, p->n, o->component);
	if (c == NULL) {
		err_set(&e, ERR_USAGE, "there is no component '%.60s'", o->component);
		return fail(p, &e);
	}
	return print_json(p, o, desc_component(c));
}

static int do_artifact_type(const struct program *p, const struct options *o)
{
	const struct norn_component *c;
	enum norn_role role;
	enum norn_stage stage;
	struct err e = {0};

	if (o->component == NULL || o->role == NULL || o->stage == NULL)
		return wrong_usage(p, "artifact-type needs --name, --role and --stage");
	c = component_find(p->all, p->n, o->component);
	if (c == NULL)
		err_set(&e, ERR_USAGE, "there is no component '%.60s'", o->component);
	else if (!role_parse(o->role, &role) || !(c->roles & (unsigned)role))
		err_set(&e, ERR_USAGE, "component %s has no role '%.60s'", c->name, o->role);
	else if (!stage_parse(o->stage, &stage) || !(c->stages & (unsigned)stage))
		err_set(&e, ERR_USAGE, "component %s has no stage '%.60s'", c->name, o->stage);
	else
		return print_json(p, o, desc_artifact_types(c, role, stage));
	return fail(p, &e);
}

static bool save_result(const char *path, json_t *result, struct err *e)
{
	char *copy = mem_strdup(path);
	bool ok = fs_mkdirs(dirname(copy), 0700, e) && js_save_scratch(path, result, e);

	free(copy);
	json_decref(result);
	return ok;
}

static int do_execute(const struct program *p, const struct options *o)
{
	const char *meta = o->meta ? o->meta : "./execution_final_meta.json";
	struct norn_task *t;
	struct err e = {0}, e2 = {0};
	json_t *config;
	bool ok;

	if (o->config == NULL)
		return wrong_usage(p, "execute needs --config");
	if (unlink(meta) != 0 && errno != ENOENT) {
		err_set(&e, ERR_IO, "cannot remove the old result file: %s", strerror(errno));
		return fail(p, &e);
	}
	config = js_load_file(o->config, &js_limits_default, &e);
	if (config == NULL)
		return fail(p, &e);
	t = task_new(config, p->all, p->n, &e);
	if (t != NULL)
		norn_say(t, "%s %s started", t->def->name, stage_name(t->stage));
	ok = t != NULL && task_run(t, &e);
	if (ok)
		norn_say(t, "done");
	if (!save_result(meta, ok ? task_result_ok(t) : task_result_failed(&e), &e2) && ok) {
		ok = false;
		e = e2;
	}
	task_free(t);
	return ok ? EXIT_OK : fail(p, &e);
}

static int do_cleanup(const struct program *p, const struct options *o)
{
	/* Nothing outlives the process: the node drops the messages of the run itself. */
	return o->config != NULL ? EXIT_OK : wrong_usage(p, "cleanup needs --config");
}

static const struct {
	const char *name;
	int (*fn)(const struct program *p, const struct options *o);
} commands[] = {{"execute", do_execute},
		{"list", do_list},
		{"desc", do_desc},
		{"artifact-type", do_artifact_type},
		{"cleanup", do_cleanup}};

int norn_component_main(int argc, char **argv, const struct norn_component *const *all, size_t n)
{
	struct program p = {.all = all, .n = n, .name = "norn-component"};
	struct options o = {0};
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	int c;
	size_t i;

	if (argc > 0)
		p.name = slash ? slash + 1 : argv[0];
	while ((c = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (c) {
		case 'c':
			o.config = optarg;
			break;
		case 'm':
			o.meta = optarg;
			break;
		case 'n':
			o.component = optarg;
			break;
		case 'r':
			o.role = optarg;
			break;
		case 's':
			o.stage = optarg;
			break;
		case 'o':
			o.save = optarg;
			break;
		case 't': /* a mark in the process list for whoever looks; nothing to do */
			break;
		case 'a':
			o.every = true;
			break;
		case 'h':
			usage(stdout, p.name);
			return EXIT_OK;
		case 'V':
			printf("%s %s\n", p.name, n > 0 ? all[0]->version : "");
			return EXIT_OK;
		default:
			usage(stderr, p.name);
			return EXIT_WRONG_USAGE;
		}
	}
	if (argc - optind != 2 || strcmp(argv[optind], "component") != 0)
		return wrong_usage(&p, "expected 'component' and a command");
	for (i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(argv[optind + 1], commands[i].name) == 0)
			return commands[i].fn(&p, &o);
	return wrong_usage(&p, "unknown command");
}
