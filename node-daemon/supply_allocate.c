/* SPDX-License-Identifier: Apache-2.0 */
/* Allocate, what is read once more before it counts, and which devices are the best ones. */
#include "base/log.h"
#include "node-daemon/grant.h"
#include "node-daemon/prefer.h"
#include "node-daemon/supply_inner.h"
#include "node-daemon/sysfs.h"
#include "node-daemon/tokens.h"

/* What each container gets, or why not. */
static int grants(struct supply *su, const struct dpapi_asks *asks, struct arena *a,
		  struct dpapi_grant *ret, struct err *err)
{
	for (size_t i = 0; i < asks->n; i++) {
		const struct dpapi_ids *ids = &asks->items[i];
		const struct unit **units = arena_array(a, const struct unit *, ids->n);
		const struct offer *o = NULL;

		for (size_t k = 0; k < ids->n; k++) {
			o = offers_find(&su->offers, ids->items[k]);
			if (!o || !o->is || !o->variable) {
				return err_set(err, "%s: it is not there any more", ids->items[k]);
			}
			units[k] = o->is;
		}
		if (grant_make(&(struct grant_asked){.machine = su->facts.machine,
						     .resource = o ? o->resource : "",
						     .units = units,
						     .n = ids->n},
			       a, &ret[i], err) < 0) {
			return -1;
		}
	}
	return 0;
}

static void answer_units(struct supply *su, struct grpc_call *call, const struct dpapi_asks *asks)
{
	attr_cleanup(arena_finish) struct arena a;
	struct dpapi_grant *containers;
	auto_buf struct buf b;
	struct err err;

	arena_init(&a, SUPPLY_TURN_BYTES);
	buf_init(&b, GRPC_SEND_MAX);
	containers = arena_array(&a, struct dpapi_grant, asks->n);
	if (grants(su, asks, &a, containers, &err) < 0) {
		grpc_end(call, GRPC_FAILED_PRECONDITION, err.text);
		return;
	}
	dpapi_write_grants(&b, containers, asks->n);
	if (!buf_ok(&b) || grpc_reply(call, buf_text(&b), b.len) < 0) {
		grpc_end(call, GRPC_INTERNAL, "the answer is larger than the kubelet takes");
	}
}

/* Nobody has one: what comes with it is the GPU's. */
static void answer_tokens(struct grpc_call *call, const struct dpapi_asks *asks, struct arena *a)
{
	auto_buf struct buf b;

	buf_init(&b, GRPC_SEND_MAX);
	dpapi_write_grants(&b, arena_array(a, struct dpapi_grant, asks->n), asks->n);
	grpc_reply(call, buf_text(&b), b.len);
}

static bool asks_vgpus(const struct dpapi_asks *asks)
{
	list_each(ids, asks) {
		if (ids->n) {
			return demand_is(ids->items[0]);
		}
	}
	return false;
}

void supply_answer(struct supply *su, const struct uses_work *w)
{
	if (asks_vgpus(w->asks)) {
		demand_answer(su->demand, w);
	} else {
		answer_units(su, w->call, w->asks);
	}
}

void supply_refuse(struct supply *su, struct grpc_call *call, const char *why)
{
	log_warn("the kubelet asked in vain", log_str("reason", why));
	grpc_end(call, GRPC_FAILED_PRECONDITION, why);
	su->again = true;
}

/* --- what the kubelet asks -------------------------------------------------------------------- */

static const char *not_as_looked_at(struct supply *su, const struct pci_function *f,
				    bool check_config, struct arena *a)
{
	char text[PCIFN_TEXT_MAX], have[256];
	auto_free char *path = xprintf("bus/pci/devices/%s", pcifn_text(f->address, text));
	auto_close int dir = sysfs_dir(su->s.sys, path);
	uint16_t vendor = UINT16_MAX;

	if (dir < 0) {
		return arena_printf(a, "%s: it is not there any more", text);
	}
	if (sysfs_link_name(dir, "driver", have, sizeof(have)) < 0 || !str_eq(have, f->driver)) {
		return arena_printf(a, "%s: it is not on %s any more", text, f->driver);
	}
	if (check_config && f->kind == PCI_GPU &&
	    (sysfs_config_vendor(dir, &vendor) < 0 || vendor == UINT16_MAX)) {
		return arena_printf(
			a,
			"%s: its config space reads as ones: the card is dead or has "
			"lost its power; a power cycle of the machine may bring it back",
			text);
	}
	return NULL;
}

/* The last look may be a moment old, and nothing tells that a card has died. */
static const char *unfit_unit(struct supply *su, const char *id, struct arena *a)
{
	const struct offer *o = offers_find(&su->offers, id);
	const char *why = NULL;
	bool check_config;

	if (!o || !o->is) {
		return NULL; /* uses has words for that */
	}
	if (o->barred) { /* listed for who has it, not for the next one */
		return arena_printf(a, "%s: %s", id, o->barred);
	}
	/* A reset keeps others from the config space until it has ended (pci_wait_cfg), and says
	 * itself whether the card answers then. */
	check_config = !resets_has(su->resets, id);
	for (size_t i = 0; !why && i < o->is->functions.n; i++) {
		const struct pci_function *f = o->is->functions.items[i];

		why = f->kind == PCI_MEMBER ? NULL : not_as_looked_at(su, f, check_config, a);
	}
	return why;
}

static const char *unfit(struct supply *su, const struct dpapi_asks *asks, struct arena *a)
{
	const char *why = NULL;

	list_each(ids, asks) {
		for (size_t i = 0; !why && i < ids->n; i++) {
			why = unfit_unit(su, ids->items[i], a);
		}
	}
	return why;
}

void supply_allocate(void *ctx, const char *resource, struct grpc_call *call, const void *message,
		     size_t n)
{
	struct supply *su = ctx;
	attr_cleanup(arena_finish) struct arena a;
	struct dpapi_asks asks;
	const char *why;
	struct err err;

	arena_init(&a, DPAPI_ARENA_MAX);
	if (dpapi_read_allocate(message, n, &a, &asks, &err) < 0) {
		grpc_end(call, GRPC_INVALID_ARGUMENT, err.text);
		return;
	}
	if (tokens_are(resource)) {
		answer_tokens(call, &asks, &a);
		return;
	}
	why = unfit(su, &asks, &a);
	if (why) {
		supply_refuse(su, call, why);
		su->s.look(su->s.ctx);
		return;
	}
	uses_allocate(su->uses, call, resource, &asks, supply_now(su));
	supply_work(su);
	/* The kubelet need not wait for the lists that follow from it. */
	supply_turn_within(su, SUPPLY_MANY_MS);
}

/* Of the ids of one resource all are of one kind. */
static bool wishes_vgpus(const struct dpapi_wish *w)
{
	const struct dpapi_ids *ids = w->must.n ? &w->must : &w->available;

	return ids->n && demand_is(ids->items[0]);
}

static int prefer(struct supply *su, const char *resource, const struct dpapi_wish *wish,
		  struct arena *a, struct dpapi_ids *ret, struct err *err)
{
	return wishes_vgpus(wish) ? demand_prefer(su->demand, resource, wish, a, ret, err)
				  : prefer_make(su->facts.units, su->s.links, wish, a, ret, err);
}

void supply_preferred(void *ctx, const char *resource, struct grpc_call *call, const void *message,
		      size_t n)
{
	struct supply *su = ctx;
	attr_cleanup(arena_finish) struct arena a;
	struct dpapi_wishes wishes;
	struct dpapi_ids *best;
	auto_buf struct buf b;
	struct err err;

	arena_init(&a, DPAPI_ARENA_MAX);
	buf_init(&b, GRPC_SEND_MAX);
	if (dpapi_read_preferred(message, n, &a, &wishes, &err) < 0) {
		grpc_end(call, GRPC_INVALID_ARGUMENT, err.text);
		return;
	}
	if (!su->facts.units) {
		grpc_end(call, GRPC_UNAVAILABLE, "nothing is known of this node's devices now");
		return;
	}
	best = arena_array(&a, struct dpapi_ids, wishes.n);
	for (size_t i = 0; i < wishes.n; i++) {
		if (prefer(su, resource, &wishes.items[i], &a, &best[i], &err) < 0) {
			grpc_end(call, GRPC_INVALID_ARGUMENT, err.text);
			return;
		}
	}
	dpapi_write_preferred(&b, best, wishes.n);
	grpc_reply(call, buf_text(&b), b.len);
}
