/* psi: keep the rows whose match ids all parties have. */
#include "config.h"

#include "component/builtin.h"

#include "base/mem.h"
#include "component/frame.h"
#include "component/psi.h"
#include "component/task.h"
#include <stdlib.h>

static bool intersect(struct norn_task *t, const struct norn_frame *f, struct psi_result *r,
		      struct err *e)
{
	struct channel *ch = task_channel(t, e);
	size_t n_hosts = norn_party_count(t, NORN_HOST), i;
	const char **hosts;
	bool ok;

	if (ch == NULL)
		return false;
	if (t->role == NORN_HOST) {
		if (norn_party_count(t, NORN_GUEST) != 1)
			return err_set(e, ERR_JOB_PARAMS, "psi needs one guest");
		return psi_host(ch, norn_party(t, NORN_GUEST, 0), f->match_id, f->n_rows, t->cores,
				r, e);
	}
	hosts = mem_array(n_hosts ? n_hosts : 1, sizeof *hosts);
	for (i = 0; i < n_hosts; i++)
		hosts[i] = norn_party(t, NORN_HOST, i);
	ok = psi_guest(ch, hosts, n_hosts, f->match_id, f->sample_id, f->n_rows, t->cores, r, e);
	free(hosts);
	return ok;
}

static void report(struct norn_task *t, size_t input, size_t common)
{
	norn_metric(t, "intersect_id_count", "custom", NULL, 0,
		    json_pack("{s:I}", "intersect_count", (json_int_t)common));
	norn_metric(t, "summary", NULL, NULL, 0,
		    json_pack("{s:I,s:I,s:f,s:s}", "input_count", (json_int_t)input,
			      "intersect_count", (json_int_t)common, "intersect_rate",
			      (double)common / (double)input, "method",
			      norn_param_str(t, "curve_type")));
}

static bool run_psi(struct norn_task *t, struct err *e)
{
	struct norn_frame *f = norn_read_frame(t, "input_data", 0, e), *common;
	struct psi_result r = {0};
	size_t first, second, i;
	bool ok;

	if (f == NULL)
		return false;
	norn_say(t, "%zu ids", f->n_rows);
	if (frame_find_duplicate(f->match_id, f->n_rows, &first, &second))
		ok = err_set(e, ERR_COMPONENT_OUTPUT,
			     "rows %zu and %zu have the same match id (column %.60s)", first,
			     second, f->match_id_name);
	else
		ok = intersect(t, f, &r, e);
	if (!ok) {
		norn_frame_free(f);
		return false;
	}
	common = norn_frame_select(f, r.rows, r.n);
	for (i = 0; r.sample_ids != NULL && i < r.n; i++) {
		free(common->sample_id[i]);
		common->sample_id[i] = mem_strdup(r.sample_ids[i]);
	}
	norn_say(t, "%zu common ids", r.n);
	report(t, f->n_rows, r.n);
	ok = norn_write_frame(t, "output_data", common, NULL, NULL, e);
	psi_result_free(&r);
	norn_frame_free(common);
	norn_frame_free(f);
	return ok;
}

static const struct norn_param params[] = {
    {"protocol", NORN_P_STR, "\"ecdh_psi\"", 0, 0, "ecdh_psi", 0, "the protocol"},
    {"curve_type", NORN_P_STR, "\"curve25519\"", 0, 0, "curve25519", 0, "the curve"},
};
static const struct norn_artifact artifacts[] = {
    {"input_data", NORN_IN, NORN_DATAFRAME, false, false, 0, 0, "own rows"},
    {"output_data", NORN_OUT, NORN_DATAFRAME, false, false, 0, 0,
     "the common rows, with the guest's sample ids"},
};
const struct norn_component comp_psi = {
    "psi",
    BUILTIN_VERSION,
    "private set intersection of the parties' match ids",
    NORN_GUEST | NORN_HOST,
    NORN_DEFAULT,
    params,
    ARRAY_LEN(params),
    artifacts,
    ARRAY_LEN(artifacts),
    run_psi,
};
