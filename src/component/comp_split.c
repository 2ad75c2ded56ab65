/* data_split: the guest deals the rows, the hosts follow. */
#include "config.h"

#include "component/builtin.h"

#include "base/mem.h"
#include "component/frame.h"
#include "component/rng.h"
#include "component/split.h"
#include "component/task.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const size_names[SPLIT_SETS] = {"train_size", "validate_size", "test_size"};
static const char *const output_names[SPLIT_SETS] = {"train_output_data", "validate_output_data",
						     "test_output_data"};
static const char *const count_names[SPLIT_SETS] = {"train_count", "validate_count", "test_count"};

static bool read_sizes(const struct norn_task *t, struct split_size s[SPLIT_SETS], struct err *e)
{
	const json_t *v;
	size_t i;

	for (i = 0; i < SPLIT_SETS; i++) {
		v = norn_param(t, size_names[i]);
		s[i].given = !json_is_null(v);
		s[i].fraction = json_is_real(v);
		s[i].value = json_number_value(v);
		if (s[i].fraction && s[i].value > 1)
			return err_set(e, ERR_JOB_PARAMS,
				       "parameter %s: the fraction %g is above 1", size_names[i],
				       s[i].value);
	}
	return true;
}

static bool make_split(struct norn_task *t, const struct norn_frame *f, unsigned char *set_of,
		       struct err *e)
{
	struct split_size sizes[SPLIT_SETS];
	size_t counts[SPLIT_SETS];
	bool stratified = norn_param_bool(t, "stratified");
	uint64_t seed = (uint64_t)norn_param_int(t, "random_state", 0);

	if (stratified && (f->label == NULL || f->label->num == NULL))
		return err_set(e, ERR_COMPONENT_OUTPUT, "stratified needs a label column");
	if (json_is_null(norn_param(t, "random_state")) && !rng_secret_seed(&seed, e))
		return false;
	if (!read_sizes(t, sizes, e) || !split_counts(sizes, f->n_rows, counts, e))
		return false;
	split_rows(stratified ? f->label->num : NULL, f->n_rows, counts, seed, set_of);
	return true;
}

static bool send_split(struct norn_task *t, const struct norn_frame *f, const unsigned char *set_of,
		       struct err *e)
{
	struct buf b = {0};
	unsigned char hash[32];
	size_t i;
	bool ok = frame_ids_hash(f, hash, e);

	buf_add(&b, hash, sizeof hash);
	buf_add(&b, set_of, f->n_rows);
	for (i = 0; i < norn_party_count(t, NORN_HOST) && ok; i++)
		ok = norn_send(t, NORN_HOST, norn_party(t, NORN_HOST, i), "split_sets", b.data,
			       b.len, e);
	buf_free(&b);
	return ok;
}

static bool recv_split(struct norn_task *t, const struct norn_frame *f, unsigned char *set_of,
		       struct err *e)
{
	unsigned char hash[32];
	void *data = NULL;
	size_t len = 0, i;
	bool ok = frame_ids_hash(f, hash, e) &&
		  norn_recv(t, NORN_GUEST, norn_party(t, NORN_GUEST, 0), "split_sets",
			    sizeof hash + f->n_rows, &data, &len, e);

	if (ok && (len != sizeof hash + f->n_rows || memcmp(data, hash, sizeof hash) != 0))
		ok = err_set(e, ERR_COMPONENT_OUTPUT,
			     "the rows are not those of the guest in the "
			     "same order: run psi first");
	if (ok)
		memcpy(set_of, (unsigned char *)data + sizeof hash, f->n_rows);
	for (i = 0; i < f->n_rows && ok; i++)
		if (set_of[i] >= SPLIT_SETS)
			ok = err_set(e, ERR_PEER, "the guest's split is malformed");
	free(data);
	return ok;
}

/* One metric for each label value: how many rows of it each set has. */
static void report_labels(struct norn_task *t, const struct norn_frame *f,
			  const unsigned char *set_of)
{
	bool *done = mem_array(f->n_rows + 1, sizeof *done);
	size_t i, j, counts[SPLIT_SETS], all, values = 0;
	char name[40];

	for (i = 0; i < f->n_rows && values < 100; i++) {
		if (done[i])
			continue;
		values++;
		memset(counts, 0, sizeof counts);
		for (j = i, all = 0; j < f->n_rows; j++) {
			if (fabs(f->label->num[j] - f->label->num[i]) > 0)
				continue;
			done[j] = true;
			counts[set_of[j]]++;
			all++;
		}
		snprintf(name, sizeof name, "%.10g_summary", f->label->num[i]);
		norn_metric(t, name, "data_split", NULL, 0,
			    json_pack("{s:I,s:I,s:I,s:I}", "original_count", (json_int_t)all,
				      count_names[0], (json_int_t)counts[0], count_names[1],
				      (json_int_t)counts[1], count_names[2],
				      (json_int_t)counts[2]));
	}
	free(done);
}

static bool write_sets(struct norn_task *t, const struct norn_frame *f, const unsigned char *set_of,
		       struct err *e)
{
	json_t *summary = json_pack("{s:I}", "original_count", (json_int_t)f->n_rows);
	size_t *rows = mem_array(f->n_rows + 1, sizeof *rows), s, i, n;
	struct norn_frame *part;
	bool ok = true;

	for (s = 0; s < SPLIT_SETS && ok; s++) {
		for (i = 0, n = 0; i < f->n_rows; i++)
			if (set_of[i] == s)
				rows[n++] = i;
		json_object_set_new(summary, count_names[s], json_integer((json_int_t)n));
		if (n == 0 || !norn_has_output(t, output_names[s]))
			continue;
		part = norn_frame_select(f, rows, n);
		ok = norn_write_frame(t, output_names[s], part, NULL, NULL, e);
		norn_frame_free(part);
		norn_say(t, "%s: %zu rows", output_names[s], n);
	}
	norn_metric(t, "summary", "data_split", NULL, 0, summary);
	free(rows);
	return ok;
}

static bool run_split(struct norn_task *t, struct err *e)
{
	bool sync = norn_param_bool(t, "hetero_sync"), follow = sync && t->role == NORN_HOST, ok;
	struct norn_frame *f;
	unsigned char *set_of;

	if (sync && (norn_party_count(t, NORN_HOST) == 0 || norn_party_count(t, NORN_GUEST) != 1))
		return err_set(e, ERR_JOB_PARAMS,
			       "hetero_sync needs one guest and at least one "
			       "host; set it to false for a single party");
	f = norn_read_frame(t, "input_data", 0, e);
	if (f == NULL)
		return false;
	set_of = mem_array(f->n_rows + 1, 1);
	ok = follow ? recv_split(t, f, set_of, e) : make_split(t, f, set_of, e);
	if (ok && sync && t->role == NORN_GUEST)
		ok = send_split(t, f, set_of, e);
	if (ok && !follow && norn_param_bool(t, "stratified"))
		report_labels(t, f, set_of);
	ok = ok && write_sets(t, f, set_of, e);
	free(set_of);
	norn_frame_free(f);
	return ok;
}

static const struct norn_param params[] = {
    {"train_size", NORN_P_NUM, "null", 0, 1e12, NULL, 0, "fraction (0.8) or number of rows (800)"},
    {"validate_size", NORN_P_NUM, "null", 0, 1e12, NULL, 0, "fraction or number of rows"},
    {"test_size", NORN_P_NUM, "null", 0, 1e12, NULL, 0, "fraction or number of rows"},
    {"stratified", NORN_P_BOOL, "false", 0, 0, NULL, 0, "keep the share of each label value"},
    {"random_state", NORN_P_INT, "null", 0, 9e15, NULL, 0, "seed; null: another split each time"},
    {"hetero_sync", NORN_P_BOOL, "true", 0, 0, NULL, 0, "hosts follow the guest's split"},
};
static const struct norn_artifact artifacts[] = {
    {"input_data", NORN_IN, NORN_DATAFRAME, false, false, 0, 0, "rows to split"},
    {"train_output_data", NORN_OUT, NORN_DATAFRAME, false, true, 0, 0, "train set"},
    {"validate_output_data", NORN_OUT, NORN_DATAFRAME, false, true, 0, 0, "validate set"},
    {"test_output_data", NORN_OUT, NORN_DATAFRAME, false, true, 0, 0, "test set"},
};
const struct norn_component comp_data_split = {
    "data_split",
    BUILTIN_VERSION,
    "split rows into train, validate and test sets",
    NORN_GUEST | NORN_HOST,
    NORN_DEFAULT,
    params,
    ARRAY_LEN(params),
    artifacts,
    ARRAY_LEN(artifacts),
    run_split,
};
