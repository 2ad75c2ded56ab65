/* The migrations compiled into the program, and running a list of them. */
#ifndef NORN_DB_MIGRATE_H
#define NORN_DB_MIGRATE_H

#include "base/err.h"

struct db_migration {
	int number;       /* from 1, without gaps */
	const char *name; /* of the file, "0001_core.sql" */
	const char *sql;
};

extern const struct db_migration db_migrations[];
extern const int db_migration_count;

/*
 * What db_migrate and db_check_schema do, for a given list. Blocking. apply: run what is missing;
 * otherwise only compare. *applied (may be NULL) is the number of migrations run, also when a later
 * one failed.
 */
MUST_CHECK bool db_migrations_run(const char *conninfo, const struct db_migration *list, int count,
				  bool apply, int *applied, struct err *e);

#endif
