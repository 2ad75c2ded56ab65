#include "config.h"
#include "cli/keys.h"
#include "auth/signature.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX  (1024 * 1024)
#define USER_MAX  64
#define N_HEADERS 11 /* five names and values, NULL */

static char *keys_path(struct err *e)
{
	char *path = cli_config_path("keys");

	if (path == NULL)
		err_set(e, ERR_CONFIG, "there is no place for keys: set HOME or XDG_CONFIG_HOME");
	return path;
}

static bool is_mine(int fd, const char *path, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return err_set(e, ERR_CONFIG, "%s is no regular file", path);
	if (st.st_uid != geteuid())
		return err_set(e, ERR_CONFIG, "%s belongs to another user: keys are not taken",
			       path);
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return err_set(e, ERR_CONFIG,
			       "%s can be read or changed by others: chmod 600 it, and let its "
			       "tokens be replaced if somebody may have seen them",
			       path);
	return true;
}

static bool read_fd(int fd, struct buf *out, const char *path, struct err *e)
{
	char part[4096];
	ssize_t n;

	while ((n = read(fd, part, sizeof(part))) > 0 && out->len <= FILE_MAX)
		buf_add(out, part, (size_t)n);
	OPENSSL_cleanse(part, sizeof(part));
	if (n < 0 || out->len > FILE_MAX)
		return err_set(e, ERR_CONFIG, "%s cannot be read: %s", path,
			       n < 0 ? strerror(errno) : "it is too large");
	return true;
}

/* The whole file; {} when there is none. */
static json_t *keys_load(const char *path, struct err *e)
{
	struct buf text = {0};
	json_t *v = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0) {
		if (errno == ENOENT)
			return json_object();
		err_set(e, ERR_CONFIG, "%s cannot be opened: %s", path, strerror(errno));
		return NULL;
	}
	if (is_mine(fd, path, e) && read_fd(fd, &text, path, e)) {
		v = js_parse(buf_str(&text), text.len, &js_limits_default, e);
		if (v == NULL || !json_is_object(v)) {
			json_decref(v);
			v = NULL;
			err_set(e, ERR_CONFIG, "%s is damaged: remove it, and `norn client login`",
				path);
		}
	}
	close(fd);
	if (text.data != NULL)
		OPENSSL_cleanse(text.data, text.len);
	buf_free(&text);
	return v;
}

bool keys_find(const char *url, char app_id[KEYS_APP_ID_MAX + 1], char token[KEYS_TOKEN_MAX + 1],
	       struct err *e)
{
	char *path = cli_config_path("keys");
	json_t *all = path != NULL ? keys_load(path, e) : json_object();
	const json_t *one = json_object_get(all, url);
	bool ok = all != NULL;

	app_id[0] = token[0] = '\0';
	if (ok && one != NULL)
		ok = str_copy(app_id, KEYS_APP_ID_MAX + 1, js_str(one, "app_id", "")) &&
		     str_copy(token, KEYS_TOKEN_MAX + 1, js_str(one, "app_token", ""));
	if (!ok && all != NULL)
		err_set(e, ERR_CONFIG, "%s: the key of %s is too long", path, url);
	json_decref(all);
	free(path);
	return ok;
}

static bool keys_save(const char *path, const json_t *all, struct err *e)
{
	char *dir = mem_strdup(path);
	char *text;
	bool ok;

	*strrchr(dir, '/') = '\0';
	text = js_dump_str(all);
	ok = fs_mkdirs(dir, 0700, e) && fs_write(path, text, strlen(text), 0600, e);
	OPENSSL_cleanse(text, strlen(text));
	free(text);
	free(dir);
	return ok;
}

bool keys_put(const char *url, const char *app_id, const char *token, struct err *e)
{
	char *path = keys_path(e);
	json_t *all = path != NULL ? keys_load(path, e) : NULL;
	bool ok = all != NULL;

	if (ok) {
		json_object_set_new(all, url,
				    json_pack("{s:s, s:s}", "app_id", app_id, "app_token", token));
		ok = keys_save(path, all, e);
	}
	json_decref(all);
	free(path);
	return ok;
}

bool keys_remove(const char *url, bool *had, struct err *e)
{
	char *path = keys_path(e);
	json_t *all = path != NULL ? keys_load(path, e) : NULL;
	bool ok = all != NULL;

	*had = ok && json_object_del(all, url) == 0;
	if (*had)
		ok = keys_save(path, all, e);
	json_decref(all);
	free(path);
	return ok;
}

/* For the audit of the site; "" when it could not stand in a header. */
static const char *user_name(void)
{
	const struct passwd *pw = getpwuid(geteuid());
	const char *name = pw != NULL ? pw->pw_name : "";

	return str_is_name(name, USER_MAX) ? name : "";
}

bool keys_sign(struct cli *c, char ***headers, struct err *e)
{
	char nonce[SIGNATURE_NONCE_LEN + 1], signature[SIGNATURE_LEN + 1], timestamp[24];
	const char *user = user_name();

	*headers = NULL;
	if (!c->key_looked_for && !keys_find(c->url, c->app_id, c->app_token, e))
		return false;
	c->key_looked_for = true;
	if (c->app_id[0] == '\0')
		return true;
	signature_random(nonce, SIGNATURE_NONCE_LEN);
	snprintf(timestamp, sizeof(timestamp), "%lld", (long long)clock_wall_ms());
	if (!signature_make(c->app_id, user, nonce, timestamp, c->app_token, signature, e))
		return false;
	const char *const from[] = {"appId", c->app_id,   "userName", user,        "Nonce",
				    nonce,   "Timestamp", timestamp,  "Signature", signature};
	size_t size = N_HEADERS * sizeof(char *);
	for (size_t i = 0; i < ARRAY_LEN(from); i++)
		size += strlen(from[i]) + 1;
	char **list = mem_zalloc(size);
	char *at = (char *)(list + N_HEADERS);
	for (size_t i = 0; i < ARRAY_LEN(from); i++) {
		size_t n = strlen(from[i]) + 1;
		memcpy(at, from[i], n);
		list[i] = at;
		at += n;
	}
	*headers = list;
	return true;
}
