/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which texts are JSON: each is asked of the scanner at every split, and of jansson, where the two
 * agree.
 */
#include "json/token.h"
#include "json/scan_test.h"

/* --- against jansson -------------------------------------------------------------------------- */

static bool jansson_accepts(const char *text, size_t n)
{
	json_t *json = json_loadb(text, n, JSON_ALLOW_NUL, NULL);
	bool object = json_is_object(json);

	json_decref(json);
	return object;
}

static const char *verdict(const char *text, size_t n, size_t first, struct buf *out)
{
	scan_cut(SCAN_OBJECT, text, n, first, 0, out);
	return str_ends(buf_text(out), "ok") ? "accepted" : "refused";
}

static void check_verdict(const char *text, size_t n, const char *want, bool ask_jansson)
{
	auto_scan_buf out;

	buf_init(&out, 16 * MiB);
	if (ask_jansson) {
		is_str(jansson_accepts(text, n) ? "accepted" : "refused", want);
	}
	is_str(verdict(text, n, n ? n : 1, &out), want);
	for (size_t cut = 0; cut < n; cut++) {
		is_str(verdict(text, n, cut, &out), want);
	}
}

/* A value, inside of an object and inside of an array there. */
static void check_value(const char *value, size_t n, const char *want, bool ask_jansson)
{
	auto_scan_buf text;

	buf_init(&text, 16 * MiB);
	buf_str(&text, "{\"a\":");
	buf_add(&text, value, n);
	buf_str(&text, "}");
	check_verdict(text.bytes, text.len, want, ask_jansson);
	buf_reset(&text);
	buf_str(&text, "{\"a\":[1 ,");
	buf_add(&text, value, n);
	buf_str(&text, ",2]} ");
	check_verdict(text.bytes, text.len, want, ask_jansson);
}

#define accepts(value) check_value(value, sizeof(value) - 1, "accepted", true)
#define refuses(value) check_value(value, sizeof(value) - 1, "refused", true)
#define accepts_alone(value) check_value(value, sizeof(value) - 1, "accepted", false)
#define accepts_document(text) check_verdict(text, sizeof(text) - 1, "accepted", true)
#define refuses_document(text) check_verdict(text, sizeof(text) - 1, "refused", true)

/* --- strings ---------------------------------------------------------------------------------- */

static void control_characters(void)
{
	char text[] = "\"abc?def\"";

	for (int c = 0; c < 0x20; c++) {
		text[4] = (char)c;
		check_value(text, sizeof(text) - 1, "refused", true);
	}
	text[4] = 0x20;
	check_value(text, sizeof(text) - 1, "accepted", true);
	text[4] = 0x7f;
	check_value(text, sizeof(text) - 1, "accepted", true);
}

static void known_escapes(void)
{
	accepts("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uABCD\\uabcd\"");
}

static void unknown_escapes(void)
{
	char text[] = "\"a\\?b\"";

	for (int c = 1; c < 0x100; c++) {
		if (!strchr("\"\\/bfnrtu", c)) {
			text[3] = (char)c;
			check_value(text, sizeof(text) - 1, "refused", true);
		}
	}
	refuses("\"\\\"");
}

static void unicode_escapes_have_four_digits(void)
{
	refuses("\"\\u\"");
	refuses("\"\\u1\"");
	refuses("\"\\u12\"");
	refuses("\"\\u123\"");
	refuses("\"\\u123g\"");
	refuses("\"\\u-123\"");
	refuses("\"\\u+123\"");
	refuses("\"\\u 123\"");
	refuses("\"\\U1234\"");
	refuses("\"\\u123");
}

static void surrogates_come_in_pairs(void)
{
	accepts("\"\\ud83d\\ude00\"");
	accepts("\"\\uD800\\uDC00\\uDBFF\\uDFFF\"");
	refuses("\"\\ud83d\"");
	refuses("\"\\ud83dx\"");
	refuses("\"\\ud83d\\n\"");
	refuses("\"\\ud83d\\nde00\"");
	refuses("\"\\ud83dxude00\"");
	refuses("\"\\ud83d\\u0041\"");
	refuses("\"\\ud83d\\ud83d\"");
	refuses("\"\\ud83d\\u\"");
	refuses("\"\\ude00\"");
	refuses("\"\\ude00\\ud83d\"");
	refuses("\"\\udc00\\udc00\"");
	refuses("\"\\udfff\"");
}

static void utf8_of_each_length(void)
{
	accepts("\"\xc2\x80\xdf\xbf\"");
	accepts("\"\xe0\xa0\x80\xec\xbf\xbf\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\"");
	accepts("\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"");
}

static void overlong_utf8(void)
{
	refuses("\"\xc0\x80\"");
	refuses("\"\xc1\xbf\"");
	refuses("\"\xe0\x9f\xbf\"");
	refuses("\"\xf0\x8f\xbf\xbf\"");
}

static void surrogates_in_utf8(void)
{
	refuses("\"\xed\xa0\x80\"");
	refuses("\"\xed\xbf\xbf\"");
}

static void utf8_beyond_the_last_character(void)
{
	refuses("\"\xf4\x90\x80\x80\"");
	refuses("\"\xf5\x80\x80\x80\"");
	refuses("\"\xff\"");
}

static void utf8_cut_short(void)
{
	refuses("\"\xc2\"");
	refuses("\"\xe1\x80\"");
	refuses("\"\xf1\x80\x80\"");
	refuses("\"\xc2x\"");
	refuses("\"\xe1\x80x\"");
	refuses("\"\xf1\x80\x80\\n\"");
}

static void lone_continuation_bytes(void)
{
	refuses("\"\x80\"");
	refuses("\"a\xbf\"");
}

/* All that is done 16 bytes at a time is done at each place of a string of each length. */
static void odd_bytes_at_each_place(void)
{
	static const struct {
		const char *bytes, *want;
	} odd[] = {
		{"\x01", "refused"},	  {"\\n", "accepted"},	   {"\\x", "refused"},
		{"\xc3\xa9", "accepted"}, {"\xc3", "refused"},	   {"\"", "refused"},
		{"~", "accepted"},	  {"\\u00e9", "accepted"},
	};
	auto_scan_buf text, out;

	buf_init(&text, KiB);
	buf_init(&out, KiB);
	for (size_t o = 0; o < ARRAY_LEN(odd); o++) {
		for (int before = 0; before < 36; before++) {
			for (int after = 0; after < 20; after++) {
				buf_reset(&text);
				buf_printf(&text, "{\"%.*s%s%.*s\":0}", before,
					   "abcdefghijklmnopqrstuvwxyzabcdefghijklmnop",
					   odd[o].bytes, after, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
				is_str(verdict(text.bytes, text.len, text.len, &out), odd[o].want);
				is_str(verdict(text.bytes, text.len, 1 + (size_t)before, &out),
				       odd[o].want);
			}
		}
	}
}

static void unterminated_strings(void)
{
	refuses_document("{\"a\":\"b");
	refuses_document("{\"a");
	refuses_document("{\"a\":\"b\\");
	refuses_document("{\"a\":'b'}");
}

static void nul_in_a_string(void)
{
	accepts("\"a\\u0000b\"");
	is_scanned(SCAN_OBJECT, "{\"metadata\":{\"name\":\"admin\\u0000x\"}}",
		   "ITEM {\"metadata\":{\"name\":\"admin\ufffdx\"}}\nok");
	/* jansson has no such keys. */
	check_verdict("{\"\\u0000\":1}", 12, "accepted", false);
}

static void strings_are_unescaped(void)
{
	is_scanned(
		SCAN_OBJECT,
		"{\"metadata\":{\"name\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20ac\\ud83d\\ude00 \xc3\xa9\"}}",
		"ITEM {\"metadata\":{\"name\":\"\\\"\\\\/\\b\\f\\n\\r\\tA\u00e9\u20ac\U0001F600 \u00e9\"}}\nok");
	/* the first and the last character of each length */
	is_scanned(
		SCAN_OBJECT,
		"{\"metadata\":{\"name\":\"\\u007f\\u0080\\u07ff\\u0800\\ud7ff\\ue000\\uffff\\ud800\\udc00\\udbff\\udfff\"}}",
		"ITEM {\"metadata\":{\"name\":\"\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"}}\nok");
}

static void keys_are_unescaped(void)
{
	is_scanned(
		SCAN_OBJECT,
		"{\"m\\u0065tadata\":{\"n\\u0061me\":\"a\",\"labels\":{\"\\u006b\":\"\\u0076\"}}}",
		"ITEM {\"metadata\":{\"name\":\"a\",\"labels\":{\"k\":\"v\"}}}\nok");
}

/* --- numbers, literals, structure ------------------------------------------------------------- */

static void numbers(void)
{
	accepts("0");
	accepts("-0");
	accepts("10");
	accepts("-12.50");
	accepts("0.0");
	accepts("1e5");
	accepts("1E+5");
	accepts("1e-5");
	accepts("0e0");
	accepts("1.25e007");
}

static void no_numbers(void)
{
	refuses("+1");
	refuses("-");
	refuses("-a");
	refuses("01");
	refuses("-01");
	refuses("00");
	refuses("1.");
	refuses("1.e5");
	refuses(".5");
	refuses("-.5");
	refuses("1e");
	refuses("1e+");
	refuses("1e5.");
	refuses("1e5e");
	refuses("0x10");
	refuses("1_000");
	refuses("1 2");
	refuses("1-");
	refuses("NaN");
	refuses("Infinity");
	refuses("-Infinity");
}

static void huge_numbers(void)
{
	char digits[1032];

	/* jansson refuses what does not fit its types; nobody who skips a number needs to. */
	accepts_alone("99999999999999999999999");
	accepts_alone("1e999");
	memset(digits, '7', sizeof(digits));
	check_value(digits, 1024, "accepted", false);
	check_value(digits, 1025, "refused", false);
	is_str(token_number(digits, digits + 1024).why, token_cut); /* whatever comes next */
	is_str(token_number(digits, digits + 1025).why, "a number of over 1024 digits");
}

static void literals(void)
{
	accepts("true");
	accepts("false");
	accepts("null");
	refuses("True");
	refuses("tru");
	refuses("truex");
	refuses("nul");
	refuses("nulll");
	refuses("fals");
	refuses("t");
	refuses("undefined");
}

static void containers(void)
{
	accepts("{}");
	accepts("[]");
	accepts("[[],{},[[1]]]");
	accepts("{\"a\":{\"b\":[{}]},\"c\":[]}");
	refuses("[");
	refuses("{");
	refuses("]");
	refuses("}");
	refuses("[}");
	refuses("{]");
	refuses("[1,]");
	refuses("[,1]");
	refuses("[1,,2]");
	refuses("[1 2]");
	refuses("[1:2]");
	refuses("{,}");
	refuses("{\"a\"}");
	refuses("{\"a\":}");
	refuses("{\"a\":]");
	refuses("{\"a\" 1}");
	refuses("{\"a\":1,}");
	refuses("{\"a\":1 \"b\":2}");
	refuses("{\"a\":1;\"b\":2}");
	refuses("{\"a\":1:2}");
	refuses("{a:1}");
	refuses("{1:1}");
	refuses("{\"a\"::1}");
	refuses("[\"a\":1]");
	refuses("// c\n1");
	refuses("");
}

static void white_space(void)
{
	accepts_document(
		" \t\r\n{ \t\r\n\"a\" \t\r\n: \t\r\n[ \t\r\n] \t\r\n, \t\r\n\"b\":{ }} \t\r\n");
	refuses_document("\f{}");
	refuses_document("{\v}");
	refuses_document("{\"a\":\xc2\xa0"
			 "1}");
	refuses_document("\xef\xbb\xbf{}");
}

static void nothing_behind_the_document(void)
{
	accepts_document("{} \n");
	refuses_document("{}{}");
	refuses_document("{} x");
	refuses_document("{},");
}

static void zero_bytes(void)
{
	static const char zero[] = "a\0b\"";

	is_str(token_string(zero, zero + 4).why, "a control character in a string");
	refuses_document("\0{}");
	refuses_document("{\0}");
	refuses_document("{}\0");
	refuses("\0");
	refuses("\"\0\"");
	/* These jansson accepts: its lexer drops a 0 behind a number or word. */
	check_value("1\0", 2, "refused", false);
	check_value("true\0", 5, "refused", false);
}

static void only_an_object_is_a_document(void)
{
	refuses_document("");
	refuses_document("  ");
	refuses_document("[]");
	refuses_document("1");
	refuses_document("\"a\"");
	refuses_document("null");
	refuses_document("<!DOCTYPE html>");
	refuses_document("{");
	refuses_document("{\"a\":1");
}

static void errors_name_the_offset(void)
{
	is_scanned(SCAN_OBJECT, "<html>", "refused: byte 0: expected an object, not '<'\n");
	is_scanned(SCAN_OBJECT, "{\"a\":[1,2}",
		   "refused: byte 9: expected a comma or ], not '}'\n");
	is_scanned(SCAN_OBJECT, "{\"a\":{\"b\":01}",
		   "refused: byte 11: expected a comma or }, not '1'\n");
	is_scanned(SCAN_OBJECT, "{\"a\" 1}", "refused: byte 5: expected a colon, not '1'\n");
	is_scanned(SCAN_OBJECT, "{\"a\":\"bc\x07\"}",
		   "refused: byte 8: a control character in a string\n");
	is_scanned(SCAN_OBJECT, "{\"a\":\"b\\x\"}", "refused: byte 7: an unknown escape\n");
	is_scanned(SCAN_OBJECT, "{\"abcdefghijklmnopqrstuvw\xc3(\":0}",
		   "refused: byte 25: a byte that is no UTF-8\n");
	is_scanned(SCAN_OBJECT, "{\"a\":1,\x80}", "refused: byte 7: expected a key, not 0x80\n");
	is_scanned(SCAN_OBJECT, "{\"a\":~}", "refused: byte 5: expected a value, not '~'\n");
	is_scanned(SCAN_OBJECT, "{\"a\":\x7f}", "refused: byte 5: expected a value, not 0x7f\n");
	is_scanned(SCAN_OBJECT, "{\"a\":!}", "refused: byte 5: expected a value, not '!'\n");
	is_scanned(SCAN_OBJECT, "{}\n\nx",
		   "ITEM {}\nrefused: byte 4: expected nothing behind the document, not 'x'\n");
	is_scanned(SCAN_OBJECT, "{\"a\":\"b", "refused: byte 7: the document ends in its middle\n");
	is_scanned(SCAN_OBJECT, "", "refused: byte 0: nothing came\n");
}

/* Each beginning of a token, in front of other bytes: what stands at the end and behind it changes
 * nothing. */
static void what_stands_behind_the_end_is_not_read(void)
{
	static const char *const texts[] = {
		"-0.5e+7 ",
		"120E-10,",
		"0e0]",
		"-",
		"1.",
		"abc\\n\\u00e9\\ud83d\\ude00 defghijklmnopqrst\"",
		"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 and more than sixteen bytes\"",
		"\\ud83dx\"",
		"true ",
		"\"",
	};
	static const char behind[] = "0.e+-9u\\\"dtrue\x80\xc3\x01";

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		for (size_t n = 1; n <= strlen(texts[i]); n++) { /* nobody asks of no byte */
			for (size_t k = 0; k < sizeof(behind); k++) {
				char plain[128] = {0}, other[128];
				struct token a[3], b[3];

				memset(other, behind[k], sizeof(other));
				memcpy(plain, texts[i], n);
				memcpy(other, texts[i], n);
				a[0] = token_number(plain, plain + n);
				b[0] = token_number(other, other + n);
				a[1] = token_string(plain, plain + n);
				b[1] = token_string(other, other + n);
				a[2] = token_literal(plain, plain + n, "true");
				b[2] = token_literal(other, other + n, "true");
				for (size_t t = 0; t < ARRAY_LEN(a); t++) {
					is_int(b[t].at - other, a[t].at - plain);
					ok(b[t].at <= other + n);
					is_str(b[t].why, a[t].why);
				}
			}
		}
	}
}

TESTS({"a string holds no control character", control_characters},
      {"the eight escapes and \\u are accepted", known_escapes},
      {"another escape is refused", unknown_escapes},
      {"\\u has four hexadecimal digits", unicode_escapes_have_four_digits},
      {"\\u surrogates come in pairs", surrogates_come_in_pairs},
      {"UTF-8 of each length is accepted", utf8_of_each_length},
      {"overlong UTF-8 is refused", overlong_utf8},
      {"surrogates in UTF-8 are refused", surrogates_in_utf8},
      {"UTF-8 beyond U+10FFFF is refused", utf8_beyond_the_last_character},
      {"UTF-8 cut short is refused", utf8_cut_short},
      {"a continuation byte alone is refused", lone_continuation_bytes},
      {"an odd byte is seen at each place of a string of each length", odd_bytes_at_each_place},
      {"a string that does not end is refused", unterminated_strings},
      {"\\u0000 becomes U+FFFD", nul_in_a_string}, {"strings are unescaped", strings_are_unescaped},
      {"keys are unescaped", keys_are_unescaped}, {"numbers are accepted", numbers},
      {"what only resembles a number is refused", no_numbers},
      {"numbers that fit no type are accepted, up to 1024 digits", huge_numbers},
      {"literals are words of their own", literals},
      {"containers close as they opened, with commas and colons between", containers},
      {"white space is blank, tab, line feed and carriage return", white_space},
      {"nothing but white space follows the document", nothing_behind_the_document},
      {"a byte 0 is refused everywhere", zero_bytes},
      {"only an object is a document", only_an_object_is_a_document},
      {"what stands behind the end is not read", what_stands_behind_the_end_is_not_read},
      {"an error names the offset, wherever the bytes were cut", errors_name_the_offset})
