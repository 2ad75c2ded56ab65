#include "config.h"

#include "component/builtin.h"

const struct norn_component *const builtin_components[] = {
    &comp_upload,        &comp_dataframe_transformer,
    &comp_download,      &comp_reader,
    &comp_psi,           &comp_data_split,
    &comp_feature_scale, &comp_coordinated_lr,
    &comp_evaluation,

    &comp_noop,          &comp_toy,
};
const size_t builtin_count = ARRAY_LEN(builtin_components);
