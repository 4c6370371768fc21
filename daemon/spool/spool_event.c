/*
 * spool_event.c - what travels from a loader port to the spool. Apart from the stage, so that a port can be tested without one.
 */
#include "daemon/spool/spool.h"

void spool_event_free(struct spool_event *ev)
{
	if (!ev)
		return;
	for (size_t k = 0; k < ev->n_rejects; k++) {
		struct reject_row *r = &ev->rejects[k];

		free(r->field);
		free(r->value);
		free(r->reason);
		free(r->raw);
	}
	free(ev->rejects);
	free(ev->results);
	free(ev);
}
