/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/telemetry.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"

#define BYTES MiB
#define CONDITION "CardsRead"

/* --- metrics -------------------------------------------------------------------------------- */

enum { READ_AT = READING_VALUES, FREE, GAUGES };

#define LABELS                                                                                     \
	{                                                                                          \
		"gpu", "UUID", "modelName", "Hostname"                                             \
	}
#define GAUGE(name, help)                                                                          \
	{                                                                                          \
		name, METRIC_GAUGE, help, LABELS                                                   \
	}
#define COUNTER(name, help)                                                                        \
	{                                                                                          \
		name, METRIC_COUNTER, help, LABELS                                                 \
	}
/* DCGM, dcgm_fields.h, as dcgm-exporter has them; with vmgpu_ what is not among those. */
static const struct metric table[GAUGES] = {
	[READING_TEMPERATURE] = GAUGE("DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C)."),
	[READING_POWER] = GAUGE("DCGM_FI_DEV_POWER_USAGE", "Power draw (in W)."),
	[READING_POWER_LIMIT] =
		GAUGE("DCGM_FI_DEV_ENFORCED_POWER_LIMIT", "Most power that it may draw (in W)."),
	[READING_MEMORY_TOTAL] = GAUGE("DCGM_FI_DEV_FB_TOTAL", "Framebuffer memory (in MiB)."),
	[READING_MEMORY_USED] = GAUGE("DCGM_FI_DEV_FB_USED", "Framebuffer memory used (in MiB)."),
	[READING_GPU_BUSY] = GAUGE("DCGM_FI_DEV_GPU_UTIL", "GPU utilization (in %)."),
	[READING_MEMORY_BUSY] = GAUGE("DCGM_FI_DEV_MEM_COPY_UTIL", "Memory utilization (in %)."),
	[READING_SM_CLOCK] = GAUGE("DCGM_FI_DEV_SM_CLOCK", "SM clock frequency (in MHz)."),
	[READING_MEMORY_CLOCK] = GAUGE("DCGM_FI_DEV_MEM_CLOCK", "Memory clock frequency (in MHz)."),
	[READING_FAN] = GAUGE("DCGM_FI_DEV_FAN_SPEED", "Fan speed (in %)."),
	[READING_ECC] = GAUGE("DCGM_FI_DEV_ECC_CURRENT", "ECC is on."),
	[READING_ECC_CORRECTED] = COUNTER("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL",
					  "ECC errors corrected since the driver was loaded."),
	[READING_ECC_UNCORRECTED] =
		COUNTER("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL",
			"ECC errors not corrected since the driver was loaded."),
	[READING_MIG] = GAUGE("DCGM_FI_DEV_MIG_MODE", "MIG is on."),
	[READING_VIRTUALIZATION] =
		GAUGE("DCGM_FI_DEV_VIRTUAL_MODE",
		      "0: none, 1: passed through, 2: a vGPU, 3: it serves vGPUs."),
	[READING_PROCESSES] = GAUGE("vmgpu_gpu_processes", "Processes that compute on it."),
	[READ_AT] = GAUGE("vmgpu_gpu_read_timestamp_seconds", "When all these were read."),
	[FREE] = GAUGE("DCGM_FI_DEV_FB_FREE", "Framebuffer memory free (in MiB)."),
};

/* NVML's unit to the metric's; of those that are not here it is the same. */
static const double divisors[READING_VALUES] = {
	[READING_POWER] = 1000,
	[READING_POWER_LIMIT] = 1000,
	[READING_MEMORY_TOTAL] = MiB,
	[READING_MEMORY_USED] = MiB,
};

/* --- what is kept --------------------------------------------------------------------------- */

struct card {
	uint64_t at;
	char *model;
	char *uuid; /* of the last reading, as what follows; NULL: there was none */
	struct opt_int values[READING_VALUES];
	int64_t read_ms;
};

struct telemetry {
	struct telemetry_settings s;
	struct eyes *eyes;
	struct card cards[READING_MAX_CARDS]; /* of the last question */
	size_t n;
	char *driver; /* the kernel module's version, then */
	bool asking;
	uint64_t key; /* of cards and driver; 0: nothing was asked */
	int64_t next_at;
	enum reading_state state;
	char *why, *library;
	struct links links;
	bool heard;			 /* what was recalled is over */
	char *status, *reason, *message; /* the condition of the last report, NULL: it had none */
	struct metrics *metrics;	 /* NULL: nothing is read */
	uint64_t reported;		 /* hash of what is */
};

static int64_t now(const struct telemetry *t)
{
	return loop_now(t->s.eyes.loop);
}

static void keep(char **to, const char *text)
{
	char *old = *to;

	*to = xstrdup(text);
	free(old);
}

static void card_free(struct card *c)
{
	free(c->model);
	free(c->uuid);
}

static struct card *card_at(struct card *cards, size_t n, uint64_t at)
{
	for (size_t i = 0; i < n; i++) {
		if (cards[i].at == at) {
			return &cards[i];
		}
	}
	return NULL;
}

/* Only what is news is told. */
static void tell(struct telemetry *t)
{
	uint64_t h = HASH_SEED ^ (uint64_t)t->state;

	h = hash_bytes(h, t->why, strlen(t->why) + 1);
	h = hash_bytes(h, t->library, strlen(t->library) + 1);
	for (size_t i = 0; i < t->links.n; i++) {
		h = hash_bytes(h, &t->links.items[i], sizeof(t->links.items[i]));
	}
	if (h != t->reported) {
		t->reported = h;
		t->s.changed(t->s.ctx);
	}
}

/* --- an answer ------------------------------------------------------------------------------ */

static void measure_card(struct telemetry *t, const struct card *c)
{
	const struct opt_int *total = &c->values[READING_MEMORY_TOTAL],
			     *used = &c->values[READING_MEMORY_USED];
	char gpu[PCIFN_TEXT_MAX];
	const char *labels[] = {pcifn_text(c->at, gpu), c->uuid, c->model, t->s.node};

	for (size_t i = 0; i < READING_VALUES; i++) {
		if (c->values[i].set) {
			double by = divisors[i] > 0 ? divisors[i] : 1;

			metric_set(t->metrics, i, (double)c->values[i].value / by, labels);
		}
	}
	if (total->set && used->set) {
		metric_set(t->metrics, FREE, (double)(total->value - used->value) / MiB, labels);
	}
	metric_set(t->metrics, READ_AT, (double)c->read_ms / 1000, labels);
}

/* All anew: of what is not read any more nothing may stay. */
static void measure(struct telemetry *t)
{
	t->metrics = metrics_destroy(t->metrics);
	for (size_t i = 0; t->s.often && i < t->n; i++) {
		if (t->cards[i].uuid) {
			t->metrics = t->metrics ? t->metrics : metrics_create(table, GAUGES);
			measure_card(t, &t->cards[i]);
		}
	}
}

/* NULL: nothing is read. */
static void keep_numbers(struct telemetry *t, const struct reading *reading)
{
	for (size_t i = 0; i < t->n; i++) {
		free(take(t->cards[i].uuid));
	}
	for (size_t i = 0; reading && i < reading->cards.n; i++) {
		const struct reading_card *from = &reading->cards.items[i];
		struct card *c = card_at(t->cards, t->n, from->at);

		if (c && !*from->trouble) {
			c->uuid = xstrdup(from->uuid);
			memcpy(c->values, from->values, sizeof(c->values));
			c->read_ms = clock_wall_ms();
		}
	}
	measure(t);
}

static char *first_trouble(const struct reading *reading)
{
	char text[PCIFN_TEXT_MAX];

	list_each(c, &reading->cards) {
		if (*c->trouble) {
			return xprintf("%s: %s", pcifn_text(c->at, text), c->trouble);
		}
	}
	return xstrdup("");
}

static void take_done(struct telemetry *t, const struct reading *reading)
{
	free(t->why);
	t->why = first_trouble(reading);
	links_learn(&t->links, reading);
	keep_numbers(t, reading);
	t->next_at = now(t) + (t->s.often ? TELEMETRY_OFTEN_MS : TELEMETRY_SELDOM_MS);
}

static void on_reading(void *ctx, const struct reading *reading)
{
	struct telemetry *t = ctx;

	t->asking = false;
	t->next_at =
		now(t) + (reading->state == READING_NONE ? TELEMETRY_OFTEN_MS : TELEMETRY_AGAIN_MS);
	if (reading->state == READING_NONE) {
		return;
	}
	t->heard = true;
	t->state = reading->state;
	keep(&t->library, reading->library);
	if (reading->state == READING_DONE) {
		take_done(t, reading);
	} else {
		keep(&t->why, reading->why);
		keep_numbers(t, NULL);
	}
	tell(t);
}

/* --- a question ----------------------------------------------------------------------------- */

static bool is_on_driver(const struct pci_function *f)
{
	return f->kind == PCI_GPU && str_eq(f->driver, "nvidia");
}

/* What was read of those that are there still stays. */
static void collect(struct telemetry *t, const struct machine *m)
{
	attr_cleanup(arena_finish) struct arena a;
	struct card *old = xcalloc(ARRAY_LEN(t->cards), sizeof(*old)), *same;
	size_t n = t->n;
	const char *model;

	memcpy(old, t->cards, n * sizeof(*old));
	arena_init(&a, BYTES);
	t->n = 0;
	list_each(item, &m->functions) {
		const struct pci_function *f = *item;

		if (!is_on_driver(f) || t->n == ARRAY_LEN(t->cards)) {
			continue;
		}
		same = card_at(old, n, f->address);
		t->cards[t->n] = same ? *same : (struct card){.at = f->address};
		if (same) {
			*same = (struct card){0};
		}
		unit_name(f, &a, &model);
		keep(&t->cards[t->n++].model, model ? model : "");
	}
	for (size_t i = 0; i < n; i++) {
		card_free(&old[i]);
	}
	free(old);
	keep(&t->driver, m->nvidia);
}

static uint64_t key_of(const struct telemetry *t)
{
	uint64_t h = hash_bytes(HASH_SEED, t->driver, strlen(t->driver));

	for (size_t i = 0; i < t->n; i++) {
		h = hash_bytes(h, &t->cards[i].at, sizeof(t->cards[i].at));
	}
	return h | 1;
}

static void ask(struct telemetry *t)
{
	uint64_t cards[READING_MAX_CARDS];
	struct reading_question q = {cards, 0};

	for (size_t i = 0; i < t->n; i++) {
		cards[q.n++] = t->cards[i].at;
	}
	t->asking = true;
	eyes_read(t->eyes, &q, EYES_READ_MS, on_reading, t);
}

/* No card is on that driver any more: what was said of it is over. */
static void rest(struct telemetry *t)
{
	t->key = 0;
	t->heard = true;
	t->state = READING_NONE;
	keep(&t->why, "");
	keep(&t->library, "");
	keep_numbers(t, NULL);
	tell(t);
}

void telemetry_beat(struct telemetry *t, const struct machine *m)
{
	uint64_t key;

	if (t->asking) {
		return;
	}
	collect(t, m);
	key = key_of(t);
	if (!t->n) {
		rest(t);
	} else if (key != t->key || now(t) >= t->next_at) {
		t->key = key;
		measure(t);
		ask(t);
	}
}

/* --- from outside --------------------------------------------------------------------------- */

static bool on_driver(const struct machine *m)
{
	list_each(f, &m->functions) {
		if (is_on_driver(*f)) {
			return true;
		}
	}
	return false;
}

static void keep_or_not(char **to, const char *text)
{
	free(*to);
	*to = text ? xstrdup(text) : NULL;
}

/* So that a restart of the daemon, or of the eyes, is no news. */
void telemetry_recall(struct telemetry *t, const struct machine *m, const struct status *old)
{
	const struct condition *c = condition_find(&old->conditions, CONDITION);

	if (t->heard) {
		return;
	}
	links_recall(&t->links, m, old);
	if (!on_driver(m)) {
		return;
	}
	for (size_t i = 0; old->node_info && i < old->node_info->versions.n; i++) {
		if (str_eq(old->node_info->versions.items[i].key, "libnvidia-ml")) {
			keep(&t->library, old->node_info->versions.items[i].value);
		}
	}
	keep_or_not(&t->status, c ? c->status : NULL);
	keep_or_not(&t->reason, c ? c->reason : NULL);
	keep_or_not(&t->message, c ? c->message : NULL);
}

static struct condition condition(const char *status, const char *reason, const char *message)
{
	return (struct condition){
		.type = CONDITION, .status = status, .reason = reason, .message = message};
}

static struct condition say(const struct telemetry *t, struct arena *a)
{
	switch (t->state) {
	case READING_NONE:
		return t->heard || !t->status ? (struct condition){0}
					      : condition(t->status, t->reason, t->message);
	case READING_DONE:
		return *t->why ? condition(
					 "False", "CardInTrouble",
					 arena_printf(
						 a,
						 "NVIDIA's library does not read %s; the kernel log may say more (NVRM, Xid)",
						 t->why))
			       : condition("True", "Read",
					   "NVIDIA's library reads the cards on its driver");
	case READING_ABSENT:
		return condition(
			"Unknown", "NoLibrary",
			arena_printf(
				a,
				"vmgpu-node observe finds no library of NVIDIA's driver, so NVLinks, temperature and memory of the cards on it are not known, and all else goes on: %s; give it the file with --nvml",
				t->why));
	case READING_MISMATCH:
		return condition(
			"False", "VersionMismatch",
			arena_printf(
				a,
				"NVIDIA's library is of version %s and the kernel module that is loaded of %s, so no program can begin to use the cards on that driver: reboot the node, or end what uses them and load the module anew (modprobe -r nvidia_drm nvidia_modeset nvidia_uvm nvidia; modprobe nvidia); cards on vfio-pci work",
				*t->library ? t->library : "another",
				*t->driver ? t->driver : "its own"));
	case READING_LATE:
		return condition(
			"False", "Hangs",
			arena_printf(
				a,
				"NVIDIA's library does not answer (%s): a card or its driver hangs; the kernel log says more (NVRM, Xid), and often only a reboot helps; it is tried again, less and less often",
				t->why));
	case READING_REFUSED:
		return condition("False", "Refused",
				 arena_printf(a, "NVIDIA's library reads no card: %s", t->why));
	}
	return (struct condition){0};
}

void telemetry_report(const struct telemetry *t, struct arena *a, struct report_read *ret)
{
	*ret = (struct report_read){t->library, &t->links, say(t, a)};
}

const struct links *telemetry_links(const struct telemetry *t)
{
	return &t->links;
}

void telemetry_metrics(void *ctx, struct buf *out)
{
	const struct telemetry *t = ctx;

	metrics_write(t->metrics, out);
}

struct telemetry *telemetry_create(const struct telemetry_settings *s)
{
	struct telemetry *t = xcalloc(1, sizeof(*t));

	t->s = *s;
	t->eyes = eyes_create(&s->eyes);
	t->why = xstrdup("");
	t->library = xstrdup("");
	t->driver = xstrdup("");
	return t;
}

struct telemetry *telemetry_destroy(struct telemetry *t)
{
	eyes_destroy(t->eyes);
	for (size_t i = 0; i < t->n; i++) {
		card_free(&t->cards[i]);
	}
	links_finish(&t->links);
	metrics_destroy(t->metrics);
	free(t->why);
	free(t->library);
	free(t->driver);
	free(t->status);
	free(t->reason);
	free(t->message);
	free(t);
	return NULL;
}
