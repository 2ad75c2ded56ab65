#include "api/local_job.h"

#include "base/js.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "party/submit.h"

#include <stdlib.h>
#include <string.h>

#define SCHEMA_VERSION "2.2.0"
#define PROVIDER       "norn:*@local"

struct pending {
	struct http_req *r;
	json_t *data; /* of the answer when the job was taken */
	char *file;   /* removed when it was not; NULL: none */
};

static void on_noted(struct db_result *res, void *arg)
{
	if (db_error(res) != NULL)
		log_warn(LOG_CTX_NONE, "an uploaded file may stay for a day: %s",
			 db_error(res)->msg);
}

void local_job_note_upload(struct node *n, const char *file, const char *job_id)
{
	struct db_batch *b = db_batch_new(n->db);

	db_add(b, Q_UPLOAD_SUBMITTED);
	db_text(b, strrchr(file, '/') != NULL ? strrchr(file, '/') + 1 : file);
	db_text(b, job_id);
	db_submit(b, on_noted, NULL);
}

static void on_submitted(json_t *answer, void *arg)
{
	struct pending *p = arg;

	if (js_int(answer, "code", ERR_OK) == ERR_OK) {
		json_object_set_new(answer, "data", p->data);
		if (p->file != NULL)
			local_job_note_upload(request_node(p->r), p->file,
					      js_str(answer, "job_id", ""));
	} else {
		json_object_set_new(answer, "request_id", json_string(http_req_id(p->r)));
		json_decref(p->data);
		if (p->file != NULL)
			local_job_note_upload(request_node(p->r), p->file, "");
	}
	http_reply_json(p->r, 200, answer);
	free(p->file);
	free(p);
}

static json_t *local_parties(void)
{
	return json_pack("[{s:s, s:[s]}]", "role", "local", "party_id", "0");
}

/* Takes tasks (the definition), params ({task: {parameters}}) and data (of the answer). file: what
 * is to be removed when the job is refused, or NULL. */
static void submit(struct http_req *r, json_t *tasks, json_t *params, json_t *data,
		   const char *file)
{
	json_t *conf = json_pack("{s:s, s:i, s:{s:s, s:{s:i}}}", "scheduler_party_id", "0", "cores",
				 1, "task", "provider", PROVIDER, "engine_run", "cores", 1);
	json_t *root =
	    json_pack("{s:{s:o, s:o, s:s, s:o, s:{s:{s:o, s:o}}}, s:s, s:s}", "dag", "conf", conf,
		      "parties", local_parties(), "stage", "default", "tasks", tasks, "party_tasks",
		      "local_0", "parties", local_parties(), "tasks", params, "schema_version",
		      SCHEMA_VERSION, "kind", "fate");
	struct pending *p = mem_alloc(sizeof(*p));
	const char *user = http_req_header(r, "user_name");
	const struct submit_opts opts = {.user_name = user};

	p->r = r;
	p->data = data;
	p->file = mem_strdup(file);
	submit_job(request_node(r), root, &opts, on_submitted, p);
	json_decref(root);
}

static json_t *name_data(const char *namespace_, const char *name)
{
	return json_pack("{s:s?, s:s?}", "name", name, "namespace", namespace_);
}

static void set_optional(json_t *o, const char *key, const char *v)
{
	if (v != NULL)
		json_object_set_new(o, key, json_string(v));
}

/* The task that turns the raw table behind `input` (taken) into a data frame. */
static json_t *transformer_task(json_t *input)
{
	return json_pack("{s:s, s:{s:{s:o}}}", "component_ref", "dataframe_transformer", "inputs",
			 "data", "table", input);
}

void local_job_upload(struct http_req *r, const struct upload_job *u)
{
	char fresh[33];
	const char *namespace_ = u->namespace_;
	const char *name = u->name;
	json_t *upload = json_pack("{s:s, s:b, s:I, s:o, s:b}", "file", u->file, "head",
				   (int)u->head, "partitions", (json_int_t)u->partitions, "meta",
				   u->meta, "extend_sid", (int)u->extend_sid);
	json_t *tasks = json_pack("{s:{s:s}}", "upload_0", "component_ref", "upload");
	json_t *params = json_pack("{s:{s:O}}", "upload_0", "parameters", upload);

	if (u->is_temp_file)
		json_object_set_new(upload, "is_temp_file", json_true());
	if (u->transform) {
		json_t *to = json_object();
		set_optional(to, "namespace", namespace_);
		set_optional(to, "name", name);
		json_object_set_new(tasks, "transformer_0",
				    transformer_task(json_pack(
					"{s:{s:s, s:s}}", "task_output_artifact", "producer_task",
					"upload_0", "output_artifact_key", "table")));
		json_object_set_new(params, "transformer_0", json_pack("{s:o}", "parameters", to));
	} else {
		str_random_hex(fresh, 16);
		namespace_ = "upload";
		name = fresh;
		set_optional(upload, "namespace", namespace_);
		set_optional(upload, "name", name);
	}
	json_decref(upload);
	submit(r, tasks, params, name_data(namespace_, name), u->is_temp_file ? u->file : NULL);
}

void local_job_transform(struct http_req *r, const json_t *from, const char *namespace_,
			 const char *name, const char *site_name)
{
	json_t *to = name_data(namespace_, name);
	json_t *tasks = json_object();

	set_optional(to, "site_name", site_name);
	json_object_set_new(tasks, "transformer_0",
			    transformer_task(json_pack("{s:{s:s, s:s}}", "data_warehouse",
						       "namespace", js_str(from, "namespace", ""),
						       "name", js_str(from, "name", ""))));
	submit(r, tasks, json_pack("{s:{s:o}}", "transformer_0", "parameters", to),
	       name_data(namespace_, name), NULL);
}

void local_job_download(struct http_req *r, const char *namespace_, const char *name,
			const char *path)
{
	json_t *input =
	    json_pack("{s:{s:s, s:s}}", "data_warehouse", "namespace", namespace_, "name", name);
	json_t *tasks = json_pack("{s:{s:s, s:{s:{s:o}}}}", "download_0", "component_ref",
				  "download", "inputs", "data", "table", input);
	json_t *params = json_pack("{s:{s:{s:s, s:s, s:s}}}", "download_0", "parameters", "path",
				   path, "namespace", namespace_, "name", name);
	json_t *data = name_data(namespace_, name);

	json_object_set_new(data, "path", json_string(path));
	submit(r, tasks, params, data, NULL);
}
