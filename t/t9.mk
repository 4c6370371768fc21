# family t9: check_PROGRAMS += t/unit/9NNN-name.tap (with _SOURCES, _LDADD), dist_check_SCRIPTS += t/sh/t9NNN-name.t
EXTRA_DIST += t/lib/flights.py t/lib/parts.sh t/lib/pusher.py
