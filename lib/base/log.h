/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h: what a program says: one JSON line per event on stderr. RIM: programs log, libraries
 * return.
 *
 *	log_info("listed", log_str("kind", "Node"), log_int("objects", n));
 *	{"ts":"2026-05-04T03:02:01.000042Z","level":"info","msg":"listed","kind":"Node","objects":3}
 *
 * A line is one write(2), at most LOG_LINE_MAX bytes and always valid JSON: values are cut, bytes
 * that are no UTF-8 become U+FFFD. Secrets do not come out: a field whose key names one (token,
 * password, ...) prints as [redacted], and so does, within any text, what follows "Bearer " or
 * "Basic ", a JWT, a PEM private key, or the password in a URL. That is the last line of defence,
 * not a reason to log them.
 */
#pragma once

#include "base/base.h"

#define LOG_LINE_MAX 8192

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
#define LOG_LEVELS "error|warn|info|debug" /* for flag.h, in the order of the enum */

enum log_type { LOG_END, LOG_STR, LOG_INT, LOG_BOOL, LOG_NUM };

struct log_field {
	enum log_type type;
	const char *key;
	const char *s; /* NULL: the field is left out */
	int64_t i;
	double d;
};

#define log_str(k, v) ((struct log_field){.type = LOG_STR, .key = (k), .s = (v)})
#define log_int(k, v) ((struct log_field){.type = LOG_INT, .key = (k), .i = (int64_t)(v)})
#define log_bool(k, v) ((struct log_field){.type = LOG_BOOL, .key = (k), .i = (v)})
#define log_num(k, v) ((struct log_field){.type = LOG_NUM, .key = (k), .d = (v)})

/* fd: STDERR_FILENO, or where a test reads. component: a "component" field in each line, or NULL;
 * kept as a pointer. */
void log_setup(enum log_level level, int fd, const char *component);
bool log_wants(enum log_level level);
/* fields end with a LOG_END. errno is kept. */
void log_write(enum log_level level, const char *msg, const struct log_field *fields);

#define log_event(level, msg, ...)                                                                 \
	do {                                                                                       \
		if (log_wants(level)) {                                                            \
			log_write((level), (msg),                                                  \
				  (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}});      \
		}                                                                                  \
	} while (0)
#define log_error(msg, ...) log_event(LOG_LEVEL_ERROR, msg, __VA_ARGS__)
#define log_warn(msg, ...) log_event(LOG_LEVEL_WARN, msg, __VA_ARGS__)
#define log_info(msg, ...) log_event(LOG_LEVEL_INFO, msg, __VA_ARGS__)
#define log_debug(msg, ...) log_event(LOG_LEVEL_DEBUG, msg, __VA_ARGS__)
