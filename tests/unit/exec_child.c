/*
 * A component that behaves as its first argument says, and may supervise itself; started by
 * test_exec_launch. Each process of
 * the modes that fork appends its id, one a line, to the file named by the second argument.
 */
#include "config.h"
#include "exec/serve.h"
#include "exec/supervise.h"
#include "exec/wire.h"
#include "exec_child.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void record(const char *path)
{
	char text[32];
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	if (fd < 0 || write(fd, text, (size_t)n) != n)
		_exit(99);
	(void)close(fd);
}

static void stay(void)
{
	for (;;)
		(void)pause();
}

static void dump_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *d;
	char path[300], target[256];

	while (dir != NULL && (d = readdir(dir)) != NULL) {
		ssize_t n;

		if (d->d_name[0] == '.' || atoi(d->d_name) == dirfd(dir))
			continue;
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%s", d->d_name);
		n = readlink(path, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		if (strncmp(target, "pipe:", 5) == 0)
			target[4] = '\0';
		(void)printf("fd %s %s\n", d->d_name, target);
	}
	if (dir != NULL)
		(void)closedir(dir);
}

/* What is inherited through exec: blocked and ignored signals, but for those of the C library. */
static void dump_signals(void)
{
	sigset_t mask;

	(void)sigprocmask(SIG_SETMASK, NULL, &mask);
	for (int sig = 1; sig <= SIGRTMAX; sig++) {
		struct sigaction sa;

		if (sigismember(&mask, sig) == 1)
			(void)printf("blocked %d\n", sig);
		if (sigaction(sig, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN)
			(void)printf("ignored %d\n", sig);
	}
}

static int dump(int argc, char **argv)
{
	char cwd[4096];
	struct rlimit core;
	int deathsig = 0;
	mode_t mask = umask(0);

	for (int i = 2; i < argc; i++)
		(void)printf("arg [%s]\n", argv[i]);
	for (char **e = environ; *e != NULL; e++)
		(void)printf("env [%s]\n", *e);
	dump_fds();
	dump_signals();
	(void)getrlimit(RLIMIT_CORE, &core);
	(void)prctl(PR_GET_PDEATHSIG, &deathsig);
	(void)printf("cwd %s\numask %03o\nleader %d\ncore %ld\ndeathsig %d\n",
		     getcwd(cwd, sizeof(cwd)) != NULL ? cwd : "?", (unsigned)mask,
		     getsid(0) == getpid() && getpgrp() == getpid(), (long)core.rlim_max, deathsig);
	return 0;
}

/* Away from its parent, its group and its session, deaf to SIGTERM and SIGHUP. */
static void daemonize(const char *path)
{
	int ready[2];
	char c;

	if (pipe(ready) != 0)
		_exit(99);
	if (fork() == 0) {
		(void)setsid();
		(void)signal(SIGTERM, SIG_IGN);
		(void)signal(SIGHUP, SIG_IGN);
		if (fork() != 0)
			_exit(0);
		record(path);
		(void)close(ready[0]);
		(void)close(ready[1]);
		stay();
	}
	(void)close(ready[1]);
	(void)!read(ready[0], &c, 1); /* its end: the daemon is recorded */
	(void)close(ready[0]);
}

/* n processes, each the child of the one before, every other in a session of its own. */
static void chain(const char *path, int n)
{
	if (n == 0)
		return;
	if (fork() == 0) {
		if (n % 2 == 0)
			(void)setsid();
		(void)signal(SIGTERM, SIG_IGN);
		record(path);
		chain(path, n - 1);
		stay();
	}
}

static int bomb(const char *path, int n)
{
	for (int i = 0; i < n / 2; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 98;
		if (pid == 0) {
			record(path);
			stay();
		}
	}
	chain(path, n - n / 2);
	return 0;
}

/* A process that always has a successor of its own session before it goes. */
static void runner(const char *path)
{
	record(path);
	for (;;) {
		pid_t pid = fork();

		if (pid > 0)
			_exit(0);
		(void)setsid();
		(void)usleep(200);
	}
}

static int flood(long long n)
{
	char chunk[1000];

	memset(chunk, 'x', sizeof(chunk));
	chunk[sizeof(chunk) - 1] = '\n';
	for (long long done = 0; done < n; done += (long long)sizeof(chunk)) {
		if (write(1, chunk, sizeof(chunk)) != (ssize_t)sizeof(chunk) ||
		    write(2, chunk, sizeof(chunk)) != (ssize_t)sizeof(chunk))
			return 97;
	}
	return (int)(write(2, "the end\n", 8) != 8);
}

static volatile sig_atomic_t told;

static void on_term(int sig)
{
	told = sig;
}

static int behave(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	const char *arg = argc > 2 ? argv[2] : "";
	struct sigaction sa;

	if (strcmp(mode, "dump") == 0)
		return dump(argc, argv);
	if (strcmp(mode, "flood") == 0)
		return flood(atoll(arg));
	if (strcmp(mode, "daemon") == 0) {
		daemonize(arg);
		return 7;
	}
	if (strcmp(mode, "tree") == 0) {
		daemonize(arg);
		chain(arg, 2);
		record(arg);
		stay();
	}
	if (strcmp(mode, "bomb") == 0) {
		record(arg);
		if (bomb(arg, argc > 3 ? atoi(argv[3]) : 0) != 0)
			return 98;
		stay();
	}
	if (strcmp(mode, "runner") == 0) {
		if (fork() == 0)
			runner(arg);
		(void)usleep(20000);
		return 0;
	}
	if (strcmp(mode, "polite") == 0) {
		memset(&sa, 0, sizeof(sa));
		sa.sa_handler = on_term;
		(void)sigaction(SIGTERM, &sa, NULL);
		record(arg);
		while (!told)
			(void)usleep(1000);
		return 5;
	}
	if (strcmp(mode, "deaf") == 0) {
		(void)signal(SIGTERM, SIG_IGN);
		record(arg);
		stay();
	}
	if (strcmp(mode, "suspend-supervisor") == 0) {
		(void)kill(getppid(), SIGSTOP);
		record(arg);
		stay();
	}
	(void)fprintf(stderr, "exec_child: unknown mode %s\n", mode);
	return 96;
}

/* ---- spawners that are not what they should be ---- */

static int take_run(int control)
{
	union {
		char space[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} ancillary;
	char what;
	struct iovec iov = {.iov_base = &what, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = ancillary.space,
			   .msg_controllen = sizeof(ancillary.space)};
	int fds[2];

	if (recvmsg(control, &m, 0) != 1 || CMSG_FIRSTHDR(&m) == NULL)
		_exit(99);
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fds));
	(void)close(fds[1]);
	return fds[0];
}

/* Plays the supervisor of a run itself, gives somebody else's pid for its own, and ends with an
 * order unread; the file PATH.done says that it has. */
static void lie(const char *path, int control)
{
	const struct wire_report reports[] = {
	    {.version = WIRE_VERSION, .kind = WIRE_BORN, .pid = getppid()},
	    {.version = WIRE_VERSION, .kind = WIRE_STARTED, .pid = getpid()},
	    {.version = WIRE_VERSION, .kind = WIRE_EXITED, .exit_code = 4},
	};
	char done[300];
	int sock = take_run(control);
	struct pollfd order = {.fd = sock, .events = POLLIN};

	for (size_t i = 0; i < ARRAY_LEN(reports); i++) {
		if (send(sock, &reports[i], wire_report_size(&reports[i]), MSG_NOSIGNAL) < 0)
			_exit(99);
	}
	if (poll(&order, 1, -1) != 1)
		_exit(99);
	(void)close(sock);
	(void)snprintf(done, sizeof(done), "%s.done", path);
	record(done);
}

static int pretend(const char *path, int control)
{
	const char hello = SERVE_HELLO;

	if (send(control, &hello, 1, MSG_NOSIGNAL) != 1)
		return 99;
	if (strcmp(strrchr(path, '/') + 1, EX_LIAR) == 0)
		lie(path, control);
	stay();
	return 0;
}

int main(int argc, char **argv)
{
	const char *name = argc > 0 ? strrchr(argv[0], '/') : NULL;

	if (argc > 2 && name != NULL &&
	    (strcmp(name + 1, EX_LIAR) == 0 || strcmp(name + 1, EX_SLEEPER) == 0))
		return pretend(argv[0], atoi(argv[2]));
	if (argc > 1 && strcmp(argv[1], SUPERVISE_SERVE) == 0)
		return supervise_main(argc, argv, behave);
	return behave(argc, argv);
}
