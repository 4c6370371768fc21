# the unit file, the user it runs as, and the settings, all of them with their defaults
systemdsystemunit_DATA = systemd/stitchd.service
dist_doc_DATA = systemd/stitchd.conf systemd/stitchd.sysusers
EXTRA_DIST += systemd/stitchd.service.in
CLEANFILES += systemd/stitchd.service
systemd/stitchd.service: $(top_srcdir)/systemd/stitchd.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) systemd && $(SED) -e 's|@sbindir[@]|$(sbindir)|g' -e 's|@sysconfdir[@]|$(sysconfdir)|g' $(top_srcdir)/systemd/stitchd.service.in > $@
# /etc/stitch/stitchd.conf, which the unit reads; one that is there is not touched
stitchconfdir = $(sysconfdir)/stitch
install-data-local:
	$(MKDIR_P) '$(DESTDIR)$(stitchconfdir)'
	test -e '$(DESTDIR)$(stitchconfdir)/stitchd.conf' || $(INSTALL_DATA) $(srcdir)/systemd/stitchd.conf '$(DESTDIR)$(stitchconfdir)/stitchd.conf'
uninstall-local:
	! cmp -s $(srcdir)/systemd/stitchd.conf '$(DESTDIR)$(stitchconfdir)/stitchd.conf' || rm -f '$(DESTDIR)$(stitchconfdir)/stitchd.conf'
