/* SPDX-License-Identifier: Apache-2.0 */
/* How many more fit: tables, and random lives of cards that follow the driver's rule (card_test.h). */
#include "node-daemon/fit.h"

#include "base/test.h"
#include "node-daemon/card_test.h"

static struct card card;
static struct arena arena;
static uint64_t random_state;

static unsigned draw(unsigned below)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(random_state >> 33) % below;
}

static void begin(void)
{
	arena_finish(&arena);
	arena_init(&arena, 4 * MiB);
}

/* On a copy: so many more are made before the driver refuses. */
static int64_t creatable(const struct card *c, int id)
{
	static struct card copy;
	int64_t n = 0;
	bool more = true;

	copy = *c;
	while (more) {
		more = false;
		for (int i = 0; i < card_places(&copy) && !more; i++) {
			more = !copy.vgpus[i].id && card_create(&copy, i, id, "");
		}
		n += more;
	}
	return n;
}

/* What is advertised of each type is what can be made: exactly, or (mixed) not more. */
static void advertised_is_true(struct card *c)
{
	enum fit_mode mode;
	size_t known = 0;

	card_show(c);
	mode = fit_mode(&c->f);
	if (!c->mixed) {
		is_int(mode, FIT_EQUAL);
	}
	for (size_t i = 0; i < c->n_types; i++) {
		struct vgpu_type t;
		int64_t fits, can;

		if (!c->types[i].id || !c->types[i].max || !c->types[i].framebuffer_mib) {
			continue;
		}
		known++;
		ok(fit_type(&c->f, c->types[i].name, &arena, &t));
		fits = fit_more(&c->f, &t, c->mixed ? FIT_MIXED : mode);
		can = creatable(c, c->types[i].id);
		if (c->mixed ? fits > can : fits != can) {
			printf("# %s: %" PRId64 " fit, %" PRId64 " can be made\n", c->types[i].name,
			       fits, can);
			ok(false);
		}
		ok(fits > 0 || *fit_why_not(&c->f, &t, c->mixed ? FIT_MIXED : mode, &arena));
	}
	ok(known > 8);
}

static void one_step(struct card *c)
{
	int place = (int)draw((unsigned)card_places(c));
	const struct vgpu_known *t = &c->types[draw((unsigned)c->n_types)];

	if (c->vgpus[place].id && draw(2)) {
		card_remove(c, place);
	} else if (!c->vgpus[place].id) {
		int64_t size;
		int made = card_made(c, &size);

		/* mostly of the size that goes on, else nearly all are refused */
		for (int i = 0; i < 200 && made && t->framebuffer_mib != size && !c->mixed; i++) {
			t = &c->types[draw((unsigned)c->n_types)];
		}
		card_create(c, place, t->id, "");
	}
}

static const struct {
	enum vgpu_face face;
	uint16_t device;
	int vfs;
} cards[] = {
	{VGPU_VENDOR, 0x26b9, 32}, {VGPU_MDEV, 0x25b6, 16},   {VGPU_MDEV, 0x1eb8, 0},
	{VGPU_VENDOR, 0x26b9, 80}, {VGPU_VENDOR, 0x25b6, 16}, {VGPU_MDEV, 0x2235, 32},
	{VGPU_VENDOR, 0x26b9, 5},
};

static int live(bool mixed)
{
	int steps = 0;

	for (size_t i = 0; i < ARRAY_LEN(cards); i++) {
		for (int life = 0; life < 8; life++) {
			begin();
			random_state = i * 1000 + (uint64_t)life;
			card_make(&card, cards[i].face, cards[i].device, cards[i].vfs, mixed);
			card.numvfs = cards[i].vfs;
			advertised_is_true(&card);
			for (int k = 0; k < 30; k++, steps++) {
				one_step(&card);
				advertised_is_true(&card);
			}
		}
	}
	return steps;
}

static void equal_sizes_are_exact(void)
{
	ok(live(false) > 1500);
}

static void mixed_sizes_are_never_too_many(void)
{
	ok(live(true) > 1500);
}

/* --- tables -------------------------------------------------------------------------------- */

static struct vgpu_type type_named(const char *name)
{
	struct vgpu_type t;

	card_show(&card);
	ok(fit_type(&card.f, name, &arena, &t));
	return t;
}

static int64_t fits(const char *name)
{
	struct vgpu_type t = type_named(name);

	return fit_more(&card.f, &t, fit_mode(&card.f));
}

static const char *why(const char *name)
{
	struct vgpu_type t = type_named(name);

	return fit_why_not(&card.f, &t, fit_mode(&card.f), &arena);
}

/* nvidia.md 2.5: what an L40S takes of each size. */
static void an_l40s(void)
{
	static const struct {
		const char *name;
		int fit;
	} rows[] = {{"NVIDIA L40S-1Q", 32}, {"NVIDIA L40S-2Q", 24}, {"NVIDIA L40S-3Q", 16},
		    {"NVIDIA L40S-4Q", 12}, {"L40S-6Q", 8},	    {"GRID L40S-8Q", 6},
		    {"NVIDIA L40S-12Q", 4}, {"NVIDIA L40S-16Q", 3}, {"NVIDIA L40S-24Q", 2},
		    {"NVIDIA L40S-48Q", 1}};

	begin();
	card_make(&card, VGPU_VENDOR, 0x26b9, 32, false);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_int(fits(rows[i].name), 0); /* functions are not made */
	}
	has(why("NVIDIA L40S-4Q"),
	    "NVIDIA L40S-4Q: the card offers no vGPUs: its driver makes none");
	card.numvfs = 32;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		is_int(fits(rows[i].name), rows[i].fit);
		is_str(why(rows[i].name), "");
	}
	ok(card_create(&card, 3, 1150, "")); /* 4Q */
	is_int(fits("NVIDIA L40S-4Q"), 11);
	is_int(fits("NVIDIA L40S-4A"), 11);
	is_int(fits("NVIDIA L40S-8Q"), 0);
	has(why("NVIDIA L40S-8Q"),
	    "NVIDIA L40S-8Q: the card carries vGPUs of 4096 MiB and takes no "
	    "other size beside them; creatable now: NVIDIA L40S-4Q, ");
	for (int i = 0; i < 32; i++) {
		card_create(&card, i, 1150, "");
	}
	is_int(fits("NVIDIA L40S-4Q"), 0);
	has(why("NVIDIA L40S-4Q"),
	    "NVIDIA L40S-4Q: 12 vGPUs are made, and the card takes 12 of this");
	for (int i = 0; i < 32; i++) {
		card_remove(&card, i);
	}
	for (int i = 0; i < 32; i++) {
		ok(card_create(&card, i, 1147, ""));
	}
	has(why("NVIDIA L40S-1Q"),
	    "NVIDIA L40S-1Q: no virtual function of the card is free: 32 vGPUs are made; ");
	begin();
}

static void what_is_not_known(void)
{
	struct vgpu_type t;

	begin();
	card_make(&card, VGPU_VENDOR, 0x26b9, 4, false);
	card.numvfs = 4;
	card_show(&card);
	ok(!fit_type(&card.f, "NVIDIA L40S-5Q", &arena, &t));
	ok(!fit_type(&card.f, "", &arena, &t));
	/* offered, and nobody knows how many fit: one, which the driver has said */
	t = (struct vgpu_type){"77", "NVIDIA NEW-3Q", 0, 0, 1};
	card.shown[0] = t;
	is_int(fit_more(&card.f, &t, FIT_EQUAL), 1);
	/* the table says full, the driver offers it: it knows better */
	t.max = 2;
	for (int i = 0; i < 3; i++) {
		card.vfs[i].type = "77";
	}
	is_int(fit_more(&card.f, &t, FIT_EQUAL), 1);
	card.vfs[3].type = "77";
	is_int(fit_more(&card.f, &t, FIT_EQUAL), 0);
	card.vfs[3].type = "";
	card.vfs[3].group = -1; /* cannot be passed on */
	is_int(fit_more(&card.f, &t, FIT_EQUAL), 0);
	t.offered = 0;
	card.vfs[3].group = 1;
	is_int(fit_more(&card.f, &t, FIT_EQUAL), 0);
	t.max = 9;
	card.f.types.n = 1;
	card.shown[0].offered = 0;
	is_str(fit_why_not(&card.f, &t, FIT_EQUAL, &arena),
	       "NVIDIA NEW-3Q: the driver does not offer it now; creatable now: nothing");
	t.max = 0;
	t.framebuffer_mib = 3072; /* of what is made nobody knows the size */
	is_str(fit_why_not(&card.f, &t, FIT_EQUAL, &arena),
	       "NVIDIA NEW-3Q: the driver does not offer it now; creatable now: nothing");
}

/* The driver has 64 bits for the functions of a card. */
static void functions_beyond_64(void)
{
	struct vgpu_type t = {"77", "NVIDIA NEW-3Q", 0, 100, 1};

	begin();
	card_make(&card, VGPU_VENDOR, 0x26b9, 80, false);
	card.numvfs = 80;
	card_show(&card);
	is_int(fit_more(&card.f, &t, FIT_EQUAL), 64);
	for (int i = 0; i < 63; i++) {
		card.vfs[i].type = "77";
	}
	is_int(fit_more(&card.f, &t, FIT_EQUAL), 1);
	card.vfs[63].type = "77";
	is_int(fit_more(&card.f, &t, FIT_EQUAL), 0);
}

static void modes(void)
{
	begin();
	card_make(&card, VGPU_VENDOR, 0x26b9, 8, true);
	card.numvfs = 8;
	card_show(&card);
	is_int(fit_mode(&card.f), FIT_EQUAL); /* nothing shows it */
	ok(card_create(&card, 0, 1150, ""));
	card_show(&card);
	is_int(fit_mode(&card.f), FIT_MIXED); /* other sizes are listed beside it */
	is_int(fits("NVIDIA L40S-8Q"), 1);
	ok(card_create(&card, 1, 1152, ""));
	card_show(&card);
	card.f.types.n = 0;
	is_int(fit_mode(&card.f), FIT_MIXED); /* they are made */
	has(why("NVIDIA L40S-24Q"), "");
}

static void mig_is_refused(void)
{
	struct vgpu_type t;

	begin();
	card_make(&card, VGPU_VENDOR, 0x20f1, 16, false); /* A100 */
	card.numvfs = 16;
	card_show(&card);
	is_int(fit_mode(&card.f), FIT_EQUAL);
	ok(fit_type(&card.f, "GRID A100-3-20C", &arena, &t));
	t.offered = 1;
	is_int(fit_more(&card.f, &t, FIT_EQUAL), 0);
	has(fit_why_not(&card.f, &t, FIT_EQUAL, &arena),
	    "A100-3-20C: the card's vGPUs are MIG instances, which this version does not make; ");
	card.shown[0] = t;
	card.f.types.n = 1;
	is_int(fit_mode(&card.f), FIT_MIG);
	card.f.types.n = 0;
	card.vfs[0].type = t.id;
	is_int(fit_mode(&card.f), FIT_MIG);
	ok(fit_type(&card.f, "GRID A100-20C", &arena, &t));
	t.offered = 1;
	is_int(fit_more(&card.f, &t, FIT_MIG), 0);
}

static void nothing_stays(void)
{
	arena_finish(&arena);
}

TESTS({"equal sizes: exactly as many as are advertised can be made", equal_sizes_are_exact},
      {"mixed sizes: never more are advertised than can be made", mixed_sizes_are_never_too_many},
      {"an L40S", an_l40s}, {"what nobody knows is not guessed", what_is_not_known},
      {"functions beyond 64 count for nothing", functions_beyond_64},
      {"the mode of a card shows", modes}, {"MIG is refused", mig_is_refused},
      {"nothing stays", nothing_stays})
