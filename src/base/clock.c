#include "config.h"
#include "base/clock.h"
#include <stdio.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_mono_ms(void)
{
	return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_mono_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

int64_t clock_wall_ms(void)
{
	return read_us(CLOCK_REALTIME) / 1000;
}

void clock_format_utc(int64_t wall_ms, char *out, size_t size)
{
	int64_t sec = wall_ms / 1000, ms = wall_ms % 1000;
	time_t t;
	struct tm tm;

	if (ms < 0) {
		ms += 1000;
		sec--;
	}
	t = (time_t)sec;
	/* Years of more than four digits would not fit the promised size. */
	if (gmtime_r(&t, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900) {
		snprintf(out, size, "invalid-time");
		return;
	}
	snprintf(out, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
		 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)ms);
}

void clock_format_elapsed(int64_t ms, char *out, size_t size)
{
	long long sec = (ms < 0 ? 0 : ms) / 1000;

	if (ms < 0)
		ms = 0;
	if (ms < 1000)
		snprintf(out, size, "%d ms", (int)ms);
	else if (sec < 60)
		snprintf(out, size, "%lld.%d s", sec, (int)(ms % 1000 / 100));
	else if (sec < 3600)
		snprintf(out, size, "%lld m %02lld s", sec / 60, sec % 60);
	else if (sec < 86400)
		snprintf(out, size, "%lld h %02lld m", sec / 3600, sec % 3600 / 60);
	else
		snprintf(out, size, "%lld d %02lld h", sec / 86400, sec % 86400 / 3600);
}
