# sources and headers of this folder
libdaemon_a_SOURCES += daemon/state/state.h daemon/state/types.h daemon/state/seal.h daemon/state/state_priv.h \
	daemon/state/db.c daemon/state/types.c daemon/state/state.c daemon/state/open.c daemon/state/migrate.c daemon/state/backup.c \
	daemon/state/source.c daemon/state/destination.c daemon/state/journal.c daemon/state/seal.c \
	daemon/state/state_rows.h daemon/state/schema.h daemon/state/schema.c daemon/state/table.c daemon/state/batch.c daemon/state/cut.c \
	daemon/state/claim.c daemon/state/position.c daemon/state/request.c daemon/state/rewind.c daemon/state/trim.c daemon/state/job.c \
	daemon/state/load.c daemon/state/load_end.c daemon/state/prune.c daemon/state/replay.h daemon/state/replay.c daemon/state/hook.h daemon/state/hook.c daemon/state/batch_id.c daemon/state/batch_id.h

# The migrations as an array of strings, in the order of their numbers.
STATE_MIGRATIONS = daemon/state/migrations/0001.sql daemon/state/migrations/0002.sql daemon/state/migrations/0003.sql \
	daemon/state/migrations/0004.sql daemon/state/migrations/0005.sql
EXTRA_DIST += $(STATE_MIGRATIONS)
BUILT_SOURCES += daemon/state/migrations.inc
CLEANFILES += daemon/state/migrations.inc
daemon/state/migrations.inc: $(STATE_MIGRATIONS)
	$(AM_V_GEN)$(MKDIR_P) daemon/state && { echo 'static const char *const migrations[] = {'; \
	for f in $(STATE_MIGRATIONS); do \
		sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/"/' -e 's/$$/\\n"/' $(top_srcdir)/$$f && echo ',' || exit 1; \
	done; echo '};'; } >$@.tmp && mv $@.tmp $@
daemon/state/libdaemon_a-migrate.$(OBJEXT): daemon/state/migrations.inc
