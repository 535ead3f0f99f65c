/* SPDX-License-Identifier: Apache-2.0 */
/* Every image and every class that a manifest may name. */
#include "controller/volumes.h"

#include "api/core.h"
#include "api/kubevirt.h"
#include "base/test.h"
#include "controller/kinds.h"

static void images_that_are_built_in(void)
{
	static const char *const names[] = {"ubuntu", "cirros", "alpine", "fedora", "talos"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *url = volumes_image_url(names[i]);

		has(url, "https://");
		is_str(volumes_url_image(url), names[i]);
	}
	is_str(volumes_image_url("rocky"), NULL);
	is_str(volumes_image_url(NULL), NULL);
	is_str(volumes_url_image("https://example.com/ubuntu.img"), NULL);
}

static void images_of_the_cluster(void)
{
	static const struct {
		const char *ns, *name;
	} there[] = {
		{"cozy-public", "vm-image-rocky"},  {"cozy-public", "vm-default-images-ubuntu"},
		{"cozy-public", "vm-image-ubuntu"}, {"cozy-public", "vm-disk-data"},
		{"other", "vm-image-arch"},	    {"cozy-public", "vm-default-images-alma"},
	};
	struct cache *c = cache_create(controller_kinds);
	const struct options elsewhere = {.images_ns = "other"};
	struct arena a;
	struct pass pass = {.arena = &a, .cache = c};

	arena_init(&a, MiB);
	is_str(volumes_golden_names(&pass), "");
	has(volumes_no_image(&pass, "x"), "golden images there: none");
	for (size_t i = 0; i < ARRAY_LEN(there); i++) {
		cache_put(c, &kind_data_volume,
			  &(struct kv_data_volume){
				  .obj = {.ns = there[i].ns, .name = there[i].name, .rv = "1"}});
	}
	is_str(volumes_golden_names(&pass), "alma, rocky, ubuntu");
	has(volumes_no_image(&pass, "x"),
	    "neither a DataVolume vm-default-images-x in namespace cozy-public nor");
	has(volumes_no_image(&pass, "x"), "golden images there: alma, rocky, ubuntu");
	is_str(volumes_golden(&pass, "ubuntu"), "vm-default-images-ubuntu");
	is_str(volumes_golden(&pass, "rocky"), "vm-image-rocky");
	is_str(volumes_golden(&pass, "arch"), NULL);
	pass.options = &elsewhere;
	is_str(volumes_golden_names(&pass), "arch");
	is_str(volumes_golden(&pass, "arch"), "vm-image-arch");
	is_str(volumes_golden(&pass, "rocky"), NULL);
	is_str(volumes_golden_image("vm-image-rocky"), "rocky");
	is_str(volumes_golden_image("vm-default-images-alma"), "alma");
	is_str(volumes_golden_image("vm-disk-data"), NULL);
	arena_finish(&a);
	cache_destroy(c);
}

static void a_class_that_is_not_named(void)
{
	struct cache *c = cache_create(controller_kinds);

	is_str(volumes_class(c, NULL), NULL);
	is_str(volumes_class(c, ""), NULL);
	is_str(volumes_class(c, "fast"), "fast");
	cache_put(c, &kind_storage_class,
		  &(struct core_storage_class){.obj = {.name = "fast", .rv = "1"}});
	is_str(volumes_class(c, NULL), NULL);
	cache_put(c, &kind_storage_class,
		  &(struct core_storage_class){.obj = {.name = "replicated", .rv = "1"}});
	is_str(volumes_class(c, NULL), "replicated");
	is_str(volumes_class(c, ""), "replicated");
	is_str(volumes_class(c, "fast"), "fast");
	cache_destroy(c);
}

TESTS({"each image that is built in has its URL and back", images_that_are_built_in},
      {"golden images are found in their namespace, by either name", images_of_the_cluster},
      {"a class that is not named is replicated where there is one", a_class_that_is_not_named})
