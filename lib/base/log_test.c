/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/test.h"

static char line[4 * LOG_LINE_MAX];
static int out[2] = {-1, -1};

static void begin(enum log_level level, const char *component)
{
	if (out[0] < 0) {
		is_int(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
	}
	log_setup(level, out[1], component);
}

static const char *written(void)
{
	ssize_t n = read(out[0], line, sizeof(line) - 1);

	line[n > 0 ? n : 0] = '\0';
	return line;
}

/* The line without its time. */
static const char *rest(void)
{
	const char *comma = strchr(written(), ',');

	return comma ? comma : line;
}

static void event_is_one_json_line_in_order(void)
{
	char text[CLOCK_TEXT_MAX];
	int64_t us = 0;

	begin(LOG_LEVEL_INFO, NULL);
	log_info("listed", log_str("kind", "Node"), log_int("objects", -3), log_bool("ready", true),
		 log_num("seconds", 0.25), log_str("none", NULL));
	is_str(rest(),
	       ",\"level\":\"info\",\"msg\":\"listed\",\"kind\":\"Node\",\"objects\":-3,\"ready\":true,\"seconds\":0.25}\n");
	has(line, "{\"ts\":\"");
	snprintf(text, sizeof(text), "%.27s", line + 7);
	is_int(clock_parse(text, &us), 0);
	ok(clock_wall_us() - us < 60 * 1000000);
	log_warn("bare");
	is_str(rest(), ",\"level\":\"warn\",\"msg\":\"bare\"}\n");
	begin(LOG_LEVEL_INFO, "hands");
	log_error("x");
	is_str(rest(), ",\"level\":\"error\",\"component\":\"hands\",\"msg\":\"x\"}\n");
}

static int evaluated;

static const char *costly(void)
{
	evaluated++;
	return "v";
}

static void lower_levels_cost_nothing(void)
{
	begin(LOG_LEVEL_WARN, NULL);
	evaluated = 0;
	log_info("quiet", log_str("k", costly()));
	log_debug("quiet", log_str("k", costly()));
	is_int(evaluated, 0);
	is_str(written(), "");
	log_error("loud", log_str("k", costly()));
	is_int(evaluated, 1);
	has(written(), "loud");
}

static void any_bytes_give_valid_json(void)
{
	begin(LOG_LEVEL_INFO, NULL);
	log_info("q\"b\\n\nt\tx",
		 log_str("k", "\xc3\xa9 \xc0\xaf \xed\xa0\x80 \xf0\x9f\x8e\xae \x7f \xff"));
	is_str(rest(),
	       ",\"level\":\"info\",\"msg\":\"q\\\"b\\\\n\\nt\\u0009x\",\"k\":\"\xc3\xa9 \xef\xbf\xbd\xef\xbf\xbd "
	       "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xf0\x9f\x8e\xae \\u007f \xef\xbf\xbd\"}\n");
	log_info("cut\xe2\x82"); /* half a character at the end: nothing is read beyond it */
	has(written(), "cut\xef\xbf\xbd\xef\xbf\xbd\"}\n");
}

static void long_values_are_cut_and_the_line_stays_whole(void)
{
	auto_free char *big = xmalloc(40000);
	size_t n;

	begin(LOG_LEVEL_INFO, NULL);
	memset(big, '"', 39999);
	big[39999] = '\0';
	log_info("big", log_str("a", big), log_str("b", big), log_str("c", big), log_int("n", 1));
	n = strlen(written());
	ok(n <= LOG_LINE_MAX && n > LOG_LINE_MAX - 100);
	is_str(line + n - 3, "\"}\n");
	ok(line[n - 4] == '"' && line[n - 5] == '\\'); /* the cut split no escape */
	has(line, "\",\"b\":\"");
	ok(!strstr(line, "\"c\""));
}

static void secrets_do_not_come_out(void)
{
	static const struct {
		const char *text, *shown;
	} rows[] = {
		{"Authorization: Bearer abcdef1234567890", "Authorization: Bearer [redacted]"},
		{"authorization: basic dXNlcjpwYXNz, next",
		 "authorization: basic [redacted], next"},
		{"bearer token has expired", "bearer token has expired"},
		{"got eyJhbGciOi.eyJpc3MiOi.c2ln from file", "got [redacted] from file"},
		{"token=eyJhbGciOi.eyJpc3MiOi.c2ln", "token=[redacted]"},
		{"keyJob.yaml", "keyJob.yaml"},
		{"-----BEGIN RSA PRIVATE KEY-----\nMIIE",
		 "-----BEGIN RSA PRIVATE KEY-----[redacted]"},
		{"-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----"},
		{"proxy http://me:hunter2@proxy:3128/ fails",
		 "proxy http://me:[redacted]@proxy:3128/ fails"},
		{"https://10.0.0.1:6443/api?a=b@c", "https://10.0.0.1:6443/api?a=b@c"},
	};

	begin(LOG_LEVEL_INFO, NULL);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		auto_free char *want =
			xprintf(",\"level\":\"info\",\"msg\":\"m\",\"v\":\"%s\"}\n", rows[i].shown);

		log_info("m", log_str("v", rows[i].text));
		if (i == 6) {
			has(rest(), "PRIVATE KEY-----[redacted]\"}");
			ok(!strstr(line, "MIIE"));
		} else {
			is_str(rest(), want);
		}
	}
	log_info("m", log_str("Token", "s3cret"), log_str("password", "s3cret"),
		 log_str("keys", "ns/name"));
	is_str(rest(),
	       ",\"level\":\"info\",\"msg\":\"m\",\"Token\":\"[redacted]\",\"password\":\"[redacted]\",\"keys\":\"ns/name\"}\n");
}

static void errno_survives(void)
{
	begin(LOG_LEVEL_INFO, NULL);
	log_setup(LOG_LEVEL_INFO, -1, NULL);
	errno = ENOENT;
	log_info("to nowhere");
	is_int(errno, ENOENT);
}

TESTS({"an event is one JSON line, its fields in order", event_is_one_json_line_in_order},
      {"a level that is off evaluates nothing", lower_levels_cost_nothing},
      {"any bytes give a valid JSON line", any_bytes_give_valid_json},
      {"long values are cut and the line stays whole",
       long_values_are_cut_and_the_line_stays_whole},
      {"secrets do not come out", secrets_do_not_come_out},
      {"errno survives logging", errno_survives})
