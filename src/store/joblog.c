#include "store/joblog.h"

#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *base_dir;

static int open_log(const char *job_id, const char *name)
{
	char path[4096];

	if (snprintf(path, sizeof(path), "%s/%s/%s", base_dir, job_id, name) >= (int)sizeof(path))
		return -1;
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 || errno != ENOENT)
		return fd;
	char dir[4096];
	snprintf(dir, sizeof(dir), "%s/%s", base_dir, job_id);
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return -1;
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static void append(const char *job_id, const char *name, const char *line, size_t len)
{
	int fd = open_log(job_id, name);

	if (fd < 0)
		return; /* the server log has the line */
	if (write(fd, line, len) < 0) {
		/* likewise */
	}
	close(fd);
}

static void on_line(enum log_level level, const char *job_id, const char *line, size_t len)
{
	if (!str_is_name(job_id, 64))
		return;
	append(job_id, "fate_flow_schedule.log", line, len);
	if (level == LOG_ERROR)
		append(job_id, "fate_flow_schedule_error.log", line, len);
}

void joblog_start(const char *log_dir)
{
	base_dir = log_dir;
	log_set_job_hook(on_line);
}
