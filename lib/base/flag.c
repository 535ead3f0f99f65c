/* SPDX-License-Identifier: Apache-2.0 */
#include "base/flag.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LEN 48 /* of a flag; longer ones are compared no further */
#define LIST_MAX 1000

/* Durations */

static int64_t unit_ms(const char **s)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (str_starts(*s, units[i].name)) {
			*s += strlen(units[i].name);
			return units[i].ms;
		}
	}
	return 0;
}

int flag_duration(const char *s, int64_t *ret_ms)
{
	int64_t total = 0;

	if (str_eq(s, "0")) {
		*ret_ms = 0;
		return 0;
	}
	if (!*s) {
		return -1;
	}
	while (*s) {
		int64_t n = 0, unit;

		if (*s < '0' || *s > '9') {
			return -1;
		}
		for (; *s >= '0' && *s <= '9'; s++) {
			n = n * 10 + (*s - '0');
			if (n > INT32_MAX) {
				return -1;
			}
		}
		unit = unit_ms(&s);
		if (!unit) {
			return -1;
		}
		total += n * unit; /* at most 24 days x 3600 a step: no overflow below 2^63 / 2^43
				      steps */
	}
	*ret_ms = total;
	return 0;
}

/* Near names */

/* Edits between a and b, a swap of neighbours counting as one (Damerau). */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][NAME_MAX_LEN + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > NAME_MAX_LEN || m > NAME_MAX_LEN) {
		return SIZE_MAX;
	}
	for (size_t j = 0; j <= m; j++) {
		rows[0][j] = j;
	}
	for (size_t i = 1; i <= n; i++) {
		size_t *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];

		now[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t cost = a[i - 1] != b[j - 1];

			now[j] = MIN(MIN(now[j - 1] + 1, last[j] + 1), last[j - 1] + cost);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
				now[j] = MIN(now[j], before[j - 2] + 1);
			}
		}
	}
	return rows[n % 3][m];
}

static void consider(const char *s, const char *name, const char **best, size_t *best_edits)
{
	size_t edits = distance(s, name);

	if (edits < *best_edits) {
		*best_edits = edits;
		*best = name;
	}
}

/* One edit in three letters, and no more than three. */
static size_t bound(const char *s)
{
	return MIN(strlen(s) / 3, (size_t)3) + 1;
}

const char *flag_nearest(const char *s, const char *const *names)
{
	const char *best = NULL;
	size_t edits = bound(s);

	for (; *names; names++) {
		consider(s, *names, &best, &edits);
	}
	return best;
}

/* Values */

static const char *arg_name(const struct flag *f)
{
	static const char *const by_type[] = {"TEXT", "", "N", "DURATION", "", "TEXT"};

	return f->arg ? f->arg : f->type == FLAG_CHOICE ? f->choices : by_type[f->type];
}

static int set_choice(const struct flag *f, int *out, const char *value, struct err *err)
{
	int index = 0;
	size_t n = strlen(value);

	for (const char *c = f->choices; c; c = strchr(c, '|'), index++) {
		c += *c == '|';
		if (n && strncmp(c, value, n) == 0 && (c[n] == '|' || !c[n])) {
			*out = index;
			return 0;
		}
	}
	return err_set(err, "--%s: \"%s\" is none of %s", f->name, value, f->choices);
}

static int set_bool(const struct flag *f, bool *out, const char *value, struct err *err)
{
	if (!str_eq(value, "true") && !str_eq(value, "false")) {
		return err_set(err, "--%s takes true or false, not \"%s\"", f->name, value);
	}
	*out = str_eq(value, "true");
	return 0;
}

static int set_int(const struct flag *f, int64_t *out, const char *value, struct err *err)
{
	bool limited = f->max > f->min;
	int64_t v, min = limited ? f->min : INT64_MIN, max = limited ? f->max : INT64_MAX;

	if (parse_int(value, min, max, &v) < 0) {
		return limited ? err_set(err, "--%s: \"%s\" is no whole number from %lld to %lld",
					 f->name, value, (long long)min, (long long)max)
			       : err_set(err, "--%s: \"%s\" is no whole number", f->name, value);
	}
	*out = v;
	return 0;
}

static int set_duration(const struct flag *f, int64_t *out, const char *value, struct err *err)
{
	int64_t v;

	if (flag_duration(value, &v) < 0) {
		return err_set(err,
			       "--%s: \"%s\" is no duration; write it like 90s, 1m30s or 500ms",
			       f->name, value);
	}
	if (f->max > f->min && (v < f->min || v > f->max)) {
		return err_set(err, "--%s: %s is not between %lld ms and %lld ms", f->name, value,
			       (long long)f->min, (long long)f->max);
	}
	*out = v;
	return 0;
}

static int set_list(const struct flag *f, struct flag_list *out, const char *value, struct err *err)
{
	if (out->n >= LIST_MAX) {
		return err_set(err, "--%s is given more than %d times", f->name, LIST_MAX);
	}
	out->values = xrealloc(out->values, (out->n + 1) * sizeof(*out->values));
	out->values[out->n++] = value;
	return 0;
}

static int set(const struct flag *f, void *out, const char *value, struct err *err)
{
	void *p = (char *)out + f->offset;

	switch (f->type) {
	case FLAG_STRING:
		*(const char **)p = value;
		return 0;
	case FLAG_BOOL:
		return set_bool(f, p, value, err);
	case FLAG_INT:
		return set_int(f, p, value, err);
	case FLAG_DURATION:
		return set_duration(f, p, value, err);
	case FLAG_CHOICE:
		return set_choice(f, p, value, err);
	case FLAG_LIST:
		return set_list(f, p, value, err);
	}
	return -1;
}

static void set_empty(const struct flag *f, void *out)
{
	static const size_t sizes[] = {sizeof(char *),	sizeof(bool), sizeof(int64_t),
				       sizeof(int64_t), sizeof(int),  sizeof(struct flag_list)};

	memset((char *)out + f->offset, 0, sizes[f->type]);
}

void flag_list_finish(struct flag_list *l)
{
	free(l->values);
	*l = (struct flag_list){0};
}

/* Parsing */

struct found {
	const struct flag *flag;
	void *out;
};

#define for_each_flag(g, f, groups)                                                                \
	for (const struct flag_group *g = (groups); g->flags; g++)                                 \
		for (const struct flag *f = g->flags; f->name; f++)

static struct found find_name(const struct flag_group *groups, const char *name, size_t n)
{
	for_each_flag(g, f, groups)
	{
		if (strlen(f->name) == n && memcmp(f->name, name, n) == 0) {
			return (struct found){f, g->out};
		}
	}
	return (struct found){0};
}

static struct found find_letter(const struct flag_group *groups, char letter)
{
	for_each_flag(g, f, groups)
	{
		if (letter && f->letter == letter) {
			return (struct found){f, g->out};
		}
	}
	return (struct found){0};
}

static int unknown(const struct flag_text *text, const struct flag_group *groups, const char *name,
		   size_t n, struct err *err)
{
	auto_free char *given = xstrndup(name, n);
	const char *best = NULL;
	size_t edits = bound(given);

	for_each_flag(g, f, groups)
	{
		if (!f->hidden) {
			consider(given, f->name, &best, &edits);
		}
	}
	return best ? err_set(err,
			      "unknown flag --%s: did you mean --%s? `%s --help` lists all flags",
			      given, best, text->program)
		    : err_set(err, "unknown flag --%s: `%s --help` lists all flags", given,
			      text->program);
}

struct parser {
	const struct flag_text *text;
	const struct flag_group *groups;
	char **argv;
	int argc, next, args;
};

static bool wants_help(const char *arg)
{
	return str_eq(arg, "--help") || str_eq(arg, "-h") || str_eq(arg, "--help=true");
}

/* value: what stood in the same word, or NULL: a flag other than a bool takes the next word. */
static int give(struct parser *p, struct found found, const char *value, struct err *err)
{
	if (!value && found.flag->type == FLAG_BOOL) {
		value = "true";
	}
	if (!value) {
		if (p->next >= p->argc) {
			return err_set(err, "--%s needs a value: --%s=%s", found.flag->name,
				       found.flag->name, arg_name(found.flag));
		}
		value = p->argv[p->next++];
	}
	return set(found.flag, found.out, value, err);
}

static int parse_long(struct parser *p, const char *word, struct err *err)
{
	size_t n = strcspn(word, "=");
	struct found found = find_name(p->groups, word, n);

	if (!found.flag) {
		return unknown(p->text, p->groups, word, n, err);
	}
	return give(p, found, word[n] ? word + n + 1 : NULL, err);
}

static int parse_short(struct parser *p, const char *word, struct err *err)
{
	struct found found = find_letter(p->groups, *word);
	const char *value = word[1] ? word + 1 : NULL;

	if (!found.flag) {
		return err_set(err, "unknown flag -%c: `%s --help` lists all flags", *word,
			       p->text->program);
	}
	if (value && *value == '=') {
		value++;
	} else if (value && found.flag->type == FLAG_BOOL) { /* -vq is -v -q */
		return set(found.flag, found.out, "true", err) < 0 ? -1
								   : parse_short(p, value, err);
	}
	return give(p, found, value, err);
}

static int parse_word(struct parser *p, char *word, bool *rest, struct err *err)
{
	if (*rest || word[0] != '-' || !word[1]) { /* "-" alone is an argument: standard input */
		p->argv[p->args++] = word;
		return 0;
	}
	if (str_eq(word, "--")) {
		*rest = true;
		return 0;
	}
	if (wants_help(word)) {
		return 1;
	}
	return word[1] == '-' ? parse_long(p, word + 2, err) : parse_short(p, word + 1, err);
}

static int set_defaults(const struct flag_group *groups, struct err *err)
{
	for_each_flag(g, f, groups)
	{
		set_empty(f, g->out);
		if (f->value && set(f, g->out, f->value, err) < 0) {
			return err_wrap(err, "default of --%s", f->name);
		}
	}
	return 0;
}

static bool is_given(const struct flag *f, const void *out)
{
	const void *p = (const char *)out + f->offset;

	return f->type == FLAG_LIST ? ((const struct flag_list *)p)->n > 0
				    : !str_empty(*(char *const *)p);
}

static int check_required(const struct flag_group *groups, struct err *err)
{
	for_each_flag(g, f, groups)
	{ /* of strings and lists only: others always have a value */
		if (f->required && !is_given(f, g->out)) {
			return err_set(err, "--%s is missing: %s; give --%s=%s", f->name, f->help,
				       f->name, arg_name(f));
		}
	}
	return 0;
}

int flag_parse(const struct flag_text *text, const struct flag_group *groups, int argc, char **argv,
	       int *ret_args, struct err *err)
{
	struct parser p = {.text = text, .groups = groups, .argv = argv, .argc = argc};
	bool rest = false;

	if (set_defaults(groups, err) < 0) {
		return -1;
	}
	while (p.next < p.argc) {
		int r = parse_word(&p, argv[p.next++], &rest, err);

		if (r) {
			return r;
		}
	}
	if (check_required(groups, err) < 0) {
		return -1;
	}
	*ret_args = p.args;
	return 0;
}

/* Help */

#define HELP_COLUMN 34
#define HELP_WIDTH 100

/* Words of s, wrapped between column and HELP_WIDTH; the cursor stands at `at`. */
static void wrap(struct buf *b, const char *s, size_t at, size_t column)
{
	while (*s) {
		size_t n = strcspn(s, " \n");

		if (at > column && at + 1 + n > HELP_WIDTH) {
			buf_printf(b, "\n%*s", (int)column, "");
			at = column;
		} else if (at > column) {
			buf_char(b, ' ');
			at++;
		}
		buf_add(b, s, n);
		at += n;
		s += n;
		s += *s == ' ' || *s == '\n';
	}
	buf_char(b, '\n');
}

static bool takes_default(const struct flag *f)
{
	return !str_empty(f->value) && !(f->type == FLAG_BOOL && str_eq(f->value, "false"));
}

static void help_flag(const struct flag *f, struct buf *b)
{
	auto_free char *help = takes_default(f) ? xprintf("%s (default %s)", f->help, f->value)
			       : f->required	? xprintf("%s (required)", f->help)
						: xstrdup(f->help);
	size_t start = b->len, used;

	if (f->letter) {
		buf_printf(b, "  -%c, --%s", f->letter, f->name);
	} else {
		buf_printf(b, "      --%s", f->name);
	}
	if (f->type != FLAG_BOOL) {
		buf_printf(b, "=%s", arg_name(f));
	}
	used = b->len - start;
	if (used + 2 > HELP_COLUMN) {
		buf_char(b, '\n');
		used = 0;
	}
	buf_printf(b, "%*s", (int)(HELP_COLUMN - used), "");
	wrap(b, help, HELP_COLUMN, HELP_COLUMN);
}

void flag_help(const struct flag_text *text, const struct flag_group *groups, struct buf *b)
{
	const char *args = text->args ? text->args : "[flags]";

	if (text->about) {
		buf_printf(b, "%s\n\n", text->about);
	}
	buf_printf(b, "Usage:\n  %s%s%s\n", text->program, *args ? " " : "", args);
	if (text->examples) {
		buf_printf(b, "\nExamples:\n%s\n", text->examples);
	}
	for (const struct flag_group *g = groups; g->flags; g++) {
		buf_printf(b, "\n%s:\n", g->title);
		for (const struct flag *f = g->flags; f->name; f++) {
			if (!f->hidden) {
				help_flag(f, b);
			}
		}
	}
}
