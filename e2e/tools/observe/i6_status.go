package observe

import (
	"strings"

	"vmgpu.io/e2e/kube"
)

// I6: status is honest: observedGeneration never goes back and never ahead; Ready is not True for a spec that the child does not have,
// nor with a GPU that no node reports.

func (o *Observer) checkGenerations(kind string, e kube.Event) {
	if !isOurKind(e.Object) {
		return
	}
	generation := e.Object.Int("metadata.generation")
	seen := func(path string) {
		now := e.Object.Int(path)
		if now > generation {
			o.report("I6", named(kind, e.Object), "%s is %d, the object is at %d", path, now, generation)
		}
		if e.Old != nil && e.Old.UID() == e.Object.UID() && now < e.Old.Int(path) {
			o.report("I6", named(kind, e.Object), "%s went back from %d to %d", path, e.Old.Int(path), now)
		}
	}
	seen("status.observedGeneration")
	for _, c := range e.Object.Objects("status.conditions") {
		if c["observedGeneration"] != nil {
			seen("status.conditions[type=" + c.Str("type") + "].observedGeneration")
		}
	}
}

func (o *Observer) dishonest(add adder) {
	reported := o.reported()
	for _, kind := range []string{"VirtualMachine.apps.cozystack.io", "VMInstance.apps.cozystack.io"} {
		for _, object := range o.world.list(kind) {
			ready := condition(object, "Ready")
			if ready.Str("status") != "True" || object.Deleting() {
				continue
			}
			who := named(kind, object)
			if g := object.Int("status.observedGeneration"); g != object.Int("metadata.generation") {
				add("I6", who, o.ReadyGrace, "Ready is True of generation %d, the spec is %d", g, object.Int("metadata.generation"))
				continue
			}
			vm := o.childOf(object)
			if vm == nil {
				add("I6", who, o.ReadyGrace, "Ready is True without a KubeVirt VirtualMachine")
				continue
			}
			asks, has := asked(object), int64(0)
			for name, count := range devices(vm, "spec.template.spec") {
				if name == "vmgpu.io/companion" {
					continue // comes along with a GPU
				}
				has += count
				if !reported[canonical(name)] && ready.Str("reason") == "Running" {
					add("I6", who, o.ReadyGrace, "Ready is True with %s, which no node reports", name)
				}
			}
			if has < asks && condition(object, "RestartRequired").Str("status") != "True" {
				add("I6", who, o.ReadyGrace, "Ready is True, the spec asks for %d GPUs and the KubeVirt VM has %d", asks, has)
			}
		}
	}
}

// asked is how many GPUs the spec of a VirtualMachine or VMInstance asks for.
func asked(o kube.Object) int64 {
	sum := int64(0)
	for _, g := range o.Objects("spec.gpus") {
		sum += max(1, g.Int("count"))
	}
	return sum
}

func (o *Observer) childOf(owner kube.Object) kube.Object {
	for _, vm := range o.world.list("VirtualMachine.kubevirt.io") {
		if r := ownerOfOurs(vm); r != nil && r.Str("uid") == owner.UID() {
			return vm
		}
	}
	return nil
}

// reported are the names that some node has: in a GPUNode, or as a resource of the Node (another plugin may serve it).
func (o *Observer) reported() map[string]bool {
	all := map[string]bool{}
	for _, node := range o.world.list("GPUNode.vmgpu.io") {
		for _, unit := range node.Objects("status.units") {
			all[canonical(unit.Str("name"))] = true
			all[canonical(unit.Str("resource"))] = true
			for _, alias := range unit.List("aliases") {
				if s, ok := alias.(string); ok {
					all[canonical(s)] = true
				}
			}
			for _, profile := range unit.Objects("profiles") {
				all[canonical(profile.Str("name"))] = true
			}
		}
	}
	for _, node := range o.world.list("Node") {
		for name := range node.Map("status.allocatable") {
			if allocatable(node, name) > 0 {
				all[canonical(name)] = true
			}
		}
	}
	return all
}

// canonical makes a resource name and a profile's name comparable: no vendor's domain, white space as _.
func canonical(name string) string {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		name = name[i+1:]
	}
	return strings.ToLower(strings.Join(strings.FieldsFunc(name, func(r rune) bool { return r == ' ' || r == '_' }), "_"))
}
