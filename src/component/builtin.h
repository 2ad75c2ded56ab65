/* The built-in components of the program norn-component. */
#ifndef NORN_COMPONENT_BUILTIN_H
#define NORN_COMPONENT_BUILTIN_H

#include "base/attr.h"
#include "norn/component.h"

#define BUILTIN_VERSION "2.2.0" /* of FATE's component set that names and shapes follow */

extern const struct norn_component comp_upload;
extern const struct norn_component comp_dataframe_transformer;
extern const struct norn_component comp_download;
extern const struct norn_component comp_reader;
extern const struct norn_component comp_noop;
extern const struct norn_component comp_toy;
extern const struct norn_component comp_psi;
extern const struct norn_component comp_data_split;
extern const struct norn_component comp_feature_scale;
extern const struct norn_component comp_coordinated_lr;
extern const struct norn_component comp_evaluation;

extern const struct norn_component *const builtin_components[];
extern const size_t builtin_count;

#endif
