# the unit file, the user it runs as, and a sample of the settings
systemdsystemunit_DATA = systemd/stitchd.service
dist_doc_DATA = systemd/stitchd.conf systemd/stitchd.sysusers
EXTRA_DIST += systemd/stitchd.service.in
CLEANFILES += systemd/stitchd.service
systemd/stitchd.service: $(top_srcdir)/systemd/stitchd.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) systemd && $(SED) -e 's|@sbindir[@]|$(sbindir)|g' -e 's|@sysconfdir[@]|$(sysconfdir)|g' $(top_srcdir)/systemd/stitchd.service.in > $@
