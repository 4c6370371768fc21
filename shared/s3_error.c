/*
 * s3_error.c - what an answer of S3 that is no success means: its code and message out of the XML, whether to try again, and what a person does about it.
 *
 * Servers differ: some send no body (HEAD never has one), so the status alone must do; versitygw says XAdminUserNotFound for an unknown access key. What can go wrong: a
 * code that we do not know: then the class of its status decides (5xx: again, 4xx: a person). The message is the server's text, cut and without control characters.
 */
#include "s3_priv.h"
#include "xml.h"

enum meaning { M_AGAIN, M_SKEW, M_ABSENT, M_THERE, M_KEYS, M_RIGHT, M_TOKEN, M_BUCKET, M_REGION, M_FULL, M_SIZE, M_KMS, M_UPLOAD, M_OTHER };

static const struct { const char *code; enum meaning m; } known[] = {
	{"SlowDown", M_AGAIN}, {"InternalError", M_AGAIN}, {"ServiceUnavailable", M_AGAIN}, {"RequestTimeout", M_AGAIN}, {"OperationAborted", M_AGAIN}, {"Busy", M_AGAIN},
	{"BadDigest", M_AGAIN}, {"XAmzContentSHA256Mismatch", M_AGAIN}, {"IncompleteBody", M_AGAIN}, {"ConditionalRequestConflict", M_AGAIN}, {"TooManyRequests", M_AGAIN},
	{"SlowDownRead", M_AGAIN}, {"SlowDownWrite", M_AGAIN}, {"ThrottlingException", M_AGAIN}, {"XMinioServerNotInitialized", M_AGAIN},
	{"RequestTimeTooSkewed", M_SKEW}, {"NoSuchKey", M_ABSENT}, {"PreconditionFailed", M_THERE}, {"NoSuchUpload", M_UPLOAD}, {"InvalidPart", M_UPLOAD},
	{"InvalidAccessKeyId", M_KEYS}, {"XAdminUserNotFound", M_KEYS}, {"SignatureDoesNotMatch", M_KEYS}, {"AccessDenied", M_RIGHT}, {"AllAccessDisabled", M_RIGHT},
	{"AccountProblem", M_RIGHT}, {"UnauthorizedAccess", M_RIGHT}, {"ExpiredToken", M_TOKEN}, {"InvalidToken", M_TOKEN}, {"TokenRefreshRequired", M_TOKEN},
	{"NoSuchBucket", M_BUCKET}, {"InvalidBucketName", M_BUCKET}, {"PermanentRedirect", M_REGION}, {"TemporaryRedirect", M_REGION},
	{"AuthorizationHeaderMalformed", M_REGION}, {"IllegalLocationConstraintException", M_REGION}, {"XMinioStorageFull", M_FULL}, {"QuotaExceeded", M_FULL},
	{"XMinioAdminBucketQuotaExceeded", M_FULL}, {"EntityTooLarge", M_SIZE}, {"KeyTooLongError", M_SIZE}, {"InvalidEncryptionAlgorithmError", M_KMS},
};

static enum meaning by_status(const struct s3 *s, const struct s3_call *c)
{
	switch (s->status) {
	case 301:
	case 307:
		return M_REGION;
	case 403:
		return M_RIGHT;
	case 404:
		return c->key ? M_ABSENT : M_BUCKET;
	case 408:
	case 429:
		return M_AGAIN;
	case 409:
		return M_AGAIN;
	case 412:
		return M_THERE;
	case 507:
		return M_FULL;
	default:
		return s->status >= 500 && s->status != 501 ? M_AGAIN : M_OTHER;
	}
}

static enum meaning meaning_of(const struct s3 *s, const struct s3_call *c)
{
	for (size_t k = 0; k < ARRAY_LEN(known); k++)
		if (strcmp(s->code, known[k].code) == 0)
			return known[k].m;
	if (strncmp(s->code, "KMS.", 4) == 0)
		return M_KMS;
	return by_status(s, c);
}

static void take_text(struct str xml, const char *path, char *out, size_t size)
{
	struct buf b = BUF_INIT;

	out[0] = '\0';
	if (xml_find(xml, path, &b)) {
		for (size_t k = 0; k < b.len; k++)
			if ((unsigned char)b.data[k] < 0x20 || b.data[k] == 0x7f)
				b.data[k] = ' ';
		str_copy(out, size, str_trim(buf_str(&b)));
	}
	buf_free(&b);
}

static void fix_region(struct s3 *s)
{
	struct str told = http_header(&s->answer, "x-amz-bucket-region");
	char region[64];

	take_text(buf_str(&s->answer.body), "Error/Region", region, sizeof(region));
	if (!region[0])
		str_copy(region, sizeof(region), told);
	if (region[0])
		snprintf(s->fix, sizeof(s->fix), "set region to %s: that is where the bucket \"%s\" is", region, s->bucket);
	else
		snprintf(s->fix, sizeof(s->fix), "set region to the one where the bucket \"%s\" is, not %s", s->bucket, s->region);
}

static void fix_right(struct s3 *s, const struct s3_call *c)
{
	const char *action = !c->key ? "s3:ListBucket" : strcmp(c->method, "GET") == 0 || strcmp(c->method, "HEAD") == 0 ? "s3:GetObject" :
		strcmp(c->method, "DELETE") == 0 ? c->query ? "s3:AbortMultipartUpload" : "s3:DeleteObject" : "s3:PutObject";

	snprintf(s->fix, sizeof(s->fix), "allow %s on arn:aws:s3:::%s%s to the owner of the access key", action, s->bucket, c->key ? "/*" : "");
	/* without the right to list, Amazon says "denied" of an object that is not there */
	if (strcmp(action, "s3:GetObject") == 0)
		snprintf(s->fix, sizeof(s->fix), "allow s3:GetObject on arn:aws:s3:::%s/* and s3:ListBucket on arn:aws:s3:::%s to the owner of the access key", s->bucket, s->bucket);
}

static const char *show(const struct s3 *s, char out[400])
{
	if (s->code[0])
		snprintf(out, 400, "%s%s%s", s->code, s->message[0] ? ", " : "", s->message);
	else
		snprintf(out, 400, "status %u", s->status);
	return out;
}

/* Who and what, for the beginning of every text. */
static void place(const struct s3 *s, const struct s3_call *c, char out[300])
{
	if (c->key)
		snprintf(out, 300, "cannot %s \"%.120s\" in bucket \"%s\"", c->what, c->key, s->bucket);
	else
		snprintf(out, 300, "cannot %s the bucket \"%s\"", c->what, s->bucket);
}

static enum s3_verdict no_answer(struct s3 *s, const struct s3_call *c, struct err *e)
{
	char where[300];

	place(s, c, where);
	if (e->code == ERR_CONFIG || e->code == ERR_TRANSIENT)
		snprintf(s->fix, sizeof(s->fix), "see that the endpoint %s is right, up and can be reached from this machine", s->endpoint);
	err_wrap(e, "%s", where);
	return e->code == ERR_TRANSIENT || e->code == ERR_TIMEOUT ? S3_AGAIN : S3_FAIL;
}

static int permanent(struct s3 *s, const struct s3_call *c, enum meaning m, const char *where, const char *said, struct err *e)
{
	switch (m) {
	case M_ABSENT:
		return err_set(e, ERR_NOT_FOUND, "%s: there is no such object", where);
	case M_THERE:
		return err_set(e, ERR_EXISTS, "%s: it is there already", where);
	case M_UPLOAD:
		return err_set(e, ERR_TRANSIENT, "%s: the upload was ended by somebody else (%s)", where, said);
	case M_FULL:
		return err_set(e, ERR_FULL, "%s: %s", where, said);
	case M_SIZE:
		return err_set(e, ERR_INVALID, "%s: %s", where, said);
	case M_KEYS:
		snprintf(s->fix, sizeof(s->fix), "set access_key and secret_key to a pair that %s knows", s->host);
		break;
	case M_TOKEN:
		snprintf(s->fix, sizeof(s->fix), "set access_key, secret_key and session_token to new ones: these have ended or belong to another account");
		break;
	case M_BUCKET:
		snprintf(s->fix, sizeof(s->fix), "make the bucket \"%s\" at %s, or set bucket to one that is there", s->bucket, s->host);
		break;
	case M_SKEW:
		snprintf(s->fix, sizeof(s->fix), "set this machine's clock: it is more than 15 minutes off");
		break;
	case M_KMS:
		snprintf(s->fix, sizeof(s->fix), "see that the KMS key of the setting sse is there and that the owner of the access key may use it");
		break;
	case M_REGION:
		fix_region(s);
		break;
	case M_RIGHT:
		fix_right(s, c);
		break;
	default:
		break;
	}
	return err_set(e, ERR_CONFIG, "%s: %s", where, said);
}

enum s3_verdict s3_judge(struct s3 *s, const struct s3_call *c, struct err *e)
{
	char where[300], said[400];
	enum meaning m;

	s->status = s->answer.status;
	s->code[0] = s->message[0] = '\0';
	if (!s->status)
		return no_answer(s, c, e);
	if (s->answer.body.len) {
		take_text(buf_str(&s->answer.body), "Error/Code", s->code, sizeof(s->code));
		take_text(buf_str(&s->answer.body), "Error/Message", s->message, sizeof(s->message));
	}
	m = meaning_of(s, c);
	place(s, c, where);
	show(s, said);
	if (m == M_AGAIN) {
		err_set(e, ERR_TRANSIENT, "%s: %s", where, said);
		return S3_AGAIN;
	}
	permanent(s, c, m, where, said, e);
	return m == M_SKEW ? S3_SKEW : S3_FAIL;
}
