#include "config.h"
#include "exec/spawner.h"
#include "base/clock.h"
#include "base/mem.h"
#include "exec/proc.h"
#include "exec/serve.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define RETRY_MS   1000  /* from one start to the next */
#define GIVE_UP_MS 60000 /* after one that has not served at all */
#define ARGS_BYTES 1024  /* of room for what /proc shows of its processes */
#define ENV_BYTES  4096

struct spawner {
	char *path;
	pid_t pid;        /* 0: there is none */
	int sock;         /* -1: there is none, or it is to be reaped */
	bool serves;      /* it has said so */
	int64_t retry_ms; /* monotonic: not to be started anew before */
};

struct spawner *spawner_new(const char *path)
{
	struct spawner *s = mem_zalloc(sizeof(*s));

	s->path = mem_strdup(path);
	s->sock = -1;
	return s;
}

/* An environment of room, an order to bind all functions before the first fork, and the options of
 * sanitizers, which are read only as a program starts. env holds n + 1 entries, the others point
 * into our own environment. */
static void make_env(char **env, size_t n, char *room)
{
	static const char *const names[] = {"ASAN_OPTIONS=", "LSAN_OPTIONS=", "UBSAN_OPTIONS="};
	static char bind_now[] = "LD_BIND_NOW=1";
	size_t k = 2;

	env[0] = room;
	env[1] = bind_now;
	for (char **v = environ; v != NULL && *v != NULL; v++) {
		for (size_t i = 0; i < ARRAY_LEN(names) && k < n; i++) {
			if (strncmp(*v, names[i], strlen(names[i])) == 0)
				env[k++] = *v;
		}
	}
	env[k] = NULL;
}

static int execute(struct spawner *s, int sock)
{
	char serve_text[] = SUPERVISE_SERVE, fd_text[16];
	char more_args[ARGS_BYTES], more_env[ENV_BYTES] = "ROOM=";
	char *const argv[] = {s->path, serve_text, fd_text, more_args, NULL};
	char *env[6];

	(void)snprintf(fd_text, sizeof(fd_text), "%d", sock);
	memset(more_args, ' ', sizeof(more_args) - 1);
	more_args[sizeof(more_args) - 1] = '\0';
	memset(more_env + strlen(more_env), ' ', sizeof(more_env) - 1 - strlen(more_env));
	make_env(env, ARRAY_LEN(env) - 1, more_env);
	return proc_spawn(s->path, argv, env, &sock, 1, &s->pid);
}

/* True when there is no process any more. */
static bool reaped(struct spawner *s)
{
	if (s->pid != 0 && waitpid(s->pid, NULL, WNOHANG) != 0)
		s->pid = 0;
	return s->pid == 0;
}

static void give_up(struct spawner *s)
{
	(void)close(s->sock);
	s->sock = -1;
	s->retry_ms = clock_mono_ms() + (s->serves ? RETRY_MS : GIVE_UP_MS);
	s->serves = false;
	(void)kill(s->pid, SIGKILL);
	(void)reaped(s);
}

static bool start(struct spawner *s)
{
	int ends[2];
	int rc;

	if (!reaped(s) || clock_mono_ms() < s->retry_ms)
		return false;
	s->retry_ms = clock_mono_ms() + GIVE_UP_MS;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return false;
	rc = execute(s, ends[1]);
	(void)close(ends[1]);
	if (rc != 0) {
		s->pid = 0;
		(void)close(ends[0]);
		return false;
	}
	s->sock = ends[0];
	return true;
}

bool spawner_serves(struct spawner *s)
{
	char c = 0;
	ssize_t n;

	if (s->sock < 0 && !start(s))
		return false;
	if (s->serves)
		return true;
	n = recv(s->sock, &c, 1, MSG_DONTWAIT);
	if (n == 1 && c == SERVE_HELLO)
		s->serves = true;
	else if (n >= 0 || (errno != EAGAIN && errno != EINTR))
		give_up(s);
	return s->serves;
}

static ssize_t send_fds(int to, const int fds[2])
{
	char what = SERVE_RUN;
	union {
		char space[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} ancillary;
	struct iovec iov = {.iov_base = &what, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = ancillary.space,
			   .msg_controllen = sizeof(ancillary.space)};
	struct cmsghdr *c;

	memset(&ancillary, 0, sizeof(ancillary));
	c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(2 * sizeof(int));
	memcpy(CMSG_DATA(c), fds, 2 * sizeof(int));
	return sendmsg(to, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool spawner_send(struct spawner *s, int sock, int spec_fd)
{
	const int fds[2] = {sock, spec_fd};

	if (!spawner_serves(s))
		return false;
	spawner_wake(s);
	if (send_fds(s->sock, fds) == 1)
		return true;
	if (errno == EPIPE || errno == ECONNRESET)
		give_up(s);
	return false;
}

void spawner_wake(const struct spawner *s)
{
	if (s->pid != 0)
		(void)kill(s->pid, SIGCONT);
}

void spawner_kill(struct spawner *s)
{
	if (s->sock < 0)
		return;
	s->serves = false; /* another one would hang as well: not soon */
	give_up(s);
}

void spawner_free(struct spawner *s)
{
	if (s == NULL)
		return;
	if (s->sock >= 0)
		(void)close(s->sock);
	if (s->pid != 0) {
		/* it holds nothing that must be put away: its supervisors are not its children */
		(void)kill(s->pid, SIGKILL);
		(void)waitpid(s->pid, NULL, 0);
	}
	free(s->path);
	free(s);
}
