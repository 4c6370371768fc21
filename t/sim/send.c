/*
 * send.c - requests, in place of the door: one queue put each, whose answer may be lost, fail, or never come. A request with an id (Idempotency-Key) or for
 * a table with keys may be sent again; one without, for an append-only table, is another one when it is sent again, so it is not.
 */
#include "sim.h"

#include "xalloc.h"

struct sending {
	LIST_ENTRY(sending) link;
	struct queue_put p;
	struct sim_request *r;
};
static LIST_HEAD(, sending) sendings = LIST_HEAD_INITIALIZER(sendings);
static uint64_t ours;

unsigned sim_request_new(unsigned table, unsigned n, const char *id)
{
	unsigned at = sim.n_requests++;
	struct sim_request *r = &sim.requests[at];

	assert(at < SIM_REQUESTS && n <= SIM_RECORDS);
	*r = (struct sim_request){.table = table, .n = n, .parts = 1};
	if (id)
		snprintf(r->id, sizeof(r->id), "%s", id);
	for (unsigned i = 0; i < n; i++)
		r->r[i] = (struct sim_record){.uid = at * SIM_RECORDS + i, .key = (int)((at + i) % SIM_KEYS), .sequence = 1 + at * SIM_RECORDS + i};
	return at;
}

static void sending_free(struct sending *s)
{
	LIST_REMOVE(s, link);
	buf_free(&s->p.bytes);
	free(s);
}

static void answered(struct queue_put *p)
{
	struct sending *s = p->arg;

	sim_say("request %d of %s id \"%s\" uid %u+%u: %s, offset %" PRIu64, (int)(s->r - sim.requests), sim_tables[s->r->table].name, s->r->id, s->r->r[0].uid, s->r->n,
		p->err.code ? p->err.text : "acknowledged", p->offset);
	if (!p->err.code)
		s->r->acked = true;
	sending_free(s);
}

/* Records from..to of the request as one queue record. */
static void encode_part(const struct sim_request *r, unsigned part, unsigned from, unsigned to, struct str id, struct buf *out)
{
	const struct sim_table *t = &sim_tables[r->table];
	struct buf text = BUF_INIT, body = BUF_INIT, shape = BUF_INIT;
	const char *keys = t->keyed ? "[\"k\"]" : "[]";
	struct qrec q = {.source_id = (uint32_t)sim.sources[t->source],
		.records = r->activate ? 0 : to - from,
		.lines = r->activate ? 1 : to - from,
		.flags = r->id[0] ? QREC_KEYED : 0,
		.part = (uint16_t)part,
		.parts = (uint16_t)r->parts,
		.received_at = sim.now.real,
		.table_version = r->version,
		.table = str_c(t->name),
		.request_id = id};

	buf_addf(&text, "{\"source\":%u,\"table\":\"%s\",\"key_names\":%s,\"schema\":null,\"types\":{\"u\":[\"integer\"],\"k\":[\"integer\"]},\"table_version\":%" PRId64 ",\"received_at\":%" PRId64 "}\n",
		q.source_id, t->name, keys, r->version, sim.now.real);
	if (r->activate)
		buf_addf(&text, "{\"action\":\"activate_version\",\"sequence\":%" PRId64 "}\n", r->r[0].sequence);
	for (unsigned i = from; i < to && !r->activate; i++)
		buf_addf(&text, "{\"action\":\"upsert\",\"sequence\":%" PRId64 ",\"data\":{\"u\":%u,\"k\":%d}}\n", r->r[i].sequence, r->r[i].uid, r->r[i].key);
	buf_addf(&shape, "%s/%" PRId64, keys, r->version);
	q.shape_hash = q.keys_hash = str_hash(buf_str(&shape));
	q.codec = (uint8_t)frame_encode(sim.frame, buf_str(&text), &body);
	q.body = buf_str(&body);
	qrec_encode(&q, out);
	buf_free(&text);
	buf_free(&body);
	buf_free(&shape);
}

void sim_send(unsigned request)
{
	struct sim_request *r = &sim.requests[request];
	struct sending *s;
	struct buf id = BUF_INIT;
	struct err e = ERR_INIT;

	if (r->tried && !r->id[0] && !sim_tables[r->table].keyed)
		return;
	r->tried = true;
	s = xcalloc(1, sizeof(*s));
	s->r = r;
	s->p.n = r->parts;
	s->p.done = answered;
	s->p.arg = s;
	LIST_INSERT_HEAD(&sendings, s, link);
	if (r->id[0])
		buf_adds(&id, r->id);
	else
		buf_addf(&id, "ours-%016" PRIx64, ++ours);
	for (unsigned k = 0; k < r->parts; k++)
		encode_part(r, k, r->n * k / r->parts, r->n * (k + 1) / r->parts, buf_str(&id), &s->p.bytes);
	if (queue_put(sim.queue, &s->p, &e))
		sending_free(s);
	buf_free(&id);
}

void sim_send_forget(void)
{
	while (!LIST_EMPTY(&sendings))
		sending_free(LIST_FIRST(&sendings));
}
