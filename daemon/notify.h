/*
 * notify.h - sd_notify without libsystemd: one datagram to $NOTIFY_SOCKET. Does nothing without it. main's thread.
 */
#ifndef STITCH_NOTIFY_H
#define STITCH_NOTIFY_H

#include "base.h"

void notify_send(const char *fmt, ...) PRINTF(1, 2); /* "READY=1\nSTATUS=..." */
int64_t notify_watchdog_interval(void);		     /* ns between WATCHDOG=1, half of what systemd asks for; 0: none */

#endif
