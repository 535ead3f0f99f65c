/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why an object is not acted on, or cannot go yet, each in a sentence: Harvester's own words where it
 * has some (harvester.md 3), so that who knows them finds them again.
 */
#include <string.h>

#include "base/listing.h"
#include "controller/node_claims.h"

#define BY_CLAIM "PCIDeviceClaim "

/* --- refusals --------------------------------------------------------------------------------- */

static struct verdict no_node(const struct device *d)
{
	return verdict_no("NodeUnknown",
			  arena_printf(d->pass->arena,
				       "no vmgpu-node has reported for node %s, which the name %s "
				       "means: is the node spelled so, and does its daemon run?",
				       d->node_name, d->name));
}

static struct verdict not_the_gpu(const struct device *d)
{
	struct arena *a = d->pass->arena;

	if (!d->unit) {
		return verdict_no("DeviceMissing",
				  arena_printf(a,
					       "pcidevice %s is not there: node %s reports no GPU "
					       "at that address; kubectl get pcidevices lists what "
					       "it has",
					       d->name, d->node_name));
	}
	if (d->slot) {
		return verdict_no(
			"VirtualFunction",
			arena_printf(a,
				     "pcidevice %s is a virtual function of the GPU %s and cannot "
				     "be claimed: enable the vgpudevice of the same name instead",
				     d->name, d->unit->address));
	}
	return verdict_no("Companion",
			  arena_printf(a,
				       "pcidevice %s (%s) belongs to the GPU %s and goes with it: "
				       "claim %s instead",
				       d->name, d->function->role, d->unit->address,
				       device_name(a, d->node_name, d->unit->address)));
}

static struct verdict badly_made(const struct device *d)
{
	return verdict_no("NameMismatch",
			  arena_printf(d->pass->arena,
				       "pcideviceclaim %s has the name of the device %s on node "
				       "%s, and its spec names another: make it anew, with the "
				       "name, spec.address and spec.nodeName of one PCIDevice",
				       d->name, d->function->address, d->node_name));
}

static struct verdict other_card(const struct claims *c, const char *again)
{
	return verdict_no("OtherCard",
			  arena_printf(c->pass->arena,
				       "the card at %s is %s now, and was %s when it was asked "
				       "for: %s",
				       c->unit->address, claims_device(c->pass->arena, c->unit),
				       c->before->device, again));
}

static struct verdict is_cut(const struct claims *c, const char *name)
{
	struct listing all;
	const char *sriov = device_name(c->pass->arena, c->node->obj.name, c->unit->address);

	listing_init(&all, c->pass->arena, " ");
	list_each(s, &c->slots) {
		if (s->asked || s->type) {
			listing_add(&all, "%s", s->device ? s->device->obj.name : s->vf);
		}
	}
	if (*listing_end(&all)) {
		return verdict_no(
			"VGPUs",
			arena_printf(c->pass->arena,
				     "these vGPU devices [%s] are using the PCI GPU Device %s, so "
				     "it can't be claimed: disable them, and SRIOVGPUDevice %s",
				     listing_end(&all), name, sriov));
	}
	return verdict_no("SRIOVEnabled",
			  arena_printf(c->pass->arena,
				       "SRIOVGPUDevice %s is enabled, or its virtual functions are "
				       "still there, so pcidevice %s can't be claimed: disable it",
				       sriov, name));
}

struct verdict claims_refused(const struct device *d, const struct pci_claim *claim)
{
	struct claims c;

	if (!d->node) {
		return no_node(d);
	}
	if (!d->function || !device_is_gpu(d->function)) {
		return not_the_gpu(d);
	}
	if (!claims_well_made(d->node, claim, d->function->address)) {
		return badly_made(d);
	}
	if (!claims_name_fits(claim)) {
		return verdict_no(
			"NameTooLong",
			arena_printf(d->pass->arena,
				     "a resource of its own would be called %s, which is "
				     "longer than the %d characters that it can have: claim "
				     "it without spec.disableResourcePooling",
				     d->name, CLAIMS_RESOURCE_MAX));
	}
	claims_of_unit(d->pass, d->node, d->unit, &c);
	if (c.side == CLAIMS_OTHER) {
		return other_card(&c, "delete the claim, and make it again if this card is meant");
	}
	if (!d->unit->group) {
		return verdict_no("NoIOMMUGroup",
				  arena_printf(d->pass->arena,
					       "pcidevice %s has no iommuGroup available: switch "
					       "the IOMMU on, in the firmware and in the kernel's "
					       "parameters of node %s",
					       d->name, d->node_name));
	}
	return c.side == CLAIMS_CUT ? is_cut(&c, d->name) : verdict_none();
}

static const char *enabled_vgpus(const struct claims *c)
{
	struct listing all;

	listing_init(&all, c->pass->arena, ", ");
	list_each(s, &c->slots) {
		if (s->asked || s->type) {
			listing_add(&all, "%s", s->device ? s->device->obj.name : s->vf);
		}
	}
	return *listing_end(&all) ? listing_end(&all) : NULL;
}

static struct verdict not_disabled(const struct claims *c)
{
	struct arena *a = c->pass->arena;
	const char *name = device_name(a, c->node->obj.name, c->unit->address);
	const char *all = enabled_vgpus(c);
	const struct gpu_unit *held = claims_vf_held(c);

	if (!claims_stand_cut(c) || !claims_sriov_is(c, TRI_FALSE)) {
		return verdict_none();
	}
	list_each(s, &c->slots) {
		if (claims_held(s)) {
			return verdict_no(
				"InUse",
				arena_printf(a,
					     "device %s is in use with %s: stop that first; until "
					     "then the virtual functions of %s stay",
					     device_name(a, c->node->obj.name, s->vf),
					     device_slot_holder(a, s->slot), name));
		}
	}
	if (held) {
		return verdict_no(
			"InUse",
			arena_printf(a,
				     "device %s is in use with %s: stop that first; until then the "
				     "virtual functions of %s stay",
				     device_name(a, c->node->obj.name, held->address),
				     device_holder(a, held->holder->ns, held->holder->pod,
						   held->holder->vm),
				     name));
	}
	return all ? verdict_no("VGPUs", arena_printf(a,
						      "these vGPU devices [%s] are enabled on %s: "
						      "disable them first; until then its virtual "
						      "functions stay",
						      all, name))
		   : verdict_none();
}

struct verdict claims_refused_sriov(const struct claims *c)
{
	const struct obj *claim = c->claim ? &c->claim->obj : c->going ? &c->going->obj : NULL;
	const char *count;

	if (c->side == CLAIMS_OTHER) {
		return other_card(c, "disable what is enabled of it, and enable it again if this "
				     "card is meant");
	}
	if (c->side == CLAIMS_WHOLE || c->side == CLAIMS_LEAVING) {
		return verdict_no(
			"Claimed",
			arena_printf(c->pass->arena,
				     "pcideviceclaim %s has the GPU %s whole, so it cannot be cut "
				     "into vGPUs: delete the claim first",
				     claim ? claim->name : "(deleted)", c->unit->address));
	}
	claims_vfs(c, &count);
	if (count && claims_sriov_is(c, TRI_TRUE)) {
		return verdict_no("VirtualFunctions",
				  arena_printf(c->pass->arena,
					       "annotation " SRIOV_COUNT_ANNOTATION ": \"%.64s\": "
					       "%s; until it is mended nothing is changed",
					       c->sriov->count, count));
	}
	return not_disabled(c);
}

/* --- letting go ------------------------------------------------------------------------------- */

static bool has_it(const struct claims *c, const struct pci_claim *claim)
{
	return claims_stand_whole(c) && str_eq(c->before->by + strlen(BY_CLAIM), claim->obj.name);
}

bool claims_released(const struct device *d, const struct pci_claim *claim, struct verdict *ret_why)
{
	struct arena *a = d->pass->arena;
	struct claims c;

	if (d->node_gone || (d->node && !d->unit)) {
		return true; /* with its node, or with its card */
	}
	if (!d->node) {
		*ret_why = verdict_no(
			"NodeSilent",
			arena_printf(a,
				     "pcideviceclaim %s waits until vmgpu-node reports for node %s "
				     "again, or the Node is deleted",
				     d->name, d->node_name));
		return false;
	}
	claims_of_unit(d->pass, d->node, d->unit, &c);
	if (c.side != CLAIMS_LEAVING || !has_it(&c, claim)) {
		return true;
	}
	if (d->unit->holder) {
		*ret_why = verdict_no(
			"InUse",
			arena_printf(a,
				     "pcideviceclaim %s is already in use with %s: stop "
				     "that first; until then the device stays",
				     d->name,
				     device_holder(a, d->unit->holder->ns, d->unit->holder->pod,
						   d->unit->holder->vm)));
		return false;
	}
	if (claims_stay(&c) || claims_back(&c)) {
		return true;
	}
	if (device_silent(d)) {
		*ret_why = verdict_no("NodeSilent", device_silent(d));
		return false;
	}
	*ret_why =
		verdict_no("GoingBack",
			   arena_printf(a,
					"pcideviceclaim %s goes as soon as node %s has taken "
					"the device from vfio-pci%s%s",
					d->name, d->node_name,
					claims_former_driver(&c) ? " and given it back to " : "",
					claims_former_driver(&c) ? claims_former_driver(&c) : ""));
	return false;
}
