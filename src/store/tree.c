#include "store/tree.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PORTION   256 /* entries before the loop has its turn again */
#define DEPTH_MAX 32  /* open directories; what lies deeper is removed in one go */

struct tree {
	char *path;
	bool remove;
	tree_cb *cb;
	void *arg;
	struct event *timer;
	int64_t bytes;
	int depth;
	struct {
		DIR *dir;
		char name[256];
	} at[DEPTH_MAX];
};

static void finish(struct tree *t)
{
	struct err e = {0};
	bool ok = true;

	/* Whatever the walk could not remove, such as directories without permission, and the top
	 * itself. */
	if (t->remove)
		ok = fs_remove_tree(t->path, &e);
	t->cb(t->bytes, ok ? NULL : &e, t->arg);
	event_free(t->timer);
	free(t->path);
	free(t);
}

static bool enter(struct tree *t, int fd, const char *name)
{
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	t->at[t->depth].dir = dir;
	str_copy(t->at[t->depth].name, sizeof(t->at[t->depth].name), name);
	t->depth++;
	return true;
}

static void leave(struct tree *t)
{
	t->depth--;
	closedir(t->at[t->depth].dir);
	if (t->remove && t->depth > 0)
		(void)unlinkat(dirfd(t->at[t->depth - 1].dir), t->at[t->depth].name, AT_REMOVEDIR);
}

static void deep(struct tree *t, int fd, const char *name)
{
	char path[512];

	if (!t->remove)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", fd, name);
	if (!fs_remove_tree(path, NULL))
		return; /* the end tries again, and says why not */
}

static void entry(struct tree *t, int fd, const char *name)
{
	struct stat st;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return;
	if (S_ISDIR(st.st_mode)) {
		if (t->depth == DEPTH_MAX)
			deep(t, fd, name);
		else
			(void)enter(
			    t, openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
			    name);
		return;
	}
	if (S_ISREG(st.st_mode))
		t->bytes += st.st_size;
	if (t->remove)
		(void)unlinkat(fd, name, 0);
}

static void on_timer(evutil_socket_t sock, short what, void *arg)
{
	static const struct timeval now = {0, 0};
	struct tree *t = arg;

	for (int i = 0; i < PORTION && t->depth > 0; i++) {
		DIR *dir = t->at[t->depth - 1].dir;
		const struct dirent *de = readdir(dir);
		if (de == NULL)
			leave(t);
		else
			entry(t, dirfd(dir), de->d_name);
	}
	if (t->depth > 0)
		evtimer_add(t->timer, &now);
	else
		finish(t);
}

void tree_walk(struct event_base *base, const char *path, bool remove, tree_cb *cb, void *arg)
{
	static const struct timeval now = {0, 0};
	struct tree *t = mem_zalloc(sizeof(*t));

	t->path = mem_strdup(path);
	t->remove = remove;
	t->cb = cb;
	t->arg = arg;
	t->timer = evtimer_new(base, on_timer, t);
	struct stat st;
	if (!enter(t, open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), "") &&
	    lstat(path, &st) == 0 && S_ISREG(st.st_mode))
		t->bytes = st.st_size;
	evtimer_add(t->timer, &now);
}
