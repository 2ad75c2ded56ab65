#include "exec/run.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "party/catalog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PID_AFTER_MS 200 /* short runs are over before anybody could look at their pid */

static char *text_of(const struct db_result *res, int row, const char *col)
{
	return mem_strdup(db_get(res, 1, row, col));
}

struct run *run_new(struct exec *x, struct node *n, const struct db_result *res, int row,
		    const char *token)
{
	struct run *r = mem_zalloc(sizeof(*r));

	r->exec = x;
	r->node = n;
	r->step_us = clock_mono_us();
	phase_seen(PHASE_SENT, db_get_int(res, 1, row, "sent_ms") * 1000);
	r->run_no = db_get_int(res, 1, row, "run_no");
	r->lease_no = db_get_int(res, 1, row, "lease_no");
	r->attempt = (int)db_get_int(res, 1, row, "attempt");
	r->timeout_s = db_get_int(res, 1, row, "timeout_s");
	r->cores = (int)db_get_int(res, 1, row, "cores");
	r->memory_mb = (int)db_get_int(res, 1, row, "memory_mb");
	r->away = db_get_bool(res, 1, row, "away");
	r->job_id = text_of(res, row, "job_id");
	r->task_name = text_of(res, row, "task_name");
	r->role = text_of(res, row, "role");
	r->party_id = text_of(res, row, "party_id");
	r->component = text_of(res, row, "component");
	r->provider = text_of(res, row, "provider");
	r->model_id = text_of(res, row, "model_id");
	r->model_version = text_of(res, row, "model_version");
	r->config = db_get_json(res, 1, row, "config");
	r->parties = json_incref(json_object_get(r->config, "parties"));
	r->partitions = (int)js_int(r->config, "computing_partitions", 1);
	r->execution_id =
	    mem_printf("%s_%s_%d_%s_%s", r->job_id, r->task_name, r->attempt, r->role, r->party_id);
	/* one level only, for directories are dear; no name contains a + */
	r->work_dir = mem_printf("%s/work/%s/%s+%d+%s+%s", n->conf->data_dir, r->job_id,
				 r->task_name, r->attempt, r->role, r->party_id);
	r->log_dir = mem_printf("%s/%s/%s/%s/%s/%d", n->conf->log_dir, r->job_id, r->role,
				r->party_id, r->task_name, r->attempt);
	str_copy(r->token, sizeof(r->token), token);
	return r;
}

void run_free(struct run *r)
{
	free(r->said_failed);
	char *const texts[] = {r->job_id,       r->task_name, r->role,     r->party_id,
			       r->component,    r->provider,  r->model_id, r->model_version,
			       r->execution_id, r->work_dir,  r->log_dir};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		free(texts[i]);
	json_decref(r->config);
	json_decref(r->parties);
	json_decref(r->provider_metadata);
	json_decref(r->desc);
	json_decref(r->result);
	json_decref(r->argv);
	if (r->pid_timer != NULL)
		event_free(r->pid_timer);
	buf_free(&r->error);
	buf_free(&r->tail);
	free(r);
}

void run_step(struct run *r, enum phase done)
{
	int64_t now_us = clock_mono_us();

	phase_seen(done, now_us - r->step_us);
	r->step_us = now_us;
}

struct log_ctx run_ctx(const struct run *r)
{
	return (struct log_ctx){.job_id = r->job_id,
				.task_name = r->task_name,
				.role = r->role,
				.party_id = r->party_id,
				.attempt = r->attempt};
}

/* ---- preparing ---- */

struct preparing {
	struct run *r;
	json_t *tasks, *models, *tables;
};

static void preparing_free(struct preparing *p)
{
	json_decref(p->tasks);
	json_decref(p->models);
	json_decref(p->tables);
	free(p);
}

static void fail_before_start(struct run *r, const struct err *e)
{
	/* a database that was away for a moment is nothing the task has done */
	r->node_lost = e->code == ERR_DB_LOST || e->code == ERR_DB_UNAVAILABLE;
	buf_reset(&r->error);
	buf_adds(&r->error, e->msg);
	run_end(r, "failed", "not_started");
}

static json_t *rows_json(const struct db_result *res, int k, const char *const *texts,
			 const char *const *jsons)
{
	json_t *rows = json_array();

	for (int i = 0; i < db_rows(res, k); i++) {
		json_t *o = json_object();
		for (size_t c = 0; texts[c] != NULL; c++) {
			if (!db_is_null(res, k, i, texts[c]))
				json_object_set_new(o, texts[c],
						    json_string(db_get(res, k, i, texts[c])));
		}
		for (size_t c = 0; jsons[c] != NULL; c++) {
			json_t *v = db_get_json(res, k, i, jsons[c]);
			if (v != NULL)
				json_object_set_new(o, jsons[c], v);
		}
		json_array_append_new(rows, o);
	}
	return rows;
}

static json_t *model_rows(const struct preparing *p, const struct db_result *res)
{
	static const char *const texts[] = {"task_name", "output_key", "output_index",
					    "path",      "type_name",  "component",
					    "job_id",    "attempt",    NULL};
	static const char *const jsons[] = {"metadata", NULL};
	json_t *all = json_array();
	size_t m;
	json_t *pair;

	json_array_foreach (p->models, m, pair) {
		json_t *rows = rows_json(res, 2 + (int)m, texts, jsons);
		size_t i;
		json_t *row;
		json_array_foreach (rows, i, row) {
			json_object_set(row, "model_id", json_array_get(pair, 0));
			json_object_set(row, "model_version", json_array_get(pair, 1));
		}
		json_array_extend(all, rows);
		json_decref(rows);
	}
	return all;
}

static void on_pid_timer(evutil_socket_t fd, short what, void *arg)
{
	struct run *r = arg;
	struct db_batch *b = db_batch_new(r->node->db);

	db_add(b, Q_RUN_STARTED);
	db_int(b, r->run_no);
	db_int(b, r->pid);
	db_json(b, r->argv);
	db_submit(b, NULL, NULL);
}

static void launched(pid_t pid, void *arg)
{
	static const struct timeval later = {0, PID_AFTER_MS * 1000};
	struct run *r = arg;

	run_step(r, PHASE_STARTED);
	r->pid = pid;
	r->pid_timer = evtimer_new(r->node->base, on_pid_timer, r);
	evtimer_add(r->pid_timer, &later);
}

static void exit_text(struct run *r, const struct launch_result *l)
{
	if (l->error.code != ERR_OK)
		buf_printf(&r->error, "%s", l->error.msg);
	else if (l->oom)
		buf_printf(&r->error, "killed by the kernel: it used more memory than its limit");
	else if (l->signal != 0)
		buf_printf(&r->error, "ended by signal %d (%s)", l->signal, strsignal(l->signal));
	else if (r->said_failed != NULL && r->said_failed[0] != '\0')
		buf_printf(&r->error, "%s", r->said_failed);
	else if (l->exit_code != 0)
		buf_printf(&r->error, "exit code %d", l->exit_code);
	else if (r->said_failed != NULL)
		buf_printf(&r->error, "exit code 0, but the component has said that it failed");
	else
		buf_printf(&r->error, "exit code 0, but no result file");
}

static void exited(const struct launch_result *l, void *arg)
{
	struct run *r = arg;
	const struct log_ctx ctx = run_ctx(r);

	r->launch = NULL;
	if (l->started)
		run_step(r, PHASE_RAN);
	if (r->pid_timer != NULL)
		evtimer_del(r->pid_timer);
	r->has_exit = l->started;
	r->exit_code = l->exit_code;
	r->signal = l->signal;
	r->user_ms = l->user_us / 1000;
	r->sys_ms = l->sys_us / 1000;
	r->max_rss_kb = l->max_rss_kb;
	buf_add(&r->tail, l->stderr_tail, l->stderr_tail_len);
	if (l->stdout_dropped + l->stderr_dropped > 0)
		log_warn(&ctx,
			 "its logs are incomplete: %lld bytes of stdout and %lld of stderr were "
			 "not kept "
			 "(exec.log_mb, or the disk is full)",
			 (long long)l->stdout_dropped, (long long)l->stderr_dropped);
	log_info(&ctx, "process ended: exit code %d, signal %d, %lld ms, %lld KiB%s", l->exit_code,
		 l->signal, (long long)l->elapsed_ms, (long long)l->max_rss_kb,
		 l->leftover > 0 ? ", left processes behind that were killed" : "");
	/* what is killed may have been writing its result */
	bool good =
	    l->signal == 0 && results_read(r) && l->exit_code == 0 && r->said_failed == NULL;
	if (good) {
		run_end(r, "success", "exited");
	} else if (l->timed_out) {
		buf_reset(&r->error);
		buf_printf(&r->error, "ran longer than %lld s (conf.timeout)",
			   (long long)r->timeout_s);
		run_end(r, "timeout", "timeout");
	} else if (r->stop_status[0] != '\0') {
		buf_reset(&r->error);
		buf_printf(&r->error, "stopped, because the task or the job is %s", r->stop_status);
		run_end(r, r->stop_status, "stopped");
	} else if (r->node_lost) {
		buf_reset(&r->error);
		buf_printf(&r->error,
			   "node %s was lost while it ran this task: it had not reached its "
			   "database in time",
			   r->node->name);
		run_end(r, "failed", "node_lost");
	} else if (l->stopped && r->node->stopping) {
		r->node_lost = true;
		buf_reset(&r->error);
		buf_printf(&r->error, "node %s was shut down while it ran this task",
			   r->node->name);
		run_end(r, "failed", "node_stopped");
	} else {
		if (r->error.len == 0)
			exit_text(r, l);
		run_end(r, "failed", l->started ? "exited" : "not_started");
	}
}

static void open_mailbox(struct run *r)
{
	struct channel_party *parties = NULL;
	size_t n = 0;
	size_t i;
	json_t *p;

	json_array_foreach (r->parties, i, p) {
		size_t k;
		json_t *id;
		json_array_foreach (json_object_get(p, "party_id"), k, id) {
			parties = mem_resize(parties, n + 1, sizeof(*parties));
			str_copy(parties[n].role, sizeof(parties[n].role), js_str(p, "role", ""));
			str_copy(parties[n].party_id, sizeof(parties[n].party_id),
				 json_string_value(id));
			n++;
		}
	}
	channel_open(r->node->channel, r->execution_id, r->job_id, r->task_name, r->attempt,
		     r->role, r->party_id, r->token, parties, n);
	free(parties);
}

static const char *const passed_env[] = {"PATH",        "HOME",   "LANG",         "LC_ALL",
					 "TZ",          "TMPDIR", "ASAN_OPTIONS", "UBSAN_OPTIONS",
					 "LSAN_OPTIONS"};

static bool is_builtin(const struct run *r)
{
	return str_starts(r->provider, "norn:");
}

/* Built-in components leave nothing in their directory, so they share that of the job; a directory
 * of its own is made when one writes a model. */
char *run_file(const struct run *r, const char *name)
{
	return mem_printf("%s%c%s", r->work_dir, is_builtin(r) ? '+' : '/', name);
}

/* How a component of this provider is started, without its arguments: how many words. */
static size_t add_program(const struct run *r, const char **argv)
{
	const char *program = js_str(r->provider_metadata, "program", NULL);
	size_t a = 0;

	if (is_builtin(r)) {
		argv[a++] = r->node->conf->norn_component;
	} else if (program != NULL) {
		argv[a++] = program;
	} else {
		argv[a++] = js_str(r->provider_metadata, "venv", "python3");
		argv[a++] = "-m";
		argv[a++] = js_str(r->provider_metadata, "module", "fate.components");
	}
	return a;
}

static bool start_process(struct run *r, struct err *e)
{
	const struct node_conf *c = r->node->conf;
	char *config = run_file(r, RUN_CONFIG);
	char *result = run_file(r, RUN_RESULT);
	char *cwd = mem_strdup(r->work_dir);
	char *out = mem_printf("%s/stdout", r->log_dir);
	char *errf = mem_printf("%s/stderr", r->log_dir);
	const char *argv[16];
	char *env[24];
	size_t a = add_program(r, argv);
	size_t v = 0;

	argv[a++] = "component";
	argv[a++] = "execute";
	argv[a++] = "--config";
	argv[a++] = config;
	argv[a++] = "--execution-final-meta-path";
	argv[a++] = result;
	argv[a] = NULL;
	for (size_t i = 0; i < ARRAY_LEN(passed_env); i++) {
		if (getenv(passed_env[i]) != NULL)
			env[v++] = mem_printf("%s=%s", passed_env[i], getenv(passed_env[i]));
	}
	env[v++] = mem_strdup("PROCESS_ROLE=worker");
	env[v++] = mem_printf("FATE_JOB_ID=%s", r->job_id);
	env[v++] = mem_printf("NORN_TASK_TOKEN=%s", r->token);
	if (js_str(r->provider_metadata, "path", NULL) != NULL)
		env[v++] = mem_printf("PYTHONPATH=%s", js_str(r->provider_metadata, "path", ""));
	env[v] = NULL;
	r->argv = json_array();
	for (size_t i = 0; i < a; i++)
		json_array_append_new(r->argv, json_string(argv[i]));
	unlink(result);
	if (is_builtin(r))
		*strrchr(cwd, '/') = '\0';
	const struct launch_spec spec = {
	    .argv = argv,
	    .env = (const char *const *)env,
	    .cwd = cwd,
	    .stdout_path = out,
	    .stderr_path = errf,
	    .timeout_ms = r->timeout_s * 1000,
	    .grace_ms = c->exec_grace_ms,
	    .max_log_bytes = c->exec_log_mb << 20,
	    .memory_max_bytes = (int64_t)r->memory_mb << 20,
	    .run_path = c->norn_run,
	    .spawner = exec_spawner(r->exec, is_builtin(r)),
	    .own = is_builtin(r),
	};
	r->launch = launch_start(r->node->base, &spec, launched, exited, r, e);
	for (size_t i = 0; i < v; i++)
		free(env[i]);
	free(cwd);
	free(config);
	free(result);
	free(out);
	free(errf);
	return r->launch != NULL;
}

static bool write_config(struct run *r, const struct run_inputs *in, struct err *e)
{
	json_t *conf = taskconf_build(r, in, e);
	/* ours make what they write to */
	char *dir = mem_printf("%s%s", r->work_dir, is_builtin(r) ? "" : "/output");
	char *path = run_file(r, RUN_CONFIG);

	if (is_builtin(r))
		*strrchr(dir, '/') = '\0';
	bool ok = conf != NULL && fs_mkdirs(dir, 0700, e) && fs_mkdirs(r->log_dir, 0700, e) &&
		  js_save_scratch(path, conf, e);
	free(dir);
	free(path);
	json_decref(conf);
	return ok;
}

static void start(struct run *r, const struct run_inputs *in)
{
	const struct log_ctx ctx = run_ctx(r);
	struct err e = {0};
	bool ok = write_config(r, in, &e);

	if (ok) {
		open_mailbox(r);
		ok = start_process(r, &e);
	}
	if (!ok) {
		fail_before_start(r, &e);
		return;
	}
	r->state = RUN_RUNNING;
	log_info(&ctx, "started %s (provider %s)", r->component, r->provider);
}

static void on_inputs(struct db_result *res, void *arg)
{
	static const char *const out_texts[] = {
	    "task_name", "output_key", "output_index", "namespace", "name",       "uri",
	    "type_name", "component",  "attempt",      "table_uri", "table_type", NULL};
	static const char *const out_jsons[] = {"metadata", "table_schema", "table_source", NULL};
	static const char *const table_texts[] = {"namespace", "name", "uri", "data_type", NULL};
	static const char *const table_jsons[] = {"schema", "source", NULL};
	struct preparing *p = arg;
	struct run *r = p->r;

	if (db_error(res) != NULL) {
		fail_before_start(r, db_error(res));
	} else if (r->stop_status[0] != '\0') { /* stopped meanwhile */
		run_end(r, r->stop_status, "stopped");
	} else {
		struct run_inputs in = {.outputs = rows_json(res, 0, out_texts, out_jsons),
					.tables = rows_json(res, 1, table_texts, table_jsons),
					.models = model_rows(p, res)};
		start(r, &in);
		json_decref(in.outputs);
		json_decref(in.tables);
		json_decref(in.models);
	}
	preparing_free(p);
}

static void look_up(struct preparing *p)
{
	struct run *r = p->r;
	struct db_batch *b = db_batch_new(r->node->db);
	struct db_array a = {0};
	struct db_array c = {0};
	size_t i;
	json_t *v;

	json_array_foreach (p->tasks, i, v)
		db_array_text(&a, json_string_value(v));
	db_add(b, Q_RUN_INPUTS);
	db_text(b, r->job_id);
	db_text(b, r->role);
	db_text(b, r->party_id);
	db_array(b, &a);
	json_array_foreach (p->tables, i, v) {
		db_array_text(&a, json_string_value(json_array_get(v, 0)));
		db_array_text(&c, json_string_value(json_array_get(v, 1)));
	}
	db_add(b, Q_RUN_TABLES);
	db_array(b, &a);
	db_array(b, &c);
	json_array_foreach (p->models, i, v) {
		db_add(b, Q_RUN_MODELS);
		db_text(b, json_string_value(json_array_get(v, 0)));
		db_text(b, json_string_value(json_array_get(v, 1)));
		db_text(b, r->role);
		db_text(b, r->party_id);
	}
	db_submit(b, on_inputs, p);
}

static void on_catalog(json_t *providers, const struct err *why, void *arg)
{
	struct preparing *p = arg;
	struct run *r = p->r;
	struct err e = {0};
	const char *name = NULL;
	const json_t *desc =
	    providers == NULL ? NULL
			      : catalog_component(providers, r->provider, r->component, &name, &e);

	if (desc == NULL) {
		fail_before_start(r, providers == NULL ? why : &e);
		preparing_free(p);
		return;
	}
	json_t *inner = json_object_get(desc, "component");
	r->desc = json_incref(inner != NULL ? inner : (json_t *)(uintptr_t)desc);
	r->provider_metadata =
	    json_incref(json_object_get(json_object_get(providers, name), "metadata"));
	taskconf_needs(r, p->tasks, p->models, p->tables);
	if (json_array_size(p->tasks) + json_array_size(p->models) + json_array_size(p->tables) >
	    0) {
		look_up(p);
		return;
	}
	struct run_inputs none = {.outputs = p->tasks, .tables = p->tables, .models = p->models};
	start(r, &none);
	preparing_free(p);
}

void run_prepare(struct run *r)
{
	struct preparing *p;

	if (r->node->conf->inprocess_noop && strcmp(r->component, "noop") == 0 &&
	    json_object_size(json_object_get(r->config, "parameters")) == 0) {
		run_end(r, "success", "exited");
		return;
	}
	p = mem_zalloc(sizeof(*p));
	p->r = r;
	p->tasks = json_array();
	p->models = json_array();
	p->tables = json_array();
	catalog_get(r->node, on_catalog, p);
}

/* ---- stopping and ending ---- */

void run_stop(struct run *r, const char *status)
{
	const struct log_ctx ctx = run_ctx(r);

	if (r->stop_status[0] != '\0')
		return;
	str_copy(r->stop_status, sizeof(r->stop_status), status);
	if (r->launch == NULL)
		return; /* seen when the inputs are there, or it is ending already */
	log_info(&ctx, "stopping: the task is %s", status);
	launch_stop(r->launch, r->node->conf->exec_grace_ms);
}
