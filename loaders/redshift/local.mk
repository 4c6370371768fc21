pkglibexec_PROGRAMS += stitch-load-redshift
noinst_LIBRARIES += libredshift.a
# what the unit tests link too
libredshift_a_CPPFLAGS = $(AM_CPPFLAGS) $(PQ_CFLAGS)
libredshift_a_SOURCES = loaders/redshift/rs_error.c loaders/redshift/rs_error.h
stitch_load_redshift_CPPFLAGS = $(AM_CPPFLAGS) $(PQ_CFLAGS)
stitch_load_redshift_SOURCES = \
	loaders/redshift/redshift.c loaders/redshift/redshift.h \
	loaders/redshift/rs_check.c \
	loaders/redshift/rs_copy.c \
	loaders/redshift/rs_describe.c \
	loaders/redshift/rs_load.c \
	loaders/redshift/rs_merge.c \
	loaders/redshift/rs_rows.c \
	loaders/redshift/rs_schema.c \
	loaders/redshift/rs_stage.c loaders/redshift/rs_stage.h
stitch_load_redshift_LDADD = libredshift.a libpostgres.a $(LOADER_LIBS) $(CURL_LIBS) $(PQ_LIBS) $(ZLIB_LIBS) -lm
