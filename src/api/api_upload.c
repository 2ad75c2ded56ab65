/*
 * Uploading a table as a form. The body is in a spool file already; its file part is copied to
 * <dirs.data>/uploads a piece each turn of the event loop, and the job's first task reads and
 * removes that copy.
 */
#include "api/local_job.h"
#include "api/multipart.h"
#include "api/upload.h"
#include "api/reply.h"

#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP (256 * 1024)

struct upload {
	struct http_req *r;
	struct node *node;
	struct multipart *form;
	struct event *timer;
	int out;
	char *path;
};

static void upload_free(struct upload *u, bool remove_file)
{
	if (u->out >= 0)
		close(u->out);
	if (remove_file && u->path != NULL) {
		unlink(u->path);
		local_job_note_upload(u->node, u->path, "");
	}
	if (u->timer != NULL)
		event_free(u->timer);
	multipart_free(u->form);
	free(u->path);
	free(u);
}

static void give_up(struct upload *u, const struct err *e)
{
	refuse(u->r, e->code, "%s", e->msg);
	upload_free(u, true);
}

static bool on_file(const void *data, size_t len, void *arg, struct err *e)
{
	struct upload *u = arg;
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(u->out, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, ERR_IO, "the uploaded file cannot be kept: %s",
				       strerror(errno));
		p += n;
		len -= (size_t)n;
	}
	return true;
}

/* ---- the fields, by the rules of all parameters ---- */

static const struct param upload_params[] = {
    {"head", P_BOOL, true, NULL},
    {"partitions", P_INT, true, NULL, .min = 1, .max = 1000000},
    {"meta", P_STR, true, NULL}, /* a JSON object */
    {"extend_sid", P_BOOL, false, "false"},
    {"namespace", P_STR, false, NULL},
    {"name", P_STR, false, NULL},
};
const struct http_doc api_upload_doc = {TAKES_FORM(upload_params), .has_file = true,
					.data = "{name:string? namespace:string?}",
					.has_job_id = true};

static void refuse_field(struct upload *u, const char *field, const char *text)
{
	reply_wrong_field(u->r, field, text);
	upload_free(u, true);
}

static json_t *meta_of(const json_t *f)
{
	const char *text = js_str(f, "meta", "");
	struct err e;
	json_t *meta = js_parse(text, strlen(text), &js_limits_default, &e);

	if (json_is_object(meta))
		return meta;
	json_decref(meta);
	return NULL;
}

static void submit(struct upload *u)
{
	struct upload_job job = {.file = u->path, .is_temp_file = true, .transform = true};
	const char *field, *why;
	json_t *f;
	struct err e;

	if (!multipart_has_file(u->form)) {
		(void)err_set(&e, ERR_API_NO_FILE, "No Found File");
		give_up(u, &e);
		return;
	}
	f = request_fields(u->r, multipart_fields(u->form), &field, &why);
	if (f == NULL) {
		refuse_field(u, field, why);
		return;
	}
	job.meta = meta_of(f);
	if (job.meta == NULL) {
		json_decref(f);
		refuse_field(u, "meta", "Not a JSON object.");
		return;
	}
	job.head = js_bool(f, "head", true);
	job.extend_sid = js_bool(f, "extend_sid", false);
	job.partitions = js_int(f, "partitions", 1);
	job.namespace_ = js_str(f, "namespace", NULL);
	job.name = js_str(f, "name", NULL);
	if (close(u->out) != 0) {
		u->out = -1;
		json_decref(job.meta);
		json_decref(f);
		(void)err_set(&e, ERR_IO, "the uploaded file cannot be kept: %s", strerror(errno));
		give_up(u, &e);
		return;
	}
	u->out = -1;
	local_job_upload(u->r, &job);
	json_decref(f);
	upload_free(u, false);
}

/* ---- a piece each turn ---- */

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval soon = {0, 0};
	struct upload *u = arg;
	struct err e;
	char *block = mem_alloc(STEP);
	ssize_t n = read(http_req_body_fd(u->r), block, STEP);

	if (n < 0 && errno != EINTR)
		(void)err_set(&e, ERR_IO, "the body cannot be read again: %s", strerror(errno));
	else
		e.code = ERR_OK;
	if (n > 0 && !multipart_feed(u->form, block, (size_t)n, &e))
		n = -1;
	free(block);
	if (e.code != ERR_OK)
		give_up(u, &e);
	else if (n != 0)
		evtimer_add(u->timer, &soon);
	else if (!multipart_end(u->form, &e))
		give_up(u, &e);
	else
		submit(u);
}

/* The file is known before it has any content, so that none is forgotten. */
static void on_begun(struct db_result *res, void *arg)
{
	struct upload *u = arg;

	if (db_error(res) != NULL) {
		reply_db_err(u->r, res);
		upload_free(u, true);
		return;
	}
	on_turn(-1, 0, u);
}

static bool open_copy(struct upload *u, struct err *e)
{
	char *dir = mem_printf("%s/uploads", request_node(u->r)->conf->data_dir);
	char name[33];
	bool ok = fs_mkdirs(dir, 0700, e);

	str_random_hex(name, 16);
	if (ok) {
		u->path = mem_printf("%s/%s.csv", dir, name);
		u->out = open(u->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (u->out < 0)
			ok = err_set(e, ERR_IO, "the uploaded file cannot be kept: %s",
				     strerror(errno));
	}
	free(dir);
	return ok;
}

void api_upload_file(struct http_req *r, void *arg)
{
	struct node *n = request_node(r);
	struct stat st;
	struct err e;

	if (http_req_body_fd(r) < 0 || fstat(http_req_body_fd(r), &st) != 0) {
		refuse(r, ERR_API_NO_FILE, "No Found File");
		return;
	}
	if (st.st_size / (1 << 20) >= n->conf->http_upload_max_mb) {
		refuse(r, ERR_LIMIT, "the upload is larger than http.upload_max_mb (%lld MiB)",
		       (long long)n->conf->http_upload_max_mb);
		return;
	}
	struct upload *u = mem_zalloc(sizeof(*u));
	u->r = r;
	u->node = n;
	u->out = -1;
	u->form = multipart_new(http_req_header(r, "Content-Type"), on_file, u, &e);
	if (u->form == NULL || !open_copy(u, &e)) {
		give_up(u, &e);
		return;
	}
	u->timer = evtimer_new(n->base, on_turn, u);
	struct db_batch *b = one_statement(r, Q_UPLOAD_BEGIN);
	db_text(b, strrchr(u->path, '/') + 1);
	db_submit(b, on_begun, u);
}
