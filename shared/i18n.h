/*
 * i18n.h - text that a person reads goes through _(); log lines, protocol names and the `name` of an error do not.
 */
#ifndef STITCH_I18N_H
#define STITCH_I18N_H

#include "config.h"

#include <locale.h>
#if ENABLE_NLS
#include <libintl.h>
#define _(s) gettext(s)
#else
#define _(s) (s)
#define ngettext(s, p, n) ((n) == 1 ? (s) : (p))
#define bindtextdomain(d, p) ((void)0)
#define textdomain(d) ((void)0)
#endif
#define N_(s) (s)

static inline void i18n_setup(void)
{
	setlocale(LC_ALL, "");
	/* numbers in protocols and SQL are never localised */
	setlocale(LC_NUMERIC, "C");
	bindtextdomain("stitch", LOCALEDIR);
	textdomain("stitch");
}

#endif
