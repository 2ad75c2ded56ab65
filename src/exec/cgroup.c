#include "config.h"
#include "exec/cgroup.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void close_all(struct cgroup *g)
{
	const int fds[] = {g->parent_fd, g->dir_fd, g->procs_fd};

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		if (fds[i] >= 0)
			(void)close(fds[i]);
	}
	*g = (struct cgroup)CGROUP_NONE;
}

static void put_text(const struct cgroup *g, const char *file, const char *text)
{
	int fd = openat(g->dir_fd, file, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	/* a controller that is not delegated refuses: the limit is then not in force */
	if (write(fd, text, strlen(text)) < 0) {
		(void)close(fd);
		return;
	}
	(void)close(fd);
}

void cgroup_open(struct cgroup *g, const char *parent_dir, pid_t owner)
{
	*g = (struct cgroup)CGROUP_NONE;
	if (parent_dir == NULL)
		return;
	(void)snprintf(g->name, sizeof(g->name), "norn-%ld", (long)owner);
	g->parent_fd = open(parent_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (g->parent_fd >= 0)
		g->dir_fd = openat(g->parent_fd, g->name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (g->dir_fd >= 0)
		g->procs_fd = openat(g->dir_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (g->procs_fd < 0)
		close_all(g);
}

void cgroup_make(struct cgroup *g, const char *parent_dir, pid_t owner, int64_t memory_max)
{
	char text[512];
	int n;

	*g = (struct cgroup)CGROUP_NONE;
	if (parent_dir == NULL)
		return;
	n = snprintf(text, sizeof(text), "%s/cgroup.procs", parent_dir);
	/* a plain directory is not a cgroup: leave nothing in it */
	if (n < 0 || (size_t)n >= sizeof(text) || access(text, F_OK) != 0)
		return;
	n = snprintf(text, sizeof(text), "%s/norn-%ld", parent_dir, (long)owner);
	if (n < 0 || (size_t)n >= sizeof(text) || mkdir(text, 0755) != 0)
		return;
	cgroup_open(g, parent_dir, owner);
	if (g->dir_fd < 0) {
		(void)rmdir(text);
		return;
	}
	if (memory_max > 0) {
		(void)snprintf(text, sizeof(text), "%lld", (long long)memory_max);
		put_text(g, "memory.max", text);
		put_text(g, "memory.oom.group", "1");
	}
}

void cgroup_enter(const struct cgroup *g)
{
	if (g->procs_fd >= 0 && write(g->procs_fd, "0", 1) < 0)
		return; /* the process stays where it is, and is still found by its descent */
}

void cgroup_kill(const struct cgroup *g)
{
	if (g->dir_fd >= 0)
		put_text(g, "cgroup.kill", "1");
}

bool cgroup_had_oom(const struct cgroup *g)
{
	char text[512];
	const char *p;
	ssize_t n;
	int fd;

	if (g->dir_fd < 0)
		return false;
	fd = openat(g->dir_fd, "memory.events", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	p = strstr(text, "oom_kill ");
	return p != NULL && strtol(p + strlen("oom_kill "), NULL, 10) > 0;
}

void cgroup_remove(struct cgroup *g)
{
	if (g->parent_fd >= 0)
		(void)unlinkat(g->parent_fd, g->name, AT_REMOVEDIR);
	close_all(g);
}
