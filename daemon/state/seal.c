/*
 * seal.c - AES-256-GCM by libcrypto for secrets that lie in state.db, under one key of 32 bytes. The key is the machine's: $CREDENTIALS_DIRECTORY/stitch.key where
 * systemd gives one, else STATE_DIR/secret.key, made at the first start. The nonce is random: 96 bits are enough for the few values that an install ever seals. A wrong
 * key shows as a tag that does not fit, never as a wrong secret. A value without the prefix was never sealed and is passed on as it is.
 */
#include "daemon/state/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* OpenSSL has a type with the name of one of our error codes */
#define ERR_STATE OPENSSL_ERR_STATE
#include <openssl/evp.h>
#undef ERR_STATE

#include "daemon/core/now.h"
#include "file.h"
#include "log.h"
#include "xalloc.h"

#define KEY_LEN 32
#define NONCE_LEN 12
#define TAG_LEN 16
#define PREFIX "sealed:"
#define KEY_FILE "secret.key"
#define PLAIN_MAX (1u << 20) /* a secret is a password or a key file */

struct seal {
	unsigned char key[KEY_LEN];
	char *path; /* for messages */
};

/* --- the key --- */

static int read_key(struct seal *s, struct err *e)
{
	struct buf b = BUF_INIT;
	struct stat st;
	int rc = file_read(s->path, KEY_LEN, &b, e);

	if (rc && e && e->code == ERR_INVALID)
		err_set(e, ERR_CORRUPT, "%s: a key has %d bytes, this file has more: restore it from a backup", s->path, KEY_LEN);
	else if (!rc && b.len != KEY_LEN)
		rc = err_set(e, ERR_CORRUPT, "%s: a key has %d bytes, this file has %zu: restore it from a backup", s->path, KEY_LEN, b.len);
	if (!rc) {
		memcpy(s->key, b.data, KEY_LEN);
		if (stat(s->path, &st) == 0 && (st.st_mode & 077) && strstr(s->path, KEY_FILE))
			log_warn("%s can be read by others (mode %04o): chmod 600 it", s->path, (unsigned)st.st_mode & 07777);
	}
	if (b.data)
		explicit_bzero(b.data, b.cap);
	buf_free(&b);
	return rc;
}

/* Whole or not there: written under another name, and linked to its own only if that is free. */
static int make_key(struct seal *s, const char *dir, struct err *e)
{
	uint64_t r;
	char *tmp;
	int fd, rc = -1;

	random_bytes(&r, sizeof(r));
	random_bytes(s->key, KEY_LEN);
	tmp = xasprintf("%s/.tmp-%016" PRIx64, dir, r);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		err_errno(e, errno, "%s", s->path);
		goto out;
	}
	rc = file_write_all(fd, s->key, KEY_LEN, -1, e);
	if (!rc)
		rc = file_fsync(fd, e);
	if (close(fd) && !rc)
		rc = err_errno(e, errno, "%s", s->path);
	if (!rc && link(tmp, s->path))
		rc = err_errno(e, errno, "%s", s->path);
	if (!rc)
		rc = file_sync_dir(dir, e);
	unlink(tmp);
out:
	free(tmp);
	return rc;
}

struct seal *seal_open(const char *state_dir, struct err *e)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");
	struct seal *s = xcalloc(1, sizeof(*s));

	if (credentials && *credentials) {
		s->path = xasprintf("%s/stitch.key", credentials);
		if (access(s->path, F_OK) == 0) {
			if (read_key(s, e))
				goto fail;
			return s;
		}
		free(s->path);
	}
	s->path = xasprintf("%s/" KEY_FILE, state_dir);
	if (file_mkdirs(state_dir, 0750, e))
		goto fail;
	if (access(s->path, F_OK) == 0 ? read_key(s, e) : make_key(s, state_dir, e))
		goto fail;
	return s;
fail:
	seal_close(s);
	return NULL;
}

void seal_close(struct seal *s)
{
	if (!s)
		return;
	explicit_bzero(s->key, sizeof(s->key));
	free(s->path);
	free(s);
}

/* --- sealing --- */

/* Libcrypto fails here only when memory is exhausted or it is installed wrongly. */
static void must(int ok)
{
	if (ok != 1)
		abort();
}

void seal_put(const struct seal *s, struct str plain, struct buf *out)
{
	size_t len = NONCE_LEN + plain.len + TAG_LEN, text_len = 4 * ((len + 2) / 3);
	unsigned char *raw = xmalloc(len);
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n;

	assert(plain.len <= PLAIN_MAX);
	must(c != NULL);
	random_bytes(raw, NONCE_LEN);
	must(EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, s->key, raw));
	n = 0;
	if (plain.len)
		must(EVP_EncryptUpdate(c, raw + NONCE_LEN, &n, (const unsigned char *)plain.ptr, (int)plain.len));
	assert((size_t)n == plain.len);
	must(EVP_EncryptFinal_ex(c, raw + NONCE_LEN + n, &n));
	must(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_LEN, raw + NONCE_LEN + plain.len));
	EVP_CIPHER_CTX_free(c);
	buf_adds(out, PREFIX);
	buf_reserve(out, text_len);
	n = EVP_EncodeBlock((unsigned char *)out->data + out->len, raw, (int)len);
	assert((size_t)n == text_len);
	out->len += text_len;
	free(raw);
}

static int open_raw(const struct seal *s, const unsigned char *raw, size_t len, struct buf *out)
{
	size_t plain_len = len - NONCE_LEN - TAG_LEN, before = out->len;
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n = 0, ok;

	must(c != NULL);
	must(EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, s->key, raw));
	buf_reserve(out, plain_len);
	if (plain_len)
		must(EVP_DecryptUpdate(c, (unsigned char *)out->data + before, &n, raw + NONCE_LEN, (int)plain_len));
	must(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_LEN, (void *)(uintptr_t)(raw + NONCE_LEN + plain_len)));
	ok = EVP_DecryptFinal_ex(c, (unsigned char *)out->data + before + n, &n) == 1;
	EVP_CIPHER_CTX_free(c);
	if (ok)
		out->len = before + plain_len;
	else if (plain_len)
		explicit_bzero(out->data + before, plain_len); /* what was decrypted with a wrong key is nobody's */
	out->data[out->len] = '\0';
	return ok ? 0 : -1;
}

int seal_get(const struct seal *s, struct str sealed, struct buf *out, struct err *e)
{
	struct str text;
	unsigned char *raw;
	int n, rc = -1;
	size_t pad = 0;

	if (!str_starts(sealed, STR(PREFIX))) {
		buf_addstr(out, sealed);
		return 0;
	}
	text = str_mem(sealed.ptr + strlen(PREFIX), sealed.len - strlen(PREFIX));
	if (text.len % 4 || text.len < 4 || text.len > 2 * PLAIN_MAX)
		return err_set(e, ERR_CORRUPT, "a sealed value is cut or damaged: set it again");
	raw = xmalloc(text.len);
	n = EVP_DecodeBlock(raw, (const unsigned char *)text.ptr, (int)text.len);
	/* it takes blanks for nothing, and padding for zeros */
	while (pad < 2 && text.ptr[text.len - 1 - pad] == '=')
		pad++;
	if (n == (int)(text.len / 4 * 3) && (size_t)n - pad >= NONCE_LEN + TAG_LEN)
		rc = open_raw(s, raw, (size_t)n - pad, out);
	free(raw);
	if (rc)
		return err_set(e, ERR_CORRUPT, "a sealed value does not open with the key %s: restore the key that was there when it was set, or set the value again", s->path);
	return 0;
}

/* --- tokens --- */

void seal_hash_token(struct str token, unsigned char out[32])
{
	must(EVP_Digest(token.len ? token.ptr : "", token.len, out, NULL, EVP_sha256(), NULL));
}

void seal_new_token(char out[48])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char r[20];

	random_bytes(r, sizeof(r));
	memcpy(out, "at_", 3);
	for (size_t i = 0; i < sizeof(r); i++) {
		out[3 + 2 * i] = digits[r[i] >> 4];
		out[4 + 2 * i] = digits[r[i] & 15];
	}
	out[43] = '\0';
	explicit_bzero(r, sizeof(r));
}
