/*
 * 0040-xml.c - the reader of S3's answers: what is well-formed is read to its end, what is not is refused, elements are found by path, nothing is expanded.
 */
#include "tap.h"
#include "xml.h"

/* The pieces as text: (name) /name "text" */
static void pieces(const char *doc, struct buf *out)
{
	struct xml x;
	enum xml_kind k;

	xml_init(&x, str_c(doc));
	while ((k = xml_next(&x)) < XML_END) {
		if (k == XML_OPEN)
			buf_addf(out, "(" STR_FMT ")", STR_ARG(x.name));
		else if (k == XML_CLOSE)
			buf_addf(out, "/" STR_FMT " ", STR_ARG(x.name));
		else
			buf_addf(out, "\"%s\"", buf_cstr(&x.text));
	}
	buf_adds(out, k == XML_END ? "END" : "BAD");
	ok(xml_next(&x) == k, "and stays so");
	xml_free(&x);
}

static void reads(const char *doc, const char *wanted)
{
	struct buf out = BUF_INIT;

	pieces(doc, &out);
	is_str(wanted, buf_cstr(&out), "read");
	buf_free(&out);
}

static void bad(const char *doc)
{
	struct buf out = BUF_INIT;

	pieces(doc, &out);
	ok(str_ends(buf_str(&out), STR("BAD")), "refused: %s", doc);
	buf_free(&out);
}

static void finds(const char *doc, const char *path, const char *wanted)
{
	struct buf out = BUF_INIT;
	bool found = xml_find(str_c(doc), path, &out);

	is_str(wanted ? wanted : "(none)", found ? buf_cstr(&out) : "(none)", "%s in %s", path, doc);
	buf_free(&out);
}

static void test_limits(void)
{
	struct buf deep = BUF_INIT, out = BUF_INIT;
	struct xml x;

	for (unsigned k = 0; k < XML_DEPTH; k++)
		buf_adds(&deep, "<a>");
	for (unsigned k = 0; k < XML_DEPTH; k++)
		buf_adds(&deep, "</a>");
	pieces(buf_cstr(&deep), &out);
	ok(str_ends(buf_str(&out), STR("END")), "as deep as it may be");
	buf_truncate(&deep, 0);
	for (unsigned k = 0; k <= XML_DEPTH; k++)
		buf_adds(&deep, "<a>");
	buf_truncate(&out, 0);
	pieces(buf_cstr(&deep), &out);
	ok(str_ends(buf_str(&out), STR("BAD")), "deeper");
	buf_truncate(&deep, 0);
	buf_adds(&deep, "<a>");
	buf_reserve(&deep, XML_MAX);
	memset(deep.data + 3, ' ', XML_MAX);
	xml_init(&x, str_mem(deep.data, XML_MAX + 1));
	ok(xml_next(&x) == XML_BAD, "a document that is too long is not even begun");
	xml_free(&x);
	buf_free(&deep);
	buf_free(&out);
}

int main(void)
{
	struct buf out = BUF_INIT;

	plan_lazy();
	reads("<a/>", "(a)/a END");
	reads("\xEF\xBB\xBF<?xml version=\"1.0\"?>\n<!-- > -->\n<r x=\"a>b\" y='c'><n:a>t</n:a> <b /></r>\n", "(r)(a)\"t\"/a \" \"(b)/b /r END");
	reads("<a>&lt;&amp;&gt;&quot;&apos;&#65;&#x20AC;</a>", "(a)\"<&>\"'A\xE2\x82\xAC\"/a END");
	reads("<a>x<![CDATA[<&>]]>y</a>", "(a)\"x\"\"<&>\"\"y\"/a END");
	bad("");
	bad("text");
	bad("<a>");
	bad("<a></b>");
	bad("<a></a></a>");
	bad("<a/><b/>");
	bad("<a/>text");
	bad("</a>");
	bad("<>");
	bad("< a/>");
	bad("<a <b/>");
	bad("<a x=\"</a>");
	bad("<a>&nbsp;</a>");
	bad("<a>&#0;</a>");
	bad("<a>&#xD800;</a>");
	bad("<a>&#99999999;</a>");
	bad("<a>&#;</a>");
	bad("<a>&lt</a>");
	bad("<a><![CDATA[x</a>");
	bad("<a><!-- </a>");
	bad("<?xml");
	bad("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>");
	finds("<Error><Code>NoSuchKey</Code><Message>a &amp; b</Message></Error>", "Error/Message", "a & b");
	finds("<Error><Code>NoSuchKey</Code></Error>", "Error/Region", NULL);
	finds("<Other><Code>x</Code></Other>", "Error/Code", NULL);
	finds("<E><A><B>1</B></A><B>2</B><A><C>3</C></A></E>", "E/B", "2");
	finds("<E><A><B>1</B></A><A><C>3</C></A></E>", "E/A/C", "3");
	finds("<E><A>x<B>1</B>y</A></E>", "E/A", "xy");
	finds("<E><A/></E>", "E/A", "");
	finds("<E><A>x", "E/A", NULL);
	xml_escape(&out, STR("a<b>&\"\1"));
	is_str("a&lt;b&gt;&amp;\"&#1;", buf_cstr(&out), "escaped");
	buf_free(&out);
	test_limits();
	return done_testing();
}
