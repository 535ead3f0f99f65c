/* SPDX-License-Identifier: Apache-2.0 */
#include "api/gpu_names.h"

#include "base/test.h"

/* Runs in the root of the repository, as `make unit` does. */
#define TABLE "api/gpu_names.tsv"
#define SPELLINGS "api/testdata/nvidia_spellings.tsv"

#define NVIDIA 0x10de

/* One line of the table that is no comment. */
struct line {
	char text[1024];
	char *device, *name, *words, *aliases;
	uint16_t vendor;
	char prefix[64];
};

static bool next_line(FILE *f, struct line *l)
{
	while (fgets(l->text, sizeof(l->text), f)) {
		char *p = l->text;

		p[strcspn(p, "\n")] = 0;
		if (*p == '#' || !*p) {
			continue;
		}
		l->device = strsep(&p, "\t");
		l->name = strsep(&p, "\t");
		if (*l->device == '=') {
			l->vendor = (uint16_t)strtoul(l->device + 2, NULL, 16);
			snprintf(l->prefix, sizeof(l->prefix), "%s", l->name);
			continue;
		}
		l->words = strsep(&p, "\t");
		l->aliases = p;
		return true;
	}
	return false;
}

static FILE *open_table(void)
{
	FILE *f = fopen(TABLE, "re");

	if (!f) {
		test_fail_(__FILE__, __LINE__,
			   TABLE " is not here: run this in the root of the repository");
	}
	return f;
}

static void resolves_to(const char *asked, const char *want)
{
	const char *got[GPU_NAMES_MAX];
	char all[2048] = "";
	size_t n = gpu_names_resolve(asked, got, ARRAY_LEN(got));

	for (size_t i = 0; i < n; i++) {
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? " " : "",
			 got[i]);
	}
	is_str(all, want);
}

static void made(uint16_t vendor, const char *vendor_words, const char *words, const char *want)
{
	char got[GPU_NAME_SIZE];

	gpu_names_make(vendor, vendor_words, 0x26b9, words, got);
	is_str(got, want);
}

static const char *name_of(uint16_t vendor, uint16_t device)
{
	struct gpu_name n;

	return gpu_names_by_id(vendor, device, 0, &n) ? n.name : NULL;
}

/* What the API server asks of the part after '/' (IsQualifiedName). */
static bool is_valid(const char *name)
{
	const char *p = strchr(name, '/');
	size_t n = p ? strlen(++p) : 0;

	if (n == 0 || n > 63 || strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != n) {
		return false;
	}
	return !strchr("_.-", p[0]) && !strchr("_.-", p[n - 1]);
}

static void seeds(void)
{
	is_str(name_of(NVIDIA, 0x26b9), "nvidia.com/AD102GL_L40S");
	is_str(name_of(NVIDIA, 0x20b5), "nvidia.com/GA100_A100_PCIE_80GB");
	resolves_to("nvidia.com/AD102GL_L40S", "nvidia.com/AD102GL_L40S");
	resolves_to("nvidia.com/GA100_A100_PCIE_80GB", "nvidia.com/GA100_A100_PCIE_80GB");
	resolves_to("nvidia.com/H100_94GB",
		    "nvidia.com/GH100_H100L_94GB nvidia.com/GH100_H100_SXM5_94GB");
}

static void words(void)
{
	struct gpu_name n;

	ok(gpu_names_by_id(NVIDIA, 0x26b9, 0, &n));
	is_str(n.model, "L40S");
	is_str(n.chip, "AD102GL");
	ok(gpu_names_by_id(NVIDIA, 0x0034, 0, &n));
	is_str(n.model, "MCP04 SMBus");
	is_str(n.chip, "");
	ok(gpu_names_by_id(0x8086, 0x56c0, 0, &n));
	is_str(n.name, "intel.com/ATSM_DATA_CENTER_GPU_FLEX_170");
	is_str(n.model, "Data Center GPU Flex 170");
	ok(gpu_names_by_id(0x1002, 0x74a1, 0, &n));
	is_str(n.name, "amd.com/AQUA_VANJARAM_INSTINCT_MI300X");
}

static void subsystem(void)
{
	struct gpu_name n;

	ok(gpu_names_by_id(NVIDIA, 0x25b6, 0x10de157e, &n));
	is_str(n.model, "A2");
	is_str(n.name, "nvidia.com/GA107GL_A2___A16");
	ok(gpu_names_by_id(NVIDIA, 0x25b6, 0x10de0000, &n));
	is_str(n.model, "A2 / A16");
	is_str(n.name, "nvidia.com/GA107GL_A2___A16");
}

static void unknown_id(void)
{
	struct gpu_name n = {.name = "untouched"};

	ok(!gpu_names_by_id(NVIDIA, 0xffff, 0, &n));
	ok(!gpu_names_by_id(NVIDIA, 0x0000, 0, &n));
	ok(!gpu_names_by_id(0x1234, 0x26b9, 0, &n));
	is_str(n.name, "untouched");
}

static void prefix_and_case(void)
{
	resolves_to("AD102GL_L40S", "nvidia.com/AD102GL_L40S");
	resolves_to("H100_94GB", "nvidia.com/GH100_H100L_94GB nvidia.com/GH100_H100_SXM5_94GB");
	resolves_to("nvidia.com/h100_94gb",
		    "nvidia.com/GH100_H100L_94GB nvidia.com/GH100_H100_SXM5_94GB");
	resolves_to("NVIDIA.com/ad102gl_l40s", "nvidia.com/AD102GL_L40S");
	resolves_to("amd.com/AD102GL_L40S", "");
	resolves_to("example.com/AD102GL_L40S", "");
}

static void device_ids(void)
{
	resolves_to("10de:26b9", "nvidia.com/AD102GL_L40S");
	resolves_to("10DE:26B9", "nvidia.com/AD102GL_L40S");
	resolves_to("10de:25b6:10de:157e", "nvidia.com/GA107GL_A2___A16");
	resolves_to("nvidia.com/26b9", "nvidia.com/AD102GL_L40S");
	resolves_to("26b9", "nvidia.com/AD102GL_L40S");
	resolves_to("74a1", "amd.com/AQUA_VANJARAM_INSTINCT_MI300X");
	resolves_to("56c0", "intel.com/ATSM_DATA_CENTER_GPU_FLEX_170");
	resolves_to("amd.com/74a1", "amd.com/AQUA_VANJARAM_INSTINCT_MI300X");
	resolves_to("nvidia.com/74a1", "");
	resolves_to("intel.com/26b9", "");
	resolves_to("10de:ffff", "");
	resolves_to("10de:26b", "");
	resolves_to("10de:26b9:", "");
	resolves_to("10de:20f1", "nvidia.com/GA100_A100_PCIE_40GB");
	/* digits that are none, though near them in ASCII */
	resolves_to("10de:26b@", "");
	resolves_to("10cu:26b9", "");
	resolves_to("10de:26b9:10de:157", "");
	resolves_to("10de:26b9:10de:157e0", "");
	resolves_to("10de:26b9-10de:157e", "");
	resolves_to("10de:26b9:10de-157e", "");
	resolves_to("10de:26b9:10dg:157e", "");
	resolves_to("10de:26b9:10de:157g", "");
	resolves_to("10de-26b9", "");
	resolves_to("10de-26b9:10de:157e", "");
	resolves_to("10de:26b9:zzzz:zzzz", "");
}

static void unknown_spelling(void)
{
	resolves_to("", "");
	resolves_to("nvidia.com/", "");
	resolves_to("/", "");
	resolves_to("nvidia.com/NVIDIA_L40S-2Q", "");
	resolves_to("nvidia.com/AD102GL_L40", "nvidia.com/AD102GL_L40");
	resolves_to("nvidia.com/AD102GL_L4", "");
	resolves_to("nvidia.com/ZZZZ", "");
}

static void exact_name_first(void)
{
	/* GH100 is the name of four ids, and what the database of 2023 called 10de:2321. */
	resolves_to("nvidia.com/GH100", "nvidia.com/GH100 nvidia.com/GH100_H100L_94GB");
}

static void room_for_one(void)
{
	const char *got[2] = {NULL, "untouched"};

	is_int(gpu_names_resolve("H100_94GB", got, 1), 1);
	is_str(got[0], "nvidia.com/GH100_H100L_94GB");
	is_str(got[1], "untouched");
	is_int(gpu_names_resolve("H100_94GB", got, 0), 0);
}

/* The id alone, and with its vendor's, means this name (of several vendors' perhaps among others). */
static void is_resolved(uint16_t vendor, const char *device, const char *want)
{
	auto_free char *both = xprintf("%04x:%s", vendor, device);
	const char *got[GPU_NAMES_MAX];
	size_t n = gpu_names_resolve(device, got, ARRAY_LEN(got)), found = 0;

	for (size_t i = 0; i < n; i++) {
		found += str_eq(got[i], want);
	}
	is_int(found, strlen(device) == 4); /* one of a subsystem needs the vendor */
	is_int(gpu_names_resolve(both, got, ARRAY_LEN(got)), 1);
	is_str(got[0], want);
}

static void every_line(void)
{
	FILE *f = open_table();
	struct line l;
	size_t n = 0;

	for (; next_line(f, &l); n++) {
		char want[GPU_NAME_SIZE];
		uint16_t device = (uint16_t)strtoul(l.device, NULL, 16);
		snprintf(want, sizeof(want), "%s/%s", l.prefix, l.name);
		is_str(name_of(l.vendor, device), want);
		ok(is_valid(want));
		is_resolved(l.vendor, l.device, want);
	}
	fclose(f);
	ok(n > 1900);
}

static bool among(const char *name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (str_eq(name, names[i])) {
			return true;
		}
	}
	return false;
}

/* Each spelling of each line leads to its canonical name, and is listed as an alias of its id. */
static void every_alias(void)
{
	FILE *f = open_table();
	struct line l;
	size_t n = 0;

	while (next_line(f, &l)) {
		uint16_t device = (uint16_t)strtoul(l.device, NULL, 16);
		const char *aliases[GPU_NAMES_MAX], *got[GPU_NAMES_MAX];
		size_t listed = gpu_names_aliases(l.vendor, device, aliases, ARRAY_LEN(aliases)),
		       here = 0;
		for (char *a; l.aliases && (a = strsep(&l.aliases, " "));) {
			char full[GPU_NAME_SIZE];
			snprintf(full, sizeof(full), "%s/%s", l.prefix, a);
			here++;
			ok(among(full, aliases, listed));
			ok(among(name_of(l.vendor, device), got,
				 gpu_names_resolve(full, got, ARRAY_LEN(got))));
			ok(among(name_of(l.vendor, device), got,
				 gpu_names_resolve(a, got, ARRAY_LEN(got))));
		}
		if (!strchr(l.device, ':')) {
			is_int(here, listed);
		}
		n += here;
	}
	fclose(f);
	ok(n > 100);
}

/* Whoever derived the name, it means the card; of many cards with one name, this one is among them.
 */
static void means_the_card(const char *spelling, uint16_t device)
{
	auto_free char *full = xprintf("nvidia.com/%s", spelling);
	const char *got[GPU_NAMES_MAX];

	if (!among(name_of(NVIDIA, device), got, gpu_names_resolve(full, got, ARRAY_LEN(got)))) {
		printf("# %s is not known as %04x\n", full, device);
		test_fail_(__FILE__, __LINE__, "unknown spelling");
	}
}

static void every_tool(void)
{
	FILE *f = fopen(SPELLINGS, "re");
	char line[1024];
	size_t rows = 0, spellings = 0;

	ok(f);
	while (fgets(line, sizeof(line), f)) {
		char *p = line, *device, *spelling;

		p[strcspn(p, "\n")] = 0;
		if (*p == '#') {
			continue;
		}
		device = strsep(&p, "\t");
		for (rows++; (spelling = strsep(&p, "\t"));) {
			if (*spelling) {
				means_the_card(spelling, (uint16_t)strtoul(device, NULL, 16));
				spellings++;
			}
		}
	}
	fclose(f);
	is_int(rows, 128);
	ok(spellings > 2 * rows);
}

static void every_name_has_its_ids(void)
{
	FILE *f = open_table();
	struct line l;

	while (next_line(f, &l)) {
		uint16_t device = (uint16_t)strtoul(l.device, NULL, 16);
		uint32_t ids[GPU_NAMES_MAX], last = 0;
		size_t n = gpu_names_ids(name_of(l.vendor, device), ids, ARRAY_LEN(ids));
		bool found = false;
		ok(n > 0 && n < GPU_NAMES_MAX);
		for (size_t i = 0; i < n; i++) {
			ok(ids[i] > last);
			is_str(name_of((uint16_t)(ids[i] >> 16), (uint16_t)ids[i]),
			       name_of(l.vendor, device));
			found |= ids[i] == ((uint32_t)l.vendor << 16 | device);
			last = ids[i];
		}
		ok(found);
	}
	fclose(f);
}

/* The canonical names are no invention: they are what the rule makes of the words. */
static void every_name_follows_the_rule(void)
{
	FILE *f = open_table();
	struct line l;

	while (next_line(f, &l)) {
		char got[GPU_NAME_SIZE], want[GPU_NAME_SIZE];
		if (strchr(l.device, ':')) {
			continue;
		}
		snprintf(want, sizeof(want), "%s/%s", l.prefix, l.name);
		gpu_names_make(l.vendor, NULL, 0, l.words, got);
		is_str(got, want);
	}
	fclose(f);
}

static void shared_name(void)
{
	uint32_t ids[4];

	is_int(gpu_names_ids("nvidia.com/GA100_A100_PCIE_40GB", ids, ARRAY_LEN(ids)), 2);
	is_int(ids[0], 0x10de20b1);
	is_int(ids[1], 0x10de20f1);
	is_int(gpu_names_ids("nvidia.com/GA100_A100_PCIE_40GB", ids, 1), 1);
	is_int(gpu_names_ids("nvidia.com/H100_94GB", ids, ARRAY_LEN(ids)), 0);
	is_int(gpu_names_ids("AD102GL_L40S", ids, ARRAY_LEN(ids)), 0);
	is_int(gpu_names_ids("nvidia.com/ad102gl_l40s", ids, ARRAY_LEN(ids)), 0);
}

static void no_aliases(void)
{
	const char *got[4];

	is_int(gpu_names_aliases(NVIDIA, 0x26b9, got, ARRAY_LEN(got)), 0);
	is_int(gpu_names_aliases(NVIDIA, 0xffff, got, ARRAY_LEN(got)), 0);
	is_int(gpu_names_aliases(NVIDIA, 0x2321, got, ARRAY_LEN(got)), 2);
	is_str(got[0], "nvidia.com/GH100");
	is_str(got[1], "nvidia.com/H100_94GB");
	is_int(gpu_names_aliases(NVIDIA, 0x2321, got, 1), 1);
}

/* The cases of the plugin's own tests (device_plugin_test.go). */
static void rule(void)
{
	made(NVIDIA, NULL, "GK104GL [GRID K520]", "nvidia.com/GK104GL_GRID_K520");
	made(NVIDIA, NULL, "gk104.gl [grid/k./520]", "nvidia.com/GK104_GL_GRID_K__520");
	made(NVIDIA, NULL, "A  \t B", "nvidia.com/A_B");
	made(NVIDIA, NULL, "GA100 [A800-SXM4-80GB]", "nvidia.com/GA100_A800SXM480GB");
	made(NVIDIA, NULL, "caf\xc3\xa9", "nvidia.com/CAF");
	made(NVIDIA, NULL, "A\tB\rC\x0e D\bE", "nvidia.com/A_B_C_DE");
	made(NVIDIA, NULL, "AZaz09", "nvidia.com/AZAZ09");
}

static void rule_repairs(void)
{
	made(NVIDIA, NULL, "RTX A4500 Embedded GPU ]", "nvidia.com/RTX_A4500_EMBEDDED_GPU");
	made(NVIDIA, NULL, "/ leading", "nvidia.com/LEADING");
	made(NVIDIA, NULL, "0123456789012345678901234567890123456789012345678901234567890 12345",
	     "nvidia.com/0123456789012345678901234567890123456789012345678901234567890_1");
	made(NVIDIA, NULL, "0123456789012345678901234567890123456789012345678901234567890 / 345",
	     "nvidia.com/0123456789012345678901234567890123456789012345678901234567890");
	made(NVIDIA, NULL, "!!!", "nvidia.com/26b9");
	made(NVIDIA, NULL, "", "nvidia.com/26b9");
	made(NVIDIA, NULL, NULL, "nvidia.com/26b9");
}

static void rule_vendors(void)
{
	made(0x1002, "Advanced Micro Devices, Inc. [AMD/ATI]", "R481 [Radeon X850 XT AGP]",
	     "amd.com/R481_RADEON_X850_XT_AGP");
	made(0x8086, "Intel Corporation", "I350 Gigabit Network Connection",
	     "intel.com/I350_GIGABIT_NETWORK_CONNECTION");
	made(0x15b3, "Mellanox Technologies", "MT2892 Family [ConnectX-6 Dx Flash Recovery]",
	     "mellanox.com/MT2892_FAMILY_CONNECTX6_DX_FLASH_RECOVERY");
	made(0x1234, "Test Vendor", "!!!", "test.com/26b9");
	made(0x1234, "Words [Moore Threads/X]", "S80", "moorethreads.com/S80");
	made(0x1234, "Acme[Moore Threads/X]", "S80", "moorethreads.com/S80");
	made(0x1234, "  Test Vendor", "S80", "test.com/S80");
	made(0x1234, "[AZaz09@`{:/]", "S80", "azaz09.com/S80");
	made(0x1234, "[0123456789012345678901234567890123456789012345678901234567890123]", "S80",
	     "012345678901234567890123456789012345678901234567890123456789012.com/S80");
	made(0x1ed5, NULL, NULL, "pci1ed5.vmgpu.io/26b9");
	made(0x1ed5, "[]", "S80", "pci1ed5.vmgpu.io/S80");
}

static const char *const shelf[] = {
	"nvidia.com/AD102GL_L40S",     "nvidia.com/GA100_A100_PCIE_80GB",
	"nvidia.com/GH100_H100L_94GB", "nvidia.com/TU104GL_TESLA_T4",
	"nvidia.com/NVIDIA_L40S-2Q",   "amd.com/AQUA_VANJARAM_INSTINCT_MI300X",
	"nvidia.com/AD102GL_L40S",
};

static void near(const char *asked, const char *want)
{
	const char *got[3];
	char all[512] = "";
	size_t n = gpu_names_near(asked, shelf, ARRAY_LEN(shelf), got, ARRAY_LEN(got));

	for (size_t i = 0; i < n; i++) {
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? " " : "",
			 strchr(got[i], '/') + 1);
	}
	is_str(all, want);
}

static void near_typing(void)
{
	near("nvidia.com/AD102GL_L40", "AD102GL_L40S");
	near("nvidia.com/AD102GL-L40S", "AD102GL_L40S");
	near("nvidia.com/GA100_A100_PCI_80G", "GA100_A100_PCIE_80GB");
	near("ad102gl_l40s", "AD102GL_L40S");
}

static void near_words(void)
{
	near("L40S", "AD102GL_L40S NVIDIA_L40S-2Q");
	near("T4", "TU104GL_TESLA_T4");
	near("nvidia.com/H100_80GB", "GH100_H100L_94GB GA100_A100_PCIE_80GB");
	near("mi300x", "AQUA_VANJARAM_INSTINCT_MI300X");
	near("amd.com/L40S", "AD102GL_L40S NVIDIA_L40S-2Q");
}

static void near_nothing(void)
{
	const char *got[1] = {"untouched"};

	near("nvidia.com/QUADRO_P620", "");
	near("", "");
	near("/", "");
	is_int(gpu_names_near("L40S", shelf, 0, got, 1), 0);
	is_int(gpu_names_near("L40S", shelf, ARRAY_LEN(shelf), got, 0), 0);
	is_str(got[0], "untouched");
}

/* Of the names on a shelf, at most max, in their order. */
static void near_on_a_shelf(void)
{
	static const struct {
		const char *asked, *shelf[5];
		size_t max;
		const char *want;
	} rows[] = {
		/* letters to change: half of them is enough */
		{"ABCD", {"ABXX"}, 3, "ABXX"},
		{"ABCD", {"ABXXX"}, 3, ""},
		{"ABCD", {"AB"}, 3, "AB"},
		{"AB", {"ABCD"}, 3, "ABCD"},
		{"AB", {"ABCDE"}, 3, ""},
		{"ABCD", {"XABC"}, 3, "XABC"},
		{"ABCD", {"BCDA"}, 3, "BCDA"},
		{"ABCDEF", {"XXXDEF"}, 3, "XXXDEF"},
		{"ABCDEF", {"XXXXEF"}, 3, ""},
		/* upper and lower case */
		{"azAZ09", {"AZaz09"}, 3, "AZaz09"},
		{"abcd", {"ABXX"}, 3, "ABXX"},
		/* a word that both have */
		{"AAAA", {"XXXXXXXX_AAAA_YYYYYYYY"}, 3, "XXXXXXXX_AAAA_YYYYYYYY"},
		{"aaaa", {"XXXXXXXX_AAAA_YYYYYYYY"}, 3, "XXXXXXXX_AAAA_YYYYYYYY"},
		{"AAAA", {"XXXXXXXX_AAAAB_YYYYYYYY"}, 3, ""},
		{"AAAA", {"XXXXXXXX_BAAAA_YYYYYYYY"}, 3, ""},
		{"AAAA-BBBB", {"XXXXXXXXXX_BBBB"}, 3, "XXXXXXXXXX_BBBB"},
		{"AAAAAAA-BBBB", {"XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX_BBBB"}, 3, ""},
		{"0", {"x_0"}, 3, "x_0"},
		{"9", {"x_9"}, 3, "x_9"},
		{"A", {"x_a"}, 3, "x_a"},
		{"z", {"x_Z"}, 3, "x_Z"},
		{":", {"x_:"}, 3, ""},
		{"@", {"x_@"}, 3, ""},
		{"[", {"x_["}, 3, ""},
		/* a beginning with a digit, of three letters */
		{"L40", {"XXXXXXXX_L40S_YYYYYYYY"}, 3, "XXXXXXXX_L40S_YYYYYYYY"},
		{"L40S", {"XXXXXXXX_L40_YYYYYYYYY"}, 3, "XXXXXXXX_L40_YYYYYYYYY"},
		{"L4", {"XXXXXXXX_L4S_YYYYYYYY"}, 3, ""},
		{"LLL", {"XXXXXXXX_LLLS_YYYYYYYY"}, 3, ""},
		{"0LL", {"XXXXXXXX_0LLS_YYYYYYYY"}, 3, "XXXXXXXX_0LLS_YYYYYYYY"},
		{"LL9", {"XXXXXXXX_LL9S_YYYYYYYY"}, 3, "XXXXXXXX_LL9S_YYYYYYYY"},
		/* the best first, of equals the earlier; of each one */
		{"ABCD", {"ABXX", "ABYY"}, 3, "ABXX ABYY"},
		{"ABCD", {"ABXX", "ABXX"}, 3, "ABXX"},
		{"ABCD", {"ABXX", "ABYY", "ABCX"}, 3, "ABCX ABXX ABYY"},
		{"ABCD", {"ABXX", "ABYY", "ABCX"}, 2, "ABCX ABXX"},
		{"ABCD", {"ABXX", "ABYY", "ABCX"}, 1, "ABCX"},
		{"ABCD", {"ABVV", "ABWW", "ABXX", "ABYY", "ABCX"}, 3, "ABCX ABVV ABWW"},
		{"ABCD", {"ABCX", "ABXX", "ABYY", "ABZZ"}, 3, "ABCX ABXX ABYY"},
		{"ABCD", {"ABXX", "ABCX", "ABYY", "ABCY", "ABCZ"}, 3, "ABCX ABCY ABCZ"},
		/* beside a good one a poor one misleads */
		{"ABCD", {"ABCX", "ABCD", "ABXX"}, 3, "ABCD"},
		{"ABCD",
		 {"XXXXXXXX_ABCD_YYYYYYYYYYYYYY", "ABXX"},
		 3,
		 "XXXXXXXX_ABCD_YYYYYYYYYYYYYY"},
		/* whatever stands before the slash */
		{"a.com/ABCD", {"b.example.com/ABXX"}, 3, "b.example.com/ABXX"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *got[3];
		char all[256] = "";
		size_t have = 0, n;

		while (have < ARRAY_LEN(rows[i].shelf) && rows[i].shelf[have]) {
			have++;
		}
		n = gpu_names_near(rows[i].asked, rows[i].shelf, have, got, rows[i].max);
		for (size_t k = 0; k < n; k++) {
			snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", k ? " " : "",
				 got[k]);
		}
		is_str(all, rows[i].want);
	}
}

static void near_long(void)
{
	char asked[2000];
	const char *got[3];

	memset(asked, 'A', sizeof(asked) - 1);
	asked[sizeof(asked) - 1] = 0;
	is_int(gpu_names_near(asked, shelf, ARRAY_LEN(shelf), got, ARRAY_LEN(got)), 0);
	is_int(gpu_names_resolve(asked, got, ARRAY_LEN(got)), 0);
}

TESTS({"the seeds' names are canonical, and H100_94GB is either of two cards", seeds},
      {"an id has its name, model and chip in words", words},
      {"a subsystem changes the words and never the name", subsystem},
      {"an id that is not in the table is not made up", unknown_id},
      {"a spelling counts with and without its vendor, in any case", prefix_and_case},
      {"a PCI id is a spelling", device_ids},
      {"a spelling that nobody knows means nothing", unknown_spelling},
      {"who spells a canonical name gets that first", exact_name_first},
      {"no more names are written than there is room for", room_for_one},
      {"every line of the table is found by its id and has a valid name", every_line},
      {"every alias of the table leads to its canonical name", every_alias},
      {"a name that any tool derives from any database means the card", every_tool},
      {"every canonical name has its ids, in order", every_name_has_its_ids},
      {"every canonical name is what the rule makes of the words", every_name_follows_the_rule},
      {"two ids can have one name", shared_name}, {"aliases are listed by id", no_aliases},
      {"words become names as NVIDIA's plugin makes them", rule},
      {"words that give no valid name are repaired", rule_repairs},
      {"a vendor's prefix is known, or made from its words, or its id", rule_vendors},
      {"a name with a typing error is near", near_typing},
      {"a name with the same words is near", near_words},
      {"what is only there is not near", near_nothing},
      {"names are near by words and letters, the best first", near_on_a_shelf},
      {"a name without end does no harm", near_long})
