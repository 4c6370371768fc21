# family t8: check_PROGRAMS += t/unit/8NNN-name.tap (with _SOURCES, _LDADD), dist_check_SCRIPTS += t/sh/t8NNN-name.t
