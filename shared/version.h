/* version.h - the version of this build. */
#ifndef STITCH_VERSION_H
#define STITCH_VERSION_H

/* From configure.ac; what --version and system.hello say. */
#include "config.h"

#define STITCH_VERSION PACKAGE_VERSION

#endif
