/* norn doctor: what is wrong, and what to do about it. */
#include "config.h"
#include "cli/cmds.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/call.h"
#include "cli/keys.h"
#include "cli/text.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLOCK_WARN_MS 2000
#define CLOCK_BAD_MS  30000
#define SAID_BYTES    2000 /* of what nornd --check says */

const struct cli_opt cmd_doctor_opts[] = {
    {"--config", "FILE", "also check this node's configuration, with nornd --check", false},
    {NULL, NULL, NULL, false},
};

static void PRINTF_LIKE(5, 6) add(json_t *checks, const char *name, const char *status,
				  const char *hint, const char *fmt, ...)
{
	struct buf detail = {0};
	char text[SAID_BYTES + 500];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_clean(&detail, text, strlen(text));
	json_t *v = json_pack("{s:s, s:s, s:s}", "name", name, "status", status, "detail",
			      buf_str(&detail));
	if (!str_eq(status, "ok"))
		json_object_set_new(v, "hint", json_string(hint));
	json_array_append_new(checks, v);
	buf_free(&detail);
}

/* ---- the files of this machine ---- */

/* nornd beside this program, else where it was installed. */
static char *find_nornd(void)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	static const char *const places[] = {"nornd", "../sbin/nornd"};

	if (n <= 0)
		return NULL;
	self[n] = '\0';
	char *slash = strrchr(self, '/');
	slash[1] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		char *path = mem_printf("%s%s", self, places[i]);

		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}

/* Runs nornd --config FILE --check; what it said, and whether it was content. */
static bool run_check(const char *nornd, const char *file, char *said, size_t size)
{
	int pipe_fd[2], status = 1;
	size_t len = 0;
	ssize_t n;

	said[0] = '\0';
	if (pipe(pipe_fd) != 0)
		return false;
	pid_t pid = fork();
	if (pid == 0) {
		dup2(pipe_fd[1], STDOUT_FILENO);
		dup2(pipe_fd[1], STDERR_FILENO);
		close(pipe_fd[0]);
		close(pipe_fd[1]);
		execl(nornd, nornd, "--config", file, "--check", (char *)NULL);
		_exit(127);
	}
	close(pipe_fd[1]);
	while (
	    pid > 0 && len + 1 < size &&
	    ((n = read(pipe_fd[0], said + len, size - 1 - len)) > 0 || (n < 0 && errno == EINTR)))
		len += n > 0 ? (size_t)n : 0;
	said[len] = '\0';
	close(pipe_fd[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	while (len > 0 && said[len - 1] == '\n')
		said[--len] = '\0';
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void check_config(json_t *checks, const char *file)
{
	char said[SAID_BYTES];
	struct stat st;
	struct err e = {0};

	if (stat(file, &st) != 0 || access(file, R_OK) != 0) {
		add(checks, "configuration", "failed",
		    "give the path of norn.yaml, and the right to read it", "%s: %s", file,
		    strerror(errno));
		return;
	}
	json_t *v = js_load_file(file, &js_limits_default, &e);
	bool password =
	    strstr(js_str(json_object_get(v, "database"), "url", ""), "password=") != NULL ||
	    strchr(js_str(json_object_get(v, "database"), "url", ""), '@') != NULL;
	json_decref(v);
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		add(checks, "configuration's rights", "failed", "chmod go-w it",
		    "%s can be written by others (mode %03o)", file, (unsigned)st.st_mode & 0777U);
	else if (password && (st.st_mode & (S_IRGRP | S_IROTH)) != 0)
		add(checks, "configuration's rights", "warning",
		    "chmod 600 it: the database's address seems to hold a password",
		    "%s can be read by others (mode %03o)", file, (unsigned)st.st_mode & 0777U);
	else
		add(checks, "configuration's rights", "ok", "", "%s, mode %03o", file,
		    (unsigned)st.st_mode & 0777U);
	char *nornd = find_nornd();
	if (nornd == NULL)
		add(checks, "configuration", "warning", "run nornd --config FILE --check yourself",
		    "nornd is not beside norn");
	else if (run_check(nornd, file, said, sizeof(said)))
		add(checks, "configuration", "ok", "", "%s", said);
	else
		add(checks, "configuration", "failed",
		    "correct what it says; norn.yaml(5) has all options", "%s",
		    said[0] != '\0' ? said : "nornd --check failed");
	free(nornd);
}

static void check_key(json_t *checks, const char *url)
{
	char app_id[KEYS_APP_ID_MAX + 1], token[KEYS_TOKEN_MAX + 1];
	struct err e = {0};

	if (!keys_find(url, app_id, token, &e))
		add(checks, "key", "failed", "chmod 600 the file, or norn client login again", "%s",
		    e.msg);
	else
		add(checks, "key", "ok", "",
		    app_id[0] != '\0' ? "requests are signed as app %s"
				      : "requests are not signed%s",
		    app_id);
	OPENSSL_cleanse(token, sizeof(token));
}

/* ---- the node ---- */

/* Whether it answers at all. */
static bool check_node(struct cli *c, json_t *checks)
{
	struct buf said = {0};
	struct err e = {0};
	int status = 0;

	if (!call_text(c, "/readyz", &status, &said, &e)) {
		add(checks, "node", "failed",
		    "start nornd, or name another node with --url, NORN_URL or client.yaml", "%s",
		    e.msg);
		buf_free(&said);
		return false;
	}
	char *line = text_clean_line(buf_str(&said));
	add(checks, "node", status == 200 ? "ok" : "failed",
	    "look at its server log; norn doctor --config FILE checks its database", "%s: %s",
	    c->url, line);
	free(line);
	buf_free(&said);
	return true;
}

/* What the node finds, and this machine's clock against its. */
static void ask_node(struct cli *c, json_t *checks)
{
	struct err e = {0};
	int64_t before_ms = clock_wall_ms();
	json_t *data = call_get_data(c, "/v2/server/doctor", NULL, &e);
	int64_t now_ms = clock_wall_ms();

	if (data == NULL) {
		add(checks, "node's own checks", "failed",
		    e.code >= 5000 && e.code < 5010 ? "norn client login"
						    : "look at its server log",
		    "%s (%d)", e.msg, (int)e.code);
		return;
	}
	json_array_extend(checks, json_object_get(data, "checks"));
	int64_t off_ms = js_int(data, "now_ms", now_ms) - now_ms;
	json_decref(data);
	off_ms = off_ms < 0 ? -off_ms - (now_ms - before_ms) : off_ms;
	off_ms = off_ms < 0 ? 0 : off_ms;
	add(checks, "this machine's clock",
	    off_ms > CLOCK_BAD_MS    ? "failed"
	    : off_ms > CLOCK_WARN_MS ? "warning"
				     : "ok",
	    "set both clocks by NTP: signatures of requests are refused after a minute",
	    "%lld ms off the node's", (long long)off_ms);
}

static void check_site(struct cli *c, json_t *checks, const char *party)
{
	const char *query[] = {"party_id", party, NULL};
	struct err e = {0};
	json_t *data = call_get_data(c, "/v2/site/check", query, &e), *s = NULL;
	char *name = mem_printf("site %s", party);
	char hint[128];
	size_t i;

	snprintf(hint, sizeof(hint), "norn site check %.60s has all steps", party);
	if (data == NULL) {
		add(checks, name, "failed", hint, "%s", e.msg);
	} else if (js_bool(data, "ok", false)) {
		add(checks, name, "ok", "", "%s", js_str(data, "url", ""));
	} else {
		json_array_foreach (json_object_get(data, "steps"), i, s)
			if (!js_bool(s, "ok", false))
				break;
		add(checks, name, "failed", hint, "%s: %s: %s", js_str(data, "url", ""),
		    js_str(s, "name", "?"), js_str(s, "detail", ""));
	}
	json_decref(data);
	free(name);
}

static void check_sites(struct cli *c, json_t *checks)
{
	struct err e = {0};
	json_t *routes = call_get_data(c, "/v2/site/route/list", NULL, &e), *r;
	size_t i;

	if (routes == NULL) {
		add(checks, "sites", "failed", "look at the server log", "%s", e.msg);
		return;
	}
	json_array_foreach (routes, i, r) {
		const char *party = js_str(r, "party_id", "");

		if (!js_bool(r, "local", false) && party[0] != '\0')
			check_site(c, checks, party);
	}
	json_decref(routes);
}

/* ---- all of it ---- */

static void print_checks(const struct cli *c, const json_t *checks)
{
	json_t *v;
	size_t i, width = 0;

	json_array_foreach (checks, i, v) {
		size_t w = text_width(js_str(v, "name", ""));
		width = w > width ? w : width;
	}
	json_array_foreach (checks, i, v) {
		const char *status = js_str(v, "status", "failed");
		const char *color = str_eq(status, "ok")        ? "\033[32m"
				    : str_eq(status, "warning") ? "\033[33m"
								: "\033[31m";
		char *name = text_clean_line(js_str(v, "name", "?"));
		char *detail = text_clean_line(js_str(v, "detail", ""));
		char *hint = text_clean_line(js_str(v, "hint", ""));

		printf("%s%-7s%s  %-*s  %s\n", c->color ? color : "", status,
		       c->color ? "\033[0m" : "", (int)width, name, detail);
		if (hint[0] != '\0')
			printf("%-9s%-*s  -> %s\n", "", (int)width, "", hint);
		free(name);
		free(detail);
		free(hint);
	}
}

static size_t count(const json_t *checks, const char *status)
{
	size_t n = 0, i;
	json_t *v;

	json_array_foreach (checks, i, v)
		n += str_eq(js_str(v, "status", ""), status) ? 1 : 0;
	return n;
}

int cmd_doctor(struct cli *c)
{
	const char *config = cli_value(c, "--config");
	json_t *checks = json_array();

	if (config != NULL)
		check_config(checks, config);
	check_key(checks, c->url);
	if (check_node(c, checks)) {
		ask_node(c, checks);
		check_sites(c, checks);
	}
	size_t failed = count(checks, "failed"), warnings = count(checks, "warning");
	if (!c->json) {
		print_checks(c, checks);
		printf("\n%zu checks, %zu warning%s, %zu failed\n", json_array_size(checks),
		       warnings, warnings == 1 ? "" : "s", failed);
	}
	(void)cmd_done(c, json_pack("{s:b, s:I, s:I, s:o}", "ok", failed == 0 ? 1 : 0, "failed",
				    (json_int_t)failed, "warnings", (json_int_t)warnings, "checks",
				    checks));
	return failed == 0 ? CLI_OK : CLI_FAILED;
}
