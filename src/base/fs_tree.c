/*
 * Removing a directory tree whose shape somebody else chose. Recursion would let a deep tree
 * exhaust the stack or the descriptors, so the tree is flattened: a directory found inside a child
 * of the top is moved up to the top, where its turn comes. Two descriptors and no path ever longer
 * than one name are enough for any depth. Links are removed, never followed.
 */
#include "config.h"
#include "base/fs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_TRIES 1000
/* A pass that moves nothing up empties the tree, unless somebody else is still filling it. */
#define IDLE_PASSES 10

struct remover {
	int top;               /* descriptor of the tree's top */
	unsigned long counter; /* for names of moved directories */
};

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* A directory stream; the owner may have been left without permission on his own directory. */
static DIR *open_dir(int at, const char *name)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(at, name, flags);
	struct stat st;
	DIR *dir;

	if (fd < 0 && errno == EACCES && fchmodat(at, name, 0700, AT_SYMLINK_NOFOLLOW) == 0)
		fd = openat(at, name, flags);
	if (fd < 0)
		return NULL;
	/* Changing what a directory holds, or moving it, needs the right to write and search. */
	if (fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700)
		(void)!fchmod(fd, 0700);
	dir = fdopendir(fd);
	if (dir == NULL)
		close(fd);
	return dir;
}

/* Removes an entry at once if it is no directory, or an empty one. False: errno says why not. */
static bool remove_simple(int at, const char *name)
{
	if (unlinkat(at, name, 0) == 0)
		return true;
	if (errno != EISDIR && errno != EPERM)
		return errno == ENOENT;
	return unlinkat(at, name, AT_REMOVEDIR) == 0;
}

static bool is_not_empty(int no)
{
	return no == ENOTEMPTY || no == EEXIST;
}

static bool move_up(struct remover *r, int from, const char *name)
{
	DIR *dir = open_dir(from, name); /* gives the right to move it */

	if (dir == NULL)
		return false;
	closedir(dir);
	for (int i = 0; i < NAME_TRIES; i++) {
		char moved[40];

		snprintf(moved, sizeof(moved), ".removed-%lu", r->counter++);
		if (renameat(from, name, r->top, moved) == 0)
			return true;
		if (!is_not_empty(errno) && errno != ENOTDIR)
			return false;
	}
	return false;
}

/* Empties a child of the top and removes it; a later pass gets what was moved up out of it. */
static bool remove_child(struct remover *r, const char *name)
{
	DIR *dir = open_dir(r->top, name);
	const struct dirent *de;
	int no = 0;

	if (dir == NULL)
		return false;
	while (no == 0 && (errno = 0, de = readdir(dir)) != NULL) {
		if (is_dot(de->d_name) || remove_simple(dirfd(dir), de->d_name))
			continue;
		if ((!is_not_empty(errno) && errno != EACCES) ||
		    !move_up(r, dirfd(dir), de->d_name))
			no = errno;
	}
	if (no == 0)
		no = errno; /* of readdir */
	closedir(dir);
	errno = no;
	return no == 0 && (unlinkat(r->top, name, AT_REMOVEDIR) == 0 || is_not_empty(errno));
}

/*
 * One pass over the top; *left is set when there was anything. What is moved up meanwhile may be
 * seen only by the next pass.
 */
static bool remove_pass(struct remover *r, DIR *top, bool *left)
{
	const struct dirent *de;

	*left = false;
	rewinddir(top);
	while ((errno = 0, de = readdir(top)) != NULL) {
		if (is_dot(de->d_name))
			continue;
		*left = true;
		if (remove_simple(r->top, de->d_name))
			continue;
		if ((!is_not_empty(errno) && errno != EACCES) || !remove_child(r, de->d_name))
			return false;
	}
	return errno == 0;
}

bool fs_remove_tree(const char *path, struct err *e)
{
	struct remover r = {0};
	bool ok = true, left = true;
	int idle = 0;
	DIR *top;
	int no;

	if (remove_simple(AT_FDCWD, path) || errno == ENOENT || errno == ENOTDIR)
		return true;
	top = open_dir(AT_FDCWD, path);
	if (top == NULL)
		return err_set(e, ERR_IO, "cannot remove %s: %s", path, strerror(errno));
	r.top = dirfd(top);
	while (ok && left) {
		unsigned long moved = r.counter;

		ok = remove_pass(&r, top, &left);
		idle = r.counter == moved ? idle + 1 : 0;
		if (ok && idle > IDLE_PASSES) {
			errno = EBUSY;
			ok = false;
		}
	}
	no = errno;
	closedir(top);
	if (ok && unlinkat(AT_FDCWD, path, AT_REMOVEDIR) != 0) {
		ok = false;
		no = errno;
	}
	return ok || err_set(e, ERR_IO, "cannot remove %s: %s", path, strerror(no));
}
