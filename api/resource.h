/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resource.h: names of extended resources, as the kubelet and KubeVirt take them. Pure.
 *
 * A name that the kubelet refuses must not reach it: it would be asked for over and over. And two
 * names may be two resources to the kubelet and one to virt-launcher, which finds the devices of a
 * resource in a variable of the container that is named after it.
 */
#pragma once

#include "base/arena.h"

/* With each GPU goes the audio function of its board, where a virtual machine has as many of these. */
#define RESOURCE_COMPANION "vmgpu.io/companion"

/* NULL: a device plugin may register it. Else what is wrong with it, to stand behind the name. */
const char *resource_name_refusal(const char *name);

/* PCI_RESOURCE_NVIDIA_COM_AD102GL_L40S; for mediated devices MDEV_PCI_RESOURCE_... In the arena. */
char *resource_pci_variable(const char *name, struct arena *a);
char *resource_mdev_variable(const char *name, struct arena *a);

/* The resource of a vGPU profile: NVIDIA's rule, white space becomes _ (nvidia.md 1.4), behind the prefix
 * of its card's name. In the arena. */
const char *resource_of_profile(const char *card, const char *profile, struct arena *a);
