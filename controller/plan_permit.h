/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan_permit.h: the KubeVirt CR's permittedHostDevices in step with what nodes report and VMs
 * want; and VMIs that KubeVirt refused before are woken. Pure.
 *
 * The lists are atomic and others write them too, so only our own entries are ever added or taken
 * away; which are ours stands in an annotation of the CR (vmgpu.io/permitted-host-devices). What is
 * written is a merge patch that carries the resourceVersion: it names no field but these lists and
 * that annotation, and it is void if anybody was faster. Situations: cases/permit; rules:
 * cases/README.md.
 */
#pragma once

#include "kube/plan.h"

extern const struct reconciler reconcile_permit;
