package scenario

import (
	"context"
	"fmt"
	"slices"
	"time"

	"vmgpu.io/e2e/kube"
)

// ours are the kinds that users apply, those that wait for others last.
var ours = []string{"VirtualMachine.apps.cozystack.io", "VMInstance.apps.cozystack.io", "Kubernetes.apps.cozystack.io", "VMDisk.apps.cozystack.io"}

const removeLimit = 30 * time.Second

// removeOurs deletes what the scenario applied while the controller still runs: that must end, and leave nothing.
func (s *stage) removeOurs(ctx context.Context) error {
	left := slices.Clone(ours)
	for end := time.Now().Add(time.Duration(float64(removeLimit) * s.slack)); len(left) > 0; {
		items, err := s.deleteAll(ctx, left[0])
		if err != nil {
			return err
		}
		if len(items) == 0 {
			left = left[1:]
			continue
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is still there %s after it was deleted", items[0].Key(), removeLimit)
		}
		time.Sleep(lookEvery)
	}
	return s.gone(ctx, "VirtualMachine.kubevirt.io")
}

// gone waits until no object of a kind, which an owner took with it, is left.
func (s *stage) gone(ctx context.Context, kind string) error {
	r, err := s.resources.Find(kind)
	if err != nil {
		return nil
	}
	for end := time.Now().Add(removeLimit); ; time.Sleep(lookEvery) {
		l, err := s.client.Get(ctx, r.Path(s.namespace, ""))
		if err != nil {
			return err
		}
		owned := slices.DeleteFunc(l.Objects("items"), func(o kube.Object) bool { return len(o.List("metadata.ownerReferences")) == 0 })
		if len(owned) == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s %s is left behind", kind, owned[0].Name())
		}
	}
}

// deleteAll deletes all objects of a kind in the namespace, and tells which there are.
func (s *stage) deleteAll(ctx context.Context, kind string) ([]kube.Object, error) {
	r, err := s.resources.Find(kind)
	if err != nil {
		return nil, nil // the server does not have it
	}
	l, err := s.client.Get(ctx, r.Path(s.namespace, ""))
	if err != nil {
		return nil, err
	}
	for _, o := range l.Objects("items") {
		if o.Deleting() {
			continue
		}
		if err := s.client.Delete(ctx, r.Path(s.namespace, o.Name()), nil); err != nil && !kube.IsCode(err, 404) {
			return nil, err
		}
	}
	return l.Objects("items"), nil
}

// close takes down all that is left, whatever state it is in.
func (s *stage) close(ctx context.Context) {
	for _, kind := range append(slices.Clone(ours), "VirtualMachine.kubevirt.io", "VirtualMachineInstance.kubevirt.io", "DataVolume.cdi.kubevirt.io") {
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(lookEvery) {
			items, err := s.deleteAll(ctx, kind)
			if len(items) == 0 || err != nil {
				break
			}
		}
	}
	if s.kubevirt != nil {
		s.configure(ctx, s.kubevirt.Get(permitField), s.kubevirt.Get("spec.configuration.developerConfiguration.featureGates"))
	}
	s.endPods(ctx)
	s.endPlay()
	for name := range s.scenario.Nodes {
		s.client.Delete(ctx, gpuNodesPath+"/"+name, nil)
		s.client.Delete(ctx, "/api/v1/nodes/"+name, nil)
	}
	s.endDevices(ctx)
	for _, o := range s.scenario.objects() {
		if path, err := s.pathOf(o); err == nil {
			s.client.Delete(ctx, path, nil)
		}
	}
	if !s.keep {
		s.client.Delete(ctx, "/api/v1/namespaces/"+s.namespace, nil)
	}
}

// endPods removes the pods at once: the namespace's end may come when the next scenario has a node of the same name.
func (s *stage) endPods(ctx context.Context) {
	path := "/api/v1/namespaces/" + s.namespace + "/pods"
	l, err := s.client.Get(ctx, path)
	if err != nil {
		return
	}
	for _, o := range l.Objects("items") {
		s.client.Delete(ctx, path+"/"+o.Name()+"?gracePeriodSeconds=0", nil)
	}
}

// endDevices removes Harvester's objects, which their Node takes along, without anybody who would let them go.
func (s *stage) endDevices(ctx context.Context) {
	for _, kind := range []string{"PCIDeviceClaim", "VGPUDevice", "SRIOVGPUDevice", "PCIDevice"} {
		r, err := s.resources.Find(kind)
		if err != nil {
			continue
		}
		items, _ := s.deleteAll(ctx, kind)
		for _, o := range items {
			if o.List("metadata.finalizers") != nil {
				s.client.Merge(ctx, r.Path("", o.Name()), m{"metadata": m{"finalizers": nil}})
			}
		}
	}
}

const permitField = "spec.configuration.permittedHostDevices"
