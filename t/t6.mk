# family t6: check_PROGRAMS += t/unit/6NNN-name.tap (with _SOURCES, _LDADD), dist_check_SCRIPTS += t/sh/t6NNN-name.t
