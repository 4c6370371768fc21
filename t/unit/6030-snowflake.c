/*
 * 6030-snowflake.c - what the error codes of Snowflake mean, what is said to a person, and which line of a staged file an error is about.
 */
#include "loaders/snowflake/sf_error.h"
#include "str.h"
#include "tap.h"

static const struct sf_names names = {.account = "ACME-1", .user = "LOADER", .role = "R\"1", .database = "DWH", .schema = "SHOP", .warehouse = "WH", .integration = "",
	.stage = "", .fingerprint = "SHA256:abc="};

static void class_is(enum err_code wanted, const char *code, const char *state, unsigned status, const char *message)
{
	is_str(err_name(wanted), err_name(sf_error_class(code, state, status, message)), "code [%s] state [%s] status %u", code, state, status);
}

static void fix_has(const char *code, const struct sf_names *n, const char *text)
{
	struct buf b = BUF_INIT;

	sf_error_fix(code, n, &b);
	if (!ok(strstr(buf_cstr(&b), text) != NULL, "%s: %s", code, text))
		diag("%s", buf_cstr(&b));
	buf_free(&b);
}

static void check_classes(void)
{
	class_is(ERR_TRANSIENT, "000625", "57014", 422, "lock");
	class_is(ERR_TRANSIENT, "000630", "57014", 422, "time-out");
	class_is(ERR_TRANSIENT, "390114", "08001", 401, "token expired");
	class_is(ERR_TRANSIENT, "", "", 503, "");
	class_is(ERR_TRANSIENT, "", "", 429, "");
	class_is(ERR_TRANSIENT, "", "", 408, "");
	class_is(ERR_TRANSIENT, "999999", "40001", 422, "unknown, but a conflict");
	class_is(ERR_CONFIG, "002003", "42S02", 422, "not there or not allowed");
	class_is(ERR_CONFIG, "390144", "08001", 401, "JWT token is invalid.");
	class_is(ERR_CONFIG, "001003", "42000", 422, "syntax");
	class_is(ERR_CONFIG, "000606", "57P03", 422, "no warehouse");
	class_is(ERR_CONFIG, "090073", "57014", 422, "quota");
	class_is(ERR_CONFIG, "999999", "XX000", 422, "unknown");
	class_is(ERR_CONFIG, "", "", 404, "");
	class_is(ERR_DATA, "100038", "22018", 422, "Numeric value 'x' is not recognized");
	class_is(ERR_DATA, "100069", "22P02", 422, "Error parsing JSON");
	class_is(ERR_DATA, "999999", "22003", 422, "unknown, but about a value");
	class_is(ERR_CONFIG, "091003", "22000", 422, "Failure using stage area. Cause: [Access Denied (Status Code: 403; Error Code: AccessDenied)]");
	class_is(ERR_TRANSIENT, "091003", "22000", 422, "Failure using stage area. Cause: [Please reduce your request rate (Status Code: 503; Error Code: SlowDown)]");
	class_is(ERR_TRANSIENT, "091016", "22000", 422, "Remote file 'x' was not found");
}

static void check_fixes(void)
{
	struct sf_names n = names;

	fix_has("390144", &n, "ALTER USER \"LOADER\" SET RSA_PUBLIC_KEY");
	fix_has("390144", &n, "RSA_PUBLIC_KEY_FP = SHA256:abc=");
	fix_has("003001", &n, "GRANT USAGE, CREATE SCHEMA ON DATABASE \"DWH\" TO ROLE \"R\"\"1\";");
	fix_has("003001", &n, "GRANT USAGE, CREATE TABLE ON SCHEMA \"DWH\".\"SHOP\" TO ROLE \"R\"\"1\";");
	fix_has("000606", &n, "GRANT USAGE ON WAREHOUSE \"WH\" TO ROLE \"R\"\"1\";");
	fix_has("091003", &n, "s3:GetObject");
	fix_has("390189", &n, "GRANT ROLE \"R\"\"1\" TO USER \"LOADER\";");
	n.integration = "STITCH_S3";
	fix_has("091003", &n, "GRANT USAGE ON INTEGRATION \"STITCH_S3\" TO ROLE");
	n.stage = "DWH.PUBLIC.LANDING";
	fix_has("091003", &n, "GRANT USAGE ON STAGE DWH.PUBLIC.LANDING TO ROLE");
	n.role = "";
	n.warehouse = "";
	fix_has("000606", &n, "TO ROLE \"PUBLIC\";");
	fix_has("", &n, "");
}

static void line_is(uint64_t wanted, const char *message)
{
	is_int((int64_t)wanted, (int64_t)sf_error_line(message), "line of: %.20s", message);
}

int main(void)
{
	struct buf b = BUF_INIT;

	plan_lazy();
	check_classes();
	check_fixes();
	line_is(12, "Error parsing JSON: x\n  File 'a/b.json.gz', line 12, character 5\n  Row 11, column \"T\"[\"V\":1]");
	line_is(11, "Error parsing JSON: x\n  Row 11, column \"T\"[\"V\":1]");
	line_is(0, "Error parsing JSON");
	line_is(0, "a, line ");
	line_is(0, "a, line 99999999999999999999999");
	sf_ident(&b, "a\"Bc", true);
	sf_ident(&b, "a\"b", false);
	is_str("\"A\"\"BC\"\"a\"\"b\"", buf_cstr(&b), "identifiers");
	buf_free(&b);
	return done_testing();
}
