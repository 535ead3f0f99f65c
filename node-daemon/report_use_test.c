/* SPDX-License-Identifier: Apache-2.0 */
/* What a report says of who has a unit, and of how it was reset last. */
#include "node-daemon/report.h"

#include "base/clock.h"
#include "node-daemon/card_test.h"
#include "node-daemon/status.h"

#define NOW_MS 1700000000000

static struct card card;
static struct arena arena;
static struct report_use use;
static struct report_obeyed obeyed;
static struct status said, last;
static bool again; /* there was a report before */

static void begin(void)
{
	arena_finish(&arena);
	arena_init(&arena, 4 * MiB);
	card_make(&card, VGPU_NONE, 0x26b9, 0, false);
	card.f.vendor_words = card.f.device_words = "";
	card.m.nvidia = "";
	again = false;
	use = (struct report_use){.unit = CARD_AT};
	obeyed = (struct report_obeyed){.uses = {&use, 1}};
}

/* "flr 120 2023-11-14T22:13:20Z"; "": none */
static const char *reset(void)
{
	const struct report_facts facts = {"6.1", "test", .obeyed = &obeyed};
	const struct status_reset *r;

	card_show(&card);
	last = said;
	report(&card.m, &facts, again ? &last : NULL, NOW_MS, &arena, &said);
	again = true;
	is_int(said.units.n, 1);
	r = said.units.items[0].last_reset;
	return r ? arena_printf(&arena, "%s %d %s", r->method, (int)r->ms, r->at) : "";
}

static void was_reset(const char *method, int64_t ms, int64_t at)
{
	use.method = method;
	use.reset_ms = ms;
	use.reset_at = at;
}

#define FLR "flr 120 2023-11-14T22:13:20Z"

static void stays(void)
{
	begin();
	is_str(reset(), "");
	was_reset("flr", 120, NOW_MS);
	is_str(reset(), FLR);
	use.reset_at += 1999; /* the same, counted back */
	is_str(reset(), FLR);
	use.reset_at -= 2 * 1999;
	is_str(reset(), FLR);
	use.reset_at = NOW_MS + 2000;
	is_str(reset(), "flr 120 2023-11-14T22:13:22Z");
	use.reset_at = NOW_MS;
	is_str(reset(), FLR);
	use.reset_ms = 121;
	is_str(reset(), "flr 121 2023-11-14T22:13:20Z");
	use.method = "bus";
	is_str(reset(), "bus 121 2023-11-14T22:13:20Z");
	use.method = NULL; /* not since the boot */
	is_str(reset(), "bus 121 2023-11-14T22:13:20Z");
	obeyed.uses.n = 0; /* nothing is known of it now */
	is_str(reset(), "bus 121 2023-11-14T22:13:20Z");
	obeyed.uses.n = 1;
	use.never = true;
	is_str(reset(), "");
}

/* At that address stands another card by now. */
static void another_card(void)
{
	static uint16_t *const ids[] = {&card.f.ids.vendor, &card.f.ids.device,
					&card.f.ids.sub_vendor, &card.f.ids.sub_device};

	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		begin();
		was_reset("flr", 120, NOW_MS);
		is_str(reset(), FLR);
		use.method = NULL;
		is_str(reset(), FLR);
		(*ids[i])++;
		is_str(reset(), "");
		(*ids[i])--;
		is_str(reset(), ""); /* it is not its own again */
	}
}

static void holders(void)
{
	const struct status_holder *h;

	begin();
	use.ns = "n";
	use.pod = "virt-launcher-vm-a-x7k2p";
	reset();
	h = said.units.items[0].holder;
	ok(h);
	is_str(h->ns, "n");
	is_str(h->pod, use.pod);
	is_str(h->vm, "vm-a");
	use.pod = "a";
	reset();
	ok(!said.units.items[0].holder->vm);
	use.unit++; /* another one's */
	reset();
	ok(!said.units.items[0].holder);
}

TESTS({"a reset is said until the next", stays}, {"another card has none", another_card},
      {"who has it", holders})
