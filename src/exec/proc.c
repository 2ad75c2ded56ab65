#include "config.h"
#include "exec/proc.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int proc_spawn(const char *path, char *const argv[], char *const env[], const int *fds,
	       size_t n_fds, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	int rc = posix_spawn_file_actions_init(&actions);

	if (rc != 0)
		return rc;
	rc = posix_spawnattr_init(&attr);
	if (rc != 0) {
		(void)posix_spawn_file_actions_destroy(&actions);
		return rc;
	}
	/* onto itself: takes close-on-exec off, in the child only */
	for (size_t i = 0; i < n_fds && rc == 0; i++)
		rc = posix_spawn_file_actions_adddup2(&actions, fds[i], fds[i]);
	(void)sigemptyset(&none);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
	(void)posix_spawnattr_setpgroup(&attr, 0);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	if (rc == 0)
		rc = posix_spawn(pid, path, &actions, &attr, argv, env);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&actions);
	return rc;
}

bool proc_parse_stat(const char *text, pid_t *parent, pid_t *session)
{
	/* "pid (name) state ppid pgrp session ...": only the name can contain a parenthesis */
	const char *p = strrchr(text, ')');
	int ppid, pgrp, sid;
	char state;

	if (p == NULL || sscanf(p + 1, " %c %d %d %d", &state, &ppid, &pgrp, &sid) != 4)
		return false;
	*parent = ppid;
	*session = sid;
	return true;
}

/* False when the file cannot be read, which for /proc means that it is gone. */
static bool read_text(int dir_fd, const char *path, char *out, size_t size)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, out, size - 1);
	(void)close(fd);
	if (n < 0)
		return false;
	out[n] = '\0';
	return true;
}

static bool is_pid(const char *name)
{
	return name[0] >= '1' && name[0] <= '9' && strlen(name) <= 10;
}

void proc_each_child(void (*fn)(pid_t pid, void *arg), void *arg)
{
	DIR *dir = opendir("/proc");
	pid_t self = getpid();
	const struct dirent *d;

	if (dir == NULL)
		return;
	while ((d = readdir(dir)) != NULL) {
		char path[32], text[512];
		pid_t parent, session;

		if (!is_pid(d->d_name))
			continue;
		(void)snprintf(path, sizeof(path), "%.10s/stat", d->d_name);
		if (read_text(dirfd(dir), path, text, sizeof(text)) &&
		    proc_parse_stat(text, &parent, &session) && parent == self)
			fn((pid_t)strtol(d->d_name, NULL, 10), arg);
	}
	(void)closedir(dir);
}

bool proc_kill_child(pid_t pid)
{
	pid_t group = getpgid(pid);

	if (group > 1 && group != getpgrp())
		(void)kill(-group, SIGKILL);
	return kill(pid, SIGKILL) == 0 || errno != EPERM;
}
