noinst_LIBRARIES += libshared.a
libshared_a_SOURCES = \
	shared/base.h \
	shared/buf.c shared/buf.h \
	shared/conf.c shared/conf.h \
	shared/err.c shared/err.h \
	shared/file.c shared/file.h \
	shared/i18n.h \
	shared/log.c shared/log.h \
	shared/mailbox.c shared/mailbox.h \
	shared/map.c shared/map.h \
	shared/methods.def \
	shared/str.c shared/str.h shared/version.h \
	shared/xalloc.c shared/xalloc.h
# Each part that arrives adds its files here, in alphabetical order:
libshared_a_SOURCES += \
	shared/decimal.h shared/frame.h shared/jscan.h shared/jwrite.h shared/loop.h shared/rpc.h shared/rpc_client.h shared/timefmt.h
libshared_a_SOURCES += shared/decimal.c shared/jscan.c shared/jwrite.c shared/timefmt.c shared/utf8.h shared/transit.h shared/transit.c
libshared_a_SOURCES += shared/loop.c shared/cron.c shared/cron.h shared/zone.c shared/zone.h
libshared_a_SOURCES += shared/frame.c shared/frame_line.c shared/frame_read.c shared/rpc.c shared/rpc_client.c
libshared_a_SOURCES += shared/pattern.c shared/pattern.h
libshared_a_SOURCES += shared/http.c shared/http.h shared/s3.c shared/s3.h shared/s3_error.c shared/s3_list.c shared/s3_priv.h shared/s3_upload.c shared/xml.c shared/xml.h
