# loaders: the runtime that all share, and one program for each kind of destination
noinst_LIBRARIES += libloader.a
libloader_a_SOURCES = \
	loaders/net/jwt.c loaders/net/jwt.h \
	loaders/runtime/confine.c loaders/runtime/confine.h \
	loaders/runtime/dry.c loaders/runtime/dry.h \
	loaders/runtime/fields.c loaders/runtime/fields.h \
	loaders/runtime/job.c loaders/runtime/job.h \
	loaders/runtime/layout.c loaders/runtime/layout.h \
	loaders/runtime/load.c loaders/runtime/load.h \
	loaders/runtime/loader.h \
	loaders/runtime/main.c \
	loaders/runtime/plan.c loaders/runtime/plan.h \
	loaders/runtime/proto.c loaders/runtime/proto.h \
	loaders/runtime/rejects.c loaders/runtime/rejects.h \
	loaders/runtime/record.c loaders/runtime/record.h \
	loaders/runtime/rows.c loaders/runtime/rows.h \
	loaders/runtime/uuid.c loaders/runtime/uuid.h
LOADER_LIBS = libloader.a $(SHARED_LIBS)
include loaders/bigquery/local.mk
include loaders/postgres/local.mk
include loaders/s3/local.mk
include loaders/redshift/local.mk
include loaders/snowflake/local.mk

pkglibexec_PROGRAMS += stitch-load-sqlite
stitch_load_sqlite_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
stitch_load_sqlite_SOURCES = \
	loaders/sqlite/sqlite.c \
	loaders/sqlite/sqlite_check.c \
	loaders/sqlite/sqlite_priv.h \
	loaders/sqlite/sqlite_rows.c \
	loaders/sqlite/sqlite_table.c
stitch_load_sqlite_LDADD = $(LOADER_LIBS) $(SQLITE_LIBS)
