/*
 * 5003-seal.c - sealing of secrets: round trips, tampering, wrong keys, the key file and its mode, systemd's credentials, tokens.
 */
#include "tap.h"

#include <sys/stat.h>
#include <unistd.h>

#include "daemon/state/seal.h"
#include "file.h"
#include "log.h"
#include "xalloc.h"

static char dir[] = "/tmp/5003-seal-" "XX" "XX" "XX";

static struct seal *open_at(const char *where)
{
	struct err e = ERR_INIT;
	struct seal *s = seal_open(where, &e);

	if (!s)
		bail("%s", e.text);
	return s;
}

static void round_trip(struct seal *s, struct str plain)
{
	struct buf sealed = BUF_INIT, out = BUF_INIT;
	struct err e = ERR_INIT;

	buf_adds(&out, "before ");
	seal_put(s, plain, &sealed);
	ok(str_starts(buf_str(&sealed), STR("sealed:")) && sealed.data[sealed.len] == '\0', "%zu bytes are sealed as text", plain.len);
	ok(seal_get(s, buf_str(&sealed), &out, &e) == 0 && out.len == 7 + plain.len && memcmp(out.data + 7, plain.ptr, plain.len) == 0,
		"and come back: %s", e.text);
	buf_free(&sealed);
	buf_free(&out);
}

static void test_values(struct seal *s)
{
	struct buf a = BUF_INIT, b = BUF_INIT, out = BUF_INIT;
	struct err e = ERR_INIT;
	unsigned opened = 0, changed = 0;
	char big[5000];

	memset(big, 'k', sizeof(big));
	round_trip(s, STR("a password"));
	round_trip(s, STR(""));
	round_trip(s, STR("x"));
	round_trip(s, STR("\0\n\xff\0"));
	round_trip(s, str_mem(big, sizeof(big)));
	seal_put(s, STR("the same"), &a);
	seal_put(s, STR("the same"), &b);
	ok(!str_eq(buf_str(&a), buf_str(&b)), "the same value is sealed differently each time");
	ok(!strstr(a.data, "same"), "and is not to be read in it");
	for (size_t i = 7; i < a.len; i++) {
		char was = a.data[i];

		a.data[i] = was == 'A' ? 'B' : 'A';
		opened += seal_get(s, buf_str(&a), &out, &e) == 0;
		changed += out.len != 0 || e.code != ERR_CORRUPT;
		a.data[i] = was;
	}
	is_int(0, opened, "no changed digit is taken");
	is_int(0, changed, "and nothing is given out");
	for (size_t n = 7; n < a.len; n++)
		opened += seal_get(s, str_mem(a.data, n), &out, &e) == 0;
	is_int(0, opened, "nor a cut value");
	ok(seal_get(s, STR("sealed:===="), &out, &e) == -1 && seal_get(s, STR("sealed:\xff\xff\xff\xff"), &out, &e) == -1, "nor nonsense");
	is_int(0, seal_get(s, STR("plain text"), &out, &e), "what was never sealed");
	is_str("plain text", buf_cstr(&out), "is given back as it is");
	buf_free(&a);
	buf_free(&b);
	buf_free(&out);
}

static void test_keys(void)
{
	char *key = xasprintf("%s/secret.key", dir), *credentials = xasprintf("%s/credentials", dir), *other = xasprintf("%s/stitch.key", credentials);
	struct seal *s = open_at(dir), *t;
	struct buf sealed = BUF_INIT, out = BUF_INIT;
	struct err e = ERR_INIT;
	struct stat st;

	ok(stat(key, &st) == 0 && (st.st_mode & 07777) == 0600 && st.st_size == 32, "the first start makes a key of 32 bytes for its owner only");
	test_values(s);
	seal_put(s, STR("kept"), &sealed);
	seal_close(s);
	s = open_at(dir);
	ok(seal_get(s, buf_str(&sealed), &out, &e) == 0 && str_eqc(buf_str(&out), "kept"), "the next start opens what the last one sealed");
	seal_close(s);
	if (mkdir(credentials, 0700) || file_commit(credentials, "stitch.key", "0123456789abcdef0123456789abcdef", 32, &e))
		bail("%s", e.text);
	setenv("CREDENTIALS_DIRECTORY", credentials, 1);
	t = open_at(dir);
	buf_truncate(&out, 0);
	ok(seal_get(t, buf_str(&sealed), &out, &e) == -1 && e.code == ERR_CORRUPT && strstr(e.text, other), "systemd's key comes first; a wrong key says which: %s", e.text);
	is_int(0, (int64_t)out.len, "and gives nothing out");
	seal_close(t);
	unlink(other);
	s = open_at(dir);
	ok(seal_get(s, buf_str(&sealed), &out, &e) == 0, "a credentials folder without a key of ours changes nothing");
	seal_close(s);
	unsetenv("CREDENTIALS_DIRECTORY");
	if (file_commit(dir, "secret.key", "short", 5, &e))
		bail("%s", e.text);
	ok(!seal_open(dir, &e) && e.code == ERR_CORRUPT, "a key of the wrong size is refused, never replaced: %s", e.text);
	unlink(key);
	rmdir(credentials);
	free(key);
	free(credentials);
	free(other);
	buf_free(&sealed);
	buf_free(&out);
}

static void test_tokens(void)
{
	char a[48], b[48], hex[65] = "";
	unsigned char h[32];

	seal_new_token(a);
	seal_new_token(b);
	ok(strlen(a) == 43 && strncmp(a, "at_", 3) == 0 && strspn(a + 3, "0123456789abcdef") == 40, "a token: %.6s...", a);
	ok(strcmp(a, b) != 0, "and another one");
	seal_hash_token(STR("abc"), h);
	for (size_t i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", h[i]);
	is_str("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", hex, "its hash is sha256");
}

int main(void)
{
	plan_lazy();
	log_setup(LOG_LVL_ERR, LOG_FMT_TEXT);
	unsetenv("CREDENTIALS_DIRECTORY");
	if (!mkdtemp(dir))
		bail("no temporary folder");
	test_keys();
	test_tokens();
	rmdir(dir);
	return done_testing();
}
