package observe

import (
	"strings"

	"vmgpu.io/e2e/kube"
	"vmgpu.io/e2e/proxy"
)

// I3: never change what is not ours. What is ours we created, or it is owned by one of our kinds.

const kubevirtKind = "KubeVirt.kubevirt.io"

func (o *Observer) checkForeign(c change, ours bool) {
	if c.event.Type == "ADDED" && c.event.Old == nil {
		if ours {
			o.created[c.event.Object.UID()] = true
		}
		if c.kind == kubevirtKind {
			o.permits.first(c.event.Object)
		}
		return
	}
	if c.event.Type == "DELETED" || c.event.Old == nil {
		return
	}
	if c.kind == kubevirtKind {
		if !ours {
			o.permits.theirs(c.event.Object)
			return
		}
		for _, message := range o.permits.ours(c.event.Old, c.event.Object) {
			o.report("I3", named(c.kind, c.event.Object), "%s", message)
		}
		o.checkSwitchedOn(c)
	}
	if ours {
		o.checkUsers(c)
	}
	if !ours || o.isOurs(c.event.Object) {
		return
	}
	for _, d := range kube.Diff(c.event.Old, c.event.Object) {
		path, _, _ := strings.Cut(d, ": ")
		if !mayWrite(c.kind, c.event.Object, path) {
			o.report("I3", named(c.kind, c.event.Object), "changed what is not ours: %s", d)
		}
	}
}

// checkUsers: what a user has said in Harvester's objects stays, though we made the object.
func (o *Observer) checkUsers(c change) {
	if c.event.Object.Group() != harvester {
		return
	}
	for _, path := range []string{"spec.enabled", "spec.vGPUTypeName", "spec.userName", "spec.disableResourcePooling"} {
		was, is := c.event.Old.Get(path), c.event.Object.Get(path)
		if was != nil && !kube.Equal(was, is) {
			o.report("I3", named(c.kind, c.event.Object), "changed what a user said: .%s: %s → %s", path, kube.Text(was), kube.Text(is))
		}
	}
}

const harvester = "devices.harvesterhci.io"

func (o *Observer) isOurs(object kube.Object) bool {
	return o.created[object.UID()] || object.Kind() == "GPUNode" || ownerOfOurs(object) != nil ||
		object.Str(`metadata.labels["app.kubernetes.io/managed-by"]`) == o.Manager || object.Kind() == "Event" || object.Kind() == "Lease"
}

// mayWrite tells what we may change in an object that is not ours.
func mayWrite(kind string, object kube.Object, path string) bool {
	allowed := []string{".metadata.resourceVersion", ".metadata.managedFields", ".metadata.generation", ".metadata.annotations.vmgpu.io/",
		".metadata.labels.vmgpu.io/"}
	if isOurKind(object) {
		// The answer to the write that takes the last finalizer off has the resourceVersion of the deletion that somebody asked for.
		allowed = append(allowed, ".status", ".metadata.finalizers", ".metadata.deletion")
	}
	if object.Group() == harvester { // whoever made it, it stands for a device of the node; what users say in it checkUsers knows
		allowed = append(allowed, ".metadata.labels", ".metadata.ownerReferences")
		if object.Kind() != "PCIDeviceClaim" {
			allowed = append(allowed, ".spec")
		}
	}
	if kind == kubevirtKind {
		allowed = append(allowed, ".spec.configuration.permittedHostDevices") // permits says which entries
	}
	if path == ".metadata.annotations" { // none before, or none after
		for key := range object.Map("metadata.annotations") {
			if !strings.HasPrefix(key, "vmgpu.io/") {
				return false
			}
		}
		return true
	}
	for _, prefix := range allowed {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

// checkSwitchedOn: the first entry switches KubeVirt's check on for the whole cluster, so that others' VMs would no longer start.
func (o *Observer) checkSwitchedOn(c change) {
	const field = "spec.configuration.permittedHostDevices"
	if c.event.Old.Get(field) != nil || c.event.Object.Get(field) == nil {
		return
	}
	listed := map[string]bool{}
	for _, list := range permitLists {
		for _, e := range c.event.Object.Objects(field + "." + list) {
			listed[e.Str("resourceName")] = true
		}
	}
	for _, vm := range o.world.list("VirtualMachine.kubevirt.io") {
		if o.isOurs(vm) {
			continue
		}
		for name := range devices(vm, "spec.template.spec") {
			if !listed[name] {
				o.report("I3", named(c.kind, c.event.Object), "the first entry shuts out %s of VirtualMachine %s, which is not ours", name, vm.Key())
			}
		}
	}
}

// checkDeleted: what somebody else made is not ours to delete. Only the log tells who asked.
func (o *Observer) checkDeleted(l proxy.Line) {
	object := o.world.paths[l.Path]
	if object == nil || o.isOurs(object) {
		return
	}
	o.report("I3", strings.TrimSuffix(object.Kind()+"."+object.Group(), ".")+" "+object.Key(), "deleted, and it is not ours")
}

// permits follows the entries of permittedHostDevices: which we added, so all others are somebody else's.
type permits struct {
	mine  map[string][]string // by list, entries as text
	field bool                // we made the field
}

var permitLists = []string{"pciHostDevices", "mediatedDevices", "usb"}

const permitField = "spec.configuration.permittedHostDevices"

func newPermits() permits { return permits{mine: map[string][]string{}} }

// first takes the state in which we find the CR. An entry that our annotation names was made by us before.
func (p *permits) first(cr kube.Object) {
	note := cr.Str(`metadata.annotations["vmgpu.io/permitted-host-devices"]`)
	for _, list := range permitLists {
		for _, e := range cr.Objects(permitField + "." + list) {
			if note != "" && strings.Contains(note, e.Str("resourceName")) {
				p.mine[list] = append(p.mine[list], kube.Text(e))
			}
		}
	}
}

// theirs takes a change by somebody else, who may remove entries of ours.
func (p *permits) theirs(now kube.Object) {
	for _, list := range permitLists {
		_, p.mine[list] = split(now, list, p.mine[list])
	}
	if now.Get(permitField) == nil {
		p.field = false
	}
}

// ours takes a change by us, and says what is wrong with it.
func (p *permits) ours(old, now kube.Object) []string {
	var wrong []string
	for _, list := range permitLists {
		before, _ := split(old, list, p.mine[list])
		mine := added(now, list, before)
		after, left := split(now, list, mine)
		if kube.Text(before) != kube.Text(after) {
			wrong = append(wrong, "foreign entries of "+list+" changed: "+kube.Text(before)+" → "+kube.Text(after))
		}
		p.mine[list] = left
	}
	had, has := old.Get(permitField) != nil, now.Get(permitField) != nil
	if !had && has {
		p.field = true
	}
	if had && !has {
		if !p.field {
			wrong = append(wrong, "permittedHostDevices removed, and it was not ours: absent permits everything")
		}
		p.field = false
	}
	return wrong
}

// split parts the entries of a list into foreign ones, in order, and those of mine that are there.
func split(cr kube.Object, list string, mine []string) (foreign, left []string) {
	count := map[string]int{}
	for _, e := range mine {
		count[e]++
	}
	foreign = []string{}
	for _, e := range cr.Objects(permitField + "." + list) {
		text := kube.Text(e)
		if count[text] > 0 {
			count[text]--
			left = append(left, text)
		} else {
			foreign = append(foreign, text)
		}
	}
	return foreign, left
}

// added are the entries of now that are not among the foreign ones of before.
func added(now kube.Object, list string, before []string) []string {
	count := map[string]int{}
	for _, e := range before {
		count[e]++
	}
	var all []string
	for _, e := range now.Objects(permitField + "." + list) {
		text := kube.Text(e)
		if count[text] > 0 {
			count[text]--
		} else {
			all = append(all, text)
		}
	}
	return all
}
