# family t1: check_PROGRAMS += t/unit/1NNN-name.tap (with _SOURCES, _LDADD), dist_check_SCRIPTS += t/sh/t1NNN-name.t
