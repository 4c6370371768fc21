# family t5: check_PROGRAMS += t/unit/5NNN-name.tap (with _SOURCES, _LDADD), dist_check_SCRIPTS += t/sh/t5NNN-name.t
