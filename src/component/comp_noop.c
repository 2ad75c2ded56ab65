/* noop: does what its parameters say, for tests and benchmarks of the scheduler. */
#include "config.h"

#include "component/builtin.h"

#include "component/task.h"
#include <time.h>
#include <unistd.h>

static bool run_noop(struct norn_task *t, struct err *e)
{
	int64_t ms = norn_param_int(t, "sleep_ms", 0), lines = norn_param_int(t, "stdout_lines", 0);
	int fail = (int)norn_param_int(t, "fail", 0);
	struct timespec ts = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = ms % 1000 * 1000000};
	const char *message = norn_param_str(t, "message");
	struct norn_frame *f;
	bool ok;
	int64_t i;

	if (message != NULL)
		norn_say(t, "%s", message);
	for (i = 0; i < lines; i++)
		norn_say(t, "line %lld of %lld", (long long)(i + 1), (long long)lines);
	nanosleep(&ts, NULL);
	if (fail != 0) {
		norn_say(t, "ending with status %d as asked", fail);
		if (fail == 1)
			return err_set(e, ERR_COMPONENT_OUTPUT, "failed as asked");
		_exit(fail); /* like a crash: no result file */
	}
	if (norn_input_count(t, "input_data") == 0)
		return true;
	f = norn_read_frame(t, "input_data", 0, e);
	if (f == NULL)
		return false;
	ok = !norn_has_output(t, "output_data") ||
	     norn_write_frame(t, "output_data", f, NULL, NULL, e);
	norn_frame_free(f);
	return ok;
}

static const struct norn_param params[] = {
    {"sleep_ms", NORN_P_INT, "0", 0, 86400000, NULL, 0, "how long to run"},
    {"fail", NORN_P_INT, "0", 0, 125, NULL, 0,
     "exit status: 1 fails with a result file, others end without one"},
    {"stdout_lines", NORN_P_INT, "0", 0, 10000000, NULL, 0, "lines to print"},
    {"message", NORN_P_STR, "null", 0, 0, NULL, 0, "a line to print"},
};
static const struct norn_artifact artifacts[] = {
    {"input_data", NORN_IN, NORN_DATAFRAME, true, true, 0, 0,
     "the first is copied to output_data, the others are only waited for"},
    {"output_data", NORN_OUT, NORN_DATAFRAME, false, true, 0, 0, "copy of the first input_data"},
};
const struct norn_component comp_noop = {
    "noop",
    BUILTIN_VERSION,
    "do nothing, or what the parameters say; for tests and benchmarks",
    NORN_LOCAL | NORN_GUEST | NORN_HOST | NORN_ARBITER,
    NORN_DEFAULT,
    params,
    ARRAY_LEN(params),
    artifacts,
    ARRAY_LEN(artifacts),
    run_noop,
};
