/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/volumes.h"

#include <stdlib.h>
#include <string.h>

#include "api/core.h"
#include "api/kubevirt.h"
#include "base/listing.h"

#define UPSTREAM_CLASS "replicated"

static const struct {
	const char *name, *url;
} images[] = {
	{"ubuntu", "https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img"},
	{"cirros", "https://download.cirros-cloud.net/0.6.2/cirros-0.6.2-x86_64-disk.img"},
	{"alpine", "https://dl-cdn.alpinelinux.org/alpine/v3.20/releases/cloud/"
		   "nocloud_alpine-3.20.8-x86_64-bios-cloudinit-r0.qcow2"},
	{"fedora", "https://download.fedoraproject.org/pub/fedora/linux/releases/42/Cloud/x86_64/"
		   "images/Fedora-Cloud-Base-Generic-42-1.1.x86_64.qcow2"},
	{"talos",
	 "https://github.com/siderolabs/talos/releases/download/v1.7.6/nocloud-amd64.raw.xz"},
};

/* Of a golden image's DataVolume: from Cozystack 1.3 on, and before. */
static const char *const golden_prefixes[] = {"vm-default-images-", "vm-image-"};

const char *volumes_image_url(const char *image)
{
	for (size_t i = 0; i < ARRAY_LEN(images); i++) {
		if (str_eq(images[i].name, image)) {
			return images[i].url;
		}
	}
	return NULL;
}

const char *volumes_url_image(const char *url)
{
	for (size_t i = 0; i < ARRAY_LEN(images); i++) {
		if (str_eq(images[i].url, url)) {
			return images[i].name;
		}
	}
	return NULL;
}

const char *volumes_golden(const struct pass *pass, const char *image)
{
	const char *ns = options_images_ns(pass->options);

	for (size_t i = 0; i < ARRAY_LEN(golden_prefixes); i++) {
		const char *name = arena_printf(pass->arena, "%s%s", golden_prefixes[i], image);

		if (cache_get(pass->cache, &kind_data_volume, ns, name)) {
			return name;
		}
	}
	return NULL;
}

const char *volumes_golden_image(const char *data_volume)
{
	for (size_t i = 0; i < ARRAY_LEN(golden_prefixes); i++) {
		if (str_starts(data_volume, golden_prefixes[i])) {
			return data_volume + strlen(golden_prefixes[i]);
		}
	}
	return NULL;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *volumes_golden_names(const struct pass *pass)
{
	const char **names =
		arena_array(pass->arena, const char *, cache_count(pass->cache, &kind_data_volume));
	struct listing found;
	size_t n = 0;

	for (const struct obj *o = NULL; (o = cache_next(pass->cache, &kind_data_volume, o));) {
		const char *image = volumes_golden_image(o->name);

		if (image && str_eq(o->ns, options_images_ns(pass->options))) {
			names[n++] = image;
		}
	}
	qsort(names, n, sizeof(*names), by_text);
	listing_init(&found, pass->arena, ", ");
	for (size_t i = 0; i < n; i++) {
		if (!i || !str_eq(names[i], names[i - 1])) {
			listing_add(&found, "%s", names[i]);
		}
	}
	return listing_end(&found);
}

const char *volumes_no_image(const struct pass *pass, const char *image)
{
	const char *names = volumes_golden_names(pass);

	return arena_printf(
		pass->arena,
		"there is no image %s: neither a DataVolume %s%s in namespace %s nor one of "
		"the built-in names (ubuntu, cirros, alpine, fedora, talos); golden images "
		"there: %s",
		image, golden_prefixes[0], image, options_images_ns(pass->options),
		*names ? names : "none");
}

const char *volumes_class(const struct cache *c, const char *asked)
{
	if (!str_empty(asked)) {
		return asked;
	}
	return cache_get(c, &kind_storage_class, NULL, UPSTREAM_CLASS) ? UPSTREAM_CLASS : NULL;
}
