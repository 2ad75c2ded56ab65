# Turns sql/queries/*.sql into statements.h (-v out=h) or statements.c (-v out=c).
# A statement starts with "-- name: lower_case_name" and goes on to the next name or the end of the file.
# Comment lines before the first name of a file, and between a name and its statement, are left out.

function fail(text) {
	printf "%s:%d: %s\n", FILENAME, FNR, text > "/dev/stderr"
	failed = 1
	exit 1
}

function finish() {
	if (n > 0 && body[n] == "")
		fail("statement " name[n] " has no text")
}

FNR == 1 {
	finish()
	in_statement = 0
}

{
	sub(/\r$/, "")
}

/^-- *name:/ {
	finish()
	s = $0
	sub(/^-- *name: */, "", s)
	sub(/[ \t]+$/, "", s)
	if (s !~ /^[a-z][a-z0-9_]*$/)
		fail("'" s "' is not a statement name: lower-case letters, digits and underscores")
	if (s == "count")
		fail("the name 'count' is taken by the number of statements")
	if (s in seen)
		fail("statement " s " stands already in " seen[s])
	seen[s] = FILENAME ":" FNR
	name[++n] = s
	body[n] = ""
	in_statement = 1
	ended = 0
	next
}

/^[ \t]*$/ || (/^[ \t]*--/ && (!in_statement || body[n] == "" || ended)) {
	next
}

!in_statement {
	fail("text before the first '-- name:' line")
}

ended {
	fail("text after the end of statement " name[n])
}

{
	line = $0
	# A line's final semicolon ends the statement; it is not sent.
	if (line ~ /;[ \t]*$/ && line !~ /^[ \t]*--/) {
		sub(/;[ \t]*$/, "", line)
		ended = 1
	}
	body[n] = body[n] "\n\t\t" quote(line)
}

END {
	if (failed)
		exit 1
	finish()
	if (failed)
		exit 1
	print "/* Made from sql/queries by gen_statements.awk. */"
	if (out == "h") {
		print "#ifndef NORN_DB_STATEMENTS_H"
		print "#define NORN_DB_STATEMENTS_H\n"
		print "enum db_stmt {"
		for (i = 1; i <= n; i++)
			print "\tQ_" toupper(name[i]) ","
		print "\tQ_COUNT\n};\n"
		print "const char *db_stmt_name(enum db_stmt stmt);"
		print "const char *db_stmt_sql(enum db_stmt stmt);"
		print "int db_stmt_count(void); /* Q_COUNT */\n"
		print "#endif"
	} else {
		print "#include \"db/statements.h\"\n"
		print "static const struct {\n\tconst char *name;\n\tconst char *sql;\n} statements[] = {"
		for (i = 1; i <= n; i++)
			printf "\t{\"%s\",%s},\n", name[i], body[i]
		print "};\n"
		print "const char *db_stmt_name(enum db_stmt stmt)\n{\n\treturn statements[stmt].name;\n}\n"
		print "const char *db_stmt_sql(enum db_stmt stmt)\n{\n\treturn statements[stmt].sql;\n}\n"
		print "int db_stmt_count(void)\n{\n\treturn Q_COUNT;\n}"
	}
}
