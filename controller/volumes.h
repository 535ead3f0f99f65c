/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volumes.h: what the makers of volumes share: images that a manifest only names, and the class of
 * a volume for which it names none. Pure; choices: cases/README.md, facts: cozystack.md 2.
 */
#pragma once

#include "controller/options.h"
#include "kube/plan.h"

/*
 * Where an image comes from that the cluster has not as a golden image: the URL that Cozystack has
 * for system disks, or NULL.
 */
const char *volumes_image_url(const char *image);
/* The image of such a URL, or NULL. */
const char *volumes_url_image(const char *url);

/* The DataVolume of a golden image, which CDI can clone, in the namespace of images, or NULL. */
const char *volumes_golden(const struct pass *pass, const char *image);
/* All golden images by the names that manifests use, sorted: "fedora, ubuntu"; "" when none. */
const char *volumes_golden_names(const struct pass *pass);
/* That it is neither, as a sentence with what there is instead. */
const char *volumes_no_image(const struct pass *pass, const char *image);
/* The image that a DataVolume of this name is, if it stands in the namespace of images; or NULL. */
const char *volumes_golden_image(const char *data_volume);

/*
 * asked, unless it is empty; else `replicated`, upstream's default, where the cluster has a class
 * of that name; else NULL: none is written and the cluster's default holds.
 */
const char *volumes_class(const struct cache *c, const char *asked);
