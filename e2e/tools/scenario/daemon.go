package scenario

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"vmgpu.io/e2e/kube"
)

// The played daemon: on a node with `obeys` it does what its GPUNode's spec says, at once and whatever it is, and reports it. It refuses
// nothing and keeps nothing back, so that an order that should not have been given shows.

// driver is what the host has bound the card to.
func (g *GPU) driver() string {
	if g.Driver == "" {
		return "vfio-pci"
	}
	return g.Driver
}

// bind is the unit with that driver, as a daemon reports it.
func bind(u m, driver string) {
	mode, status, reason, message := "host", "False", "HostDriver", "a driver of the host has it: "+driver
	if driver == "vfio-pci" {
		mode, status, reason, message = "vfio", "True", "Idle", "nobody has it"
	}
	u["driver"], u["mode"] = driver, mode
	u["functions"].([]any)[0].(m)["driver"] = driver
	u["conditions"] = []any{m{"type": "Available", "status": status, "reason": reason, "message": message, "lastTransitionTime": epoch}}
}

// list is the unit under that resource, "" for its model's.
func list(u m, resource string) {
	delete(u, "resource")
	if resource != "" {
		u["resource"] = resource
	}
}

// listed is the name that the unit is under.
func listed(u m, g *GPU) string {
	if resource, _ := u["resource"].(string); resource != "" {
		return resource
	}
	return g.Name
}

// cut gives a card its virtual functions, and each the vGPU that is ordered for it.
func cut(u m, g *GPU, order kube.Object, permitted []any) {
	unit := kube.Object(u)
	vfs := int(unit.Int("sriov.numVFs"))
	if order["vfs"] != nil {
		vfs = int(order.Int("vfs"))
	}
	u["sriov"].(m)["numVFs"] = vfs
	types := map[string]string{}
	for _, o := range order.Objects("slots") {
		if slices.Contains(permitted, any(o.Str("type"))) {
			types[o.Str("vf")] = o.Str("type")
		}
	}
	had := unit.Objects("slots")
	var slots, profiles []any
	free := vfs
	for i := range vfs {
		vf := m{"vf": fmt.Sprintf("%s%d", unit.Str("address")[:11], 4+i)}
		if t := types[vf["vf"].(string)]; t != "" {
			vf["type"], vf["uuid"] = t, fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
			free--
		}
		if i < len(had) && had[i]["holder"] != nil {
			vf["holder"] = had[i]["holder"]
		}
		slots = append(slots, vf)
	}
	for i, t := range g.Types {
		profiles = append(profiles, m{"name": t, "id": fmt.Sprintf("nvidia-%d", 100+i), "framebufferMiB": 4096, "max": g.VFs, "available": free})
	}
	bind(u, g.driver())
	for _, field := range []string{"slots", "profiles", "vgpuFramework"} {
		delete(u, field)
	}
	if vfs > 0 {
		u["slots"], u["profiles"], u["vgpuFramework"], u["mode"] = slots, profiles, "mdev", "vgpu"
		u["conditions"] = []any{m{"type": "Available", "status": "True", "reason": "VGPUs", "message": "cut into vGPUs", "lastTransitionTime": epoch}}
	}
}

// obey does what is ordered and not answered yet.
func (s *stage) obey(ctx context.Context, node string, gpus []GPU) error {
	path := gpuNodesPath + "/" + node
	o, err := s.client.Get(ctx, path)
	if err != nil || o.Int("status.observedGeneration") == o.Int("metadata.generation") || o.Deleting() {
		return err
	}
	var of []*GPU // of each unit
	for i := range gpus {
		for range max(1, gpus[i].Count) {
			of = append(of, &gpus[i])
		}
	}
	permitted := o.List("spec.permittedTypes")
	units := o.List("status.units")
	counts := map[string]int{} // what no unit is listed under any more, too
	for i, u := range units {
		unit := u.(m)
		counts[of[i].Name], counts[listed(unit, of[i])] = 0, 0
		for _, order := range o.Objects("spec.units") {
			switch {
			case order.Str("id") != unit["id"]:
			case order.Str("want") == "vgpu" || order["vfs"] != nil:
				cut(unit, of[i], order, permitted)
			case order.Str("want") == "vfio":
				bind(unit, "vfio-pci")
				list(unit, order.Str("exclusive"))
			default:
				bind(unit, of[i].driver())
			}
		}
	}
	if err := s.count(ctx, node, units, of, counts); err != nil {
		return err
	}
	_, err = s.client.Merge(ctx, path+"/status?fieldManager=vmgpu-node", m{"metadata": m{"resourceVersion": o.RV()},
		"status": m{"units": units, "observedGeneration": o.Int("metadata.generation"), "observedTerm": o.Int("spec.term")}})
	return err
}

// count brings the Node's counts of whole cards to what the units are now, as its kubelet would from the daemon's lists; before the
// daemon reports them, so that who has read the report meets a scheduler that knows.
func (s *stage) count(ctx context.Context, node string, units []any, of []*GPU, counts map[string]int) error {
	for i, u := range units {
		if u.(m)["mode"] == "vfio" {
			counts[listed(u.(m), of[i])]++
		}
	}
	path := "/api/v1/nodes/" + node
	o, err := s.client.Get(ctx, path)
	if err != nil {
		return err
	}
	resources := m{}
	for name, n := range counts {
		if had := o.Map("status.allocatable")[name]; had != fmt.Sprint(n) {
			resources[name] = fmt.Sprint(n)
		}
	}
	if len(resources) == 0 {
		return nil
	}
	_, err = s.client.Merge(ctx, path+"/status", m{"status": m{"capacity": resources, "allocatable": resources}})
	return err
}

// playDaemon obeys until the context ends.
func (s *stage) playDaemon(ctx context.Context, node string, gpus []GPU) {
	path := gpuNodesPath + "/" + node
	for ctx.Err() == nil {
		before := s.observer.Heard(path)
		if err := s.obey(ctx, node, gpus); err != nil && !kube.IsCode(err, 404, 409) && ctx.Err() == nil {
			fmt.Fprintf(os.Stderr, "the daemon of %s: %v\n", node, err)
		}
		for end := time.Now().Add(lookAnyway); time.Now().Before(end) && ctx.Err() == nil && !s.observer.Heard(path).After(before); {
			time.Sleep(5 * time.Millisecond)
		}
	}
}
