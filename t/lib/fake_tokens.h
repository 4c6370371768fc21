/*
 * fake_tokens.h - a double of the state for the door's tests: tokens at_good (source 7, client 1), at_paused (8), at_deleted (9).
 */
#ifndef STITCH_FAKE_TOKENS_H
#define STITCH_FAKE_TOKENS_H

#include "daemon/state/state.h"

struct state *fake_tokens(void);
void fake_tokens_changed(void);		/* bumps state_config_version */
extern _Atomic unsigned fake_lookups;	/* how often a token was looked up */
extern _Atomic bool fake_paused;	/* source 7 is paused, as of the next change */
extern _Atomic bool fake_sick;		/* look-ups fail */

#endif
