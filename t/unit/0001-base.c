/*
 * 0001-base.c - the small tools that everything stands on: slices, buffers, errors, maps, mailboxes, durations and sizes.
 */
#include "tap.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "buf.h"
#include "err.h"
#include "file.h"
#include "mailbox.h"
#include "map.h"
#include "xalloc.h"

static void test_str(void)
{
	uint64_t u = 7;
	int64_t i = 7;
	unsigned char raw[2];

	ok(!str_to_i64(STR("-9223372036854775808"), &i) && i == INT64_MIN, "the smallest int64");
	ok(str_to_i64(STR("9223372036854775808"), &i) == -1, "one more than the largest int64 is refused");
	ok(str_to_u64(STR("12x"), &u) == -1 && u == 7, "trailing text is refused and leaves the target alone");
	ok(!str_to_bytes(STR("64M"), &u) && u == 64u << 20, "64M");
	ok(!str_to_bytes(STR("1GiB"), &u) && u == 1u << 30, "1GiB");
	ok(str_to_bytes(STR("1X"), &u) == -1, "an unknown unit is refused");
	ok(!str_to_duration(STR("250ms"), &i) && i == 250 * NSEC_PER_MSEC, "250ms");
	ok(!str_to_duration(STR("7d"), &i) && i == 7 * 86400 * NSEC_PER_SEC, "7d");
	ok(str_to_duration(STR("99999999999999d"), &i) == -1, "a duration that overflows is refused");
	ok(!str_from_hex(STR("fF00"), raw, 2) && raw[0] == 0xff && raw[1] == 0, "hex");
	ok(str_cmp(STR("ab"), STR("abc")) < 0 && str_cmp(STR("b"), STR("abc")) > 0, "order by bytes, then length");
}

static void test_buf(void)
{
	struct buf b = BUF_INIT;
	char *p;
	size_t n;

	is_str("", buf_cstr(&b), "an empty buffer is an empty string");
	for (int k = 0; k < 1000; k++)
		buf_addf(&b, "%d,", k);
	is_int(3890, (int64_t)b.len, "a thousand numbers");
	buf_consume(&b, 2);
	ok(str_starts(buf_str(&b), STR("1,2,")), "consumed at the front");
	p = buf_detach(&b, &n);
	ok(n == 3888 && strlen(p) == n && !b.data, "detached");
	free(p);
}

static void test_err(void)
{
	struct err e = ERR_INIT;

	is_int(-1, err_errno(&e, ENOSPC, "segment %d", 3), "err_errno returns -1");
	is_int(ERR_FULL, e.code, "ENOSPC means full");
	err_wrap(&e, "queue");
	is_str("queue: segment 3: No space left on device", e.text, "wrapped text");
}

static void test_map(void)
{
	struct map m = {NULL};
	int one = 1, two = 2;

	ok(!map_put(&m, STR("a"), &one) && map_put(&m, STR("a"), &two) == &one, "put returns what was there");
	ok(map_get(&m, STR("a")) == &two && !map_get(&m, STR("b")), "get");
	ok(map_del(&m, STR("a")) == &two && map_len(&m) == 0, "del");
	map_free(&m, NULL);
}

static void test_mailbox(void)
{
	struct mailbox *mb = mailbox_new(2, 100);
	struct msg a = {.bytes = 60}, b = {.bytes = 60}, c = {.bytes = 1}, d = {.bytes = 1};
	struct msg *l;

	ok(!mailbox_put(mb, &a), "the first message");
	is_int(-1, mailbox_put(mb, &b), "the second would pass the byte limit");
	ok(!mailbox_put(mb, &c), "a small one fits");
	is_int(-1, mailbox_put(mb, &d), "the third would pass the count limit");
	mailbox_reply(mb, &b);
	l = mailbox_take(mb, 10, 61);
	ok(l == &a && l->next == &c && !c.next, "take stops at the byte limit, in order");
	ok(mailbox_take(mb, 10, 1000) == &b && !mailbox_take(mb, 10, 1000), "the rest, then nothing");
	mailbox_wake(mb);
	mailbox_wait(mb, NEVER);
	ok(true, "a wake ends the wait");
	mailbox_close(mb);
	is_int(-1, mailbox_put(mb, &a), "closed: refused");
	mailbox_free(mb);
}

static void test_cold(void)
{
	struct err e = ERR_INIT;
	int fd = memfd_create("cold", MFD_CLOEXEC);

	ok(fd >= 0 && file_write_all(fd, "x", 1, 0, &e) == 0, "a file that has no disk");
	is_int(0, file_go_cold(fd, &e), "has no page that could be dropped: %s", e.text);
	close(fd);
}

int main(void)
{
	plan_lazy();
	test_str();
	test_cold();
	test_buf();
	test_err();
	test_map();
	test_mailbox();
	return done_testing();
}
