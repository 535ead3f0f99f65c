/* SPDX-License-Identifier: Apache-2.0 */
/* pcifn_fuzz.c: bytes as an address, a modalias and a hex number. What is understood reads back as
 * the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node-daemon/pcifn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void modalias(const char *s)
{
	struct pci_ids ids;
	auto_free char *back = NULL;

	if (pcifn_modalias(s, &ids) < 0) {
		return;
	}
	back = xprintf("pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X", ids.vendor, ids.device,
		       ids.sub_vendor, ids.sub_device, ids.class_code >> 16,
		       ids.class_code >> 8 & 255, ids.class_code & 255);
	if (strcasecmp(back, s) != 0) {
		abort();
	}
	(void)pcifn_role(&ids);
	(void)pcifn_class_words(ids.class_code);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *s = xstrndup((const char *)data, size);
	char text[PCIFN_TEXT_MAX];
	uint64_t at;
	uint32_t hex;

	if (pcifn_parse(s, &at) == 0 && strlen(s) == strlen(pcifn_text(at, text)) &&
	    strcasecmp(s, text) != 0) {
		abort();
	}
	(void)pcifn_hex(s, 6, &hex);
	modalias(s);
	return 0;
}
