# family t2: check_PROGRAMS += t/unit/2NNN-name.tap (with _SOURCES, _LDADD), dist_check_SCRIPTS += t/sh/t2NNN-name.t
