# bash and zsh completions of stitchctl; both ask `stitchctl completion-words`, so they follow shared/methods.def
bashcompletiondir = $(datadir)/bash-completion/completions
zshcompletiondir = $(datadir)/zsh/site-functions
dist_zshcompletion_DATA = completions/_stitchctl
EXTRA_DIST += completions/stitchctl.bash
install-data-hook:
	$(MKDIR_P) '$(DESTDIR)$(bashcompletiondir)'
	$(INSTALL_DATA) $(srcdir)/completions/stitchctl.bash '$(DESTDIR)$(bashcompletiondir)/stitchctl'
uninstall-hook:
	rm -f '$(DESTDIR)$(bashcompletiondir)/stitchctl'
