/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flag.h: command lines from const tables; the help text comes from the same rows.
 *
 *	struct options { const char *node; bool verbose; int64_t port, timeout_ms; int level; };
 *	static const struct flag flags[] = {
 *		{"node", 0, FLAG_STRING, offsetof(struct options, node), .arg = "NAME", .required =
 * true, .help = "name of this node"},
 *		{"timeout", 't', FLAG_DURATION, offsetof(struct options, timeout_ms), .value =
 * "30s", .help = "..."}, {0},
 *	};
 * Forms: --name=value, --name value, --bool, --bool=false, -o value, -ovalue, -o=value; flags and
 * arguments in any order, "--" ends flags. A flag given twice: the last counts, except FLAG_LIST,
 * which collects. Errors are one sentence that names flag and remedy; the caller prints it and exits
 * with 2 (FLAG_EXIT). Strings are borrowed from argv or the table.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define FLAG_EXIT 2

enum flag_type {
	FLAG_STRING,   /* const char *; NULL without a value in the table */
	FLAG_BOOL,     /* bool */
	FLAG_INT,      /* int64_t, in [min, max] when max > min */
	FLAG_DURATION, /* int64_t of milliseconds: "90s", "1m30s", "500ms", "0"; in [min, max] when
			  max > min */
	FLAG_CHOICE,   /* int: the index in choices, "error|warn|info" */
	FLAG_LIST,     /* struct flag_list */
};

struct flag_list {
	const char **values; /* flag_list_finish frees the array, not the strings */
	size_t n;
};

struct flag {
	const char *name; /* NULL ends the table */
	char letter;	  /* short form, or 0 */
	enum flag_type type;
	size_t offset;
	const char *value; /* default, as it would be typed; NULL: none */
	const char *arg;   /* what stands for the value in the help; NULL: by type */
	const char *help;  /* lower case, no full stop */
	const char *choices;
	int64_t min, max;
	bool required, hidden;
};

/* Tables that hold at once: a verb's own, and those shared by all. Ends with flags NULL. */
struct flag_group {
	const char *title; /* "Flags" */
	const struct flag *flags;
	void *out;
};

struct flag_text {
	const char *program;  /* "vmgpu-controller", "kubectl vmgpu render" */
	const char *args;     /* "[-f FILE] [NAME...]", after the program in the usage line; NULL:
				 "[flags]" */
	const char *about;    /* paragraphs */
	const char *examples; /* lines, or NULL */
};

/*
 * Sets every default, then what argv (without the program's name) says. Arguments that are no flags
 * are moved to the front of argv, *ret_args of them. 0; 1: --help or -h was given, print flag_help;
 * -1: err.
 */
int flag_parse(const struct flag_text *text, const struct flag_group *groups, int argc, char **argv,
	       int *ret_args, struct err *err);
void flag_help(const struct flag_text *text, const struct flag_group *groups, struct buf *b);
void flag_list_finish(struct flag_list *l);

/* "1h30m", "500ms", "0" -> milliseconds, as Go's time.ParseDuration reads whole numbers of h, m, s,
 * ms. 0 or -1. */
int flag_duration(const char *s, int64_t *ret_ms);
/* The name nearest to s of a NULL-terminated list, or NULL when none is near: for "did you mean".
 */
const char *flag_nearest(const char *s, const char *const *names);
