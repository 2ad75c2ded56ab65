/* What a component says of itself: `component list`, `desc` and `artifact-type`. New references. */
#ifndef NORN_COMPONENT_DESC_H
#define NORN_COMPONENT_DESC_H

#include "norn/component.h"

json_t *desc_list(const struct norn_component *const *all, size_t n);
json_t *desc_component(const struct norn_component *c);
json_t *desc_artifact_types(const struct norn_component *c, enum norn_role role,
			    enum norn_stage stage);

#endif
