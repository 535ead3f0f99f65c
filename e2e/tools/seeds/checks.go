package seeds

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"vmgpu.io/e2e/kube"
)

// checks are the behaviours, one after the other on the same world.
type checks struct {
	*rig
	seeds []*seed
	tap   *tap
	want  map[string]kube.Object // all that must be written, by key
	free  int64                  // L40S when the clusters were written
}

func (c *checks) situation(s *seed) situation {
	return situation{c.Generation, c.devices, c.uids[s.file], c.free}
}

func (c *checks) all(ctx context.Context) {
	c.free = 4
	// Clusters before machines: how many workers a rollout may start at once goes by the GPUs that are free then.
	c.applyAll(ctx, func(s *seed) bool { return s.manifest.Kind() == "Kubernetes" })
	c.applyAll(ctx, func(s *seed) bool { return s.manifest.Kind() != "Kubernetes" })
	c.expectations()
	for _, s := range c.seeds {
		c.seed(ctx, s)
	}
	c.tap.say("nothing else was written, and every write was accepted", c.nothingElse())
	c.tap.say("the KubeVirt CR lists the three cards, once each", c.permitted(ctx))
	c.tap.say("nothing is written any more, and a controller that starts anew writes nothing", c.again(ctx))
	c.tap.say("each controller that leads orders the node's cards for virtual machines, once, in a term of its own", c.ordered(ctx))
	c.tap.say("each GPU of the node is a PCIDevice as Harvester has it, made once and described once", c.harvesters(ctx))
	c.rendered(ctx)
	for _, s := range c.seeds {
		c.play(ctx, s)
	}
	if c.Next != "" {
		c.nextGeneration(ctx)
	}
}

// applyAll applies manifests as kubectl's strict validation has it, and waits until the controller has done all it wants.
func (c *checks) applyAll(ctx context.Context, which func(*seed) bool) {
	var names []string
	for _, s := range c.seeds {
		if !which(s) {
			continue
		}
		o, err := c.apply(ctx, s.manifest)
		what := "as it is"
		if len(s.changed) > 0 {
			what = strings.Join(s.changed, ", ")
		}
		c.tap.say(s.file+" is accepted strictly: "+what, err)
		c.uids[s.file] = o.UID()
		names = append(names, s.file)
	}
	err := await(ctx, 30*time.Second, func() error { return c.begun(which) })
	if err == nil {
		err = c.settle(ctx)
	}
	if err != nil {
		c.tap.say("all is written for "+strings.Join(names, ", "), err)
	}
}

// begun: every object that is expected for these manifests has been written, whatever is in it.
func (c *checks) begun(which func(*seed) bool) error {
	bodies := c.record.bodies()
	var found []string
	for _, s := range c.seeds {
		if !which(s) {
			continue
		}
		all, err := s.writes(c.situation(s))
		if err != nil {
			return err
		}
		for _, o := range all {
			if bodies[key(o)] == nil {
				found = append(found, key(o))
			}
		}
	}
	return faults("not written", found)
}

func (c *checks) expectations() {
	c.want = map[string]kube.Object{}
	for _, s := range c.seeds {
		all, err := s.writes(c.situation(s))
		if err != nil {
			c.tap.say(s.file+" has an expectation", err)
		}
		for _, o := range all {
			c.want[key(o)] = o
		}
	}
}

// seed checks one manifest by itself.
func (c *checks) seed(ctx context.Context, s *seed) {
	all, _ := s.writes(c.situation(s))
	if s.expect.Stored != nil {
		got, err := c.get(ctx, s.manifest)
		if err == nil {
			err = faults("differs", lacks("", got, s.expect.Stored))
		}
		c.tap.say(s.file+": "+s.expect.About, err)
	}
	if len(all) > 0 {
		c.tap.say(fmt.Sprintf("%s: %s (%s)", s.file, s.expect.About, kinds(all)), c.written(all))
		c.tap.say(s.file+": all of it is read back, no field pruned, and accepted strictly", c.readBack(ctx, all))
	}
	if s.expect.Status != nil {
		c.tap.say(s.file+": its status", c.status(ctx, s, s.expect.Status))
	}
	if s.expect.Pod != nil {
		c.tap.say(s.file+": KubeVirt's launcher pod has the GPUs", c.pod(ctx, s))
	}
}

func kinds(all []kube.Object) string {
	counts := map[string]int{}
	for _, o := range all {
		counts[o.Kind()]++
	}
	var names []string
	for k := range counts {
		names = append(names, k)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// written: the bodies that went over the wire are the expected ones, to the last field.
func (c *checks) written(all []kube.Object) error {
	bodies := c.record.bodies()
	var found []string
	for _, want := range all {
		got := bodies[key(want)]
		if got == nil {
			found = append(found, key(want)+" was not written")
			continue
		}
		for _, d := range kube.Diff(want, got) {
			found = append(found, key(want)+d)
		}
	}
	return faults("expected → written", found)
}

// readBack: what the server keeps has every field that we sent, and it takes the same body again under strict validation.
func (c *checks) readBack(ctx context.Context, all []kube.Object) error {
	c.record.mu.Lock()
	applied := map[string]kube.Object{}
	for k, o := range c.record.applied {
		applied[k] = o
	}
	c.record.mu.Unlock()
	var found []string
	for _, o := range all {
		body := applied[key(o)]
		path, err := c.pathOf(o)
		if err == nil && body == nil {
			err = fmt.Errorf("it was not written")
		}
		var stored kube.Object
		if err == nil {
			stored, err = c.client.Get(ctx, path)
		}
		if err == nil {
			found = append(found, prefixed(key(o), lacks("", stored, body))...)
			_, err = c.client.Do(ctx, "PATCH", path+"?dryRun=All&force=true&fieldValidation=Strict&fieldManager=vmgpu", kube.ApplyPatch, body)
		}
		if err != nil {
			found = append(found, key(o)+": "+err.Error())
		}
	}
	return faults("stored, want as sent", found)
}

func prefixed(prefix string, all []string) []string {
	for i := range all {
		all[i] = prefix + all[i]
	}
	return all
}

func (c *checks) status(ctx context.Context, s *seed, want kube.Object) error {
	return await(ctx, 10*time.Second, func() error {
		got, err := c.get(ctx, s.manifest)
		if err == nil {
			err = faults("the status differs", lacks("status", got["status"], map[string]any(want)))
		}
		return err
	})
}

func (c *checks) pod(ctx context.Context, s *seed) error {
	status := s.expect.Status.Str("virtualMachine")
	l, err := c.client.Get(ctx, "/api/v1/namespaces/"+Namespace+"/pods?labelSelector=vm.kubevirt.io%2Fname%3D"+status)
	if err != nil {
		return err
	}
	if len(l.List("items")) != 1 {
		return fmt.Errorf("there are %d pods of %s", len(l.List("items")), status)
	}
	pod := l.Objects("items")[0]
	want, _ := kube.Decode([]byte(kube.Text(s.expect.Pod)))
	delete(want, "gpus")
	found := lacks("pod", pod, want)
	gpus := map[string]any{}
	limits, _ := pod.Get("spec.containers[name=compute].resources.limits").(map[string]any)
	for name, n := range limits {
		if strings.HasPrefix(name, "nvidia.com/") {
			gpus[name] = n
		}
	}
	if !kube.Equal(gpus, s.expect.Pod["gpus"]) {
		found = append(found, fmt.Sprintf("it asks for %s, want %s", kube.Text(gpus), kube.Text(s.expect.Pod["gpus"])))
	}
	return faults("the pod differs", found)
}

// nothingElse: only what is expected was applied, and beside it only statuses and the KubeVirt CR were written.
func (c *checks) nothingElse() error {
	var found []string
	for _, w := range c.record.since(0) {
		what := fmt.Sprintf("%s %s?%s: %d", w.Method, w.Path, w.Query, w.Status)
		switch {
		case w.Status/100 != 2 && !(w.Status == 409 && w.Path == kubevirtPath):
			found = append(found, what)
		case w.Type == kube.ApplyPatch && c.want[key(w.body)] == nil:
			found = append(found, what+" "+key(w.body))
		case w.Type != kube.ApplyPatch && w.Path != kubevirtPath && !strings.HasSuffix(w.Path, "/status"):
			found = append(found, what)
		}
	}
	return faults("not expected", found)
}

func (c *checks) permitted(ctx context.Context) error {
	cr, err := c.client.Get(ctx, kubevirtPath)
	if err != nil {
		return err
	}
	var got []string
	for _, e := range cr.Objects("spec.configuration.permittedHostDevices.pciHostDevices") {
		got = append(got, fmt.Sprintf("%s %s %v", e.Str("pciVendorSelector"), e.Str("resourceName"), e["externalResourceProvider"]))
	}
	slices.Sort(got)
	want := []string{"10DE:20B5 nvidia.com/GA100_A100_PCIE_80GB true", "10DE:2321 nvidia.com/GH100_H100L_94GB true", "10DE:26B9 nvidia.com/AD102GL_L40S true"}
	if !slices.Equal(got, want) {
		return fmt.Errorf("it lists %q", got)
	}
	return nil
}

// again: a controller that starts anew and has read all writes nothing.
func (c *checks) again(ctx context.Context) error {
	n := c.record.count()
	time.Sleep(quiet)
	if err := c.stop("controller"); err != nil {
		return err
	}
	if err := c.startController(ctx); err != nil {
		return err
	}
	time.Sleep(quiet)
	return c.noWrites(n)
}

// ordered: all cards of the report, in the terms 1, 2, …
func (c *checks) ordered(ctx context.Context) error {
	node, err := c.client.Get(ctx, gpuNodePath)
	if err != nil {
		return err
	}
	var want []any
	for _, u := range node.Objects("status.units") {
		want = append(want, m{"id": u.Str("id"), "device": u.Str("vendorID") + ":" + u.Str("deviceID"), "want": "vfio"})
	}
	c.record.mu.Lock()
	defer c.record.mu.Unlock()
	for i, w := range c.record.orders {
		units := w.body.List("spec.units")
		for _, u := range units {
			delete(u.(map[string]any), "by")
		}
		if w.Status/100 != 2 || !kube.Equal(w.body.Get("spec.term"), i+1) || !kube.Equal(units, want) {
			return fmt.Errorf("write %d was answered %d: %s", i+1, w.Status, kube.Text(w.body))
		}
	}
	if n := len(c.record.orders); n != 2 { // all have started it once, and again has
		return fmt.Errorf("%d writes", n)
	}
	return nil
}

// harvesters: the node's GPUs as Harvester's PCIDevices, which the controller that started anew left as they were.
func (c *checks) harvesters(ctx context.Context) error {
	node, err := c.client.Get(ctx, gpuNodePath)
	if err != nil {
		return err
	}
	var found []string
	writes := map[string]int{}
	c.record.mu.Lock()
	for _, w := range c.record.devices {
		writes[w.Path]++
		if w.Status/100 != 2 {
			found = append(found, fmt.Sprintf("%s %s: %d: %s", w.Method, w.Path, w.Status, kube.Text(w.body)))
		}
	}
	c.record.mu.Unlock()
	for _, u := range node.Objects("status.units") {
		want := pciDevice(node, u)
		path := pciDevicesPath + want.Name()
		o, err := c.client.Get(ctx, path)
		if err != nil {
			return err
		}
		found = append(found, prefixed(want.Name(), lacks("", o, want))...)
		writes[path]--
		writes[path+"/status"]--
	}
	for path, n := range writes {
		if n != 0 {
			found = append(found, fmt.Sprintf("%s: %d writes too many", path, n))
		}
	}
	return faults("PCIDevices differ", found)
}

// pciDevice is what Harvester makes of a card that is bound to vfio-pci.
func pciDevice(node, unit kube.Object) kube.Object {
	address := unit.Str("address")
	gpu := unit.Objects("functions")[0]
	return kube.Object{"metadata": m{"name": node.Name() + "-" + strings.NewReplacer(":", "", ".", "").Replace(address),
		"labels": m{"nodename": node.Name()}, "ownerReferences": node.Get("metadata.ownerReferences")},
		"spec": m{}, "status": m{"address": address, "vendorId": unit["vendorID"], "deviceId": unit["deviceID"], "classId": "0302",
			"description": "3D controller: " + gpu.Str("description"), "iommuGroup": kube.Text(unit.Get("iommuGroup.id")), "kernelDriverInUse": gpu["driver"],
			"nodeName": node.Name(), "resourceName": unit["name"]}}
}

func (c *checks) noWrites(n int) error {
	var found []string
	for _, w := range c.record.since(n) {
		found = append(found, fmt.Sprintf("%s %s %s", w.Method, w.Path, kube.Text(w.body)))
	}
	return faults("written again", found)
}

// play lets Cluster API and Kamaji say that all is up.
func (c *checks) play(ctx context.Context, s *seed) {
	if s.expect.Then == nil {
		return
	}
	var err error
	for _, o := range s.expect.Play[c.Generation] {
		var path string
		if path, err = c.pathOf(o); err == nil {
			_, err = c.client.Do(ctx, "PATCH", path+"/status?fieldValidation=Strict", kube.MergePatch, kube.Object{"status": o["status"]})
		}
		if err != nil {
			break
		}
	}
	if err == nil {
		err = c.status(ctx, s, s.expect.Then)
	}
	c.tap.say(s.file+": its status when Cluster API says that all is up", err)
}
