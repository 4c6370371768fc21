# family t4: check_PROGRAMS += t/unit/4NNN-name.tap (with _SOURCES, _LDADD), dist_check_SCRIPTS += t/sh/t4NNN-name.t
