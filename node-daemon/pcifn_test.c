/* SPDX-License-Identifier: Apache-2.0 */
#include "node-daemon/pcifn.h"

#include "base/test.h"

static void there_and_back(void)
{
	static const char *const addresses[] = {"0000:00:00.0", "0000:41:00.0", "ffff:ff:1f.7",
						"10000:e1:00.0", "ffffffff:01:02.3"};

	for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
		char text[PCIFN_TEXT_MAX];
		uint64_t at;

		is_int(pcifn_parse(addresses[i], &at), 0);
		is_str(pcifn_text(at, text), addresses[i]);
	}
}

static void no_addresses(void)
{
	static const char *const texts[] = {"",
					    "0000:41:00",
					    "0000:41:00.8",
					    "0000:41:20.0",
					    "000:41:00.0",
					    "0000:4:00.0",
					    "0000:41:00.0 ",
					    " 0000:41:00.0",
					    "0000:41:00.00",
					    "0000-41-00.0",
					    "0000:4g:00.0",
					    "123456789:00:00.0",
					    "0000:410:00.0",
					    "0000:41:000.0",
					    "0000:41:0.0",
					    "0000:41:00.",
					    "0x00:00:00.0",
					    "00\x10\x10:41:00.0",
					    "0000:4`:00.0"};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		uint64_t at = 77;

		is_int(pcifn_parse(texts[i], &at), -1);
		is_int(at, 77);
	}
}

static void order(void)
{
	uint64_t a, b, c, d;

	ok(!pcifn_parse("0000:08:00.0", &a) && !pcifn_parse("0000:08:00.4", &b) &&
	   !pcifn_parse("0000:08:01.0", &c) && !pcifn_parse("0001:00:00.0", &d));
	ok(a < b && b < c && c < d);
	ok(pcifn_slot(a) == pcifn_slot(b) && pcifn_slot(b) != pcifn_slot(c));
}

static void modalias(void)
{
	struct pci_ids ids;

	is_int(pcifn_modalias("pci:v000010DEd000025B6sv000010DEsd0000157Ebc03sc02i00", &ids), 0);
	is_int(ids.vendor, 0x10de);
	is_int(ids.device, 0x25b6);
	is_int(ids.sub_vendor, 0x10de);
	is_int(ids.sub_device, 0x157e);
	is_int(ids.class_code, 0x030200);
	is_int(pcifn_modalias("pci:v0000FFFFd0000FFFFsv0000FFFFsd0000FFFFbcFFscFFiFF", &ids), 0);
	is_int(ids.device, 0xffff);
	is_int(ids.class_code, 0xffffff);
}

static void no_modalias(void)
{
	static const char *const texts[] = {
		"",
		"pci:",
		"usb:v10DEp25B6",
		"pci:v000010DEd000025B6",
		"pci:v000110DEd000025B6sv000010DEsd0000157Ebc03sc02i00",
		"pci:v000010DEd000025B6sv000010DEsd0000157Ebc03sc02i00 ",
		"pci:v000010DEx000025B6sv000010DEsd0000157Ebc03sc02i00",
		"pci:v000010DEd000025B6xv000010DEsd0000157Ebc03sc02i00",
		"pci:v000010DEd000025B6sv000010DEsx0000157Ebc03sc02i00",
		"pci:v000010DEd000025B6sv000010DEsd0000157Ebc3sc02i00",
		"pci:v000010DEd000025B6sv000010DEsd0000157Ebx03sc02i00",
		"pci:v000010DEd000025B6sv000010DEsd0000157Ebc03sx02i00",
		"pci:v000010DEd000025B6sv000010DEsd0000157Ebc03sc02x00",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct pci_ids ids = {.vendor = 1};

		is_int(pcifn_modalias(texts[i], &ids), -1);
		is_int(ids.vendor, 1);
	}
}

/* Each character counts: without it, or with it twice, it is none. */
static void modalias_to_the_character(void)
{
	static const char whole[] = "pci:v000010DEd000025B6sv000010DEsd0000157Ebc03sc02i00";

	for (size_t i = 0; i < sizeof(whole) - 1; i++) {
		auto_free char *less = xprintf("%.*s%s", (int)i, whole, whole + i + 1),
			       *more = xprintf("%.*s%s", (int)i + 1, whole, whole + i);
		struct pci_ids ids;

		is_int(pcifn_modalias(less, &ids), -1);
		is_int(pcifn_modalias(more, &ids), -1);
	}
}

static void hex(void)
{
	uint32_t v = 0;

	is_int(pcifn_hex("0x7", 4, &v), 0);
	is_int(v, 7);
	is_int(pcifn_hex("ABCDEF", 6, &v), 0);
	is_int(v, 0xabcdef);
	is_int(pcifn_hex("abcdef09", 8, &v), 0);
	is_int(v, 0xabcdef09);
	for (const char *c = "/:@G`g"; *c; c++) {
		is_int(pcifn_hex((const char[]){*c, 0}, 4, &v), -1);
	}
	is_int(pcifn_hex("0x030200", 6, &v), 0);
	is_int(v, 0x030200);
	is_int(pcifn_hex("10de", 4, &v), 0);
	is_int(v, 0x10de);
	is_int(pcifn_hex("0x10DE", 4, &v), 0);
	is_int(pcifn_hex("0x10def", 4, &v), -1);
	is_int(pcifn_hex("0x", 4, &v), -1);
	is_int(pcifn_hex("", 4, &v), -1);
	is_int(pcifn_hex("0xg", 4, &v), -1);
}

static void roles(void)
{
	static const struct {
		uint16_t vendor;
		uint32_t class_code;
		const char *role;
		bool gpu, companion, bridge;
	} rows[] = {
		{0x10de, 0x030000, "gpu", true, false, false},
		{0x10de, 0x030200, "gpu", true, false, false},
		{0x1002, 0x038000, "gpu", true, false, false},
		{0x1002, 0x120000, "gpu", true, false, false},
		{0x19e5, 0x120000, "gpu", true, false, false},
		{0x1a03, 0x030000, "other", false, false, false},
		{0x102b, 0x030000, "other", false, false, false},
		{0x1234, 0x038000, "other", false, false, false},
		{0x10de, 0x040300, "audio", false, true, false},
		{0x10de, 0x040100, "audio", false, true, false},
		{0x10de, 0x0c0330, "usb", false, true, false},
		{0x10de, 0x0c8000, "ucsi", false, true, false},
		{0x10de, 0x068000, "nvswitch", false, false, false},
		{0x8086, 0x068000, "other", false, false, true},
		{0x8086, 0x060400, "other", false, false, true},
		{0x15b3, 0x020000, "other", false, false, false},
		{0x144d, 0x010802, "other", false, false, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct pci_ids ids = {.vendor = rows[i].vendor,
					    .class_code = rows[i].class_code};

		is_str(pcifn_role(&ids), rows[i].role);
		is_int(pcifn_is_gpu(&ids), rows[i].gpu);
		is_int(pcifn_is_companion(&ids), rows[i].companion);
		is_int(pcifn_is_bridge(&ids), rows[i].bridge);
	}
}

static void words(void)
{
	is_str(pcifn_class_words(0x010802), "NVMe disk");
	is_str(pcifn_class_words(0x010601), "disk controller");
	is_str(pcifn_class_words(0x020000), "network controller");
	is_str(pcifn_class_words(0x030000), "display controller");
	is_str(pcifn_class_words(0x038000), "display controller");
	is_str(pcifn_class_words(0x040300), "audio function");
	is_str(pcifn_class_words(0x040100), "multimedia controller");
	is_str(pcifn_class_words(0x060400), "bridge");
	is_str(pcifn_class_words(0x0c0330), "USB controller");
	is_str(pcifn_class_words(0x0c8000), "serial bus controller");
	is_str(pcifn_class_words(0x0c0500), "device");
	is_str(pcifn_class_words(0x120000), "accelerator");
	is_str(pcifn_class_words(0xff0000), "device");
}

static void drivers(void)
{
	ok(pcifn_driver_is_vfio("vfio-pci") && pcifn_driver_is_vfio("nvgrace_gpu_vfio_pci") &&
	   pcifn_driver_is_vfio("xe-vfio-pci"));
	ok(!pcifn_driver_is_vfio("nvidia") && !pcifn_driver_is_vfio("") &&
	   !pcifn_driver_is_vfio("vfio-pci-x"));
	ok(pcifn_driver_is_harmless("pcieport") && pcifn_driver_is_harmless("pci-stub"));
	ok(!pcifn_driver_is_harmless("mlx5_core") && !pcifn_driver_is_harmless("vfio-pci"));
}

TESTS({"an address reads and prints as the same text, domains of up to eight digits included",
       there_and_back},
      {"what sysfs would not write is no address", no_addresses},
      {"addresses are ordered by domain, bus, device and function", order},
      {"modalias holds all ids", modalias},
      {"a modalias with anything else in it is none", no_modalias},
      {"each character of a modalias counts", modalias_to_the_character},
      {"hex numbers with and without 0x, up to their digits", hex},
      {"GPUs, companions, bridges and consoles are told apart by vendor and class", roles},
      {"classes have words for sentences", words},
      {"vfio-pci and its variants are vfio; port drivers harm no group", drivers}, )
