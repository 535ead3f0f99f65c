package observe

import (
	"slices"

	"vmgpu.io/e2e/kube"
)

// I4: at rest no orphan either way: nothing whose owner is gone, no owner without its child unless its status says why, no entry of ours
// in the KubeVirt CR that no node reports and no VM wants.

// children: what an object of ours must have at rest.
var children = map[string]string{
	"VirtualMachine.apps.cozystack.io": "VirtualMachine.kubevirt.io",
	"VMInstance.apps.cozystack.io":     "VirtualMachine.kubevirt.io",
	"VMDisk.apps.cozystack.io":         "DataVolume.cdi.kubevirt.io",
	"Kubernetes.apps.cozystack.io":     "Cluster.cluster.x-k8s.io",
}

func (o *Observer) orphans() {
	owned := map[string][]string{} // uid of the owner → kinds of what it owns
	for _, kind := range sortedKeys(o.world.objects) {
		for _, object := range o.world.list(kind) {
			owner := ownerOfOurs(object)
			if owner == nil {
				continue
			}
			owned[owner.Str("uid")] = append(owned[owner.Str("uid")], kind)
			if !o.world.uids[owner.Str("uid")] && !object.Deleting() {
				o.report("I4", named(kind, object), "its owner %s %s is gone", owner.Kind(), owner.Str("name"))
			}
		}
	}
	for _, kind := range sortedKeys(children) {
		for _, object := range o.world.list(kind) {
			if !object.Deleting() && !slices.Contains(owned[object.UID()], children[kind]) && !saysWhy(object) {
				o.report("I4", named(kind, object), "has no %s, and its status does not say why: %s", children[kind], kube.Text(object["status"]))
			}
		}
	}
	o.orphanEntries()
}

// saysWhy: Ready is False for the spec as it is now, with a reason and a message.
func saysWhy(o kube.Object) bool {
	ready := condition(o, "Ready")
	return ready.Str("status") == "False" && ready.Str("reason") != "" && ready.Str("message") != "" &&
		o.Int("status.observedGeneration") == o.Int("metadata.generation")
}

func (o *Observer) orphanEntries() {
	wanted := o.reported()
	for _, vm := range o.world.list("VirtualMachine.kubevirt.io") {
		for name := range devices(vm, "spec.template.spec") {
			wanted[canonical(name)] = true
		}
	}
	for _, cr := range o.world.list(kubevirtKind) {
		for _, list := range permitLists {
			_, mine := split(cr, list, o.permits.mine[list])
			for _, text := range mine {
				if e, err := kube.Decode([]byte(text)); err == nil && !wanted[canonical(e.Str("resourceName"))] {
					o.report("I4", named(kubevirtKind, cr), "our entry %s: no node has it and no VM wants it", text)
				}
			}
		}
	}
}
