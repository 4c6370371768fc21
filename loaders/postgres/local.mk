pkglibexec_PROGRAMS += stitch-load-postgres
noinst_LIBRARIES += libpostgres.a
# what the unit tests link too
libpostgres_a_CPPFLAGS = $(AM_CPPFLAGS) $(PQ_CFLAGS)
libpostgres_a_SOURCES = \
	loaders/postgres/key_set.c loaders/postgres/key_set.h \
	loaders/postgres/pg_conn.c loaders/postgres/pg_conn.h \
	loaders/postgres/pg_copy.c loaders/postgres/pg_copy.h \
	loaders/postgres/pg_error.c loaders/postgres/pg_error.h \
	loaders/sql/sql_text.c loaders/sql/sql_text.h
stitch_load_postgres_CPPFLAGS = $(AM_CPPFLAGS) $(PQ_CFLAGS)
stitch_load_postgres_SOURCES = \
	loaders/postgres/pg_check.c \
	loaders/postgres/pg_child.c \
	loaders/postgres/pg_load.c \
	loaders/postgres/pg_rows.c \
	loaders/postgres/pg_schema.c \
	loaders/postgres/postgres.c loaders/postgres/postgres.h
stitch_load_postgres_LDADD = libpostgres.a $(LOADER_LIBS) $(PQ_LIBS)
