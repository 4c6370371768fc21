/*
 * rs_error.c - Redshift's complaints to classes: first by words, because its own conflicts, S3's answers to its COPY and the state of the cluster all come with
 * XX000 (or none), then by SQLSTATE as in PostgreSQL. What names S3 and is not known is tried again: S3's own troubles pass; its refusals that do not are listed.
 */
#include "loaders/redshift/rs_error.h"

#include "loaders/postgres/pg_error.h"

#include "str.h"

#define READS "let it do s3:GetObject on the staged files and s3:ListBucket on the bucket (stitchctl destination check shows the policy)"

struct rule {
	const char *words;
	enum err_code code;
	const char *fix;
};

static const struct rule rules[] = {
	/* concurrency and the state of the cluster */
	{"Serializable isolation violation", ERR_TRANSIENT, ""},
	{"1023", ERR_TRANSIENT, ""},
	{"resize mode", ERR_TRANSIENT, ""},
	{"Disk Full", ERR_FULL, "make room in the cluster: VACUUM, drop tables, or add nodes"},
	{"code: 1016", ERR_FULL, "make room in the cluster: VACUUM, drop tables, or add nodes"},
	{"cluster is currently paused", ERR_TRANSIENT, ""},
	{"read-only mode", ERR_TRANSIENT, ""},
	{"cancelled on user", ERR_TRANSIENT, ""},
	{"S3CurlException", ERR_TRANSIENT, ""},
	/* what S3 refuses the cluster */
	{"S3ServiceException:AccessDenied", ERR_CONFIG, "the role or the key that COPY reads with is not allowed to: " READS},
	{"S3ServiceException:Access Denied", ERR_CONFIG, "the role or the key that COPY reads with is not allowed to: " READS},
	{"InvalidAccessKeyId", ERR_CONFIG, "correct the settings s3_access_key and s3_secret_key"},
	{"XAdminUserNotFound", ERR_CONFIG, "correct the settings s3_access_key and s3_secret_key"},
	{"SignatureDoesNotMatch", ERR_CONFIG, "correct the setting s3_secret_key"},
	{"ExpiredToken", ERR_CONFIG, "the session token has expired: give a new s3_session_token, or a key that needs none"},
	{"InvalidToken", ERR_CONFIG, "correct the setting s3_session_token"},
	{"NoSuchBucket", ERR_CONFIG, "correct the setting s3_bucket"},
	{"PermanentRedirect", ERR_CONFIG, "the bucket is in another region: correct the setting s3_region"},
	{"AuthorizationHeaderMalformed", ERR_CONFIG, "the bucket is in another region: correct the setting s3_region"},
	{"not authorized to assume", ERR_CONFIG, "attach the role s3_iam_role to the cluster, and let redshift.amazonaws.com assume it"},
	{"UnauthorizedException", ERR_CONFIG, "attach the role s3_iam_role to the cluster, and let redshift.amazonaws.com assume it"},
	{"not attached to cluster", ERR_CONFIG, "attach the role s3_iam_role to the cluster"},
	{"CREDENTIALS argument", ERR_CONFIG, "set s3_iam_role, or s3_access_key and s3_secret_key"},
	{"S3ServiceException", ERR_TRANSIENT, ""},
	{"Manifest file", ERR_TRANSIENT, ""},
};

const char *rs_error_load_table(const char *text)
{
	static const char *const tables[] = {"stl_load_errors", "sys_load_error_detail"};

	for (size_t k = 0; k < ARRAY_LEN(tables); k++)
		if (strcasestr(text, tables[k]))
			return tables[k];
	return NULL;
}

/* "1023" as a word, not as digits of a longer number. */
static bool has(const char *text, const char *words)
{
	const char *p = text;
	size_t n = strlen(words);

	for (; (p = strcasestr(p, words)) != NULL; p++)
		if (*words < '0' || *words > '9' || ((p == text || p[-1] < '0' || p[-1] > '9') && (p[n] < '0' || p[n] > '9')))
			return true;
	return false;
}

enum err_code rs_error_class(const char *sqlstate, const char *text, const char **fix)
{
	bool by_words = !sqlstate || !*sqlstate || strcmp(sqlstate, "XX000") == 0 || strncmp(sqlstate, "57", 2) == 0 || strncmp(sqlstate, "53", 2) == 0;

	*fix = "";
	if (rs_error_load_table(text))
		return ERR_DATA;
	for (size_t k = 0; by_words && k < ARRAY_LEN(rules); k++)
		if (has(text, rules[k].words)) {
			*fix = rules[k].fix;
			return rules[k].code;
		}
	*fix = pg_error_fix(sqlstate);
	if (sqlstate && strncmp(sqlstate, "28", 2) == 0)
		*fix = "correct the settings user and password, or let this machine in by the cluster's security group";
	return pg_error_class(sqlstate);
}
