# family t3: check_PROGRAMS += t/unit/3NNN-name.tap (with _SOURCES, _LDADD), dist_check_SCRIPTS += t/sh/t3NNN-name.t
