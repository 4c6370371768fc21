# family t9: check_PROGRAMS += t/unit/9NNN-name.tap (with _SOURCES, _LDADD), dist_check_SCRIPTS += t/sh/t9NNN-name.t
EXTRA_DIST += t/lib/flights.py t/lib/parts.sh t/lib/pusher.py t/lib/pipeline.sh t/lib/cutdisk.sh
dist_check_SCRIPTS += t/sh/t9010-crashpoints.t t/sh/t9011-kills.t t/sh/t9020-powercut.t t/sh/t9021-refusing.t
dist_check_SCRIPTS += t/sh/t9030-diskfull.t t/sh/t9040-outage.t t/sh/t9050-corrupt.t t/sh/t9060-badinput.t t/sh/t9061-oddinput.t
dist_check_SCRIPTS += t/sh/t9070-memory.t t/sh/t9080-again.t
# rounds of power cuts and of disks that refuse, through the whole chain
.PHONY: faults
faults: all
	for t in t9020-powercut t9021-refusing; do ROUNDS=$${ROUNDS:-100} STITCH_TOP_SRCDIR=$(abs_top_srcdir) STITCH_BUILD=$(abs_top_builddir) $(top_srcdir)/t/sh/$$t.t || exit 1; done
# the simulator: make sim SEEDS=100000
check_PROGRAMS += t/sim/sim.tap
t_sim_sim_tap_SOURCES = t/sim/sim.c t/sim/sim.h t/sim/world.c t/sim/send.c t/sim/dest.c t/sim/check.c t/sim/history.c t/sim/fixed.c
t_sim_sim_tap_LDADD = $(DAEMON_TEST_LIBS)
t_sim_sim_tap_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=db_cut
.PHONY: sim
sim: t/sim/sim.tap
	t/sim/sim.tap --seeds $${FIRST:-1} $${SEEDS:-20000}
dist_check_SCRIPTS += t/sh/t9001-flights.t
# figures for a note: t/perf/README
EXTRA_DIST += t/perf/README t/perf/perf-lib.sh t/perf/rounds.py t/perf/post.lua t/perf/visible.py t/perf/push-bodies.py t/perf/tree-cpu.py
EXTRA_DIST += t/perf/p1-push.sh t/perf/p2-visible.sh t/perf/p3-drain.sh t/perf/p4-console.sh t/perf/p5-daemon.sh t/perf/p6-tables.sh
.PHONY: figures
figures: all
	for p in p1-push p2-visible p3-drain p4-console p5-daemon p6-tables; do STITCH_TOP_SRCDIR=$(abs_top_srcdir) STITCH_BUILD=$(abs_top_builddir) $(top_srcdir)/t/perf/$$p.sh || exit 1; done
# requests of all kinds at once: make mix SECONDS=90, in the builds with sanitizers
EXTRA_DIST += t/lib/mix.py t/mix/mix.sh
.PHONY: mix
mix: all
	MIX_SECONDS=$(SECONDS) STITCH_TOP_SRCDIR=$(abs_top_srcdir) STITCH_BUILD=$(abs_top_builddir) bash $(top_srcdir)/t/mix/mix.sh
