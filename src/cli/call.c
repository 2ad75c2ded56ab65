/* Synchronous calls: an event base of its own for each. See call.h. */
#include "config.h"
#include "cli/call.h"
#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/bar.h"
#include "cli/keys.h"
#include "net/http.h"
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TICK_US          250000
#define TRANSFER_MS      (24 * 3600 * 1000) /* of a file, as long as something moves */
#define STALL_MS         60000              /* nothing moved: the transfer is given up */
#define ERROR_BODY_BYTES (256 * 1024)       /* of an error answer to a download */

/* A call under way and what came of it. */
struct call {
	struct cli *cli;
	struct event_base *base;
	bool done;
	int status;
	char content_type[128];
	struct buf body;
	struct err err; /* transport */
	FILE *file;     /* download: parts go here */
	int64_t bytes;
	bool failed_write;

	struct bar *bar; /* of a transfer, else NULL */
	bool stalled;
	const char *upload_type;
	FILE *source; /* upload: the file, after head and before tail */
	struct buf tail;
	int64_t file_left;
	size_t tail_at;
};

void call_encode(struct buf *out, const char *value)
{
	for (const char *p = value; *p != '\0'; p++) {
		unsigned char ch = (unsigned char)*p;

		if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
		    (ch >= '0' && ch <= '9') || strchr("-._~", ch) != NULL)
			buf_addc(out, (char)ch);
		else
			buf_printf(out, "%%%02X", ch);
	}
}

static void build_url(const struct cli *c, const char *path, const char *const *query,
		      struct buf *out)
{
	char sep = '?';

	buf_adds(out, c->url);
	buf_adds(out, path);
	for (; query != NULL && query[0] != NULL; query += 2) {
		if (query[1] == NULL)
			continue;
		buf_addc(out, sep);
		sep = '&';
		call_encode(out, query[0]);
		buf_addc(out, '=');
		call_encode(out, query[1]);
	}
}

static void on_answer(const struct http_response *res, void *arg)
{
	struct call *call = arg;

	call->done = true;
	if (res->error != NULL) {
		call->err = *res->error;
		if (call->err.code == ERR_OK)
			err_set(&call->err, ERR_CONNECT, "the connection broke");
	} else {
		call->status = res->status;
		str_copy(call->content_type, sizeof(call->content_type), res->content_type);
		buf_add(&call->body, res->body, res->body_len);
	}
	event_base_loopbreak(call->base);
}

/* Whether it is a file or an error envelope shows only in the end, by the content type. */
static bool on_part(const void *data, size_t len, void *arg)
{
	struct call *call = arg;

	if (call->body.len + len <= ERROR_BODY_BYTES)
		buf_add(&call->body, data, len);
	call->bytes += (int64_t)len;
	bar_moved(call->bar, call->bytes);
	if (fwrite(data, 1, len, call->file) != len)
		call->failed_write = true;
	return !call->failed_write;
}

static void on_tick(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct call *call = arg;

	if (call->cli->on_tick != NULL)
		call->cli->on_tick(call->cli->tick_arg);
	if (call->bar == NULL)
		return;
	bar_draw(call->bar);
	if (bar_still_ms(call->bar) > STALL_MS) {
		call->stalled = true;
		event_base_loopbreak(call->base);
	}
}

/* The file, then the end of the multipart body. */
static int64_t on_more(void *out, size_t size, void *arg)
{
	struct call *call = arg;
	size_t n;

	if (call->file_left > 0) {
		size = (int64_t)size > call->file_left ? (size_t)call->file_left : size;
		n = fread(out, 1, size, call->source);
		call->file_left -= (int64_t)n;
		call->bytes += (int64_t)n;
		bar_moved(call->bar, call->bytes);
		return (int64_t)n;
	}
	n = call->tail.len - call->tail_at;
	n = n > size ? size : n;
	memcpy(out, call->tail.data + call->tail_at, n);
	call->tail_at += n;
	return (int64_t)n;
}

static void on_interrupt(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct call *call = arg;

	call->cli->interrupted = true;
	event_base_loopbreak(call->base);
}

static void run_loop(struct call *call)
{
	struct cli *c = call->cli;
	struct timeval every = {0, TICK_US};
	struct event *tick = NULL, *interrupt = NULL;

	if (c->on_tick != NULL || call->bar != NULL) {
		tick = event_new(call->base, -1, EV_PERSIST, on_tick, call);
		if (tick != NULL)
			event_add(tick, &every);
	}
	if (c->catch_interrupt) {
		interrupt = evsignal_new(call->base, SIGINT, on_interrupt, call);
		if (interrupt != NULL)
			event_add(interrupt, NULL);
	}
	while (!call->done && !call->stalled && !c->interrupted)
		if (event_base_loop(call->base, EVLOOP_ONCE) != 0)
			break;
	if (tick != NULL)
		event_free(tick);
	if (interrupt != NULL)
		event_free(interrupt);
}

static bool perform_with(struct call *call, const char *method, const char *url, const char *body,
			 char **headers, struct tls_ctx *tls, struct err *e)
{
	struct cli *c = call->cli;
	struct http_client *client;
	struct http_call hc = {
	    .method = method,
	    .url = url,
	    .headers = (const char *const *)headers,
	    .body = body,
	    .body_len = body != NULL ? strlen(body) : 0,
	    .timeout_ms = c->timeout_ms == 0 && call->bar != NULL ? TRANSFER_MS : c->timeout_ms,
	    .content_type = call->upload_type,
	    .more = call->source != NULL ? on_more : NULL,
	    .more_len = call->source != NULL ? call->file_left + (int64_t)call->tail.len : 0,
	    .on_data = call->file != NULL ? on_part : NULL,
	    .max_body_bytes = call->file != NULL ? SIZE_MAX : 0,
	};
	void *handle;

	call->base = event_base_new();
	if (call->base == NULL)
		return err_set(e, ERR_INTERNAL, "no event loop");
	client = http_client_new(call->base, tls, 1, e);
	if (client == NULL) {
		event_base_free(call->base);
		return false;
	}
	handle = http_call_start(client, &hc, on_answer, call);
	run_loop(call);
	if (!call->done)
		http_call_cancel(client, handle);
	http_client_free(client);
	event_base_free(call->base);
	if (c->interrupted && !call->done)
		return err_set(e, ERR_TIMEOUT, "interrupted");
	if (call->stalled)
		return err_set(e, ERR_TIMEOUT, "%s: nothing was sent or received for %d s", c->url,
			       STALL_MS / 1000);
	if (!call->done)
		return err_set(e, ERR_INTERNAL, "the event loop ended early");
	if (call->failed_write)
		return err_set(e, ERR_IO, "cannot write the file: %s", strerror(errno));
	if (call->err.code != ERR_OK) {
		*e = call->err;
		/* Whatever broke on the way, there was no answer. */
		if (e->code != ERR_TIMEOUT && e->code != ERR_LIMIT && e->code != ERR_PARSE)
			e->code = ERR_CONNECT;
		return err_prefix(e, "%s", c->url);
	}
	return true;
}

static bool perform(struct call *call, const char *method, const char *url, const char *body,
		    struct err *e)
{
	struct cli *c = call->cli;
	struct tls_ctx *tls = NULL;
	char **headers;

	if (!keys_sign(c, &headers, e))
		return false;
	if (str_starts(url, "https://")) {
		tls = tls_ctx_new_client(c->ca[0] != '\0' ? c->ca : NULL, e);
		if (tls == NULL) {
			free(headers);
			return false;
		}
	}
	bool ok = perform_with(call, method, url, body, headers, tls, e);
	tls_ctx_free(tls);
	free(headers);
	return ok;
}

/* The envelope of an answer, when its code is 0 or any is wanted. */
static json_t *envelope_of(struct call *call, bool any_code, struct err *e)
{
	const char *url = call->cli->url;
	json_t *v, *code;
	struct err why;

	v = js_parse(buf_str(&call->body), call->body.len, &js_limits_default, &why);
	if (!str_starts(call->content_type, "application/json") || v == NULL) {
		json_decref(v);
		err_set(e, ERR_PARSE, "%s is not a node of Norn: HTTP status %d, %s", url,
			call->status,
			call->content_type[0] ? call->content_type : "no content type");
		return NULL;
	}
	code = json_object_get(v, "code");
	if (any_code && json_is_object(v))
		return v;
	if (!json_is_integer(code)) {
		/* FATE's two routes without an envelope. */
		if (json_is_object(v) && code == NULL && call->status == 200)
			return v;
		err_set(e, ERR_PARSE, "%s answered without a code", url);
	} else if (json_integer_value(code) != 0) {
		err_set(e, (enum err_code)json_integer_value(code), "%s",
			js_str(v, "message", "no reason given"));
	} else {
		return v;
	}
	json_decref(v);
	return NULL;
}

static json_t *envelope(struct call *call, struct err *e)
{
	return envelope_of(call, false, e);
}

json_t *call_any(struct cli *c, const char *path, const char *const *query, const json_t *body,
		 struct err *e)
{
	struct call call = {.cli = c};
	struct buf url = {0};
	char *text = body != NULL ? js_dump_str(body) : NULL;
	json_t *v = NULL;

	build_url(c, path, query, &url);
	if (perform(&call, body != NULL ? "POST" : "GET", buf_str(&url), text, e))
		v = envelope_of(&call, true, e);
	free(text);
	buf_free(&url);
	buf_free(&call.body);
	return v;
}

json_t *call_get(struct cli *c, const char *path, const char *const *query, struct err *e)
{
	struct call call = {.cli = c};
	struct buf url = {0};
	json_t *v = NULL;

	build_url(c, path, query, &url);
	if (perform(&call, "GET", buf_str(&url), NULL, e))
		v = envelope(&call, e);
	buf_free(&url);
	buf_free(&call.body);
	return v;
}

json_t *call_post(struct cli *c, const char *path, const json_t *body, struct err *e)
{
	struct call call = {.cli = c};
	struct buf url = {0};
	char *text = js_dump_str(body);
	json_t *v = NULL;

	build_url(c, path, NULL, &url);
	if (perform(&call, "POST", buf_str(&url), text, e))
		v = envelope(&call, e);
	free(text);
	buf_free(&url);
	buf_free(&call.body);
	return v;
}

static json_t *data_of(json_t *env)
{
	json_t *data;

	if (env == NULL)
		return NULL;
	data = json_object_get(env, "code") == NULL ? env : json_object_get(env, "data");
	data = data != NULL ? json_incref(data) : json_null();
	json_decref(env);
	return data;
}

json_t *call_get_data(struct cli *c, const char *path, const char *const *query, struct err *e)
{
	return data_of(call_get(c, path, query, e));
}

json_t *call_post_data(struct cli *c, const char *path, const json_t *body, struct err *e)
{
	return data_of(call_post(c, path, body, e));
}

/* ---- files ---- */

static bool download_to(struct call *call, const char *path, const char *const *query,
			const json_t *body, struct err *e)
{
	struct buf url = {0};
	char *text = body != NULL ? js_dump_str(body) : NULL;

	build_url(call->cli, path, query, &url);
	bool ok = perform(call, body != NULL ? "POST" : "GET", buf_str(&url), text, e);
	if (ok && str_starts(call->content_type, "application/json")) {
		json_t *v = envelope(call, e);

		ok = false;
		if (v != NULL)
			err_set(e, ERR_API_NO_FILE, "there is nothing to download");
		json_decref(v);
	}
	free(text);
	buf_free(&url);
	return ok;
}

bool call_download(struct cli *c, const char *path, const char *const *query, const json_t *body,
		   const char *path_out, int64_t *bytes, struct err *e)
{
	struct call call = {.cli = c};
	char *temp = mem_printf("%s.part-%ld", path_out, (long)getpid());
	int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	bool ok = false;

	call.file = fd >= 0 ? fdopen(fd, "wb") : NULL;
	if (call.file == NULL) {
		err_set(e, ERR_IO, "cannot create %s: %s", temp, strerror(errno));
		if (fd >= 0)
			close(fd);
		free(temp);
		return false;
	}
	call.bar = bar_new(c, path_out, 0);
	ok = download_to(&call, path, query, body, e);
	bar_free(call.bar);
	if (fclose(call.file) != 0 && ok)
		ok = err_set(e, ERR_IO, "cannot write %s: %s", temp, strerror(errno));
	if (ok && rename(temp, path_out) != 0)
		ok = err_set(e, ERR_IO, "cannot rename to %s: %s", path_out, strerror(errno));
	if (!ok)
		unlink(temp);
	*bytes = call.bytes;
	free(temp);
	buf_free(&call.body);
	return ok;
}

/* The parts before the file's bytes. False when a text would break out of its part. */
static bool add_parts(struct buf *out, const char *boundary, const char *const *fields,
		      const char *file_name, struct err *e)
{
	const char *base =
	    strrchr(file_name, '/') != NULL ? strrchr(file_name, '/') + 1 : file_name;

	for (; fields[0] != NULL; fields += 2) {
		if (fields[1] == NULL)
			continue;
		if (strstr(fields[1], boundary) != NULL)
			return err_set(e, ERR_USAGE, "%s cannot be sent", fields[0]);
		buf_printf(out, "--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n",
			   boundary, fields[0], fields[1]);
	}
	buf_printf(out, "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"",
		   boundary);
	for (const char *p = base; *p != '\0'; p++)
		buf_addc(out, (unsigned char)*p < ' ' || strchr("\"\\%", *p) != NULL ? '_' : *p);
	buf_adds(out, "\"\r\nContent-Type: application/octet-stream\r\n\r\n");
	return true;
}

/* A regular file, opened, and its length. */
static bool open_source(struct call *call, const char *file, struct err *e)
{
	struct stat st;

	call->source = fopen(file, "rbe");
	if (call->source == NULL)
		return err_set(e, errno == ENOENT ? ERR_FILE_NOT_FOUND : ERR_IO,
			       "cannot read %s: %s", file, strerror(errno));
	if (fstat(fileno(call->source), &st) == 0 && S_ISREG(st.st_mode)) {
		call->file_left = st.st_size;
		return true;
	}
	fclose(call->source);
	return err_set(e, ERR_USAGE, "%s is not a file", file);
}

json_t *call_upload(struct cli *c, const char *path, const char *const *fields, const char *file,
		    bool any_code, struct err *e)
{
	struct call call = {.cli = c};
	struct buf url = {0}, head = {0};
	char boundary[40], *type;
	json_t *v = NULL;

	if (!open_source(&call, file, e))
		return NULL;
	str_random_hex(boundary, 16);
	type = mem_printf("multipart/form-data; boundary=%s", boundary);
	call.upload_type = type;
	call.bar = bar_new(c, file, call.file_left);
	buf_printf(&call.tail, "\r\n--%s--\r\n", boundary);
	build_url(c, path, NULL, &url);
	if (add_parts(&head, boundary, fields, file, e) &&
	    perform(&call, "POST", buf_str(&url), buf_str(&head), e))
		v = envelope_of(&call, any_code, e);
	bar_free(call.bar);
	fclose(call.source);
	free(type);
	buf_free(&call.tail);
	buf_free(&head);
	buf_free(&url);
	buf_free(&call.body);
	return v;
}

bool call_text(struct cli *c, const char *path, int *status, struct buf *body, struct err *e)
{
	struct call call = {.cli = c};
	struct buf url = {0};
	bool ok;

	build_url(c, path, NULL, &url);
	ok = perform(&call, "GET", buf_str(&url), NULL, e);
	if (ok) {
		*status = call.status;
		buf_add(body, buf_str(&call.body), call.body.len);
	}
	buf_free(&url);
	buf_free(&call.body);
	return ok;
}
