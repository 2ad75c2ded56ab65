# Turns sql/migrations/NNNN_name.sql, given in order, into migrations.c.
# The numbers must be 1, 2, 3 ... without a gap; an empty file is an error.

function fail(text) {
	print text > "/dev/stderr"
	failed = 1
	exit 1
}

FNR == 1 {
	base = FILENAME
	sub(/.*\//, "", base)
	if (base !~ /^[0-9][0-9][0-9][0-9]_[a-z0-9_]+\.sql$/)
		fail(FILENAME ": a migration is named NNNN_name.sql, in lower case")
	if (substr(base, 1, 4) + 0 != n + 1)
		fail(FILENAME ": the number of this migration should be " n + 1)
	name[++n] = base
}

{
	sub(/\r$/, "")
	body[n] = body[n] "\n\t\t" quote($0)
}

END {
	if (failed)
		exit 1
	if (n != files)
		fail("an empty file among the migrations (" files " files, " n " with text)")
	print "/* Made from sql/migrations by gen_migrations.awk. */"
	print "#include \"db/migrate.h\"\n"
	# The end mark keeps the array legal when there is no migration yet.
	print "const struct db_migration db_migrations[] = {"
	for (i = 1; i <= n; i++)
		printf "\t{%d, \"%s\",%s},\n", i, name[i], body[i]
	print "\t{0, 0, 0},\n};\n"
	print "const int db_migration_count = " n + 0 ";"
}
