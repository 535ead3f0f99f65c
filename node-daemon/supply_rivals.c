/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who else gives out the cards: when the kubelet and its folder are looked at, and what follows. With
 * each sign that plugins came or went; on the beat only while there is one that has to do with us.
 */
#include <string.h>

#include "base/log.h"
#include "node-daemon/supply_inner.h"

#define ASK_MS                                                                                     \
	500 /* behind a sign: a plugin that listens registers next, and signs come in crowds */
#define PAUSE_MS 1000 /* between two questions */
#define NAMES_MAX (2 * PLUGIN_RESOURCES_MAX)

static void look_at_sockets(struct supply *su)
{
	attr_cleanup(arena_finish) struct arena a;
	struct dpapi_ids names;

	arena_init(&a, SUPPLY_TURN_BYTES);
	if (su->io) {
		plugin_io_others(su->io, &a, &names);
		rivals_sockets(su->rivals, &names, supply_now(su));
	}
}

static struct rivals_seen seen_of(const struct supply *su)
{
	static const struct unit_list none;

	return (struct rivals_seen){.units = su->facts.units ? su->facts.units : &none,
				    .offers = &su->offers,
				    .plugin = su->io ? plugin_io_plugin(su->io) : NULL};
}

/* A kubelet that does not tell keeps nobody from serving it. */
static void on_devices(void *ctx, const struct dpapi_holds *holds, const char *why)
{
	struct supply *su = ctx;
	struct rivals_seen seen = seen_of(su);

	if (holds) {
		rivals_devices(su->rivals, holds, supply_now(su));
	} else if (!su->rivals_told) {
		log_info("who else serves this kubelet is not known", log_str("reason", why));
	}
	su->rivals_next = supply_now(su) + PAUSE_MS;
	su->rivals_told |= !holds || rivals_doubt(su->rivals, &seen) == INT64_MAX;
	supply_turn(su);
}

/* When there is a question, INT64_MAX: never. */
static int64_t ask_at(const struct supply *su)
{
	struct rivals_seen seen = seen_of(su);

	return MIN(su->rivals_ask_at, rivals_doubt(su->rivals, &seen));
}

static void on_time(void *ctx)
{
	struct supply *su = ctx;
	int64_t now = supply_now(su);

	if (su->rivals_next <= now && ask_at(su) <= now) {
		su->rivals_ask_at = su->rivals_next = INT64_MAX;
		podres_ask_allocatable(su->devices, on_devices, su);
	}
	supply_turn(su);
}

static void wake_again(struct supply *su)
{
	int64_t wake = rivals_wake(su->rivals, supply_now(su)), ask = ask_at(su);

	if (su->rivals_next != INT64_MAX && ask != INT64_MAX) {
		wake = MIN(wake, MAX(ask, su->rivals_next));
	}
	loop_timer_set(su->rivals_timer, wake);
}

void supply_rivals_look(struct supply *su)
{
	look_at_sockets(su);
	su->rivals_ask_at = MIN(su->rivals_ask_at, supply_now(su) + (su->rivals_told ? ASK_MS : 0));
	wake_again(su);
}

void supply_rivals_others(void *ctx)
{
	struct supply *su = ctx;

	supply_rivals_look(su);
	supply_turn(su);
}

void supply_rivals_beat(struct supply *su)
{
	if (su->n_rivals || su->n_taken) {
		supply_rivals_look(su);
		supply_turn(su);
	}
}

void supply_rivals_create(struct supply *su)
{
	su->rivals = rivals_create();
	su->rivals_ask_at = INT64_MAX;
	su->devices = podres_create(su->s.loop, su->s.pods, NULL);
	su->rivals_timer = loop_timer_create(su->s.loop, on_time, su, "rivals");
	supply_rivals_look(su);
}

void supply_rivals_destroy(struct supply *su)
{
	loop_timer_destroy(su->rivals_timer);
	podres_destroy(su->devices);
	rivals_destroy(su->rivals);
}

/* --- what follows -------------------------------------------------------------------------- */

bool supply_rivals_units(struct supply *su, const char *const **ret_whys)
{
	const struct rivals_seen seen = seen_of(su);
	size_t n = su->facts.units->n, before = su->n_rivals;
	const char **whys = arena_array(&su->arena, const char *, n);

	su->rival_of = arena_array(&su->arena, const char *, n);
	su->rival_why = whys;
	su->n_rivals = 0;
	for (size_t i = 0; i < n; i++) {
		su->rival_of[i] = rivals_unit(su->rivals, &seen, &su->facts.units->items[i],
					      supply_now(su), &su->arena, &whys[i]);
		su->n_rivals += su->rival_of[i] != NULL;
		if (su->rival_of[i] && !before) {
			log_warn("another device plugin gives out a card of this node",
				 log_str("resource", su->rival_of[i]), log_str("reason", whys[i]));
		}
	}
	wake_again(su);
	*ret_whys = whys;
	return su->n_rivals;
}

static void add_taken(const struct supply *su, const char *name, const char **names, size_t *n)
{
	if (*n < NAMES_MAX && rivals_name(su->rivals, name, supply_now(su))) {
		names[(*n)++] = name;
	}
}

void supply_rivals_names(struct supply *su)
{
	const char **names = arena_array(&su->arena, const char *, NAMES_MAX);
	size_t n = 0;

	for (const struct plugin_resource *r = NULL;
	     (r = plugin_each(plugin_io_plugin(su->io), r));) {
		add_taken(su, r->name, names, &n);
	}
	list_each(l, &su->offers.lists) {
		add_taken(su, l->resource, names, &n);
	}
	if (n || su->n_taken) {
		plugin_io_taken(su->io, names, n);
	}
	su->n_taken = n;
}
