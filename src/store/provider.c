#include "config.h"

#include "store/provider.h"

#include "base/js.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX     (4 << 20)
#define DESCRIBE_TRIES 3 /* when something ends the program from outside */

extern char **environ;

static bool read_all(int fd, struct buf *out)
{
	char part[4096];
	ssize_t n;

	while ((n = read(fd, part, sizeof(part))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || out->len > OUTPUT_MAX)
			return false;
		buf_add(out, part, (size_t)n);
	}
	return true;
}

/* Standard output of the program, which must end with 0; by_signal: it was ended from outside. */
static bool capture(const char *const *argv, struct buf *out, bool *by_signal, struct err *e)
{
	posix_spawn_file_actions_t actions;
	int fds[2];
	int status = 0;
	pid_t pid;

	if (pipe(fds) != 0)
		return err_set(e, ERR_IO, "pipe: %s", strerror(errno));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	posix_spawn_file_actions_addclose(&actions, fds[0]);
	posix_spawn_file_actions_addclose(&actions, fds[1]);
	int failed =
	    posix_spawn(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	if (failed != 0) {
		close(fds[0]);
		return err_set(e, ERR_CONFIG, "cannot start %s (components.norn_component): %s",
			       argv[0], strerror(failed));
	}
	bool ok = read_all(fds[0], out);
	close(fds[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	*by_signal = WIFSIGNALED(status);
	if (!ok || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(e, ERR_CONFIG, "%s could not describe its components (status %d)",
			       argv[0], status);
	return true;
}

static void on_set(struct db_result *r, void *arg)
{
	if (db_error(r) != NULL)
		log_error(LOG_CTX_NONE, "the built-in provider was not registered: %s",
			  db_error(r)->msg);
}

bool provider_register(struct node *n, struct err *e)
{
	const char *const argv[] = {n->conf->norn_component, "component", "desc", "--all", NULL};
	struct buf text = {0};
	json_t *components;
	bool told, by_signal = false;
	int tries = 0;

	if (!node_conf_has_duty(n->conf, "exec"))
		return true;
	if (access(n->conf->norn_run, X_OK) != 0)
		return err_set(e, ERR_CONFIG, "cannot run %s (components.norn_run): %s",
			       n->conf->norn_run, strerror(errno));
	do {
		buf_free(&text);
		told = capture(argv, &text, &by_signal, e);
	} while (!told && by_signal && ++tries < DESCRIBE_TRIES);
	if (!told) {
		buf_free(&text);
		return false;
	}
	components = js_parse(buf_str(&text), text.len, &js_limits_default, e);
	buf_free(&text);
	if (components == NULL)
		return err_prefix(e, "what %s says of its components", argv[0]);
	json_t *metadata = json_pack("{s:s}", "program", argv[0]);
	struct db_batch *b = db_batch_new(n->db);
	db_add(b, Q_PROVIDER_SET);
	db_text(b, "norn:" PACKAGE_VERSION "@local");
	db_text(b, "norn");
	db_text(b, PACKAGE_VERSION);
	db_text(b, "local");
	db_json(b, metadata);
	db_json(b, components);
	db_submit(b, on_set, NULL);
	json_decref(metadata);
	json_decref(components);
	return true;
}
