# Tests. Names: t/<kind>/NNNN-name; the first digit is the family (t/README). Each family has a fragment of its own.
TEST_EXTENSIONS = .t .tap
T_LOG_DRIVER = env STITCH_TOP_BUILDDIR=$(abs_top_builddir) $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
TAP_LOG_DRIVER = env STITCH_TOP_SRCDIR=$(abs_top_srcdir) $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
AM_TESTS_ENVIRONMENT = STITCH_TOP_SRCDIR=$(abs_top_srcdir); export STITCH_TOP_SRCDIR;

check_LIBRARIES += libtap.a
libtap_a_SOURCES = t/lib/tap.c t/lib/tap.h
SHARED_TEST_LIBS = libtap.a $(SHARED_LIBS)
DAEMON_TEST_LIBS = libtap.a $(DAEMON_LIBS)

include t/t0.mk
include t/t1.mk
include t/t2.mk
include t/t3.mk
include t/t4.mk
include t/t5.mk
include t/t6.mk
include t/t7.mk
include t/t8.mk
include t/t9.mk
include t/fuzz/local.mk

TESTS += $(check_PROGRAMS) $(dist_check_SCRIPTS)
EXTRA_DIST += t/README t/lib/test-lib.sh t/threads.list t/tsan.supp

# the test programs, for ./test. `all` recurses, so beside it a second make would write the same objects: one after the other
.PHONY: check-programs
check-programs: all
	@$(MAKE) $(AM_MAKEFLAGS) $(check_PROGRAMS) $(check_LIBRARIES)
