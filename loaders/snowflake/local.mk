# what the unit tests link too
noinst_LIBRARIES += libsnowflake.a
libsnowflake_a_SOURCES = loaders/snowflake/sf_error.c loaders/snowflake/sf_error.h
pkglibexec_PROGRAMS += stitch-load-snowflake
stitch_load_snowflake_SOURCES = \
	loaders/snowflake/sf_check.c \
	loaders/snowflake/sf_http.c \
	loaders/snowflake/sf_load.c \
	loaders/snowflake/sf_rows.c \
	loaders/snowflake/sf_schema.c \
	loaders/snowflake/sf_stage.c \
	loaders/snowflake/snowflake.c loaders/snowflake/snowflake.h
stitch_load_snowflake_LDADD = libsnowflake.a $(LOADER_LIBS) $(CURL_LIBS) $(ZLIB_LIBS) -lm
