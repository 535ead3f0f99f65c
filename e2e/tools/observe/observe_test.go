package observe

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"vmgpu.io/e2e/kube"
	"vmgpu.io/e2e/proxy"
)

// stage is an observer with a clock of its own, and a cluster that says what the test wants.
type stage struct {
	t    *testing.T
	o    *Observer
	out  bytes.Buffer
	time time.Time
	rv   int
	old  map[string]kube.Object
}

func newStage(t *testing.T, options Options) *stage {
	s := &stage{t: t, time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), old: map[string]kube.Object{}}
	s.o = New(options, &s.out)
	s.o.now = func() time.Time { return s.time }
	return s
}

var resources = map[string]kube.Resource{
	"Node":                   {Group: "", Version: "v1", Plural: "nodes", Kind: "Node"},
	"Pod":                    {Group: "", Version: "v1", Plural: "pods", Kind: "Pod", Namespaced: true},
	"Service":                {Group: "", Version: "v1", Plural: "services", Kind: "Service", Namespaced: true},
	"KubeVirt":               {Group: "kubevirt.io", Version: "v1", Plural: "kubevirts", Kind: "KubeVirt", Namespaced: true},
	"VirtualMachine":         {Group: "kubevirt.io", Version: "v1", Plural: "virtualmachines", Kind: "VirtualMachine", Namespaced: true},
	"VirtualMachineInstance": {Group: "kubevirt.io", Version: "v1", Plural: "virtualmachineinstances", Kind: "VirtualMachineInstance", Namespaced: true},
	"VMInstance":             {Group: "apps.cozystack.io", Version: "v1alpha1", Plural: "vminstances", Kind: "VMInstance", Namespaced: true},
	"GPUNode":                {Group: "vmgpu.io", Version: "v1alpha1", Plural: "gpunodes", Kind: "GPUNode"},
	"PCIDeviceClaim":         {Group: harvester, Version: "v1beta1", Plural: "pcideviceclaims", Kind: "PCIDeviceClaim"},
	"VGPUDevice":             {Group: harvester, Version: "v1beta1", Plural: "vgpudevices", Kind: "VGPUDevice"},
	"Event":                  {Group: "events.k8s.io", Version: "v1", Plural: "events", Kind: "Event", Namespaced: true},
	"Lease":                  {Group: "coordination.k8s.io", Version: "v1", Plural: "leases", Kind: "Lease", Namespaced: true},
}

// by is who makes a change, as the log knows it: "" is somebody else.
func (s *stage) write(by, method, text string) kube.Object {
	s.t.Helper()
	all, err := kube.DecodeYAML([]byte(text))
	if err != nil || len(all) != 1 {
		s.t.Fatal(len(all), err)
	}
	object := all[0]
	r := resources[object.Kind()]
	object["apiVersion"] = strings.TrimPrefix(r.Group+"/"+r.Version, "/")
	m := object["metadata"].(map[string]any)
	s.rv++
	m["resourceVersion"] = fmt.Sprint(s.rv)
	if m["uid"] == nil {
		m["uid"] = "uid-" + object.Kind() + "-" + object.Key()
	}
	path := r.Path(object.Namespace(), object.Name())
	kind := "MODIFIED"
	if s.old[path] == nil {
		kind = "ADDED"
	}
	if method == "DELETE" {
		kind = "DELETED"
	}
	if by != "" {
		s.o.Logged(proxy.Line{Phase: "done", Time: s.time, Via: by, Method: method, Path: path, Status: 200, RV: object.RV(), UID: object.UID(),
			Holder: object.Str("spec.holderIdentity")})
	}
	s.o.Saw(kindOf(r), r, kube.Event{Type: "SYNCED"})
	s.o.Saw(kindOf(r), r, kube.Event{Type: kind, Object: object, Old: s.old[path]})
	s.old[path] = object
	if kind == "DELETED" {
		delete(s.old, path)
	}
	return object
}

func (s *stage) admin(text string) kube.Object { s.t.Helper(); return s.write("", "PATCH", text) }
func (s *stage) ours(text string) kube.Object  { s.t.Helper(); return s.write("a", "PATCH", text) }

// wait lets time go by.
func (s *stage) wait(d time.Duration) {
	for end := s.time.Add(d); s.time.Before(end); {
		s.time = s.time.Add(250 * time.Millisecond)
		s.o.Tick()
	}
}

// expect compares all that was reported with what is expected: "" is nothing, else one invariant and part of the message.
func (s *stage) expect(invariant, message string) {
	s.t.Helper()
	s.o.mu.Lock()
	s.o.attribute(true)
	s.o.mu.Unlock()
	all := s.o.Violations()
	if invariant == "" {
		if len(all) > 0 {
			s.t.Errorf("reported: %+v", all)
		}
		return
	}
	if len(all) != 1 || all[0].Invariant != invariant || !strings.Contains(all[0].Message, message) {
		s.t.Errorf("want %s %q, got %+v", invariant, message, all)
	}
	if len(all) == 1 && !strings.Contains(s.out.String(), `"invariant":"`+invariant+`"`) {
		s.t.Errorf("line: %s", s.out.String())
	}
}

const node2 = `{kind: Node, metadata: {name: node1}, status: {allocatable: {x/gpu: "2"}}}`

func pod(name string, count int) string {
	return fmt.Sprintf(`{kind: Pod, metadata: {namespace: a, name: %s}, spec: {nodeName: node1, containers: [{resources: {limits: {x/gpu: "%d"}}}]}, status: {phase: Running}}`, name, count)
}

func TestI1MorePodsThanDevices(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.admin(node2)
	s.admin(pod("p", 1))
	s.admin(pod("q", 1))
	s.wait(3 * time.Second)
	s.expect("", "")
	s.admin(pod("r", 1))
	s.wait(3 * time.Second)
	s.expect("I1", "pods a/p a/q a/r want 3 x/gpu, there are 2")
}

func TestI1ADeviceThatBrokeUnderItsPodIsNobodysFault(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.admin(node2)
	s.admin(pod("p", 2))
	s.wait(2 * time.Second)
	s.admin(strings.Replace(node2, `"2"`, `"1"`, 1))
	s.wait(3 * time.Second)
	s.expect("", "")
}

func TestI1MoreVMsThanDevices(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.admin(node2)
	for _, name := range []string{"v", "w"} {
		s.admin(`{kind: VirtualMachineInstance, metadata: {namespace: a, name: ` + name + `}, status: {phase: Running, nodeName: node1},
			spec: {domain: {devices: {gpus: [{name: gpu1, deviceName: x/gpu}], hostDevices: [{name: gpu2, deviceName: x/gpu}]}}}}`)
	}
	s.wait(3 * time.Second)
	s.expect("I1", "VMs a/v a/w want 4 x/gpu, there are 2")
}

func TestI1OneIOMMUGroupWithTwoHolders(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.admin(`{kind: GPUNode, metadata: {name: node1}, status: {units: [{id: "1", iommuGroup: {id: 7}, holder: {vm: a}}, {id: "2", iommuGroup: {id: 7}, holder: {vm: b}}]}}`)
	s.wait(3 * time.Second)
	s.expect("I1", "IOMMU group 7")
}

func kubevirt(permitted string) string {
	return `{kind: KubeVirt, metadata: {namespace: kubevirt, name: kubevirt}, spec: {configuration: {` + permitted + `}}}`
}

func permitted(names ...string) string {
	var all []string
	for _, n := range names {
		all = append(all, `{pciVendorSelector: "10DE:`+n+`", resourceName: x/`+n+`}`)
	}
	return kubevirt(`permittedHostDevices: {pciHostDevices: [` + strings.Join(all, ", ") + `]}`)
}

func TestI3EntriesOfAnAdmin(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.admin(permitted("1", "2"))
	s.ours(permitted("1", "9", "2", "8"))
	s.admin(permitted("1", "9", "3", "2", "8"))
	s.ours(permitted("1", "3", "2", "8"))
	s.ours(permitted("1", "3", "2"))
	s.expect("", "")
	s.ours(permitted("1", "2"))
	s.expect("I3", "foreign entries of pciHostDevices changed")
}

func TestI3WhatBearsOurNameWaitsForTheLog(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.admin(permitted("1"))
	late := s.admin(strings.Replace(permitted("1", "9"), "name: kubevirt}", `name: kubevirt, managedFields: [{manager: vmgpu, time: "1"}]}`, 1))
	s.wait(2 * time.Second)
	s.o.Logged(proxy.Line{Phase: "done", Time: s.time, Via: "a", Method: "PATCH", Path: "/apis/kubevirt.io/v1/namespaces/kubevirt/kubevirts/kubevirt", Status: 200, RV: late.RV()})
	s.ours(permitted("1"))
	s.expect("", "")
}

func TestI3OrderOfForeignEntries(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.admin(permitted("1", "2"))
	s.ours(permitted("2", "1", "9"))
	s.expect("I3", "foreign entries of pciHostDevices changed")
}

func TestI3TheFieldIsRemovedOnlyIfWeMadeIt(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.admin(kubevirt(""))
	s.ours(permitted("9"))
	s.ours(kubevirt(""))
	s.expect("", "")
	s.admin(kubevirt("permittedHostDevices: {}"))
	s.ours(permitted("9"))
	s.ours(kubevirt(""))
	s.expect("I3", "permittedHostDevices removed")
}

func TestI3OtherFieldsOfTheKubeVirtCR(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.admin(kubevirt("developerConfiguration: {featureGates: [A]}"))
	s.ours(kubevirt("developerConfiguration: {featureGates: [A, HostDevices]}"))
	s.expect("I3", "featureGates")
}

func TestI3TheFirstEntryShutsOthersOut(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.admin(kubevirt(""))
	s.admin(`{kind: VirtualMachine, metadata: {namespace: b, name: other}, spec: {template: {spec: {domain: {devices: {gpus: [{deviceName: x/other}]}}}}}}`)
	s.ours(permitted("9"))
	s.expect("I3", "shuts out x/other of VirtualMachine b/other")
}

func TestI3ForeignObjects(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.admin(`{kind: Service, metadata: {namespace: a, name: s}, spec: {type: ClusterIP}}`)
	s.admin(`{kind: VMInstance, metadata: {namespace: a, name: v}, spec: {gpus: []}}`)
	s.admin(`{kind: VirtualMachineInstance, metadata: {namespace: a, name: v}, spec: {x: 1}}`)
	s.ours(`{kind: VMInstance, metadata: {namespace: a, name: v}, spec: {gpus: []}, status: {state: Running}}`)
	s.ours(`{kind: VirtualMachineInstance, metadata: {namespace: a, name: v, annotations: {vmgpu.io/woken: "1"}}, spec: {x: 1}}`)
	s.ours(`{kind: Service, metadata: {namespace: a, name: mine}, spec: {type: ClusterIP}}`)
	s.ours(`{kind: Service, metadata: {namespace: a, name: mine}, spec: {type: LoadBalancer}}`)
	s.expect("", "")
	s.ours(`{kind: Service, metadata: {namespace: a, name: s}, spec: {type: LoadBalancer}}`)
	s.expect("I3", ".spec.type")
}

func TestI3WhatUsersSaidInHarvestersObjects(t *testing.T) {
	const device = `{kind: VGPUDevice, metadata: {name: d}, spec: {address: a, enabled: %s, vGPUTypeName: %s}}`
	for i, by := range []string{"a", ""} { // whoever made it
		s := newStage(t, Options{HasLog: true})
		s.write(by, "PATCH", fmt.Sprintf(device, "null", "null"))
		s.ours(fmt.Sprintf(device, "false", "null"))
		s.admin(fmt.Sprintf(device, "true", "A2-4Q"))
		s.ours(`{kind: VGPUDevice, metadata: {name: d, labels: {nodename: n}, ownerReferences: [{kind: Node}]}, spec: {address: b, enabled: true, vGPUTypeName: A2-4Q}}`)
		s.expect("", "")
		s.ours(fmt.Sprintf(device, []string{"false", "true"}[i], []string{"A2-4Q", "A2-4C"}[i]))
		s.expect("I3", []string{".spec.enabled: true → false", ".spec.vGPUTypeName"}[i])
	}
	s := newStage(t, Options{HasLog: true})
	s.admin(`{kind: PCIDeviceClaim, metadata: {name: d}, spec: {address: a}}`)
	s.ours(`{kind: PCIDeviceClaim, metadata: {name: d, finalizers: [f], ownerReferences: [{kind: PCIDevice}]}, spec: {address: a}}`)
	s.expect("", "")
	s.ours(`{kind: PCIDeviceClaim, metadata: {name: d}, spec: {address: b}}`)
	s.expect("I3", ".spec.address")
}

func TestI3DeletingWhatIsNotOurs(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.ours(`{kind: Service, metadata: {namespace: a, name: mine}}`)
	s.write("a", "DELETE", `{kind: Service, metadata: {namespace: a, name: mine}}`)
	s.expect("", "")
	s.admin(`{kind: Service, metadata: {namespace: a, name: s}}`)
	s.write("a", "DELETE", `{kind: Service, metadata: {namespace: a, name: s}}`)
	s.expect("I3", "deleted")
}

func TestI3WithoutALogTheFieldManagerTells(t *testing.T) {
	s := newStage(t, Options{})
	s.admin(`{kind: Service, metadata: {namespace: a, name: s}, spec: {type: ClusterIP}}`)
	s.admin(`{kind: Service, metadata: {namespace: a, name: s, managedFields: [{manager: vmgpu, time: "1"}]}, spec: {type: LoadBalancer}}`)
	s.expect("I3", ".spec.type")
}

const owned = `ownerReferences: [{apiVersion: apps.cozystack.io/v1alpha1, kind: VMInstance, name: v, uid: uid-VMInstance-a/v}]`

func vmi(generation, observed int, ready, more string) string {
	return fmt.Sprintf(`{kind: VMInstance, metadata: {namespace: a, name: v, generation: %d}, spec: {gpus: [{name: x/gpu}]},
		status: {observedGeneration: %d, conditions: [{type: Ready, status: "%s", reason: Running, message: m%s}]}}`, generation, observed, ready, more)
}

func vm(deviceName string) string {
	return `{kind: VirtualMachine, metadata: {namespace: a, name: vm-instance-v, ` + owned + `}, spec: {template: {spec: {domain: {devices: {gpus: [{deviceName: ` + deviceName + `}]}}}}}}`
}

func TestI4AChildWithoutOwner(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.admin(node2)
	s.admin(vmi(1, 1, "True", ""))
	s.ours(vm("x/gpu"))
	s.ours(`{kind: Service, metadata: {namespace: a, name: vm-instance-v, ` + owned + `}}`)
	s.o.AtRest()
	s.expect("", "")
	s.write("", "DELETE", vmi(1, 1, "True", ""))
	s.write("", "DELETE", vm("x/gpu"))
	s.o.AtRest()
	s.expect("I4", "its owner VMInstance v is gone")
}

func TestI4AnOwnerWithoutChild(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.admin(vmi(1, 1, "False", ""))
	s.o.AtRest()
	s.expect("", "") // its status says why
	s.admin(vmi(2, 1, "False", ""))
	s.o.AtRest()
	s.expect("I4", "has no VirtualMachine.kubevirt.io")
}

func TestI4AnEntryNobodyNeeds(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.admin(kubevirt(""))
	s.admin(`{kind: GPUNode, metadata: {name: node1}, status: {units: [{id: "1", name: x/9}]}}`)
	s.ours(permitted("9"))
	s.o.AtRest()
	s.expect("", "")
	s.admin(`{kind: GPUNode, metadata: {name: node1}, status: {units: []}}`)
	s.o.AtRest()
	s.expect("I4", "no node has it and no VM wants it")
}

func TestI5AWriteWhenAllWasDone(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.ours(`{kind: Service, metadata: {namespace: a, name: mine}}`)
	if s.o.Settled(time.Second) {
		t.Error("settled at once")
	}
	s.wait(time.Second)
	if !s.o.Settled(time.Second) {
		t.Error("not settled")
	}
	s.o.Writing = func() bool { return true }
	if s.o.Settled(time.Second) {
		t.Error("settled although a write is on its way")
	}
	s.o.Writing = nil
	step := s.o.now
	s.o.now = func() time.Time { s.time = s.time.Add(400 * time.Millisecond); return s.time }
	s.ours(`{kind: Service, metadata: {namespace: a, name: mine}, spec: {}}`)
	s.o.stillWriting(time.Hour, time.Second)
	s.o.now = step
	s.expect("I5", "still writing")
}

func TestI5LeasesAreNoWrites(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.ours(`{kind: Lease, metadata: {namespace: a, name: vmgpu-controller}, spec: {holderIdentity: a}}`)
	if !s.o.LastWrite().IsZero() {
		t.Error("a Lease counts as a write")
	}
}

func TestI5WithoutALogTheFieldManagerTells(t *testing.T) {
	s := newStage(t, Options{})
	s.admin(`{kind: Service, metadata: {namespace: a, name: s, managedFields: [{manager: kubectl}]}}`)
	if !s.o.LastWrite().IsZero() {
		t.Error("somebody else's write counts")
	}
	s.admin(`{kind: Service, metadata: {namespace: a, name: s, managedFields: [{manager: kubectl}, {manager: vmgpu-power}]}}`)
	if s.o.LastWrite() != s.time {
		t.Error("our write does not count")
	}
}

func TestI6ObservedGenerationGoesBack(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.admin(vmi(2, 1, "False", ""))
	s.ours(vmi(2, 2, "False", ""))
	s.expect("", "")
	s.ours(vmi(2, 1, "False", ""))
	s.expect("I6", "went back from 2 to 1")
}

func TestI6ObservedGenerationAhead(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.ours(vmi(1, 2, "False", ""))
	s.expect("I6", "status.observedGeneration is 2, the object is at 1")
}

func TestI6ReadyOfAnOldSpec(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.admin(node2)
	s.ours(vm("x/gpu"))
	s.ours(vmi(1, 1, "True", ""))
	s.wait(20 * time.Second)
	s.expect("", "")
	s.admin(vmi(2, 1, "True", ""))
	s.wait(14 * time.Second)
	s.expect("", "") // it has 15 s
	s.wait(2 * time.Second)
	s.expect("I6", "Ready is True of generation 1, the spec is 2")
}

func TestI6ReadyWithAGPUNobodyReports(t *testing.T) {
	s := newStage(t, Options{HasLog: true, ReadyGrace: time.Second})
	s.ours(vm("x/gone"))
	s.ours(vmi(1, 1, "True", ""))
	s.wait(2 * time.Second)
	s.expect("I6", "Ready is True with x/gone, which no node reports")
}

func TestI6ReadyWithTooFewGPUs(t *testing.T) {
	s := newStage(t, Options{HasLog: true, ReadyGrace: time.Second})
	s.admin(node2)
	s.ours(vm("x/gpu"))
	s.ours(strings.Replace(vmi(1, 1, "True", ""), "name: x/gpu", "name: x/gpu, count: 2", 1))
	s.wait(2 * time.Second)
	s.expect("I6", "asks for 2 GPUs and the KubeVirt VM has 1")
}

func TestI7TooManyWrites(t *testing.T) {
	s := newStage(t, Options{HasLog: true, MaxWrites: 3})
	for i := range 3 {
		s.ours(fmt.Sprintf(`{kind: Service, metadata: {namespace: a, name: mine}, spec: {x: %d}}`, i))
	}
	s.expect("", "")
	s.ours(`{kind: Service, metadata: {namespace: a, name: mine}, spec: {x: 9}}`)
	s.expect("I7", "more than 3 writes")
}

func TestI7TwiceTheBaselineIsTheLimit(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.o.Begin(Terms{Baseline: map[string]int{"/api/v1/namespaces/*/services/mine": 1}})
	for i := range 5 {
		s.ours(fmt.Sprintf(`{kind: Service, metadata: {namespace: a%d, name: mine}}`, i))
	}
	s.expect("I7", "more than 4 writes")
}

func TestI7EachLeaderWritesItsTermIntoAGPUNode(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.o.Begin(Terms{Baseline: map[string]int{"/apis/vmgpu.io/v1alpha1/gpunodes/n1": 1}})
	for i := range 6 {
		if i < 3 {
			s.write("a", "PUT", lease(fmt.Sprint("A", i)))
		}
		s.ours(fmt.Sprintf(`{kind: GPUNode, metadata: {name: n1}, spec: {term: %d}}`, i))
	}
	s.expect("", "")
	s.ours(`{kind: GPUNode, metadata: {name: n1}, spec: {term: 9}}`)
	s.expect("I7", "more than 6 writes")
	s.o.Begin(Terms{Baseline: map[string]int{"/apis/vmgpu.io/v1alpha1/gpunodes/n1": 1}}) // those before do not count
	for i := range 5 {
		s.ours(fmt.Sprintf(`{kind: GPUNode, metadata: {name: n1}, spec: {term: %d}}`, i))
	}
	s.expect("I7", "more than 4 writes")
}

func TestI8ADeletionThatDoesNotEnd(t *testing.T) {
	s := newStage(t, Options{HasLog: true, EndGrace: 30 * time.Second})
	dying := `{kind: VMInstance, metadata: {namespace: a, name: v, deletionTimestamp: "2026-01-01T00:00:00Z", finalizers: [vmgpu.io/release]}, spec: {}}`
	s.admin(dying)
	s.wait(29 * time.Second)
	s.expect("", "")
	s.wait(2 * time.Second)
	s.expect("I8", "vmgpu.io/release")
}

func lease(holder string) string {
	return `{kind: Lease, metadata: {namespace: vmgpu-system, name: vmgpu-controller}, spec: {holderIdentity: ` + holder + `}}`
}

func TestI9AnExLeaderWrites(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	service := func(x int) string {
		return fmt.Sprintf(`{kind: Service, metadata: {namespace: a, name: mine}, spec: {x: %d}}`, x)
	}
	s.write("a", "PUT", lease("A"))
	s.write("a", "PATCH", service(1))
	s.wait(time.Second)
	s.write("b", "PUT", lease("B"))
	s.wait(time.Second)
	s.write("b", "PATCH", service(2))
	s.expect("", "")
	s.write("a", "PATCH", service(3))
	s.expect("I9", "PATCH by A, 1s after B took the Lease")
}

func TestI9TheWatchMayBeFasterThanTheLog(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.write("a", "PUT", lease("A"))
	s.wait(time.Second)
	s.write("b", "PUT", lease("B"))
	s.wait(time.Second)
	late := s.admin(`{kind: Service, metadata: {namespace: a, name: mine}}`)
	s.o.Logged(proxy.Line{Phase: "done", Time: s.time.Add(-time.Millisecond), Via: "a", Method: "PATCH", Path: "/api/v1/namespaces/a/services/mine", Status: 200, RV: late.RV()})
	s.expect("I9", "after B took the Lease")
}

func TestI9AWriteThatChangesNothingIsHarmless(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.write("a", "PUT", lease("A"))
	mine := s.ours(`{kind: Service, metadata: {namespace: a, name: mine}}`)
	s.wait(time.Second)
	s.admin(lease("thief")) // past the proxy
	s.wait(time.Second)
	s.o.Logged(proxy.Line{Phase: "done", Time: s.time, Via: "a", Method: "PATCH", Path: "/api/v1/namespaces/a/services/mine", Status: 200, RV: mine.RV()})
	s.expect("", "")
	s.o.Logged(proxy.Line{Phase: "done", Time: s.time, Via: "a", Method: "PATCH", Path: "/api/v1/namespaces/a/services/mine", Status: 409})
	s.expect("", "")
	s.o.Logged(proxy.Line{Phase: "done", Time: s.time, Via: "a", Method: "PATCH", Path: "/api/v1/namespaces/a/services/mine", Status: 200, RV: "999"})
	s.expect("I9", "after thief took the Lease")
}

func TestI11AProcessThatGrew(t *testing.T) {
	before := Process{RssAnonKB: 10000, FDs: 20, Threads: 1}
	for _, c := range []struct {
		after Process
		want  string
	}{{Process{15000, 22, 1, 0}, ""}, {Process{30000, 20, 1, 0}, "RssAnon"}, {Process{10000, 40, 1, 0}, "open files"}, {Process{10000, 20, 2, 0}, "threads"}} {
		s := newStage(t, Options{})
		s.o.Grown("pid 1", before, c.after)
		if c.want == "" {
			s.expect("", "")
		} else {
			s.expect("I11", c.want)
		}
	}
	s := newStage(t, Options{})
	s.o.Peaked("pid 1", Process{PeakKB: 10000}, Process{PeakKB: 26000})
	s.expect("", "")
	s.o.Peaked("pid 1", Process{PeakKB: 10000}, Process{PeakKB: 100000})
	s.expect("I11", "up to 100000 kB")
	if p, err := ReadProcess("/proc", os.Getpid()); err != nil || p.PeakKB < p.RssAnonKB {
		t.Error(p, err)
	}
	if p, err := ReadProcess("/proc", 1); err != nil && p.Threads < 1 {
		t.Error(p, err)
	}
}

func TestI12ASecretInSight(t *testing.T) {
	const marker = "s3cr3t"
	for name, show := range map[string]func(s *stage){
		"status": func(s *stage) {
			s.ours(`{kind: VMInstance, metadata: {namespace: a, name: v}, spec: {cloudInit: s3cr3t}, status: {message: "it is s3cr3t!"}}`)
		},
		"event": func(s *stage) { s.ours(`{kind: Event, metadata: {namespace: a, name: e}, note: s3cr3t}`) },
		"log":   func(s *stage) { s.o.Text("controller.log", "x s3cr3t y") },
	} {
		s := newStage(t, Options{HasLog: true, Markers: []string{marker}})
		s.admin(`{kind: VMInstance, metadata: {namespace: a, name: v}, spec: {cloudInit: s3cr3t}}`) // where it belongs
		s.expect("", "")
		show(s)
		s.expect("I12", "has secret number 1")
		if strings.Contains(s.out.String(), marker) {
			t.Errorf("%s: the observer tells the secret itself: %s", name, s.out.String())
		}
	}
}

func TestAViolationIsToldOnce(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.o.Grown("p", Process{FDs: 1}, Process{FDs: 100})
	s.o.Grown("p", Process{FDs: 1}, Process{FDs: 100})
	s.expect("I11", "")
	s.o.Begin(Terms{})
	s.expect("", "")
}

func TestTheLogsLineMayComeAfterTheEvent(t *testing.T) {
	s := newStage(t, Options{HasLog: true})
	s.admin(`{kind: Service, metadata: {namespace: a, name: s}, spec: {type: ClusterIP}}`)
	s.wait(time.Second)
	changed := s.admin(`{kind: Service, metadata: {namespace: a, name: s}, spec: {type: LoadBalancer}}`)
	s.o.Logged(proxy.Line{Phase: "done", Time: s.time, Method: "PATCH", Path: "/api/v1/namespaces/a/services/s", Status: 200, RV: changed.RV()})
	s.expect("I3", ".spec.type")
}
