/*
 * The providers registered at this site and the descriptions of their components, kept in memory
 * for some seconds.
 */
#ifndef NORN_PARTY_CATALOG_H
#define NORN_PARTY_CATALOG_H

#include "store/node.h"

/* providers: {provider_name: {name, version, device, metadata, components: {component:
 * description}}}, borrowed and valid in the callback only. On failure NULL, and e says why. */
typedef void catalog_cb(json_t *providers, const struct err *e, void *arg);

/* cb is called once; from inside this call when the catalogue is fresh. */
void catalog_get(struct node *n, catalog_cb *cb, void *arg);
/* After a provider was registered or removed by this node. */
void catalog_forget(void);

/*
 * The description of a component of the provider "name:version@device", in which each part may be
 * "*"; of several the newest version. Sets *name to the provider found. NULL: e names what is
 * unknown, and the nearest known.
 */
MUST_CHECK const json_t *catalog_component(json_t *providers, const char *provider,
					   const char *component, const char **name, struct err *e);
/* Whether any registered provider fits. */
bool catalog_has_provider(json_t *providers, const char *provider);

#endif
