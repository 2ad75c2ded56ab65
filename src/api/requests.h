/* How many requests this process has answered through api_admit() and api_not_found(). */
#ifndef NORN_API_REQUESTS_H
#define NORN_API_REQUESTS_H

#include <stdint.h>

int64_t api_requests(void);

#endif
