/* POST /v2/job/log/download: all logs of a job as tar.gz, under the names they have here and under
 * FATE's. */
#include "api/api.h"
#include "api/archive.h"
#include "api/logfile.h"
#include "api/reply.h"

#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/offload.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILES_MAX  20000
#define DEPTH_MAX  6 /* <role>/<party>/<task>/<attempt>/<file>, and one more */
#define TASK_DEPTH 3

struct packing {
	struct http_req *r;
	struct archive *a;
	char *dir;
	char *job_id;
	size_t n;
	bool ok;
	struct err error;
};

static bool add_log(struct packing *x, const char *rel, struct err *e)
{
	char *path = mem_printf("%s/%s", x->dir, rel);
	bool ok = ++x->n <= FILES_MAX
		      ? archive_add_later(x->a, rel, path, e)
		      : err_set(e, ERR_LIMIT, "job %s has more than %d logs", x->job_id, FILES_MAX);

	free(path);
	return ok;
}

/* The latest attempt of a task also under the names that FATE's logs have. */
static bool add_fate_names(struct packing *x, const char *task_rel, struct err *e)
{
	static const char *const names[][2] = {{"stdout", "root/INFO"}, {"stderr", "root/ERROR"}};
	bool ok = true;

	for (size_t i = 0; ok && i < ARRAY_LEN(names); i++) {
		struct buf path = {0};
		buf_printf(&path, "%s/%s", x->dir, task_rel);
		if (logfile_latest(&path, names[i][0])) {
			char *rel = mem_printf("%s/%s", task_rel, names[i][1]);
			ok = archive_add_later(x->a, rel, buf_str(&path), e);
			free(rel);
		}
		buf_free(&path);
	}
	return ok;
}

static bool add_dir(struct packing *x, const char *rel, int depth, struct err *e)
{
	char *path = mem_printf("%s/%s", x->dir, rel);
	DIR *d = opendir(path);
	struct dirent *entry;
	bool ok = true;

	free(path);
	if (d == NULL)
		return depth > 0 ||
		       err_set(e, ERR_FILE_NOT_FOUND,
			       "No found file or dir: job %s has no logs at this site", x->job_id);
	while (ok && (entry = readdir(d)) != NULL) {
		struct stat st;
		if (entry->d_name[0] == '.' ||
		    fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		char *name = mem_printf("%s%s%s", rel, rel[0] != '\0' ? "/" : "", entry->d_name);
		if (S_ISREG(st.st_mode))
			ok = add_log(x, name, e);
		else if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
			ok = add_dir(x, name, depth + 1, e);
		free(name);
	}
	closedir(d);
	if (ok && depth == TASK_DEPTH)
		ok = add_fate_names(x, rel, e);
	return ok;
}

static void work(void *arg)
{
	struct packing *x = arg;

	x->ok = add_dir(x, "", 0, &x->error);
}

static void done(void *arg)
{
	struct packing *x = arg;

	if (x->ok) {
		char *name = mem_printf("job_%s_log.tar.gz", x->job_id);
		archive_send(x->a, x->r, name);
		free(name);
	} else {
		archive_free(x->a);
		refuse(x->r, x->error.code, "%s", x->error.msg);
	}
	free(x->job_id);
	free(x->dir);
	free(x);
}

static const struct param log_download_params[] = {{"job_id", P_STR, true, NULL}};

static void log_download(struct http_req *r, void *arg)
{
	json_t *p = request_args(r);

	if (p == NULL)
		return;
	const struct node *n = request_node(r);
	/* The server's own log stands beside those of the jobs. */
	const char *job_id = js_str(p, "job_id", "");
	if (!str_is_name(job_id, 64) || !isdigit((unsigned char)job_id[0])) {
		refuse(r, ERR_FILE_NOT_FOUND, "No found file or dir: no job has the id '%.64s'",
		       job_id);
	} else {
		struct packing *x = mem_zalloc(sizeof(*x));
		x->r = r;
		x->a = archive_new(true);
		x->dir = mem_printf("%s/%s", n->conf->log_dir, job_id);
		x->job_id = mem_strdup(job_id);
		offload(n->base, OFFLOAD_LOGS, work, done, x);
	}
	json_decref(p);
}

const struct http_route api_joblog_routes[] = {
    {"POST", "/v2/job/log/download", log_download, 0, 0, "All logs of a job as tar.gz",
     DOC(TAKES_JSON(log_download_params), .media = "application/gzip")},
};
const size_t api_joblog_n_routes = ARRAY_LEN(api_joblog_routes);
