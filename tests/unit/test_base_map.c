/* The hash map. */
#include "config.h"
#include "base/map.h"
#include "base/mem.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define MANY 5000

START_TEST(set_get_del)
{
	struct map *m = map_new();
	int one, two;

	ck_assert_ptr_null(map_get(m, "a"));
	ck_assert_ptr_null(map_del(m, "a"));
	ck_assert_ptr_null(map_set(m, "a", &one));
	ck_assert_ptr_eq(map_get(m, "a"), &one);
	ck_assert_ptr_eq(map_set(m, "a", &two), &one);
	ck_assert_uint_eq(map_count(m), 1);
	ck_assert_ptr_null(map_set(m, "", &one));
	ck_assert_ptr_eq(map_get(m, ""), &one);
	ck_assert_ptr_eq(map_del(m, "a"), &two);
	ck_assert_ptr_null(map_get(m, "a"));
	ck_assert_uint_eq(map_count(m), 1);
	map_free(m, NULL);
	map_free(NULL, NULL);
}
END_TEST

START_TEST(key_is_copied)
{
	struct map *m = map_new();
	char key[] = "before";
	int v;

	map_set(m, key, &v);
	key[0] = 'X';
	ck_assert_ptr_eq(map_get(m, "before"), &v);
	ck_assert_ptr_null(map_get(m, key));
	map_free(m, NULL);
}
END_TEST

START_TEST(many_entries_survive_growth_and_deletion)
{
	struct map *m = map_new();
	char key[32];

	for (int i = 0; i < MANY; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		map_set(m, key, mem_printf("%d", i));
	}
	ck_assert_uint_eq(map_count(m), MANY);
	for (int i = 0; i < MANY; i += 2) {
		snprintf(key, sizeof(key), "key%d", i);
		free(map_del(m, key));
	}
	ck_assert_uint_eq(map_count(m), MANY / 2);
	for (int i = 0; i < MANY; i++) {
		const char *v;

		snprintf(key, sizeof(key), "key%d", i);
		v = map_get(m, key);
		if (i % 2 == 0)
			ck_assert_ptr_null(v);
		else
			ck_assert_int_eq(atoi(v), i);
	}
	map_free(m, free);
}
END_TEST

struct seen {
	int flags[100];
	int calls;
	int stop_after;
};

static bool note(const char *key, void *value, void *arg)
{
	struct seen *seen = arg;
	const int *number = value;

	ck_assert_int_eq(atoi(key), *number);
	seen->flags[*number]++;
	return ++seen->calls != seen->stop_after;
}

START_TEST(each_visits_once_and_stops)
{
	struct map *m = map_new();
	struct seen all = {.stop_after = -1}, some = {.stop_after = 3};
	int numbers[100];
	char key[8];

	for (int i = 0; i < 100; i++) {
		numbers[i] = i;
		snprintf(key, sizeof(key), "%d", i);
		map_set(m, key, &numbers[i]);
	}
	map_each(m, note, &all);
	ck_assert_int_eq(all.calls, 100);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(all.flags[i], 1);
	map_each(m, note, &some);
	ck_assert_int_eq(some.calls, 3);
	map_free(m, NULL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base_map");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_test(t, set_get_del);
	tcase_add_test(t, key_is_copied);
	tcase_add_test(t, many_entries_survive_growth_and_deletion);
	tcase_add_test(t, each_visits_once_and_stops);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
