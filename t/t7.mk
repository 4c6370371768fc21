# family t7: check_PROGRAMS += t/unit/7NNN-name.tap (with _SOURCES, _LDADD), dist_check_SCRIPTS += t/sh/t7NNN-name.t
