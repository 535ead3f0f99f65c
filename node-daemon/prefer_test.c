/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices are preferred: tables on a machine of two nodes, then questions by chance, held
 * against what every answer must keep. */
#include "node-daemon/prefer.h"

#include "base/err.h"
#include "base/test.h"

/*
 * By letters; node, root port, switch, slot:
 *	a b c d		node 0, root 1, switch 1
 *	e f		node 0, root 1, switch 2
 *	g		node 0, root 2, no switch
 *	h i		node 1, root 3, no switch, one slot
 *	j k l		node 1, roots of their own
 *	m n		node not known, nothing above
 *	o		beside h and i, in another slot before theirs
 *	p q r		node 2, nothing above; q and r in one slot behind that of p
 */
static const struct {
	int numa, root, bridge;
	uint64_t address;
} places[] = {
	{0, 1, 1, 0x1000},  {0, 1, 1, 0x1100},	{0, 1, 1, 0x1200}, {0, 1, 1, 0x1300},
	{0, 1, 2, 0x2000},  {0, 1, 2, 0x2100},	{0, 2, 0, 0x3000}, {1, 3, 0, 0x8000},
	{1, 3, 0, 0x8001},  {1, 4, 0, 0x9000},	{1, 5, 0, 0x9100}, {1, 6, 0, 0x9200},
	{-1, 0, 0, 0xa000}, {-1, 0, 0, 0xa100}, {1, 3, 0, 0x7000}, {2, 0, 0, 0x5000},
	{2, 0, 0, 0x5008},  {2, 0, 0, 0x5009},
};

#define N ARRAY_LEN(places)

static struct arena arena;
static struct pci_function cards[N];
static uint64_t above[N][2];
static struct unit made[N], sorted[N];
static struct unit_list units;
static const char *ids[N + 1];

static int by_address(const void *a, const void *b)
{
	uint64_t x = ((const struct unit *)a)->card->address,
		 y = ((const struct unit *)b)->card->address;

	return (x > y) - (x < y);
}

static void begin(void)
{
	arena_finish(&arena);
	arena_init(&arena, 64 * MiB);
	units = (struct unit_list){.items = sorted, .n = N};
	for (size_t i = 0; i < N; i++) {
		char text[PCIFN_TEXT_MAX];

		above[i][0] = (uint64_t)places[i].root;
		above[i][1] = 0x100 + (uint64_t)places[i].bridge;
		cards[i] =
			(struct pci_function){.address = places[i].address, .numa = places[i].numa};
		cards[i].above.items = above[i];
		cards[i].above.n = places[i].bridge ? 2 : places[i].root ? 1 : 0;
		made[i] = (struct unit){.card = &cards[i]};
		ids[i] = arena_strdup(&arena, pcifn_text(places[i].address, text));
	}
	memcpy(sorted, made, sizeof(sorted));
	qsort(sorted, N, sizeof(*sorted), by_address);
	ids[N] = "unknown";
}

/* Letters as ids; z is one that nobody knows. */
static struct dpapi_ids ids_of(const char *letters)
{
	struct dpapi_ids ret = {.items = arena_array(&arena, const char *, strlen(letters))};

	for (; *letters; letters++) {
		ret.items[ret.n++] = *letters == 'z' ? ids[N] : ids[*letters - 'a'];
	}
	return ret;
}

static const char *letters_of(const struct dpapi_ids *answer)
{
	char *text = arena_alloc(&arena, answer->n + 1);

	for (size_t i = 0; i < answer->n; i++) {
		text[i] = 'z';
		for (size_t k = 0; k < N; k++) {
			if (str_eq(ids[k], answer->items[i])) {
				text[i] = (char)('a' + k);
			}
		}
	}
	return text;
}

static const char *prefers(const char *available, const char *must, int64_t size)
{
	struct dpapi_wish wish = {ids_of(available), ids_of(must), size};
	struct dpapi_ids answer;
	struct err err = {""};

	if (prefer_make(&units, NULL, &wish, &arena, &answer, &err) < 0) {
		return arena_printf(&arena, "%s", err.text);
	}
	return letters_of(&answer);
}

static void answers(void)
{
	static const struct {
		const char *available, *must;
		int64_t size;
		const char *answer;
	} rows[] = {
		/* the smallest neighbourhood that has enough */
		{"abcdefghijklmn", "", 1, "m"},
		{"abcdefgjklmn", "", 2, "ef"},
		{"abcdefghijkl", "", 2, "hi"}, /* of one slot */
		{"hijklo", "", 2, "hi"},
		{"hijklo", "", 3, "ohi"},
		{"pqr", "", 2, "qr"},
		{"pqr", "r", 2, "rq"},
		{"abcdefgjkl", "", 2, "ef"}, /* of one switch, though a node would be smaller */
		{"abcdefg", "", 3, "abc"},
		{"abcdefghijklmn", "", 4, "abcd"},
		{"abcdefg", "", 4, "abcd"},
		{"abcdef", "", 5, "abcde"}, /* the largest switch, then the next */
		{"abefg", "", 3, "abe"},
		{"abcdefghijkl", "", 6, "abcdef"},
		{"acegik", "", 3, "ace"},
		{"abcdefghijklmn", "", 14, "abcdefghijklmn"},
		{"abcdefghijklmn", "", 13, "abcdefghijklm"},
		{"", "", 0, ""},
		{"ab", "", 0, ""},
		/* near to what must be there */
		{"abcdefg", "c", 2, "ca"},
		{"abcdefg", "e", 2, "ef"},
		{"abcdefg", "e", 3, "eaf"},
		{"abcdefg", "g", 2, "ge"},
		{"hijkl", "i", 2, "ih"},
		{"hijkl", "k", 2, "kj"},
		{"abhijkl", "j", 3, "jhi"},
		{"abcdhi", "h", 4, "habi"},
		{"abcdhi", "ah", 3, "ahi"},
		{"abcdefg", "abc", 3, "abc"},
		{"", "ab", 2, "ab"},
		{"bcd", "a", 2, "ab"},
		{"aabbab", "bb", 2, "ba"},
		/* what nobody knows comes last */
		{"za", "", 1, "a"},
		{"zabc", "", 3, "abc"},
		{"zabc", "", 4, "abcz"},
		{"zab", "z", 2, "za"},
		/* nonsense */
		{"abc", "ab", 1, "2 devices must be among 1"},
		{"abc", "", 4, "4 devices are wanted, and 3 are there"},
		{"abcabc", "", 4, "4 devices are wanted, and 3 are there"},
		{"abc", "", -1, "0 devices must be among -1"},
	};

	begin();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *got = prefers(rows[i].available, rows[i].must, rows[i].size);

		if (!str_eq(got, rows[i].answer)) {
			printf("# %s must %s size %d\n", rows[i].available, rows[i].must,
			       (int)rows[i].size);
		}
		is_str(got, rows[i].answer);
	}
}

static uint32_t chance;

static unsigned by_chance(unsigned below)
{
	chance = chance * 1664525 + 1013904223;
	return (chance >> 16) % below;
}

enum { NODE, ROOT, SWITCH, SLOT };

static bool near(size_t i, size_t k, int level)
{
	const struct unit *x = &made[i], *y = &made[k];

	if (i == k || pcifn_slot(x->card->address) == pcifn_slot(y->card->address)) {
		return true;
	}
	return level == NODE   ? x->card->numa == y->card->numa
	       : level == ROOT ? unit_link(x, y) != NULL
			       : level == SWITCH && str_eq(unit_link(x, y), "switch");
}

/* Where so many are near to each other, those of the answer are. */
static void holds_together(const char *answer, const bool *free, size_t size, int level)
{
	bool possible = false, together = true;

	for (size_t i = 0; i < N; i++) {
		size_t n = 0;

		for (size_t k = 0; k < N; k++) {
			n += free[i] && free[k] && near(i, k, level);
		}
		possible |= n >= size;
	}
	for (const char *x = answer; *x; x++) {
		for (const char *y = answer; *y; y++) {
			together &= near((size_t)(*x - 'a'), (size_t)(*y - 'a'), level);
		}
	}
	if (together != possible) {
		printf("# %s: level %d\n", answer, level);
	}
	ok(together == possible);
}

static void by_chance_all(void)
{
	chance = 7;
	for (int round = 0; round < 20000; round++) {
		char available[N + 1], other[N + 1], must[N + 1];
		size_t n = 0, n_must = 0, size;
		bool free[N] = {0};
		const char *answer;

		begin();
		for (size_t i = 0; i < N; i++) {
			if (by_chance(3)) {
				free[i] = true;
				available[n++] = (char)('a' + i);
				if (!by_chance(6) && round % 2) {
					must[n_must++] = (char)('a' + i);
				}
			}
		}
		available[n] = must[n_must] = 0;
		size = n_must + by_chance((unsigned)(n - n_must) + 1);
		answer = prefers(available, must, (int64_t)size);
		is_int(strlen(answer), size);
		is_int(strspn(answer, must), n_must);
		is_int(strspn(answer, available), size);
		for (size_t i = 0; i < size; i++) {
			ok(!strchr(answer + i + 1, answer[i]));
		}
		for (int level = NODE; !n_must && size && level <= SLOT; level++) {
			holds_together(answer, free, size, level);
		}
		memcpy(other, available, n + 1); /* asked in another order */
		for (size_t i = 0; i < n; i++) {
			size_t k = by_chance((unsigned)n);
			char c = other[i];

			other[i] = other[k];
			other[k] = c;
		}
		is_str(prefers(other, must, (int64_t)size), answer);
	}
}

static void many(void)
{
	enum { MANY = 512 };
	static struct pci_function functions[MANY];
	static struct unit all[MANY];
	struct dpapi_wish wish = {.size = 200};
	struct dpapi_ids answer;
	struct err err;

	begin();
	wish.available.items = arena_array(&arena, const char *, MANY);
	for (size_t i = 0; i < MANY; i++) {
		char text[PCIFN_TEXT_MAX];

		functions[i] = (struct pci_function){.address = 0x10000 + 0x100 * i, .numa = i % 2};
		all[i] = (struct unit){.card = &functions[i]};
		wish.available.items[wish.available.n++] =
			arena_strdup(&arena, pcifn_text(functions[i].address, text));
	}
	units = (struct unit_list){.items = all, .n = MANY};
	is_int(prefer_make(&units, NULL, &wish, &arena, &answer, &err), 0);
	is_int(answer.n, 200);
	for (size_t i = 0; i < 200; i++) {
		is_str(answer.items[i], wish.available.items[2 * i]);
	}
}

/* --- NVLinks ------------------------------------------------------------------------------- */

static struct links links;

static int lanes_of(char x, char y)
{
	return (int)links_lanes(&links, &made[x - 'a'], &made[y - 'a']);
}

static const char *prefers_linked(const char *available, const char *must, int64_t size)
{
	struct dpapi_wish wish = {ids_of(available), ids_of(must), size};
	struct dpapi_ids answer;
	struct err err = {""};

	if (prefer_make(&units, &links, &wish, &arena, &answer, &err) < 0) {
		return arena_printf(&arena, "%s", err.text);
	}
	return letters_of(&answer);
}

/* "ab2 cd1": two links between a and b, one between c and d */
static void link_up(const char *text)
{
	static struct links_pair pairs[64];

	links = (struct links){.items = pairs};
	for (; *text; text += text[3] ? 4 : 3) {
		uint64_t x = places[text[0] - 'a'].address, y = places[text[1] - 'a'].address;

		pairs[links.n++] = (struct links_pair){MIN(x, y), MAX(x, y), text[2] - '0'};
	}
}

static void linked(void)
{
	static const struct {
		const char *links, *available, *must;
		int64_t size;
		const char *answer;
	} rows[] = {
		{"am4 bn4", "abcdmn", "", 2, "am"},	    /* nearer than all else */
		{"am4 bn4", "abcdmn", "n", 2, "nb"},	    /* what must be there comes first */
		{"am4 bn4", "abcdn", "", 2, "bn"},	    /* a has nobody */
		{"ab2 cd2", "abcd", "", 1, "a"},	    /* all halve a pair */
		{"ab2 cd2", "abcde", "", 1, "e"},	    /* none is halved */
		{"ab2 cd2", "acd", "", 1, "a"},		    /* its pair is halved already */
		{"ab2 cd2", "abcdef", "", 3, "abc"},	    /* near, though it halves one */
		{"ab1 ac1 bc1 de9", "abcde", "", 3, "ade"}, /* nine and near is more than three */
		{"ef3", "abcd", "", 2, "ab"},		    /* none of these is linked */
		{"ef3", "efz", "", 2, "ef"},
		{"ef3", "efz", "", 3, "efz"},
		{"ef3", "efz", "z", 2, "ze"},
		{"ef3", "ef", "ef", 2, "ef"},
		{"ef3", "ef", "", 0, ""},
		{"ef3", "ef", "", 3, "3 devices are wanted, and 2 are there"},
	};

	begin();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		link_up(rows[i].links);
		is_str(prefers_linked(rows[i].available, rows[i].must, rows[i].size),
		       rows[i].answer);
	}
}

static int inside(const char *set)
{
	int lanes = 0;

	for (const char *x = set; *x; x++) {
		for (const char *y = x + 1; *y; y++) {
			lanes += lanes_of(*x, *y);
		}
	}
	return lanes;
}

/* The most links that so many of these can have, with all that must be there. */
static int most(const char *available, const char *must, size_t size)
{
	size_t n = strlen(available);
	int best = -1;

	for (unsigned set = 0; set < 1U << n; set++) {
		char chosen[N + 1] = "";
		size_t k = 0, musts = 0;

		for (size_t i = 0; i < n; i++) {
			if (set >> i & 1) {
				chosen[k++] = available[i];
				musts += strchr(must, available[i]) != NULL;
			}
		}
		chosen[k] = '\0';
		if (k == size && musts == strlen(must)) {
			best = MAX(best, inside(chosen));
		}
	}
	return best;
}

/* Eight GPUs as in a DGX-1, which are not all linked with each other. */
static void a_hybrid_cube(void)
{
	static const char cube[] =
		"ab1 ac1 ad2 ae2 bc2 bd1 bf2 cd2 cg1 dh1 ef1 eg1 eh2 fg2 fh1 gh2";

	begin();
	link_up(cube);
	is_str(prefers_linked("abcdefgh", "", 4), "abcd");
	for (unsigned set = 0; set < 256; set++) {
		char available[9] = "", must[2] = "";
		size_t n = 0;

		for (unsigned i = 0; i < 8; i++) {
			if (set >> i & 1) {
				available[n++] = (char)('a' + i);
			}
		}
		available[n] = '\0';
		must[0] = set % 3 == 1 && n ? available[n / 2] : '\0';
		for (size_t size = strlen(must); size <= n; size++) {
			const char *answer = prefers_linked(available, must, (int64_t)size);

			is_int(strlen(answer), size);
			is_int(strspn(answer, available), size);
			is_int(inside(answer), most(available, must, size));
		}
		begin();
	}
}

/* More sets than are looked at: four switches of NVLinks with eight each. */
static void islands(void)
{
	enum { MANY = 32 };
	static struct pci_function functions[MANY + 1];
	static struct unit all[MANY + 1];
	static struct links_pair pairs[MANY * 7 / 2];
	struct dpapi_wish wish = {.size = 8};
	struct dpapi_ids answer;
	uint64_t first, at;
	struct err err;

	begin();
	links = (struct links){.items = pairs};
	wish.available.items = arena_array(&arena, const char *, MANY + 1);
	for (size_t i = 0; i <= MANY; i++) {
		char text[PCIFN_TEXT_MAX];

		functions[i] = (struct pci_function){.address = 0x10000 + 0x100 * i, .numa = i % 2};
		all[i] = (struct unit){.card = &functions[i]};
		wish.available.items[wish.available.n++] =
			arena_strdup(&arena, pcifn_text(functions[i].address, text));
		for (size_t k = i % 4; k < i && i < MANY; k += 4) {
			pairs[links.n++] =
				(struct links_pair){functions[k].address, functions[i].address, 18};
		}
	}
	units = (struct unit_list){.items = all, .n = MANY + 1};
	wish.available.n = MANY;
	is_int(prefer_make(&units, &links, &wish, &arena, &answer, &err), 0);
	is_int(answer.n, 8);
	ok(pcifn_parse(answer.items[0], &first) == 0);
	for (size_t i = 0; i < 8; i++) {
		ok(pcifn_parse(answer.items[i], &at) == 0);
		is_int((at >> 8) % 4, (first >> 8) % 4);
	}
	wish.available.n = MANY + 1; /* too many: links do not count */
	is_int(prefer_make(&units, &links, &wish, &arena, &answer, &err), 0);
	is_str(answer.items[1], "0001:03:00.0");
}

static void nothing_stays(void)
{
	arena_finish(&arena);
}

TESTS({"what is nearest to each other, and to what must be there", answers},
      {"whatever is asked: as many, each once, together if they can be", by_chance_all},
      {"of 512 as well", many}, {"NVLink is nearest", linked},
      {"the best of a hybrid cube", a_hybrid_cube}, {"many that are linked", islands},
      {"nothing stays", nothing_stays})
