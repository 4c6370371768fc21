/*
 * 6020-redshift.c - what Redshift's complaints mean: texts as its documentation and its stand-in give them. A wrong "data" would reject good records, a wrong "config" would
 * wake a person for what passes by itself.
 */
#include "tap.h"

#include "loaders/redshift/rs_error.h"

static void classes(void)
{
	static const struct { const char *state, *text; enum err_code code; const char *fix; } known[] = {
		{"XX000", "1023 DETAIL: Serializable isolation violation on table - 2751, transactions forming the cycle are: 1, 2", ERR_TRANSIENT, ""},
		{"XX000", "1023", ERR_TRANSIENT, ""},
		{"XX000", "Disk Full DETAIL: error: Disk Full code: 1016 context: node: 0", ERR_FULL, "make room"},
		{"57000", "cannot do this while the system is in resize mode", ERR_TRANSIENT, ""},
		{"XX000", "S3CurlException: Couldn't resolve host, CurlError 6", ERR_TRANSIENT, ""},
		{"XX000", "S3ServiceException:Please reduce your request rate.,Status 503,Error SlowDown", ERR_TRANSIENT, ""},
		{"XX000", "S3ServiceException:Access Denied,Status 403,Error AccessDenied", ERR_CONFIG, "s3:GetObject"},
		{"XX000", "S3ServiceException:AccessDenied,Status 403,Error AccessDenied", ERR_CONFIG, "s3:GetObject"},
		{"XX000", "S3ServiceException:SignatureDoesNotMatch,Status 403,Error SignatureDoesNotMatch", ERR_CONFIG, "s3_secret_key"},
		{"XX000", "S3ServiceException:NoSuchBucket,Status 404,Error NoSuchBucket", ERR_CONFIG, "s3_bucket"},
		{"XX000", "User arn:aws:redshift:... is not authorized to assume IAM Role arn:aws:iam::1:role/r", ERR_CONFIG, "attach the role"},
		{"XX000", "Load into table 't' failed.  Check 'stl_load_errors' system table for details.", ERR_DATA, ""},
		{"XX000", "Load into table 't' failed. Check 'sys_load_error_detail' system table for details.", ERR_DATA, ""},
		{"XX000", "something about page 110234 of a file", ERR_TRANSIENT, ""},
		{"57014", "Query (12) cancelled on user's request", ERR_TRANSIENT, ""},
		{"42501", "permission denied for schema shop", ERR_CONFIG, "grant"},
		{"42601", "syntax error at or near \"1023\"", ERR_CONFIG, ""},
		{"42P01", "relation \"t\" does not exist", ERR_TRANSIENT, ""},
		{"28000", "password authentication failed for user \"x\"", ERR_CONFIG, "security group"},
		{"", "the connection was lost", ERR_TRANSIENT, ""},
		{NULL, "could not connect: timeout", ERR_TRANSIENT, ""},
	};

	for (size_t k = 0; k < ARRAY_LEN(known); k++) {
		const char *fix = NULL;
		enum err_code code = rs_error_class(known[k].state, known[k].text, &fix);

		ok(code == known[k].code, "%s: %s", known[k].text, err_name(code));
		ok(fix && (*known[k].fix ? strstr(fix, known[k].fix) != NULL : true), "its fix: %s", fix ? fix : "(none)");
	}
}

int main(void)
{
	plan_lazy();
	classes();
	is_str("stl_load_errors", rs_error_load_table("Check 'STL_LOAD_ERRORS' system table"), "the system table that COPY names");
	ok(rs_error_load_table("S3CurlException") == NULL, "none");
	return done_testing();
}
