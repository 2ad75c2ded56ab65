/* Time. Deadlines use the monotonic clock; times shown to people use the wall clock. */
#ifndef NORN_BASE_CLOCK_H
#define NORN_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
int64_t clock_wall_ms(void); /* since 1970-01-01 UTC */
void clock_format_utc(int64_t wall_ms, char *out,
		      size_t size); /* 2026-01-31T23:59:59.123Z; size >= 25 */
void clock_format_elapsed(int64_t ms, char *out, size_t size); /* "1.2 s", "3 m 07 s", "2 h 05 m" */

#endif
