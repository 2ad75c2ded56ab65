#include "config.h"
#include "comp_parties.h"

#include <pthread.h>

#define MOST    8
#define WAIT_MS 60000

struct seat {
	struct party *p;
	struct channel_hub *hub;
};

static void *sit(void *arg)
{
	struct seat *s = arg;

	s->p->ok = s->p->run(s->p);
	if (!s->p->ok)
		channel_hub_abort(s->hub);
	return NULL;
}

bool parties_run(struct party *p, size_t n)
{
	struct channel_hub *hub = channel_hub_new(WAIT_MS);
	struct seat seats[MOST];
	pthread_t threads[MOST];
	bool ok = true;
	size_t i;

	ck_assert_uint_le(n, MOST);
	for (i = 0; i < n; i++) {
		p[i].ch = channel_mem_new(hub, p[i].role, p[i].id);
		seats[i] = (struct seat){&p[i], hub};
		ck_assert_int_eq(pthread_create(&threads[i], NULL, sit, &seats[i]), 0);
	}
	for (i = 0; i < n; i++) {
		pthread_join(threads[i], NULL);
		channel_free(p[i].ch);
		ok = ok && p[i].ok;
	}
	channel_hub_free(hub);
	return ok;
}

int run_suite(Suite *s)
{
	SRunner *r = srunner_create(s);
	int failed;

	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
