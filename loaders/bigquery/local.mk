pkglibexec_PROGRAMS += stitch-load-bigquery
stitch_load_bigquery_CPPFLAGS = $(AM_CPPFLAGS) $(CURL_CFLAGS)
stitch_load_bigquery_SOURCES = \
	loaders/bigquery/bigquery.c loaders/bigquery/bq.h \
	loaders/bigquery/bq_api.c \
	loaders/bigquery/bq_check.c \
	loaders/bigquery/bq_load.c \
	loaders/bigquery/bq_rows.c \
	loaders/bigquery/bq_schema.c \
	loaders/bigquery/bq_upload.c loaders/bigquery/bq_upload.h
stitch_load_bigquery_LDADD = $(LOADER_LIBS) $(CURL_LIBS) $(ZLIB_LIBS)
