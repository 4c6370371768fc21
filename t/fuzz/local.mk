# Fuzz targets. Each is built twice: t/fuzz/NAME.tap replays its corpus in `make check`; with --enable-fuzzing (CC=clang) t/fuzz/NAME is libFuzzer's, run by
# `make fuzz`. New finds go to t/fuzz/corpus/NAME.
FUZZ_TARGETS =
EXTRA_DIST += t/fuzz/corpus

FUZZ_TARGETS += jscan
check_PROGRAMS += t/fuzz/jscan.tap
t_fuzz_jscan_tap_SOURCES = t/fuzz/replay.c t/fuzz/jscan.c
t_fuzz_jscan_tap_LDADD = $(ORACLE_TEST_LIBS)
if FUZZING
noinst_PROGRAMS += t/fuzz/jscan
t_fuzz_jscan_SOURCES = t/fuzz/jscan.c
t_fuzz_jscan_LDADD = $(ORACLE_TEST_LIBS)
t_fuzz_jscan_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

FUZZ_TARGETS += values
check_PROGRAMS += t/fuzz/values.tap
t_fuzz_values_tap_SOURCES = t/fuzz/replay.c t/fuzz/values.c
t_fuzz_values_tap_LDADD = $(SHARED_TEST_LIBS)
if FUZZING
noinst_PROGRAMS += t/fuzz/values
t_fuzz_values_SOURCES = t/fuzz/values.c
t_fuzz_values_LDADD = $(SHARED_TEST_LIBS)
t_fuzz_values_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

FUZZ_TARGETS += loader-rows
check_PROGRAMS += t/fuzz/loader-rows.tap
t_fuzz_loader_rows_tap_SOURCES = t/fuzz/replay.c t/fuzz/loader-rows.c
t_fuzz_loader_rows_tap_LDADD = $(LOADER_TEST_LIBS)
if FUZZING
noinst_PROGRAMS += t/fuzz/loader-rows
t_fuzz_loader_rows_SOURCES = t/fuzz/loader-rows.c
t_fuzz_loader_rows_LDADD = $(LOADER_TEST_LIBS)
t_fuzz_loader_rows_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

FUZZ_TARGETS += queue-record queue-log
check_PROGRAMS += t/fuzz/queue-record.tap t/fuzz/queue-log.tap
t_fuzz_queue_record_tap_SOURCES = t/fuzz/replay.c t/fuzz/queue-record.c
t_fuzz_queue_record_tap_LDADD = $(QUEUE_TEST_LIBS)
t_fuzz_queue_log_tap_SOURCES = t/fuzz/replay.c t/fuzz/queue-log.c
t_fuzz_queue_log_tap_LDADD = $(QUEUE_TEST_LIBS)

FUZZ_TARGETS += door
check_PROGRAMS += t/fuzz/door.tap
t_fuzz_door_tap_SOURCES = t/fuzz/replay.c t/fuzz/door.c
t_fuzz_door_tap_LDADD = $(DAEMON_TEST_LIBS)
if FUZZING
noinst_PROGRAMS += t/fuzz/door
t_fuzz_door_SOURCES = t/fuzz/door.c
t_fuzz_door_LDADD = $(DAEMON_TEST_LIBS)
t_fuzz_door_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

FUZZ_TARGETS += transit
check_PROGRAMS += t/fuzz/transit.tap
t_fuzz_transit_tap_SOURCES = t/fuzz/replay.c t/fuzz/transit.c
t_fuzz_transit_tap_LDADD = $(SHARED_TEST_LIBS)
if FUZZING
noinst_PROGRAMS += t/fuzz/transit
t_fuzz_transit_SOURCES = t/fuzz/transit.c
t_fuzz_transit_LDADD = $(SHARED_TEST_LIBS)
t_fuzz_transit_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

FUZZ_TARGETS += webhook
check_PROGRAMS += t/fuzz/webhook.tap
t_fuzz_webhook_tap_SOURCES = t/fuzz/replay.c t/fuzz/webhook.c
t_fuzz_webhook_tap_LDADD = $(DAEMON_TEST_LIBS)
if FUZZING
noinst_PROGRAMS += t/fuzz/webhook
t_fuzz_webhook_SOURCES = t/fuzz/webhook.c
t_fuzz_webhook_LDADD = $(DAEMON_TEST_LIBS)
t_fuzz_webhook_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

FUZZ_TARGETS += rpc
check_PROGRAMS += t/fuzz/rpc.tap
t_fuzz_rpc_tap_SOURCES = t/fuzz/replay.c t/fuzz/rpc.c
t_fuzz_rpc_tap_LDADD = $(SHARED_TEST_LIBS)

FUZZ_TARGETS += xml
check_PROGRAMS += t/fuzz/xml.tap
t_fuzz_xml_tap_SOURCES = t/fuzz/replay.c t/fuzz/xml.c
t_fuzz_xml_tap_LDADD = $(SHARED_TEST_LIBS)
if FUZZING
noinst_PROGRAMS += t/fuzz/xml
t_fuzz_xml_SOURCES = t/fuzz/xml.c
t_fuzz_xml_LDADD = $(SHARED_TEST_LIBS)
t_fuzz_xml_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

FUZZ_TARGETS += s3-sample
check_PROGRAMS += t/fuzz/s3-sample.tap
t_fuzz_s3_sample_tap_SOURCES = t/fuzz/replay.c t/fuzz/s3-sample.c
t_fuzz_s3_sample_tap_LDADD = $(S3_TEST_LIBS)
if FUZZING
noinst_PROGRAMS += t/fuzz/s3-sample
t_fuzz_s3_sample_SOURCES = t/fuzz/s3-sample.c
t_fuzz_s3_sample_LDADD = $(S3_TEST_LIBS)
t_fuzz_s3_sample_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

FUZZ_TARGETS += frame
check_PROGRAMS += t/fuzz/frame.tap
t_fuzz_frame_tap_SOURCES = t/fuzz/replay.c t/fuzz/frame.c
t_fuzz_frame_tap_LDADD = $(SHARED_TEST_LIBS)

if FUZZING
noinst_PROGRAMS += t/fuzz/frame
t_fuzz_frame_SOURCES = t/fuzz/frame.c
t_fuzz_frame_LDADD = $(SHARED_TEST_LIBS)
t_fuzz_frame_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
noinst_PROGRAMS += t/fuzz/rpc
t_fuzz_rpc_SOURCES = t/fuzz/rpc.c
t_fuzz_rpc_LDADD = $(SHARED_TEST_LIBS)
t_fuzz_rpc_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
noinst_PROGRAMS += t/fuzz/queue-record t/fuzz/queue-log
t_fuzz_queue_record_SOURCES = t/fuzz/queue-record.c
t_fuzz_queue_record_LDADD = $(QUEUE_TEST_LIBS)
t_fuzz_queue_record_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_queue_log_SOURCES = t/fuzz/queue-log.c
t_fuzz_queue_log_LDADD = $(QUEUE_TEST_LIBS)
t_fuzz_queue_log_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

FUZZ_TARGETS += table-schema
check_PROGRAMS += t/fuzz/table-schema.tap
t_fuzz_table_schema_tap_SOURCES = t/fuzz/replay.c t/fuzz/table-schema.c
t_fuzz_table_schema_tap_LDADD = $(DAEMON_TEST_LIBS)
if FUZZING
noinst_PROGRAMS += t/fuzz/table-schema
t_fuzz_table_schema_SOURCES = t/fuzz/table-schema.c
t_fuzz_table_schema_LDADD = $(DAEMON_TEST_LIBS)
t_fuzz_table_schema_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

# make fuzz SECONDS=20 TARGETS='jscan door': in a build with --enable-fuzzing each target runs so long; in any other one such a build is made in fuzz-build first
TARGETS = $(FUZZ_TARGETS)
FUZZ_TARGETS += jschema
check_PROGRAMS += t/fuzz/jschema.tap
t_fuzz_jschema_tap_SOURCES = t/fuzz/replay.c t/fuzz/jschema.c
t_fuzz_jschema_tap_LDADD = $(DAEMON_TEST_LIBS)
if FUZZING
noinst_PROGRAMS += t/fuzz/jschema
t_fuzz_jschema_SOURCES = t/fuzz/jschema.c
t_fuzz_jschema_LDADD = $(DAEMON_TEST_LIBS)
t_fuzz_jschema_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

FUZZ_TARGETS += cron
check_PROGRAMS += t/fuzz/cron.tap
t_fuzz_cron_tap_SOURCES = t/fuzz/replay.c t/fuzz/cron.c
t_fuzz_cron_tap_LDADD = $(SHARED_TEST_LIBS)
if FUZZING
noinst_PROGRAMS += t/fuzz/cron
t_fuzz_cron_SOURCES = t/fuzz/cron.c
t_fuzz_cron_LDADD = $(SHARED_TEST_LIBS)
t_fuzz_cron_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

.PHONY: fuzz
if FUZZING
fuzz: $(FUZZ_TARGETS:%=t/fuzz/%)
	@bad=; for t in $(TARGETS); do f=t/fuzz/found/$$t; mkdir -p $$f; \
		if ./t/fuzz/$$t -max_total_time=$(or $(SECONDS),60) -max_len=65536 -timeout=20 -artifact_prefix=$$f- $$f $(top_srcdir)/t/fuzz/corpus/$$t >$$f.log 2>&1; \
		then echo "fuzz: $$t: $$(tail -n 1 $$f.log)"; else bad="$$bad $$t"; echo "fuzz: $$t FAILED:"; tail -n 40 $$f.log; fi; done; \
	test -z "$$bad" || { echo "fuzz: failed:$$bad (inputs: t/fuzz/found/NAME-*; put them into t/fuzz/corpus/NAME when mended)"; exit 1; }
else
fuzz:
	@command -v clang >/dev/null || { echo 'make fuzz needs clang and its libFuzzer; as root: apt-get install clang libclang-rt-14-dev'; exit 1; }
	@$(MKDIR_P) fuzz-build && cd fuzz-build && { test -f Makefile || $(abs_top_srcdir)/configure -q --enable-fuzzing CC=clang CFLAGS='-g -O1'; }
	@cd fuzz-build && $(MAKE) $(AM_MAKEFLAGS) -s fuzz
endif
clean-local:
	rm -rf fuzz-build t/fuzz/found
