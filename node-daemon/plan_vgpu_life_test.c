/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Long lives of a node whose card is cut on demand, with a played kubelet, killed and booted anywhere.
 */
#include "node-daemon/prefer_vgpu.h"
#include "node-daemon/vgpu_node_test.h"

/* --- lives --------------------------------------------------------------------------------- */

static uint64_t random_state;

static unsigned draw(unsigned below)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(random_state >> 33) % below;
}

static int64_t creatable(int id)
{
	static struct card copy;
	int64_t n = 0;
	bool more = true;

	copy = card;
	while (more) {
		more = false;
		for (int i = 0; i < card_places(&copy) && !more; i++) {
			more = !copy.vgpus[i].id && card_create(&copy, i, id, "");
		}
		n += more;
	}
	return n;
}

static bool has_size(const struct vgpu_known *t)
{
	return t->id && t->max && t->framebuffer_mib && !vgpu_is_mig(t->name);
}

/* Every type: advertised is exactly what can be made, held ones are listed, and exist. */
static void advertised_is_true(void)
{
	look();
	for (size_t i = 0; i < card.n_types; i++) {
		if (has_size(&card.types[i])) {
			int64_t n = (int64_t)n_free(card.types[i].name),
				can = creatable(card.types[i].id);

			ok(card.mixed ? n <= can : n == can);
		}
	}
	for (int i = 0; i < PODS; i++) {
		struct vgpu_device_list l;
		bool listed = false;

		if (!pods[i].type) {
			continue;
		}
		vgpu_devices(&node, pods[i].type, &arena, &l);
		list_each(d, &l) {
			listed |= d->made && d->healthy && d->id.index == pods[i].id.index;
		}
		ok(listed);
	}
}

static const char *some_type(void)
{
	for (;;) {
		const struct vgpu_known *t = &card.types[draw((unsigned)card.n_types)];

		if (has_size(t)) {
			return t->name;
		}
	}
}

/* As the kubelet is told to choose; NULL: none is free. */
static const struct vgpu_device *some_free(const struct vgpu_device_list *l)
{
	struct dpapi_wish wish = {.size = 1};
	struct dpapi_ids got;
	struct vgpu_id id;
	struct err err;

	wish.available.items = arena_array(&arena, const char *, l->n);
	list_each(d, l) {
		if (!d->made) {
			wish.available.items[wish.available.n++] = vgpu_id_text(d->id, &arena);
		}
	}
	if (prefer_vgpu(l, &wish, &arena, &got, &err) < 0) {
		return NULL;
	}
	is_int(vgpu_id_parse(got.items[0], &id), 0);
	list_each(d, l) {
		if (d->id.card == id.card && d->id.index == id.index) {
			return d;
		}
	}
	return NULL;
}

/* A pod of a type that fits, if there is one among a few; as the scheduler and the kubelet choose. */
static enum end one_asks(int *left)
{
	const char *type = some_type();
	struct vgpu_device_list l = {0};
	const struct vgpu_device *d = NULL;

	for (int i = 0; i < 30 && !d; i++) {
		type = some_type();
		look();
		vgpu_devices(&node, type, &arena, &l);
		d = some_free(&l);
	}
	if (!d || !free_pod()) {
		return REFUSED;
	}
	return allocate(free_pod(), d->id, type, left);
}

static void one_turn(int k)
{
	int left = draw(4) ? -1 : 1 + (int)draw(6);
	enum end end = DONE;

	if (draw(5) < 3) {
		end = one_asks(&left);
		ok(end == DONE || end == REFUSED || end == DEAD);
	} else {
		struct pod *p = &pods[draw(PODS)];

		if (p->type) {
			end_pod(p);
		}
	}
	if (end != DEAD) {
		end = tidy(&left);
		ok(end == DONE || end == DEAD);
	}
	if (end == DEAD) {
		if (k % 50 == 0) {
			reboot();
		}
		wake();
		is_int(tidy(&none), DONE);
	}
	is_int(card.killed, 0);
}

static int live(enum vgpu_face face, uint16_t device, int vfs, bool mixed, int turns)
{
	int64_t size;
	int given = 0;

	begin(face, device, vfs);
	card.mixed = mixed;
	random_state = device + (uint64_t)vfs;
	for (int k = 0; k < turns; k++) {
		one_turn(k);
		if (!mixed || k % 4 == 0) {
			advertised_is_true();
		}
		for (int i = 0; i < PODS; i++) {
			given += pods[i].type != NULL;
		}
		if (k % 60 == 59) { /* quiet: nothing is left over */
			memset(card.held, 0, sizeof(card.held));
			memset(pods, 0, sizeof(pods));
			is_int(tidy(&none), DONE);
			is_int(card_made(&card, &size), 0);
			is_int(journal.slots.n, 0);
		}
	}
	ok(given > turns);
	return turns;
}

static void long_lives(void)
{
	int n = 0;

	n += live(VGPU_VENDOR, 0x26b9, 32, false, 350);
	n += live(VGPU_MDEV, 0x25b6, 16, false, 350);
	n += live(VGPU_MDEV, 0x1eb8, 0, false, 350);
	ok(n >= 1000);
}

static void long_mixed_lives(void)
{
	live(VGPU_VENDOR, 0x26b9, 32, true, 200);
}

/* Each way through make and remove, killed at each step: the end is an empty card and an empty
 * journal, and the same number makes another vGPU. */
static void deaths(void)
{
	static const struct {
		enum vgpu_face face;
		uint16_t device;
		int vfs;
		const char *type;
	} cards[] = {{VGPU_VENDOR, 0x26b9, 32, Q4},
		     {VGPU_MDEV, 0x25b6, 16, "NVIDIA A2-4Q"},
		     {VGPU_MDEV, 0x1eb8, 0, "GRID T4-4Q"}};
	int runs = 0;

	for (size_t i = 0; i < 2 * ARRAY_LEN(cards); i++) {
		bool died = true, boots = i % 2;
		const size_t c = i / 2;

		for (int k = 1; died; k++, runs++) {
			int left = k;
			int64_t size;
			char before[37];

			begin(cards[c].face, cards[c].device, cards[c].vfs);
			if (allocate(&pods[0], (struct vgpu_id){CARD_AT, 3}, cards[c].type,
				     &left) == DONE) {
				snprintf(before, sizeof(before), "%s", pods[0].uuid);
				end_pod(&pods[0]);
				tidy(&left);
			}
			died = left == 0;
			if (boots) {
				reboot();
			}
			wake();
			is_int(tidy(&none), DONE);
			is_int(card_made(&card, &size), 0);
			is_int(journal.slots.n, 0);
			is_int(allocate(&pods[0], (struct vgpu_id){CARD_AT, 3}, cards[c].type,
					&none),
			       DONE);
			is_int(card_made(&card, &size), 1);
			ok(cards[c].face == VGPU_VENDOR || died || !str_eq(before, pods[0].uuid));
		}
	}
	printf("# %d runs\n", runs);
	ok(runs > 40);
}

static void nothing_stays(void)
{
	journal_finish(&journal);
	buf_finish(&file);
	cut_end();
}

TESTS({"long lives: exactly what is advertised can be made", long_lives},
      {"long lives of mixed sizes: never less than is advertised can be made", long_mixed_lives},
      {"killed between any two steps it comes to the same end", deaths},
      {"nothing stays", nothing_stays})
