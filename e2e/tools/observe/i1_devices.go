package observe

import (
	"strings"
	"time"

	"vmgpu.io/e2e/kube"
)

// I1: never two live VMs on one device: no node runs more pods, or more VMs, with a resource than it has of it, and no unit or IOMMU
// group of a GPUNode has two holders.

const watchLag = time.Second // between watches of different kinds

func (o *Observer) overcommitted(add adder) {
	pods, vmis := map[string]*demand{}, map[string]*demand{}
	for _, pod := range o.world.list("Pod") {
		if phase := pod.Str("status.phase"); phase == "Succeeded" || phase == "Failed" || pod.Str("spec.nodeName") == "" {
			continue
		}
		for name, count := range requests(pod) {
			note(pods, pod.Str("spec.nodeName")+" "+name, count, pod, o.world.bound[pod.UID()])
		}
	}
	for _, vmi := range o.world.list("VirtualMachineInstance.kubevirt.io") {
		if phase := vmi.Str("status.phase"); phase != "Scheduled" && phase != "Running" {
			continue
		}
		for name, count := range devices(vmi, "spec") {
			note(vmis, vmi.Str("status.nodeName")+" "+name, count, vmi, time.Time{})
		}
	}
	for what, all := range map[string]map[string]*demand{"pods": pods, "VMs": vmis} {
		for key, d := range all {
			node, resource, _ := strings.Cut(key, " ")
			n := o.world.objects["Node"][node]
			if n == nil {
				continue
			}
			last := d.last
			if p := pods[key]; p != nil && last.IsZero() {
				last = p.last
			}
			has := allocatable(n, resource)
			if d.count > has && !last.Before(o.world.shrunk[key]) {
				add("I1", "Node "+node, watchLag, "%s %s want %d %s, there are %d", what, strings.Join(d.who, " "), d.count, resource, has)
			}
		}
	}
}

type demand struct {
	count int64
	who   []string
	last  time.Time // when the last of them came
}

func note(all map[string]*demand, key string, count int64, who kube.Object, at time.Time) {
	if all[key] == nil {
		all[key] = &demand{}
	}
	d := all[key]
	d.count += count
	d.who = append(d.who, who.Key())
	if at.After(d.last) {
		d.last = at
	}
}

// requests are the devices that the containers of a pod ask for.
func requests(pod kube.Object) map[string]int64 {
	all := map[string]int64{}
	for _, c := range pod.Objects("spec.containers") {
		m, _ := c.Get("resources.limits").(map[string]any)
		for name, count := range m {
			if strings.Contains(name, "/") && !strings.HasPrefix(name, "devices.kubevirt.io/") {
				all[name] += kube.Quantity(count)
			}
		}
	}
	return all
}

// devices are the resource names of a VMI (or, with another path, a VM) and how many of each.
func devices(o kube.Object, spec string) map[string]int64 {
	all := map[string]int64{}
	for _, field := range []string{"gpus", "hostDevices"} {
		for _, d := range o.Objects(spec + ".domain.devices." + field) {
			if name := d.Str("deviceName"); name != "" {
				all[name]++
			}
		}
	}
	return all
}

func (o *Observer) sharedUnits(add adder) {
	for _, node := range o.world.list("GPUNode.vmgpu.io") {
		groups := map[string]string{}
		for _, unit := range node.Objects("status.units") {
			holder := ""
			if h, ok := unit["holder"].(map[string]any); ok {
				holder = kube.Text(h)
			}
			for _, slot := range unit.Objects("slots") {
				if _, held := slot["holder"].(map[string]any); held && holder != "" {
					add("I1", "GPUNode "+node.Name(), watchLag, "unit %s is held whole by %s and a slot of it by %s", unit.Str("id"), holder, kube.Text(slot["holder"]))
				}
			}
			group := unit.Get("iommuGroup.id")
			if holder == "" || group == nil {
				continue
			}
			key := kube.Text(group)
			if other := groups[key]; other != "" && other != holder {
				add("I1", "GPUNode "+node.Name(), watchLag, "IOMMU group %s is held by %s and by %s", key, other, holder)
			}
			groups[key] = holder
		}
	}
}
