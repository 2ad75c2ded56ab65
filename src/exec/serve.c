#include "config.h"
#include "exec/serve.h"
#include "exec/wire.h"
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RUN_FDS 2

/* fork(), except that the child's parent is ours. There is one thread, and no handler of libc's
 * fork() is wanted. */
static pid_t fork_sibling(void)
{
	const unsigned long flags = CLONE_PARENT | SIGCHLD;

#if defined(__s390__) || defined(__CRIS__)
	return (pid_t)syscall(SYS_clone, 0UL, flags, 0UL, 0UL, 0UL);
#else
	return (pid_t)syscall(SYS_clone, flags, 0UL, 0UL, 0UL, 0UL);
#endif
}

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)close(fds[i]);
}

/* The descriptors of a message into fds, RUN_FDS of them; what is unasked for is closed. */
static bool take_fds(struct msghdr *m, int fds[RUN_FDS])
{
	bool got = false;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		int one[RUN_FDS + 1];
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (n > ARRAY_LEN(one))
			n = ARRAY_LEN(one);
		memcpy(one, CMSG_DATA(c), n * sizeof(int));
		if (got || n != RUN_FDS) {
			close_all(one, n);
			continue;
		}
		memcpy(fds, one, sizeof(int) * RUN_FDS);
		got = true;
	}
	return got;
}

static void start_run(int control, const int fds[RUN_FDS], supervise_main_fn *own)
{
	pid_t pid = fork_sibling();

	if (pid == 0) {
		(void)close(control);
		(void)setpgid(0, 0);
		supervise(fds[0], fds[1], true, own);
	}
	if (pid < 0) {
		const struct wire_report report = {.version = WIRE_VERSION,
						   .kind = WIRE_FAILED,
						   .stage = WIRE_AT_RESOURCES,
						   .errnum = errno};

		(void)send(fds[0], &report, wire_report_size(&report), MSG_NOSIGNAL);
	}
}

int serve(int control, supervise_main_fn *own)
{
	const char hello = SERVE_HELLO;

	if (send(control, &hello, 1, MSG_NOSIGNAL) != 1)
		return EXIT_FAILURE;
	for (;;) {
		char what = 0;
		union {
			char space[CMSG_SPACE(sizeof(int) * (RUN_FDS + 1))];
			struct cmsghdr align;
		} ancillary;
		struct iovec iov = {.iov_base = &what, .iov_len = 1};
		struct msghdr m = {.msg_iov = &iov,
				   .msg_iovlen = 1,
				   .msg_control = ancillary.space,
				   .msg_controllen = sizeof(ancillary.space)};
		int fds[RUN_FDS];
		ssize_t n = recvmsg(control, &m, MSG_CMSG_CLOEXEC);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
		if (!take_fds(&m, fds))
			continue;
		if (what == SERVE_RUN)
			start_run(control, fds, own);
		close_all(fds, RUN_FDS);
	}
}
