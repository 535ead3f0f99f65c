// SPDX-License-Identifier: GPL-2.0
// nvfake_rm_test.c: the rules of nvfake_rm.h without a kernel. Expected values are those of the driver: written out from its rules, and
// not computed by ours. Prints TAP.
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
#include "nvfake_rm.h"
#include "nvfake_types.h"

static int n, failed;

static void it(const char *what, bool good)
{
	printf("%s %d - %s\n", good ? "ok" : "not ok", ++n, what);
	failed |= !good;
}

static struct rm_gpu *card(unsigned int device, bool mixed, const char *only)
{
	static struct rm_gpu g;

	memset(&g, 0, sizeof g);
	g.device = device;
	g.sriov = g.ready = true;
	for (unsigned int i = 0; i < sizeof rm_types / sizeof *rm_types; i++) {
		if (rm_types[i].device == device && strstr(rm_types[i].name, only)) {
			g.type[g.types++] = rm_types + i;
		}
	}
	rm_start(&g);
	g.mixed = mixed;
	return &g;
}

static const char *places(struct rm_gpu *g, unsigned int id)
{
	static char text[256];
	unsigned int ids[RM_MOST];
	int n = rm_places(g, rm_find(g, id), ids), o = 0;

	text[0] = 0;
	for (int i = 0; i < n; i++) {
		o += sprintf(text + o, "%s%u", i ? "," : "", ids[i]);
	}
	return text;
}

static int listed(struct rm_gpu *g, int function)
{
	int k = 0;

	for (int i = 0; i < g->types; i++) {
		k += rm_listed(g, g->type[i], function) != 0;
	}
	return k;
}

/* How many of a type can be created on an empty card, one on each function. */
static int filled(struct rm_gpu *g, unsigned int id)
{
	struct rm_vgpu v[64];
	int k = 0;

	while (k < 64 && !rm_create(g, id, k, v + k)) {
		k++;
	}
	return k;
}

static void mixed_places(void)
{
	static const struct {
		unsigned int id;
		const char *places;
	} l40s[] = {
		{1156, "0"},
		{1155, "0,24"},
		{1154, "0,32"},
		{1153, "0,12,24,36"},
		{1152, "0,16,24,40"},
		{1151, "0,6,12,18,24,30,36,42"},
		{1150, "0,8,12,20,24,32,36,44"},
		{1149, "0,3,6,9,12,15,18,21,24,27,30,33,36,39,42,45"},
		{1148, "0,4,6,10,12,16,18,22,24,28,30,34,36,40,42,46"},
		{1147, "0,5,6,11,12,17,18,23,24,29,30,35,36,41,42,47"},
	};

	for (unsigned int i = 0; i < sizeof l40s / sizeof *l40s; i++) {
		struct rm_gpu *g = card(0x26b9, true, "");
		char text[100];
		sprintf(text, "mixed sizes: the places of an %s", rm_find(g, l40s[i].id)->name);
		it(text, !strcmp(places(g, l40s[i].id), l40s[i].places));
	}
	it("mixed sizes: an A40 has its 1 GB everywhere but at 8 and 32",
	   !strstr(places(card(0x2235, true, ""), 557), ",8,") &&
		   filled(card(0x2235, true, ""), 557) == 30);
}

static void counts(void)
{
	static const struct {
		unsigned int device, id;
		int equal, mixed;
	} all[] = {
		{0x26b9, 1147, 32, 16}, {0x26b9, 1148, 24, 16}, {0x26b9, 1149, 16, 16},
		{0x26b9, 1150, 12, 8},	{0x26b9, 1152, 6, 4},	{0x26b9, 1154, 3, 2},
		{0x26b9, 1156, 1, 1},	{0x20b5, 692, 20, 16},	{0x20b5, 693, 10, 8},
		{0x20b5, 694, 8, 8},	{0x20b5, 698, 1, 1},	{0x25b6, 744, 16, 16},
		{0x25b6, 748, 1, 1},
	};

	for (unsigned int i = 0; i < sizeof all / sizeof *all; i++) {
		char text[100];
		int equal = filled(card(all[i].device, false, ""), all[i].id),
		    mixed = filled(card(all[i].device, true, ""), all[i].id);
		sprintf(text, "%s: %d fill a card, %d in mixed mode",
			rm_find(card(all[i].device, false, ""), all[i].id)->name, all[i].equal,
			all[i].mixed);
		it(text, equal == all[i].equal && mixed == all[i].mixed);
	}
}

static void equal_sizes(void)
{
	struct rm_gpu *g = card(0x26b9, false, "");
	struct rm_vgpu a, b, c;

	it("an empty L40S lists all its types", listed(g, 0) == 23);
	it("the first can be any", rm_create(g, 1150, 3, &a) == 0);
	it("the function that has it lists none", listed(g, 3) == 0);
	it("and takes no second", rm_create(g, 1150, 3, &b) == RM_INVALID_OPERATION);
	it("the others list those of the same size", listed(g, 0) == 2 &&
							     rm_listed(g, rm_find(g, 1150), 0) &&
							     rm_listed(g, rm_find(g, 1160), 0));
	it("another size is not supported", rm_create(g, 1151, 0, &b) == RM_NOT_SUPPORTED);
	it("another series of that size is", rm_create(g, 1160, 0, &b) == 0);
	it("the last that goes frees the choice",
	   (rm_delete(g, &a), listed(g, 3) == 2) && (rm_delete(g, &b), listed(g, 3) == 23));
	it("no such type", rm_create(g, 1, 0, &b) == RM_OBJECT_NOT_FOUND);
	it("the 65th function takes none",
	   rm_create(g, 1150, 64, &b) == RM_INVALID_ARGUMENT && listed(g, 64) == 0);
	it("places of equal sizes on Ada", rm_create(g, 1150, 0, &a) == 0 &&
						   rm_create(g, 1150, 1, &b) == 0 &&
						   a.placement == 0 && b.placement == 4);
	it("one is changed to a free one", rm_set_placement(g, &a, 44) == 0 && a.placement == 44);
	it("not to a taken one, nor to none of its own",
	   rm_set_placement(g, &a, 4) == RM_INVALID_STATE &&
		   rm_set_placement(g, &a, 2) == RM_INVALID_STATE);
	it("the one given up is given to the next",
	   rm_create(g, 1150, 2, &c) == 0 && c.placement == 0);
	g = card(0x20b5, false, "");
	it("Ampere has no places of equal sizes",
	   rm_create(g, 694, 0, &a) == 0 && a.placement == RM_NONE &&
		   rm_set_placement(g, &a, 0) == RM_NOT_SUPPORTED);
	g->ready = false;
	it("not ready: try again",
	   rm_create(g, 694, 1, &b) == RM_TIMEOUT_RETRY && listed(g, 1) == 0);
	g = card(0x26b9, false, "");
	filled(g, 1156);
	it("a full card lists none, and refuses",
	   listed(g, 5) == 0 && rm_create(g, 1156, 5, &a) == RM_INSUFFICIENT_RESOURCES);
}

static void mixed_sizes(void)
{
	struct rm_gpu *g = card(0x26b9, true, "");
	struct rm_vgpu v[8];

	it("24Q and 8Q share a card", rm_create(g, 1155, 0, v) == 0 &&
					      rm_create(g, 1152, 1, v + 1) == 0 &&
					      v[0].placement == 0 && v[1].placement == 24);
	it("a 24Q no longer fits",
	   !rm_listed(g, rm_find(g, 1155), 2) && rm_create(g, 1155, 2, v + 2) == RM_NOT_SUPPORTED);
	it("a 12Q does", rm_listed(g, rm_find(g, 1153), 2) && rm_create(g, 1153, 2, v + 2) == 0 &&
				 v[2].placement == 36);
	it("an 8Q does not, though 4 GB are free",
	   rm_create(g, 1152, 3, v + 3) == RM_NOT_SUPPORTED);
	it("a 4Q does", rm_create(g, 1150, 3, v + 3) == 0 && v[3].placement == 32);
	it("the card is full",
	   listed(g, 4) == 0 && rm_create(g, 1147, 4, v + 4) == RM_NOT_SUPPORTED);
	g = card(0x26b9, true, "");
	rm_create(g, 1147, 0, v);
	rm_create(g, 1147, 1, v + 1);
	it("a list ends at the type's count, a write does not",
	   !rm_listed(g, rm_find(g, 1155), 2) && rm_create(g, 1155, 2, v + 2) == 0 &&
		   v[2].placement == 24);
}

static void instances(void)
{
	struct rm_gpu *g = card(0x20b5, false, "");
	struct rm_vgpu v[8];

	it("MIG off: no instance, and no MIG type",
	   rm_make_instance(g, "1-10C") == RM_INVALID_OPERATION &&
		   rm_create(g, 699, 0, v) == RM_INVALID_OPERATION &&
		   !rm_listed(g, rm_find(g, 699), 0));
	g->mig = true;
	it("MIG on, no instance: nothing listed, and 0x38",
	   listed(g, 0) == 0 && rm_create(g, 699, 0, v) == 0x38);
	it("instances 4g and 3g", !rm_make_instance(g, "4-40C") && !rm_make_instance(g, "3-40C") &&
					  g->instance[0].id == 1 && g->instance[1].id == 2);
	it("and then no more", rm_make_instance(g, "1-10C") == RM_INSUFFICIENT_RESOURCES);
	it("their types alone are listed", listed(g, 0) == 2 && rm_listed(g, rm_find(g, 701), 0) &&
						   rm_listed(g, rm_find(g, 702), 0));
	it("time slices are refused", rm_create(g, 694, 0, v) == RM_INVALID_ARGUMENT);
	it("one vGPU each", !rm_create(g, 701, 0, v) && v[0].instance == 2 &&
				    rm_create(g, 701, 1, v + 1) == RM_INVALID_STATE &&
				    listed(g, 1) == 1);
	g = card(0x20b5, false, "");
	g->mig = true;
	for (int i = 0; i < 7; i++) {
		rm_make_instance(g, "1-10C");
	}
	it("seven of 1g, no eighth",
	   g->instances == 7 && g->instance[6].id == 13 && rm_make_instance(g, "1-10C"));
	it("seven vGPUs in them", filled(g, 699) == 7);
	g = card(0x20b5, false, "");
	g->mig = true;
	it("one instance with the media engines, and six without",
	   !rm_make_instance(g, "1-10CME") && rm_make_instance(g, "1-10CME") &&
		   !rm_make_instance(g, "1-10C"));
	g = card(0x20b5, false, "");
	g->mig = true;
	rm_make_instance(g, "4-40C");
	it("beside 4g three of 1g, though there is memory for a fourth",
	   !rm_make_instance(g, "1-10C") && !rm_make_instance(g, "1-10C") &&
		   !rm_make_instance(g, "1-10C") &&
		   rm_make_instance(g, "1-10C") == RM_INSUFFICIENT_RESOURCES);
	g = card(0x20b5, false, "");
	g->mig = true;
	rm_make_instance(g, "2-20C");
	rm_make_instance(g, "2-20C");
	rm_make_instance(g, "1-10C");
	rm_create(g, 700, 0, v);
	it("a vGPU moves to another instance of its kind",
	   v[0].instance == 3 && !rm_set_instance(g, v, 4) && v[0].instance == 4 &&
		   !rm_create(g, 700, 1, v + 1) && v[1].instance == 3);
	it("not to a full one, another kind's, or none",
	   rm_set_instance(g, v, 3) == RM_INSUFFICIENT_RESOURCES &&
		   rm_set_instance(g, v, 11) == RM_INVALID_INDEX &&
		   rm_set_instance(g, v, 14) == RM_INVALID_ARGUMENT);
	g = card(0x2bb5, false, "");
	g->mig = true;
	rm_make_instance(g, "1-24Q");
	it("RTX PRO 6000: two 12Q in a quarter, of one size",
	   !rm_create(g, 1558, 0, v) && rm_create(g, 1561, 1, v + 1) &&
		   !rm_create(g, 1560, 1, v + 1) && v[1].placement == 12 && v[1].instance == 3 &&
		   rm_create(g, 1558, 2, v + 2) && listed(g, 2) == 0);
}

/* Vgpus that come and go at random. What is listed is made; no two lie on each other; nothing is lost when all are gone. */
static void any_order(unsigned int device, bool mixed, const char *mig)
{
	struct rm_gpu *g = card(device, mixed, "");
	struct rm_vgpu v[32] = {0};
	bool good = true;
	int made = 0, types, f, k, i;
	char text[100];

	g->mig = *mig;
	for (i = 0; *mig && i < 7; i++) {
		rm_make_instance(g, mig);
	}
	types = listed(g, 0);
	for (k = 0; k < 20000 && good; k++) {
		f = rand() % 32;
		if (v[f].type) {
			rm_delete(g, v + f);
			made--;
			continue;
		}
		const struct rm_type *t = g->type[rand() % g->types];
		bool said = rm_listed(g, t, f);
		unsigned int before = g->created;
		int status = rm_create(g, t->id, f, v + f);
		good = said ? !status : status != 0 || (mixed && before >= t->max);
		made += !status;
		for (i = 0; i < 32 && !status; i++) {
			if (i != f && v[i].type && v[f].placement != RM_NONE &&
			    v[i].instance == v[f].instance) {
				good = good &&
				       (v[i].placement + v[i].type->size <= v[f].placement ||
					v[f].placement + t->size <= v[i].placement);
			}
		}
		good = good && g->created == (unsigned int)made;
	}
	for (i = 0; i < 32; i++) {
		if (v[i].type) {
			rm_delete(g, v + i);
		}
	}
	sprintf(text, "%x, %s: 20000 random steps", device,
		*mig	? mig
		: mixed ? "mixed sizes"
			: "equal sizes");
	it(text, good && !g->created && !g->functions && listed(g, 0) == types && types > 0 &&
			 !memchr(g->taken, 1, sizeof g->taken));
}

int main(void)
{
	mixed_places();
	counts();
	equal_sizes();
	mixed_sizes();
	instances();
	any_order(0x26b9, false, "");
	any_order(0x26b9, true, "");
	any_order(0x20b5, true, "");
	any_order(0x20b5, false, "1-10C");
	any_order(0x2bb5, false, "1-24Q");
	printf("1..%d\n", n);
	return failed;
}
