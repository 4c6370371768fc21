# loaders: the runtime that all share, and one program for each kind of destination
noinst_LIBRARIES += libloader.a
libloader_a_SOURCES = \
	loaders/runtime/job.c loaders/runtime/job.h \
	loaders/runtime/layout.h \
	loaders/runtime/loader.h \
	loaders/runtime/plan.h \
	loaders/runtime/rows.h
LOADER_LIBS = libloader.a $(SHARED_LIBS)
