#include "api/reply.h"

#include "api/utf8.h"
#include "base/js.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct passing {
	struct http_req *r;
	bool bare;
	enum err_code code;
	char text[512];
};

void refuse(struct http_req *r, enum err_code code, const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	struct buf clean = {0};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	utf8_clean(&clean, text, strlen(text), true);
	size_t n = clean.len < ERR_MSG_MAX ? clean.len : ERR_MSG_MAX - 1;
	while (n < clean.len && n > 0 && ((unsigned char)clean.data[n] & 0xc0) == 0x80)
		n--;
	reply_code(r, code, "%.*s", (int)n, buf_str(&clean));
	buf_free(&clean);
}

struct db_batch *one_statement(struct http_req *r, enum db_stmt stmt)
{
	struct db_batch *b = db_batch_new(request_node(r)->db);

	db_add(b, stmt);
	return b;
}

void bind_texts(struct db_batch *b, const json_t *p, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		db_text(b, js_str(p, names[i], NULL));
}

void reply_text(struct http_req *r, const char *data)
{
	struct buf out = {0};

	buf_adds(&out, "{\"code\":0,\"data\":");
	buf_adds(&out, data);
	buf_adds(&out, ",\"message\":\"success\"}\n");
	http_reply(r, 200, "application/json", out.data, out.len);
	buf_free(&out);
}

static void on_data(struct db_result *res, void *arg)
{
	struct passing *p = arg;

	if (db_error(res) != NULL) {
		reply_db_err(p->r, res);
	} else if (db_rows(res, 0) == 0 || db_is_null(res, 0, 0, "data")) {
		if (p->code == ERR_OK)
			reply_ok(p->r, NULL);
		else
			refuse(p->r, p->code, "%s", p->text);
	} else if (p->bare) {
		struct buf out = {0};
		buf_adds(&out, db_get(res, 0, 0, "data"));
		buf_addc(&out, '\n');
		http_reply(p->r, 200, "application/json", out.data, out.len);
		buf_free(&out);
	} else {
		reply_text(p->r, db_get(res, 0, 0, "data"));
	}
	free(p);
}

static void pass(struct http_req *r, struct db_batch *b, bool bare, enum err_code code,
		 const char *fmt, va_list ap) __attribute__((format(printf, 5, 0)));

static void pass(struct http_req *r, struct db_batch *b, bool bare, enum err_code code,
		 const char *fmt, va_list ap)
{
	struct passing *p = mem_alloc(sizeof(*p));

	p->r = r;
	p->bare = bare;
	p->code = code;
	p->text[0] = '\0';
	if (fmt != NULL)
		vsnprintf(p->text, sizeof(p->text), fmt, ap);
	db_submit(b, on_data, p);
}

void pass_data(struct http_req *r, struct db_batch *b, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	pass(r, b, false, code, fmt, ap);
	va_end(ap);
}

void pass_bare(struct http_req *r, struct db_batch *b, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	pass(r, b, true, code, fmt, ap);
	va_end(ap);
}

static void on_done(struct db_result *res, void *arg)
{
	struct http_req *r = arg;

	if (db_error(res) != NULL)
		reply_db_err(r, res);
	else
		reply_ok(r, NULL);
}

void pass_done(struct http_req *r, struct db_batch *b)
{
	db_submit(b, on_done, r);
}

void add_given(struct buf *out, const json_t *p, const char *const *names, size_t n)
{
	const char *sep = ": ";

	for (size_t i = 0; i < n; i++) {
		const char *v = js_str(p, names[i], NULL);
		if (v == NULL)
			continue;
		buf_printf(out, "%s%s[%s]", sep, names[i], v);
		sep = ",";
	}
}
