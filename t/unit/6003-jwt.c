/*
 * 6003-jwt.c - tokens against those that openssl(1) made of the same key (openssl dgst -sha256 -sign), the fingerprint against openssl pkey -pubout, keys as
 * people paste them, and what is no key. The keys are of this test alone.
 */
#include "loaders/net/jwt.h"
#include "tap.h"
#include "xalloc.h"

static const char rsa[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQDDHTm2bH5m95yr\n"
	"w/z+Hcok3m6lTW+HOliLjhJq2CHEzOblhOXEoz7FNKHuYrBOpd8iH1r9ap56XTzZ\n"
	"uw9t90d6kOt33oUMlF/oC5TF0zgaGcBUOJS6v/wFnAE3TjhiFi+GUL2lRr68/Eqk\n"
	"GhjpGYniZnyU+99eJ1cyQm1Q3jxS2Y08XdABuRSa+a/Gdc2Cx4aBklJlTEg7rF9z\n"
	"cbQTE8A749QasWltmGobI1pSctgQ2zTd5xRj95sVHhEkY/BxNIfgMqlKB7bOFb8v\n"
	"8pQXkoz0Fy64LZyqYiFXRv+fsxtoIpJyOqylTekXMugAZ72EWUBKm4j7T9aZViJa\n"
	"N7q9kRjpAgMBAAECggEAFYbXz1pOw2BCFTrfQq+pdfIjEcKWgZxUuNf0zPw51I9Z\n"
	"Ub0dBxoOMr6M96LEijbXhJmiRbeh0sUO8cRHTmYECUAsNIpU0leb8bt2X3GffNS2\n"
	"wSwJb8W/AeTthusuwhapyWdG1zF0GaB5wTt+YFhwm62cROk5opcTUiCdVDjiva6g\n"
	"vGVHFS2Dadp6W92AZOn6bF07raqZK7ij971C7U11Y09oDqCQjKIToLAteoo0ZNp6\n"
	"mmxy7UMbb6mzF77iLfYR7OOE2JWVkWKganahGRKgV8mFYDO0Xtch6R0QL5pHFV5a\n"
	"8ScaOqvzBDsQ7jnxaL649FvMJTV+sFmMeHUhqQ19EQKBgQDzlJRZHrCx5O+yNcGU\n"
	"R1UKZm6ijwpAyYHZ5hBLZsHpki01M6hvfIuurW+miAIYsDyRpXEFpu2De8ZmD+mT\n"
	"1IcpVgTR9if92qffKa8fLdq/gJZdqEk8rx3oIkq5aOnsNWDZXaeqvh99hG48u2ar\n"
	"GvBatqSygwyi7e7VEhXNKPP4uQKBgQDNEAXrTMiym2sYJ873ndVQjNrHFpnf4yZn\n"
	"Uhh7Z43UdVSErNDu0UPQIq5qqJdZpMUWwl22jg5LPsoZ8Zd2fn6YMZtPM2Rv3yhL\n"
	"LulGDmKZXDqv2mobErDymKokURWOHSGCSnjoyEniJIBAh+tr4d21WWC2NO9csRK8\n"
	"EW7EEzCpsQKBgGIOq1XhPAKxhik46NAXk02XhOxeJyODu4mLy31/RYsQ9LAZNrKC\n"
	"8fyFB5CD6kwkDo4XixNaav1mg60stLx1b2Adp90aemkAcFovfrdPj2NOkbnseGc8\n"
	"nA6KV4iiiqEzr+RxhoD+/tBZ0sMSMjeppZ7vLghLJ3gjzuTp3er0lJrJAoGBAJZX\n"
	"GP/Z24qWx31+Mg74eFwF6J/twgKS1qUJW0meMi2Bl+VtjgCJC96cjqND1zKxyo1V\n"
	"Er+0hmZEMoeyyAjn1IhgVi1K0Gf0g+YbDot+IGuvYpdq2j/fBDvYEWVuzQ7T7K1J\n"
	"TDveG8zgVeb5v2/ouFMso+ryBEtAxyt63GqEZzkBAoGBALfhA7QIIKnQB1g+hhfv\n"
	"tFOaVHfb190drgW68PHywPWfL6aCsf5fRXbOZt4uD7zuZsqqx5Q7q4CGJLNErojD\n"
	"QLQ7dIq6sTUc8vn41YneCcfZdEkaumjBu4CbG67O3RV/o5NXSvyUtvkgFQdUXqxS\n"
	"W+zgoISwAcYc7LqbdvcTYhC2\n"
	"-----END PRIVATE KEY-----\n";
static const char rsa_pkcs1[] =
	"-----BEGIN RSA PRIVATE KEY-----\n"
	"MIIEpAIBAAKCAQEAwx05tmx+Zvecq8P8/h3KJN5upU1vhzpYi44SatghxMzm5YTl\n"
	"xKM+xTSh7mKwTqXfIh9a/Wqeel082bsPbfdHepDrd96FDJRf6AuUxdM4GhnAVDiU\n"
	"ur/8BZwBN044YhYvhlC9pUa+vPxKpBoY6RmJ4mZ8lPvfXidXMkJtUN48UtmNPF3Q\n"
	"AbkUmvmvxnXNgseGgZJSZUxIO6xfc3G0ExPAO+PUGrFpbZhqGyNaUnLYENs03ecU\n"
	"Y/ebFR4RJGPwcTSH4DKpSge2zhW/L/KUF5KM9BcuuC2cqmIhV0b/n7MbaCKScjqs\n"
	"pU3pFzLoAGe9hFlASpuI+0/WmVYiWje6vZEY6QIDAQABAoIBABWG189aTsNgQhU6\n"
	"30KvqXXyIxHCloGcVLjX9Mz8OdSPWVG9HQcaDjK+jPeixIo214SZokW3odLFDvHE\n"
	"R05mBAlALDSKVNJXm/G7dl9xn3zUtsEsCW/FvwHk7YbrLsIWqclnRtcxdBmgecE7\n"
	"fmBYcJutnETpOaKXE1IgnVQ44r2uoLxlRxUtg2naelvdgGTp+mxdO62qmSu4o/e9\n"
	"Qu1NdWNPaA6gkIyiE6CwLXqKNGTaeppscu1DG2+psxe+4i32EezjhNiVlZFioGp2\n"
	"oRkSoFfJhWAztF7XIekdEC+aRxVeWvEnGjqr8wQ7EO458Wi+uPRbzCU1frBZjHh1\n"
	"IakNfRECgYEA85SUWR6wseTvsjXBlEdVCmZuoo8KQMmB2eYQS2bB6ZItNTOob3yL\n"
	"rq1vpogCGLA8kaVxBabtg3vGZg/pk9SHKVYE0fYn/dqn3ymvHy3av4CWXahJPK8d\n"
	"6CJKuWjp7DVg2V2nqr4ffYRuPLtmqxrwWraksoMMou3u1RIVzSjz+LkCgYEAzRAF\n"
	"60zIsptrGCfO953VUIzaxxaZ3+MmZ1IYe2eN1HVUhKzQ7tFD0CKuaqiXWaTFFsJd\n"
	"to4OSz7KGfGXdn5+mDGbTzNkb98oSy7pRg5imVw6r9pqGxKw8piqJFEVjh0hgkp4\n"
	"6MhJ4iSAQIfra+HdtVlgtjTvXLESvBFuxBMwqbECgYBiDqtV4TwCsYYpOOjQF5NN\n"
	"l4TsXicjg7uJi8t9f0WLEPSwGTaygvH8hQeQg+pMJA6OF4sTWmr9ZoOtLLS8dW9g\n"
	"HafdGnppAHBaL363T49jTpG57HhnPJwOileIooqhM6/kcYaA/v7QWdLDEjI3qaWe\n"
	"7y4ISyd4I87k6d3q9JSayQKBgQCWVxj/2duKlsd9fjIO+HhcBeif7cICktalCVtJ\n"
	"njItgZflbY4AiQvenI6jQ9cyscqNVRK/tIZmRDKHssgI59SIYFYtStBn9IPmGw6L\n"
	"fiBrr2KXato/3wQ72BFlbs0O0+ytSUw73hvM4FXm+b9v6LhTLKPq8gRLQMcretxq\n"
	"hGc5AQKBgQC34QO0CCCp0AdYPoYX77RTmlR329fdHa4FuvDx8sD1ny+mgrH+X0V2\n"
	"zmbeLg+87mbKqseUO6uAhiSzRK6Iw0C0O3SKurE1HPL5+NWJ3gnH2XRJGrpowbuA\n"
	"mxuuzt0Vf6OTV0r8lLb5IBUHVF6sUlvs4KCEsAHGHOy6m3b3E2IQtg==\n"
	"-----END RSA PRIVATE KEY-----\n";
static const char rsa_public[] =
	"-----BEGIN PUBLIC KEY-----\n"
	"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwx05tmx+Zvecq8P8/h3K\n"
	"JN5upU1vhzpYi44SatghxMzm5YTlxKM+xTSh7mKwTqXfIh9a/Wqeel082bsPbfdH\n"
	"epDrd96FDJRf6AuUxdM4GhnAVDiUur/8BZwBN044YhYvhlC9pUa+vPxKpBoY6RmJ\n"
	"4mZ8lPvfXidXMkJtUN48UtmNPF3QAbkUmvmvxnXNgseGgZJSZUxIO6xfc3G0ExPA\n"
	"O+PUGrFpbZhqGyNaUnLYENs03ecUY/ebFR4RJGPwcTSH4DKpSge2zhW/L/KUF5KM\n"
	"9BcuuC2cqmIhV0b/n7MbaCKScjqspU3pFzLoAGe9hFlASpuI+0/WmVYiWje6vZEY\n"
	"6QIDAQAB\n"
	"-----END PUBLIC KEY-----\n";
static const char rsa_encrypted[] =
	"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
	"MIIFLTBXBgkqhkiG9w0BBQ0wSjApBgkqhkiG9w0BBQwwHAQIJ+0hrBz9shECAggA\n"
	"MAwGCCqGSIb3DQIJBQAwHQYJYIZIAWUDBAEqBBDKTs52TmdajnNF7QJ5yIyKBIIE\n"
	"0Ag1dcy+h+etfDJW8d6B9LQdnjDb31ZroyFYfLB27Y+kyd6kJlScnCt8ubC+Q4dA\n"
	"-----END ENCRYPTED PRIVATE KEY-----\n";
static const char ec[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgBMSz+LKmBUEVDOTp\n"
	"imM6vcXdK2AtN8UfPjxWKvHUT1uhRANCAAQFfk9G8w8vtSUtEdY5dRCP3G6kj5Hr\n"
	"uDrNoKgFOUkNIkKLj8HsNPPn8gQCOnIcNxutYzeek5gwMKbcY6xn6NHU\n"
	"-----END PRIVATE KEY-----\n";
static const char rsa_1024[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MIICeAIBADANBgkqhkiG9w0BAQEFAASCAmIwggJeAgEAAoGBANPRdC13XnYwxyaQ\n"
	"ILxAn9kTvB1dpUrsXwAaDf2tiuw+ZGHhPLeTwHU2Tj848JxHl/L4PZPklkewb1iZ\n"
	"Qg9ntzCU3HJ15H5k7WPZhHKyXlkCCUkLdXzkeYEr7KwE0FjLa0M4ggX5m1LKFPlg\n"
	"sr/phZ/8fd/B1HPTY0Bil5FU4GrLAgMBAAECgYAVNxFPzHjllZUcw6rDsCVSdKuO\n"
	"tWZszqflNrbYBZ24c7dSJmEScfYAx2Om6WkP/gu2Bi8EtQxoOb+tPAxlxpmOUXG7\n"
	"eFIHPAUrWlW7xcTu4m1VBpZ7A9iFUAJ56jfNcL1EvDjg503saszTGSylr3hhiYx1\n"
	"b9VVgbBjHfm1OXKzYQJBAO5oUeMf076/xmRpM7PPFw5BQX3/yRKnLg1P0PXatckl\n"
	"0zh6DLCguxUlriuARFjaWs39qPI8A4twQMa+fDWAG/UCQQDjctfzvkmxFSWqupku\n"
	"5JDCKgU3Na3NAOya9HQ5yw+4sD3dfd4iLhWSkNaYlKcV0IP5sbTZeLfErWPTgjhp\n"
	"evO/AkEAlqhX7yaiwe0g6z1MDfn1gO2d/IjSwTXitUjWLTd8H1QG6a6/LDM2ZoO8\n"
	"UAMrrda3AWumAwYH22shlDa1+X0urQJBAKSTi9kNvorI73lrDb5Vmr0z5JQ/XiQx\n"
	"YAL7kUHkQdr0g79J/TqkN+3WqcC8B26Mc4JwaJjXdbl1cP8xgZopYkcCQQCO5LTN\n"
	"PuyvCatgN+Y8id1EjjuJL88iySrpdduFe1SjlRZF7Enxm34obmTPVRUJ7lN0Y7ku\n"
	"UHtZNAYFNbUD1rHz\n"
	"-----END PRIVATE KEY-----\n";
static const char token[] =
	"eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJTVElUQ0giLCJuIjoxfQ.L3qrCvqOHSvYkb5I4VKfFXTHbCcS-kTUSnpBAfXVMz25XQTIqzFL"
	"yxKzsQuoahKpxABrtSmfgMFwQBXTEUEFFw3XbfpT3HGNUHQbmFaX5fQDGXXBd3XzriSK_-"
	"832ldBcprt5B6DcXAUkM5nGO4stM5HP7cyiWI6D6mDoeowOdPYPkhyByhIN3dKDtfEhbfwYvU08NQ-"
	"e9Hz6bmgzzKycLAq6zUKzxz3O6DNPAOivywDvCz7yFZOzvwB1Aj4aYFf_H336DLSyJcRglUoxt4mX5DA7hvZS4OCcrMQjJHlscDm0-"
	"tVPjc6wIz9SdbU2APYW8gYLWEMXUDkYUFpryPiPQ";
static const char token_kid[] =
	"eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImFcImIifQ.eyJpc3MiOiJTVElUQ0giLCJuIjoxfQ.eA7i4jy5-"
	"ojdw0d8otkcHAoa47Wnvy1DOPXYZO6OumOPqA0nbBN-JHTphyPt8iPI-C7Nsf_-6jPfCfkqn-"
	"_7253dxLlrm_o71rDDxb9KzRZ029MRXqxgQSkToK8y722TMjAoiF_RJU5yC1fZODfYRArpe8hF1ROp_E3930OC9K0_VTlMx11bYi4ASd9zelQ0ArsuxAyt3h"
	"wOVCeXBxs6Ce_EkK1l_zEHZ6QLH--ZQGcC0-gQwv5uVLW969CwDLMZ3GJacqL5AOMZ0dytjCNJIknJMwtB1fUTZ7Yh2LIQ2xTnXWB_Lf-"
	"BQYbuPKkwGbIPgce3ADph3uXdDzOjGkWX6w";
static const char fingerprint[] = "SHA256:27OSafrqyEwOZ5GY1VwjHRntcZE9Ty4tMItL5/vjwXw=";
static const char claims[] = "{\"iss\":\"STITCH\",\"n\":1}";

static void check_base64url(void)
{
	static const struct {
		const char *in, *out;
	} known[] = {{"", ""}, {"f", "Zg"}, {"fo", "Zm8"}, {"foo", "Zm9v"}, {"foob", "Zm9vYg"}, {"\xfb\xff\xfe", "-__-"}};

	for (size_t k = 0; k < ARRAY_LEN(known); k++) {
		struct buf b = BUF_INIT;

		base64url_encode(known[k].in, strlen(known[k].in), &b);
		is_str(known[k].out, buf_cstr(&b), "base64url of %zu bytes", strlen(known[k].in));
		buf_free(&b);
	}
}

static void signs(const char *pem, const char *how)
{
	struct err e = ERR_INIT;
	struct buf b = BUF_INIT;
	struct jwt_key *k = jwt_key_read(str_c(pem), &e);

	if (!ok(k != NULL, "%s: the key is read", how)) {
		diag("%s", e.text);
		return;
	}
	buf_adds(&b, "Bearer ");
	if (jwt_sign(k, str_c(claims), NULL, &b, &e))
		diag("%s", e.text);
	is_str(token, buf_cstr(&b) + 7, "and signs as openssl does, behind what was there");
	buf_truncate(&b, 0);
	if (jwt_sign(k, str_c(claims), "a\"b", &b, &e))
		diag("%s", e.text);
	is_str(token_kid, buf_cstr(&b), "with the key's id");
	buf_truncate(&b, 0);
	jwt_key_fingerprint(k, &b);
	is_str(fingerprint, buf_cstr(&b), "the fingerprint of its public key");
	buf_free(&b);
	jwt_key_free(k);
}

/* The key with each line end replaced. */
static void signs_with(const char *line_end, const char *before, const char *how)
{
	struct buf b = BUF_INIT;

	buf_adds(&b, before);
	for (const char *p = rsa; *p; p++) {
		if (*p == '\n')
			buf_adds(&b, line_end);
		else
			buf_addc(&b, *p);
	}
	signs(buf_cstr(&b), how);
	buf_free(&b);
}

static void refused(const char *pem, const char *why)
{
	struct err e = ERR_INIT;
	struct jwt_key *k = jwt_key_read(str_c(pem), &e);

	ok(!k && e.code == ERR_CONFIG && strstr(e.text, why), "refused: %s", why);
	if (!k)
		diag("%s", e.text);
	jwt_key_free(k);
}

int main(void)
{
	char *half = xstrdup(rsa);

	plan_lazy();
	check_base64url();
	signs(rsa, "PKCS#8");
	signs(rsa_pkcs1, "PKCS#1");
	signs_with("\r\n", "", "line ends of Windows");
	signs_with("\\n", "", "line ends as two characters");
	signs_with(" ", "a line before\n", "line ends that became blanks, and text before");
	refused("", "no PEM");
	refused("MIIEvQIBADANBgkqhkiG9w0", "no PEM");
	refused("-----BEGIN PRIVATE KEY-----", "no PEM");
	refused("-----BEGIN -----END -----", "cannot be read");
	refused(rsa_public, "public key");
	refused(rsa_encrypted, "encrypted");
	refused(ec, "not an RSA key");
	refused(rsa_1024, "1024 bits");
	memmove(half + 100, half + 200, strlen(half + 200) + 1);
	refused(half, "damaged");
	free(half);
	return done_testing();
}
