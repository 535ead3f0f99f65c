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

static int64_t now(const struct telemetry *r)
{
	return loop_now(r->s.eyes.loop);
}

static void keep(char **to, const char *text)
{
	char *old = *to;

	*to = xstrdup(text);
	free(old);
}

static void forget_cards(struct telemetry *r)
{
	while (r->n) {
		free(r->cards[--r->n].model);
	}
}

/* Only what is news is told. */
static void tell(struct telemetry *r)
{
	uint64_t h = HASH_SEED ^ (uint64_t)r->state;

	h = hash_bytes(h, r->why, strlen(r->why) + 1);
	h = hash_bytes(h, r->library, strlen(r->library) + 1);
	for (size_t i = 0; i < r->links.n; i++) {
		h = hash_bytes(h, &r->links.items[i], sizeof(r->links.items[i]));
	}
	if (h != r->reported) {
		r->reported = h;
		r->s.changed(r->s.ctx);
	}
}

/* --- an answer ------------------------------------------------------------------------------ */

static const char *model_of(const struct telemetry *r, uint64_t at)
{
	for (size_t i = 0; i < r->n; i++) {
		if (r->cards[i].at == at) {
			return r->cards[i].model;
		}
	}
	return "";
}

static void measure_card(struct telemetry *r, const struct reading_card *c)
{
	const struct opt_int *total = &c->values[READING_MEMORY_TOTAL],
			     *used = &c->values[READING_MEMORY_USED];
	char gpu[PCIFN_TEXT_MAX];
	const char *labels[] = {pcifn_text(c->at, gpu), c->uuid, model_of(r, c->at), r->s.node};

	for (size_t i = 0; i < READING_VALUES; i++) {
		if (c->values[i].set) {
			double by = divisors[i] > 0 ? divisors[i] : 1;

			metric_set(r->metrics, i, (double)c->values[i].value / by, labels);
		}
	}
	if (total->set && used->set) {
		metric_set(r->metrics, FREE, (double)(total->value - used->value) / MiB, labels);
	}
	metric_set(r->metrics, READ_AT, (double)clock_wall_ms() / 1000, labels);
}

/* All anew: of what is not read any more nothing may stay. */
static void measure(struct telemetry *r, const struct reading *reading)
{
	r->metrics = metrics_destroy(r->metrics);
	if (reading && r->s.often) {
		r->metrics = metrics_create(table, GAUGES);
		list_each(c, &reading->cards) {
			if (!*c->trouble) {
				measure_card(r, c);
			}
		}
	}
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

static void take_done(struct telemetry *r, const struct reading *reading)
{
	free(r->why);
	r->why = first_trouble(reading);
	links_learn(&r->links, reading);
	measure(r, reading);
	r->next_at = now(r) + (r->s.often ? TELEMETRY_OFTEN_MS : TELEMETRY_SELDOM_MS);
}

static void on_reading(void *ctx, const struct reading *reading)
{
	struct telemetry *r = ctx;

	r->asking = false;
	r->next_at =
		now(r) + (reading->state == READING_NONE ? TELEMETRY_OFTEN_MS : TELEMETRY_AGAIN_MS);
	if (reading->state == READING_NONE) {
		return;
	}
	r->heard = true;
	r->state = reading->state;
	keep(&r->library, reading->library);
	if (reading->state == READING_DONE) {
		take_done(r, reading);
	} else {
		keep(&r->why, reading->why);
		measure(r, NULL);
	}
	tell(r);
}

/* --- a question ----------------------------------------------------------------------------- */

static bool is_on_driver(const struct pci_function *f)
{
	return f->kind == PCI_GPU && str_eq(f->driver, "nvidia");
}

static void collect(struct telemetry *r, const struct machine *m)
{
	attr_cleanup(arena_finish) struct arena a;

	arena_init(&a, BYTES);
	forget_cards(r);
	list_each(item, &m->functions) {
		const struct pci_function *f = *item;
		const char *model;

		if (is_on_driver(f) && r->n < ARRAY_LEN(r->cards)) {
			unit_name(f, &a, &model);
			r->cards[r->n++] = (struct card){f->address, xstrdup(model ? model : "")};
		}
	}
	keep(&r->driver, m->nvidia);
}

static uint64_t key_of(const struct telemetry *r)
{
	uint64_t h = hash_bytes(HASH_SEED, r->driver, strlen(r->driver));

	for (size_t i = 0; i < r->n; i++) {
		h = hash_bytes(h, &r->cards[i].at, sizeof(r->cards[i].at));
	}
	return h | 1;
}

static void ask(struct telemetry *r)
{
	uint64_t cards[READING_MAX_CARDS];
	struct reading_question q = {cards, 0};

	for (size_t i = 0; i < r->n; i++) {
		cards[q.n++] = r->cards[i].at;
	}
	r->asking = true;
	eyes_read(r->eyes, &q, EYES_READ_MS, on_reading, r);
}

/* No card is on that driver any more: what was said of it is over. */
static void rest(struct telemetry *r)
{
	r->key = 0;
	r->heard = true;
	r->state = READING_NONE;
	keep(&r->why, "");
	keep(&r->library, "");
	measure(r, NULL);
	tell(r);
}

void telemetry_beat(struct telemetry *r, const struct machine *m)
{
	uint64_t key;

	if (r->asking) {
		return;
	}
	collect(r, m);
	key = key_of(r);
	if (!r->n) {
		rest(r);
	} else if (key != r->key || now(r) >= r->next_at) {
		r->key = key;
		ask(r);
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
void telemetry_recall(struct telemetry *r, const struct machine *m, const struct status *old)
{
	const struct condition *c = condition_find(&old->conditions, CONDITION);

	if (r->heard) {
		return;
	}
	links_recall(&r->links, m, old);
	if (!on_driver(m)) {
		return;
	}
	for (size_t i = 0; old->node_info && i < old->node_info->versions.n; i++) {
		if (str_eq(old->node_info->versions.items[i].key, "libnvidia-ml")) {
			keep(&r->library, old->node_info->versions.items[i].value);
		}
	}
	keep_or_not(&r->status, c ? c->status : NULL);
	keep_or_not(&r->reason, c ? c->reason : NULL);
	keep_or_not(&r->message, c ? c->message : NULL);
}

static struct condition condition(const char *status, const char *reason, const char *message)
{
	return (struct condition){
		.type = CONDITION, .status = status, .reason = reason, .message = message};
}

static struct condition say(const struct telemetry *r, struct arena *a)
{
	switch (r->state) {
	case READING_NONE:
		return r->heard || !r->status ? (struct condition){0}
					      : condition(r->status, r->reason, r->message);
	case READING_DONE:
		return *r->why ? condition(
					 "False", "CardInTrouble",
					 arena_printf(
						 a,
						 "NVIDIA's library reads others, but not %s; the kernel log may say more (NVRM, Xid)",
						 r->why))
			       : condition("True", "Read",
					   "NVIDIA's library reads the cards on its driver");
	case READING_ABSENT:
		return condition(
			"Unknown", "NoLibrary",
			arena_printf(
				a,
				"vmgpu-node observe finds no library of NVIDIA's driver, so NVLinks, temperature and memory of the cards on it are not known, and all else goes on: %s; give it the file with --nvml",
				r->why));
	case READING_MISMATCH:
		return condition(
			"False", "VersionMismatch",
			arena_printf(
				a,
				"NVIDIA's library is of version %s and the kernel module that is loaded of %s, so no program can begin to use the cards on that driver: reboot the node, or end what uses them and load the module anew (modprobe -r nvidia_drm nvidia_modeset nvidia_uvm nvidia; modprobe nvidia); cards on vfio-pci work",
				*r->library ? r->library : "another",
				*r->driver ? r->driver : "its own"));
	case READING_LATE:
		return condition(
			"False", "Hangs",
			arena_printf(
				a,
				"NVIDIA's library does not answer (%s): a card or its driver hangs; the kernel log says more (NVRM, Xid), and often only a reboot helps; it is tried again, less and less often",
				r->why));
	case READING_REFUSED:
		return condition("False", "Refused",
				 arena_printf(a, "NVIDIA's library reads no card: %s", r->why));
	}
	return (struct condition){0};
}

void telemetry_report(const struct telemetry *r, struct arena *a, struct report_read *ret)
{
	*ret = (struct report_read){r->library, &r->links, say(r, a)};
}

const struct links *telemetry_links(const struct telemetry *r)
{
	return &r->links;
}

void telemetry_metrics(void *ctx, struct buf *out)
{
	const struct telemetry *r = ctx;

	metrics_write(r->metrics, out);
}

struct telemetry *telemetry_create(const struct telemetry_settings *s)
{
	struct telemetry *r = xcalloc(1, sizeof(*r));

	r->s = *s;
	r->eyes = eyes_create(&s->eyes);
	r->why = xstrdup("");
	r->library = xstrdup("");
	r->driver = xstrdup("");
	return r;
}

struct telemetry *telemetry_destroy(struct telemetry *r)
{
	eyes_destroy(r->eyes);
	forget_cards(r);
	links_finish(&r->links);
	metrics_destroy(r->metrics);
	free(r->why);
	free(r->library);
	free(r->driver);
	free(r->status);
	free(r->reason);
	free(r->message);
	free(r);
	return NULL;
}
