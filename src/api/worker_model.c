/*
 * POST /v2/worker/model/save: a model as a tar, which is kept and handed out byte by byte as it
 * came. The body is in a spool file already; its file part is copied a piece each turn of the event
 * loop to <dirs.data>/uploads, and moves to its place when the call turns out to be good.
 */
#include "api/multipart.h"
#include "api/reply.h"
#include "api/worker.h"

#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEP (256 * 1024)

struct save {
	struct http_req *r;
	struct multipart *form;
	struct event *timer;
	EVP_MD_CTX *md;
	int out;
	int64_t size;
	char *temp;
};

static const char *field(const struct save *s, const char *name)
{
	return js_str(multipart_fields(s->form), name, "");
}

static void save_free(struct save *s)
{
	if (s->out >= 0)
		close(s->out);
	if (s->temp != NULL)
		unlink(s->temp); /* gone already when it was kept */
	if (s->timer != NULL)
		event_free(s->timer);
	multipart_free(s->form);
	EVP_MD_CTX_free(s->md);
	free(s->temp);
	free(s);
}

static void fail(struct save *s, const char *why)
{
	refuse(s->r, ERR_COMPONENT_OUTPUT, "Request uri %s failed: %s", http_req_path(s->r), why);
	save_free(s);
}

static bool on_file(const void *data, size_t len, void *arg, struct err *e)
{
	struct save *s = arg;
	const char *p = data;

	EVP_DigestUpdate(s->md, data, len);
	s->size += (int64_t)len;
	while (len > 0) {
		ssize_t n = write(s->out, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, ERR_IO, "the model cannot be kept: %s", strerror(errno));
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static void on_saved(struct db_result *res, void *arg)
{
	struct save *s = arg;

	if (db_error(res) != NULL)
		reply_db_err(s->r, res);
	else
		reply_ok(s->r, NULL);
	save_free(s);
}

/* To its place; rel is below the data directory. */
static bool move(const struct save *s, const struct db_result *res, struct buf *rel, struct err *e)
{
	const char *base = request_node(s->r)->conf->data_dir;
	struct buf full = {0};

	buf_printf(rel, "models/%s/%s/%s/%s/%s/%s", field(s, "model_id"), field(s, "model_version"),
		   db_get(res, 0, 0, "role"), db_get(res, 0, 0, "party_id"),
		   db_get(res, 0, 0, "task_name"), field(s, "output_key"));
	buf_printf(&full, "%s/%s", base, buf_str(rel));
	bool ok = fs_mkdirs(buf_str(&full), 0700, e);
	buf_printf(rel, "/%s_model.tar", db_get(res, 0, 0, "attempt"));
	buf_reset(&full);
	buf_printf(&full, "%s/%s", base, buf_str(rel));
	if (ok && rename(s->temp, buf_str(&full)) != 0)
		ok = err_set(e, ERR_IO, "the model cannot be kept: %s", strerror(errno));
	buf_free(&full);
	return ok;
}

static void keep(struct save *s, const struct db_result *res)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned int n = 0;
	struct buf rel = {0};
	struct buf sum = {0};
	struct err e;

	EVP_DigestFinal_ex(s->md, md, &n);
	str_hex(&sum, md, n);
	if (!move(s, res, &rel, &e)) {
		fail(s, e.msg);
	} else {
		json_t *none = json_object();
		struct db_batch *b = one_statement(s->r, Q_RUN_MODEL);
		db_int(b, db_get_int(res, 0, 0, "run_no"));
		db_text(b, field(s, "output_key"));
		db_int(b, 0);
		db_text(b, field(s, "type_name"));
		db_text(b, buf_str(&rel));
		db_text(b, buf_str(&sum));
		db_int(b, s->size);
		db_json(b, none);
		db_submit(b, on_saved, s);
		json_decref(none);
	}
	buf_free(&rel);
	buf_free(&sum);
}

static void on_run(struct db_result *res, void *arg)
{
	struct save *s = arg;

	if (db_error(res) != NULL) {
		reply_db_err(s->r, res);
		save_free(s);
	} else if (db_rows(res, 0) == 0) {
		refuse(s->r, ERR_TASK_NOT_FOUND, "No found task: execution_id[%s]",
		       field(s, "execution_id"));
		save_free(s);
	} else if (db_is_null(res, 0, 0, "token_hash") ||
		   !str_eq(db_get(res, 0, 0, "party_status"), "running")) {
		fail(s, "the task is over");
	} else if (!worker_token_fits(s->r, db_get(res, 0, 0, "token_hash"))) {
		save_free(s);
	} else if (!str_eq(db_get(res, 0, 0, "model_id"), field(s, "model_id")) ||
		   !str_eq(db_get(res, 0, 0, "model_version"), field(s, "model_version"))) {
		fail(s, "model_id and model_version are not those of the task's job");
	} else {
		keep(s, res);
	}
}

/* The whole form is there. */
static const struct param save_params[] = {
    {"model_id", P_STR, true, NULL},     {"model_version", P_STR, true, NULL},
    {"execution_id", P_STR, true, NULL}, {"output_key", P_STR, true, NULL},
    {"type_name", P_STR, true, NULL},
};
const struct http_doc worker_model_doc = {TAKES_FORM(save_params), .has_file = true};

static void check(struct save *s)
{
	const char *id = field(s, "execution_id");

	const char *wrong, *why;
	json_t *p = request_fields(s->r, multipart_fields(s->form), &wrong, &why);

	for (size_t i = 0; p != NULL && i < ARRAY_LEN(save_params); i++) {
		wrong = save_params[i].name;
		why = "Not a valid name.";
		if (!str_is_name(js_str(p, wrong, ""), str_eq(wrong, "execution_id") ? 300 : 100))
			break;
		wrong = NULL;
	}
	json_decref(p);
	if (wrong != NULL) {
		reply_wrong_field(s->r, wrong, why);
		save_free(s);
		return;
	}
	const char *cut = strchr(id, '_');
	if (!multipart_has_file(s->form) || close(s->out) != 0) {
		s->out = -1;
		fail(s, "No Found File");
		return;
	}
	s->out = -1;
	struct db_batch *b = one_statement(s->r, Q_API_WORKER_RUN);
	db_textn(b, id, cut != NULL ? (size_t)(cut - id) : 0);
	db_text(b, id);
	db_submit(b, on_run, s);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval soon = {0, 0};
	struct save *s = arg;
	struct err e = {0};
	char *block = mem_alloc(STEP);
	ssize_t n = read(http_req_body_fd(s->r), block, STEP);
	bool ok = n >= 0 || errno == EINTR;

	if (!ok)
		err_set(&e, ERR_IO, "the body cannot be read again: %s", strerror(errno));
	if (n > 0)
		ok = multipart_feed(s->form, block, (size_t)n, &e);
	free(block);
	if (ok && n != 0)
		evtimer_add(s->timer, &soon);
	else if (ok && multipart_end(s->form, &e))
		check(s);
	else
		fail(s, e.msg);
}

void worker_model_save(struct http_req *r, void *arg)
{
	const struct node *n = request_node(r);
	struct save *s = mem_zalloc(sizeof(*s));
	char *dir = mem_printf("%s/uploads", n->conf->data_dir);
	char name[33];
	struct err e = {0};

	s->r = r;
	s->out = -1;
	s->md = EVP_MD_CTX_new();
	bool ok = http_req_body_fd(r) >= 0 && s->md != NULL &&
		  EVP_DigestInit_ex(s->md, EVP_sha256(), NULL) == 1;
	if (!ok)
		err_set(&e, ERR_API_NO_FILE, "No Found File");
	if (ok) {
		s->form = multipart_new(http_req_header(r, "Content-Type"), on_file, s, &e);
		ok = s->form != NULL && fs_mkdirs(dir, 0700, &e);
	}
	if (ok) {
		str_random_hex(name, 16);
		s->temp = mem_printf("%s/%s.tar", dir, name);
		s->out = open(s->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		ok = s->out >= 0 ||
		     err_set(&e, ERR_IO, "the model cannot be kept: %s", strerror(errno));
	}
	free(dir);
	if (!ok) {
		fail(s, e.msg);
		return;
	}
	s->timer = evtimer_new(n->base, on_turn, s);
	on_turn(-1, 0, s);
}
