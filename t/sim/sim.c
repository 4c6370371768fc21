/*
 * sim.c - runs histories. Without arguments, as a test: 2,000 seeds, some fresh ones (printed), the fixed histories, and each planted bug, which must be found
 * within 2,000 seeds. `make sim SEEDS=N` runs more; a failure is shown again by its seed:
 *   t/sim/sim.tap --seeds FIRST COUNT [--bug early|no-row|ledger] [--log]      t/sim/sim.tap --fixed NAME [--log]
 */
#include "sim.h"

#include "daemon/state/state_priv.h"
#include "log.h"
#include "tap.h"

/* a sanitizer's build is for what it finds, not for the number */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SEEDS 300
#define FRESH 50
#else
#define SEEDS 2000
#define FRESH 200
#endif

/* By the linker the streamery's call of db_cut comes here: to see each batch, and for the planted bug "cursor committed without the batch row". */
int __real_db_cut(struct db *db, struct cut *c, struct err *e);
int __wrap_db_cut(struct db *db, struct cut *c, struct err *e);

static int forget_batch(struct db *db, const struct cut *c, struct err *e)
{
	struct q q;

	if (q_begin(&q, db, "DELETE FROM job WHERE batch_id = ?", e))
		return -1;
	q_text(&q, c->batch_id);
	if (q_run(&q, e) || q_begin(&q, db, "DELETE FROM batch WHERE id = ?", e))
		return -1;
	q_text(&q, c->batch_id);
	return q_run(&q, e);
}

int __wrap_db_cut(struct db *db, struct cut *c, struct err *e)
{
	if (__real_db_cut(db, c, e))
		return -1;
	sim_batch_seen(c->batch_id, c->path);
	return sim.bug == BUG_NO_ROW && c->last_offset % 5 == 0 ? forget_batch(db, c, e) : 0;
}

static uint64_t run(uint64_t first, uint64_t n, enum sim_bug bug, bool all)
{
	uint64_t bad = 0;

	for (uint64_t seed = first; seed < first + n; seed++) {
		const char *why = sim_history(seed, bug);

		if (!why)
			continue;
		bad++;
		if (all)
			diag("seed %" PRIu64 ": %s", seed, why);
		else
			diag("found with seed %" PRIu64 ", after %" PRIu64 ": %s", seed, seed - first + 1, why);
		if (!all || bad == 20)
			break;
	}
	return bad;
}

static const char *const bug_names[] = {"none", "early", "no-row", "ledger"};

static void play(const char *name)
{
	for (size_t i = 0; i < sim_fixed_len; i++) {
		const char *why;

		if (name && strcmp(name, sim_fixed[i].name) != 0)
			continue;
		why = sim_play(&sim_fixed[i]);
		ok(!why, "%s: %s", sim_fixed[i].name, sim_fixed[i].says);
		if (why)
			diag("%s", why);
	}
}

static int by_hand(int argc, char **argv)
{
	uint64_t first = 1, n = SEEDS;
	enum sim_bug bug = BUG_NONE;
	const char *fixed = NULL;
	bool show = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--seeds") == 0 && i + 2 < argc) {
			if (str_to_u64(str_c(argv[i + 1]), &first) || str_to_u64(str_c(argv[i + 2]), &n))
				return 2;
			i += 2;
		} else if (strcmp(argv[i], "--bug") == 0 && i + 1 < argc) {
			i++;
			for (unsigned b = 0; b < ARRAY_LEN(bug_names); b++)
				if (strcmp(argv[i], bug_names[b]) == 0)
					bug = (enum sim_bug)b;
		} else if (strcmp(argv[i], "--fixed") == 0 && i + 1 < argc) {
			fixed = argv[++i];
		} else if (strcmp(argv[i], "--log") == 0) {
			show = true;
		} else {
			return 2;
		}
	}
	sim_talks = show;
	log_setup(show ? LOG_LVL_DEBUG : (enum log_level)0, LOG_FMT_TEXT);
	plan_lazy();
	if (fixed)
		play(fixed);
	else
		is_int(0, (int64_t)run(first, n, bug, true), "%" PRIu64 " histories from seed %" PRIu64, n, first);
	return done_testing();
}

int main(int argc, char **argv)
{
	uint64_t fresh;

	if (argc > 1)
		return by_hand(argc, argv);
	log_setup((enum log_level)0, LOG_FMT_TEXT);
	plan_lazy();
	random_bytes(&fresh, sizeof(fresh));
	fresh = 1000000 + fresh % 1000000000;
	play(NULL);
	is_int(0, (int64_t)run(1, SEEDS, BUG_NONE, true), "%d seeds", SEEDS);
	is_int(0, (int64_t)run(fresh, FRESH, BUG_NONE, true), "%d fresh seeds from %" PRIu64, FRESH, fresh);
	for (unsigned b = 1; b < ARRAY_LEN(bug_names); b++)
		is_int(1, (int64_t)run(1, SEEDS, (enum sim_bug)b, false), "the planted bug \"%s\" is found within %d seeds", bug_names[b], SEEDS);
	return done_testing();
}
