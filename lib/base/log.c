/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const char *const secret_keys[] = {"token",	"password", "passwd",	  "authorization",
					  "bearer",	"secret",   "privatekey", "private_key",
					  "client-key", "clientkey"};

static struct {
	enum log_level level;
	int fd;
	const char *component;
} state = {LOG_LEVEL_INFO, STDERR_FILENO, NULL};

/* One line under construction: it never passes its end, which keeps room for "\"}\n". */
struct line {
	char text[LOG_LINE_MAX];
	size_t n;
};
#define LINE_END (LOG_LINE_MAX - 4)
#define VALUE_MAX (LOG_LINE_MAX / 2) /* one long value leaves room for the others */

void log_setup(enum log_level level, int fd, const char *component)
{
	state.level = level;
	state.fd = fd;
	state.component = component;
}

bool log_wants(enum log_level level)
{
	return level <= state.level;
}

/* All of it or nothing: an escape or a character is never split. */
static void put(struct line *l, const char *s, size_t n)
{
	if (n <= LINE_END - l->n) {
		memcpy(l->text + l->n, s, n);
		l->n += n;
	}
}

static void puts_line(struct line *l, const char *s)
{
	put(l, s, strlen(s));
}

/* Length of the UTF-8 character at s, 0 when there is none (Unicode 15, table 3-7). */
static size_t character(const unsigned char *s)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (s[0] < 0x80) {
		return 1;
	}
	if (s[0] < 0xc2 || s[0] > 0xf4) {
		return 0;
	}
	n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : low;
	high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : high;
	if (s[1] < low || s[1] > high) {
		return 0;
	}
	for (size_t i = 2; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	return n;
}

static bool token_char(char c)
{
	return c && !strchr(" \t\r\n\"'<>,;", c);
}

/* If a secret starts at s: how many bytes stay readable (*keep) and how many after them are hidden.
 * 0: none starts here. */
static size_t secret_at(const char *s, const char *start, size_t *keep)
{
	static const char pem[] = "PRIVATE KEY-----";
	size_t n = 0;

	*keep = 0;
	if (strncasecmp(s, "bearer ", 7) == 0 || strncasecmp(s, "basic ", 6) == 0) {
		*keep = (*s | 0x20) == 'b' && (s[1] | 0x20) == 'e' ? 7 : 6;
		for (; token_char(s[*keep + n]); n++) {
		}
		return n >= 8 ? n : 0; /* "bearer token expired" is prose */
	}
	if (strncmp(s, "eyJ", 3) == 0 &&
	    (s == start || !token_char(s[-1]) || strchr("=:/", s[-1]))) {
		bool dot = false;

		for (; token_char(s[n]); n++) {
			dot |= s[n] == '.';
		}
		return dot ? n : 0;
	}
	if (strncmp(s, pem, sizeof(pem) - 1) == 0) {
		*keep = sizeof(pem) - 1;
		return strlen(s + *keep);
	}
	if (strncmp(s, "://", 3) == 0) { /* user:password@ */
		size_t at = strcspn(s + 3, "@/ \t\n\"'?#"), colon = strcspn(s + 3, ":");

		*keep = 3 + colon + 1;
		return s[3 + at] == '@' && colon < at ? at - colon - 1 : 0;
	}
	return 0;
}

static void put_char(struct line *l, const char **s)
{
	unsigned char c = (unsigned char)**s;
	size_t n = character((const unsigned char *)*s);
	char escape[8];

	if (n == 0) {
		puts_line(l, "\xef\xbf\xbd");
		(*s)++;
		return;
	}
	if (c == '"' || c == '\\') {
		escape[0] = '\\', escape[1] = (char)c;
		put(l, escape, 2);
	} else if (c == '\n') {
		puts_line(l, "\\n");
	} else if (c < 0x20 || c == 0x7f) {
		put(l, escape, (size_t)snprintf(escape, sizeof(escape), "\\u%04x", c));
	} else {
		put(l, *s, n);
	}
	*s += n;
}

static void put_text(struct line *l, const char *s)
{
	const char *start = s;
	size_t stop = MIN(l->n + VALUE_MAX, (size_t)LINE_END);

	while (*s && l->n < stop) {
		size_t keep, hidden = secret_at(s, start, &keep);

		if (hidden) {
			for (const char *end = s + keep; s < end;) {
				put_char(l, &s);
			}
			puts_line(l, "[redacted]");
			s += hidden;
		} else {
			put_char(l, &s);
		}
	}
}

/* Keys are string literals of this project: they need no escaping. */
static void put_key(struct line *l, const char *key)
{
	puts_line(l, ",\"");
	puts_line(l, key);
	puts_line(l, "\":");
}

static bool names_secret(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(secret_keys); i++) {
		if (strcasecmp(key, secret_keys[i]) == 0) {
			return true;
		}
	}
	return false;
}

static void put_string(struct line *l, const char *key, const char *s)
{
	if (l->n + strlen(key) + 8 > LINE_END) {
		return; /* half a field would break the line */
	}
	put_key(l, key);
	l->text[l->n++] = '"';
	if (names_secret(key)) {
		puts_line(l, "[redacted]");
	} else {
		put_text(l, s);
	}
	l->text[l->n++] = '"';
}

static void put_field(struct line *l, const struct log_field *f)
{
	char text[48];

	if (f->type == LOG_STR) {
		if (f->s) {
			put_string(l, f->key, f->s);
		}
		return;
	}
	if (f->type == LOG_BOOL) {
		snprintf(text, sizeof(text), "%s", f->i ? "true" : "false");
	} else if (f->type == LOG_INT) {
		snprintf(text, sizeof(text), "%lld", (long long)f->i);
	} else {
		snprintf(text, sizeof(text), "%.9g", isfinite(f->d) ? f->d : 0.0);
	}
	if (l->n + strlen(f->key) + strlen(text) + 8 <= LINE_END) {
		put_key(l, f->key);
		puts_line(l, text);
	}
}

void log_write(enum log_level level, const char *msg, const struct log_field *fields)
{
	char ts[CLOCK_TEXT_MAX];
	struct line l;
	int saved = errno;

	if (!log_wants(level)) {
		return;
	}
	l.n = (size_t)snprintf(l.text, sizeof(l.text), "{\"ts\":\"%s\",\"level\":\"%s\"",
			       clock_micro_time(clock_wall_us(), ts), level_names[level]);
	if (state.component) {
		put_string(&l, "component", state.component);
	}
	put_string(&l, "msg", msg);
	for (; fields->type != LOG_END; fields++) {
		put_field(&l, fields);
	}
	l.text[l.n++] = '}';
	l.text[l.n++] = '\n';
	(void)!write(state.fd, l.text, l.n);
	errno = saved;
}
