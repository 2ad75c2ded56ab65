#include "store/phases.h"

#include "base/attr.h"

static const char *const names[PHASE_COUNT] = {
    [PHASE_QUEUED] = "queued",     [PHASE_RESERVED] = "reserved", [PHASE_PLANNED] = "planned",
    [PHASE_SENT] = "sent",         [PHASE_STARTED] = "started",   [PHASE_RAN] = "ran",
    [PHASE_REPORTED] = "reported",
};

/* Upper bounds; what is above the last one counts in +Inf only. */
static const struct {
	int64_t us;
	const char *text;
} bounds[] = {
    {500, "0.0005"},    {1000, "0.001"},      {2500, "0.0025"},     {5000, "0.005"},
    {10000, "0.01"},    {25000, "0.025"},     {50000, "0.05"},      {100000, "0.1"},
    {250000, "0.25"},   {500000, "0.5"},      {1000000, "1"},       {2500000, "2.5"},
    {5000000, "5"},     {10000000, "10"},     {30000000, "30"},     {60000000, "60"},
    {300000000, "300"}, {1800000000, "1800"}, {7200000000, "7200"},
};

static struct {
	int64_t in_bucket[ARRAY_LEN(bounds) + 1];
	int64_t count;
	int64_t sum_us;
} seen[PHASE_COUNT];

void phase_seen(enum phase p, int64_t us)
{
	size_t i = 0;

	if (us < 0)
		us = 0;
	while (i < ARRAY_LEN(bounds) && us > bounds[i].us)
		i++;
	seen[p].in_bucket[i]++;
	seen[p].count++;
	seen[p].sum_us += us;
}

void phases_print(struct buf *out)
{
	buf_adds(
	    out,
	    "# HELP norn_phase_seconds Time of each step of a job's and a task's way at this node\n"
	    "# TYPE norn_phase_seconds histogram\n");
	for (int p = 0; p < PHASE_COUNT; p++) {
		int64_t below = 0;
		for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
			below += seen[p].in_bucket[i];
			buf_printf(out, "norn_phase_seconds_bucket{phase=\"%s\",le=\"%s\"} %lld\n",
				   names[p], bounds[i].text, (long long)below);
		}
		buf_printf(out, "norn_phase_seconds_bucket{phase=\"%s\",le=\"+Inf\"} %lld\n",
			   names[p], (long long)seen[p].count);
		buf_printf(out, "norn_phase_seconds_sum{phase=\"%s\"} %.6f\n", names[p],
			   (double)seen[p].sum_us / 1e6);
		buf_printf(out, "norn_phase_seconds_count{phase=\"%s\"} %lld\n", names[p],
			   (long long)seen[p].count);
	}
}
