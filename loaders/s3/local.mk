pkglibexec_PROGRAMS += stitch-load-s3
noinst_LIBRARIES += libs3load.a
# what the unit tests link too
libs3load_a_SOURCES = \
	loaders/s3/s3_key.c loaders/s3/s3_key.h \
	loaders/s3/s3_text.c loaders/s3/s3_text.h
stitch_load_s3_SOURCES = \
	loaders/s3/s3_check.c \
	loaders/s3/s3_dest.c loaders/s3/s3_dest.h \
	loaders/s3/s3_load.c
stitch_load_s3_LDADD = libs3load.a libloader.a $(HTTP_LIBS)
