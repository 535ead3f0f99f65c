package faults

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	patience  = 20 * time.Second  // a fault that stays is taken away after that, once it is reported,
	silent    = 45 * time.Second  // which must be so by then,
	hanging   = 300 * time.Second // or by then, of a write that hangs: a program may take so long
	counting  = 100 * time.Second // of a read: a minute is waited for virtual functions
	limit     = 200 * time.Second // from then on all must come to its end: pauses between tries grow to a minute
	remedyAt  = 40 * time.Second  // what only an admin can end is ended by one
	calm      = 6 * time.Second   // nothing may be written for so long at the end,
	settled   = 40 * time.Second  // which begins soon
	realLimit = 60 * time.Second  // of one wait: then the test itself hangs
)

// scenario is one way of a card through a node.
type scenario struct {
	name   string
	shape  shape
	stages []stage
}

type stage struct {
	name string
	want func(r *run) object                   // the order for the card; nil: as before
	do   func(r *run) error                    // tried until it succeeds; nil: nothing
	is   func(r *run, a *function) (no string) // "": reached
}

// run is a scenario on a machine, with one fault or none.
type run struct {
	m       *machine
	sc      *scenario
	want    func(r *run) object
	orders  bool // something is ordered at all: an admin may have withdrawn it
	refused string
	served  bool
	remedy  bool
	stageNo int
	ordered struct { // for which the last order was written
		report, stage int
		any           bool
	}
}

const (
	resourceB = "nvidia.com/GA100_A100_PCIE_80GB"
	l40s      = "nvidia.com/AD102GL_L40S"
)

// --- the controller's part -----------------------------------------------------------------------

// order is what a controller writes: for the units that the node reports.
func (r *run) order() {
	if v := r.m.api.reports(); v == r.ordered.report && r.stageNo == r.ordered.stage && r.orders == r.ordered.any {
		return
	} else {
		r.ordered.report, r.ordered.stage, r.ordered.any = v, r.stageNo, r.orders
	}
	units := []object{}
	permitted := []string{}
	for _, t := range r.m.shape.types {
		permitted = append(permitted, t.name)
	}
	for _, u := range list(r.m.api.status(), "units") {
		id, device := fmt.Sprint(u["id"]), fmt.Sprint(u["vendorID"], ":", u["deviceID"])
		if o := r.orderFor(id, device); o != nil {
			o["id"], o["device"] = id, device
			units = append(units, o)
		}
	}
	r.m.api.order(object{"term": 1, "permittedTypes": permitted, "units": units})
}

func (r *run) orderFor(id, device string) object {
	switch {
	case !r.orders:
		return nil
	case device == "10de:20b5":
		return object{"want": "vfio"}
	case device == fmt.Sprintf("%04x:%04x", r.m.shape.vendor, r.m.shape.device) && r.want != nil:
		return r.want(r)
	}
	return nil
}

// --- waiting -------------------------------------------------------------------------------------

func (r *run) cardA() (*function, bool) {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	return r.m.kernel.functions[r.m.cardA()], r.m.layout.other
}

// reached asks a stage, with nothing moving meanwhile.
func (r *run) reached(s *stage) string {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	a := r.m.kernel.functions[r.m.cardA()]
	if a == nil || r.m.reboot != nil || r.m.acting > 0 {
		return "the card is not there"
	}
	if r.m.layout.other {
		return ""
	}
	return s.is(r, a)
}

// stage brings the run to the next one.
func (r *run) stage(i int, s *stage) error {
	m := r.m
	r.stageNo = i + 1
	if s.want != nil {
		r.want = s.want
	}
	if m.fault != nil && m.fault.read != "" && m.fault.from == i {
		m.page.setMatch(m.fault.read)
		m.page.reads.Store(readsOfMatch)
	}
	m.tell("stage: %s", s.name)
	from, begun, no := m.page.now(), time.Now(), ""
	tried := time.Duration(0)
	for {
		r.order()
		now := m.page.now()
		if _, other := r.cardA(); s.do != nil && !other && now-tried > 200*time.Millisecond {
			tried = now
			if err := s.do(r); err != nil {
				r.refused = err.Error()
				no = err.Error()
			} else {
				no = r.reached(s)
			}
		} else if s.do == nil || other {
			no = r.reached(s)
		}
		if no == "" {
			return nil
		}
		if err := r.faulty(now, from, no); err != nil {
			return err
		}
		if time.Since(begun) > realLimit {
			return fmt.Errorf("%s: the test waits for too long: %s", s.name, no)
		}
		if now-max(from, r.since()) > limit {
			return fmt.Errorf("%s: not reached %v after the last fault: %s; reported: %s", s.name, limit, no, m.api.conditions())
		}
		time.Sleep(4 * time.Millisecond)
	}
}

// since is when the fault came.
func (r *run) since() time.Duration {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	if r.m.met == 0 {
		return 0
	}
	return max(r.m.met, r.m.healedAt)
}

func stays(f *fault) bool {
	return f != nil && (sticky(f.kind) || f.kind == "block" || f.read != "")
}

// faulty is what is looked at while a stage is not reached: that others are served meanwhile, and what is said of the card.
func (r *run) faulty(now, from time.Duration, no string) error {
	m := r.m
	m.mu.Lock()
	met, healed, f := m.met, m.healed, m.fault
	m.mu.Unlock()
	if met == 0 || f == nil {
		return nil
	}
	if waits := now - max(met, from); !healed && stays(f) && waits > patience {
		truth := f.read != "" && f.kind == "gone" // as the kernel says that there is none
		if len(m.troubles()) == 0 && r.refused == "" && !truth {
			if waits > silent && (f.kind != "block" || waits > hanging) && (f.read == "" || waits > counting) {
				return fmt.Errorf("%v with the fault, and nothing is said of the card: %s; reported: %s", waits.Round(time.Second), no, m.api.conditions())
			}
			return nil
		}
		if err := r.others(f); err != nil {
			return err
		}
		m.heal()
	}
	if now-max(met, from) > remedyAt && !r.remedy && !stays(f) {
		r.remedy = true
		return r.admin()
	}
	return nil
}

// troubles is what is said of either card: what is needed for one may be missing for both.
func (m *machine) troubles() []string {
	all := append(m.api.troubles(m.cardA()), m.api.troubles(cardB)...)
	if m.api.unit(m.cardA()) == nil {
		all = append(all, "it is not reported at all")
	}
	return all
}

// others: the other card is given to whoever asks meanwhile.
func (r *run) others(f *fault) error {
	m := r.m
	if strings.Contains(f.at.name, "journal") || strings.Contains(f.at.name, "folder") || (f.read != "" && !strings.Contains(f.read, portA)) {
		return nil // what others need, too
	}
	m.kubelet.end("b")
	begun, err := m.page.now(), error(nil)
	for m.page.now()-begun < 60*time.Second {
		if err = m.kubelet.run("b2", resourceB); err == nil {
			r.served = true
			return nil
		}
		time.Sleep(4 * time.Millisecond)
	}
	return fmt.Errorf("with the fault the other card is not given: %w", err)
}

// admin follows the remedies that the daemon tells: of a card that is quarantined nothing is ordered for a while, and a journal that
// it cannot read for good is removed.
func (r *run) admin() error {
	m := r.m
	if strings.HasPrefix(m.api.condition("", "Obeying"), "False JournalUnreadable") {
		m.mu.Lock()
		m.lose("gone")
		m.mu.Unlock()
	}
	quarantined := false
	for _, u := range list(m.api.status(), "units") {
		quarantined = quarantined || strings.HasPrefix(m.api.condition(fmt.Sprint(u["id"]), "Quarantined"), "True")
	}
	if !quarantined {
		return nil
	}
	r.orders = false
	r.order()
	m.kubelet.sleep(8 * time.Second)
	r.orders = true
	return nil
}

// --- stages --------------------------------------------------------------------------------------

func (r *run) runPod(name, resource string) error {
	if r.m.kubelet.pod(name) != nil {
		return nil
	}
	return r.m.kubelet.run(name, resource)
}

func (r *run) endPod(name string) error {
	r.m.kubelet.end(name)
	return nil
}

func (r *run) free(resource string, n int) string {
	if have := r.m.kubelet.devices(resource, false); len(have) != n {
		return fmt.Sprintf("%d of %s are free, not %d", len(have), resource, n)
	}
	return ""
}

func (r *run) driver(at, driver string) string {
	if f := r.m.kernel.functions[at]; f == nil || f.driver != driver {
		have := "-"
		if f != nil {
			have = f.driver
		}
		return fmt.Sprintf("%s is on %q, not %q", at, have, driver)
	}
	return ""
}

func first(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}

func audioOf(a *function) string { return strings.TrimSuffix(a.at, "0") + "1" }

func order(want string, more ...any) func(*run) object {
	return func(*run) object {
		o := object{"want": want}
		for i := 0; i+1 < len(more); i += 2 {
			o[more[i].(string)] = more[i+1]
		}
		return o
	}
}

// b: the other card is bound and listed.
func (r *run) b() string {
	if r.m.kubelet.pod("b") == nil && r.m.kubelet.pod("b2") == nil {
		return first(r.driver(cardB, "vfio-pci"), r.free(resourceB, 1))
	}
	return r.driver(cardB, "vfio-pci")
}

func (r *run) holder(at, pod string) string {
	have := ""
	if h, ok := r.m.api.unit(at)["holder"].(object); ok {
		have = fmt.Sprint(h["pod"])
	}
	if have != pod {
		return fmt.Sprintf("%s is reported with %q, not with %q", at, have, pod)
	}
	return ""
}

// seen: the report says that the pod has a vGPU of the card.
func (r *run) seen(a *function, pod string) string {
	for _, s := range list(r.m.api.unit(a.at), "slots") {
		if s["holder"] == "default/"+pod {
			return ""
		}
	}
	return "no vGPU is reported with " + pod
}

func (r *run) back(a *function) string {
	return first(r.driver(a.at, "nvidia"), r.driver(audioOf(a), "snd_hda_intel"), clear(a), clear(r.m.kernel.functions[audioOf(a)]), r.b())
}

func clear(f *function) string {
	if f.override != "" {
		return fmt.Sprintf("%s has the driver_override %q", f.at, f.override)
	}
	return ""
}

func bound(r *run, a *function) string {
	return first(r.driver(a.at, "vfio-pci"), r.driver(audioOf(a), "vfio-pci"), r.free(l40s, 1), r.b())
}

var passthrough = []stage{
	{"bound", order("vfio"), nil, bound},
	{"given", nil, func(r *run) error {
		if err := r.runPod("a", l40s); err != nil {
			return err
		}
		if r.m.kubelet.pod("b2") == nil {
			return r.runPod("b", resourceB)
		}
		return nil
	}, func(r *run, a *function) string { return r.holder(a.at, "a") }},
	{"taken back", nil, func(r *run) error { return r.endPod("a") }, func(r *run, a *function) string {
		return first(r.free(l40s, 1), r.holder(a.at, ""))
	}},
	{"given again", nil, func(r *run) error { return r.runPod("c", l40s) }, func(r *run, a *function) string { return r.holder(a.at, "c") }},
	{"taken back again", nil, func(r *run) error { return r.endPod("c") }, func(r *run, a *function) string {
		return first(r.free(l40s, 1), r.holder(a.at, ""))
	}},
	{"back at the host", order("host"), nil, func(r *run, a *function) string { return r.back(a) }},
}

// made: as many vGPUs as pods.
func (r *run) made(a *function) string {
	pods := 0
	for _, p := range r.m.kubelet.list() {
		if p.resource != resourceB {
			pods++
		}
	}
	if have := r.m.kernel.vgpus(a); len(have) != pods {
		return fmt.Sprintf("there are %q for %d pods", have, pods)
	}
	return ""
}

func onDemand(small, big string, n, m int) []stage {
	return []stage{
		{"cut", order("vgpu", "vfs", 4), nil, func(r *run, a *function) string {
			if len(a.vfs) != 4 {
				return fmt.Sprintf("%d virtual functions are there", len(a.vfs))
			}
			return first(r.free(small, n), r.free(big, m), r.b())
		}},
		{"one", nil, func(r *run) error { return r.runPod("a", small) }, func(r *run, a *function) string {
			return first(r.made(a), r.free(small, n-1), r.free(big, 0), r.seen(a, "a"))
		}},
		{"two", nil, func(r *run) error { return r.runPod("c", small) }, func(r *run, a *function) string {
			return first(r.made(a), r.seen(a, "c"))
		}},
		{"one again", nil, func(r *run) error { return r.endPod("a") }, func(r *run, a *function) string { return r.made(a) }},
		{"none", nil, func(r *run) error { return r.endPod("c") }, func(r *run, a *function) string {
			return first(r.made(a), r.free(small, n), r.free(big, m))
		}},
		{"another size", nil, func(r *run) error { return r.runPod("d", big) }, func(r *run, a *function) string {
			return first(r.made(a), r.seen(a, "d"))
		}},
		{"none again", nil, func(r *run) error { return r.endPod("d") }, func(r *run, a *function) string { return r.made(a) }},
		{"whole", order("vgpu", "vfs", 0), nil, func(r *run, a *function) string {
			if len(a.vfs) != 0 {
				return fmt.Sprintf("%d virtual functions are there", len(a.vfs))
			}
			return r.b()
		}},
	}
}

// slots orders vGPUs one by one: "FUNCTION TYPE".
func slots_(all ...any) func(*run) object {
	return func(r *run) object {
		out := []object{}
		for i := 0; i+1 < len(all); i += 2 {
			at := fmt.Sprintf("%s%d", strings.TrimSuffix(r.m.cardA(), "0"), 4+all[i].(int))
			out = append(out, object{"vf": at, "type": all[i+1]})
		}
		return object{"want": "vgpu", "vfs": 4, "slots": out}
	}
}

func (r *run) has(a *function, vgpus ...string) string {
	var want []string
	for _, v := range vgpus {
		want = append(want, strings.TrimSuffix(a.at, "0")+v)
	}
	if have := r.m.kernel.vgpus(a); !slices.Equal(have, want) {
		return fmt.Sprintf("there are %q, not %q", have, want)
	}
	return ""
}

func ordered(small, big vgpuType, resource, other string) []stage {
	four, five, six := fmt.Sprintf("4 %d", small.id), fmt.Sprintf("5 %d", small.id), fmt.Sprintf("6 %d", big.id)
	return []stage{
		{"made", slots_(0, small.name, 1, small.name), nil, func(r *run, a *function) string {
			return first(r.has(a, four, five), r.free(resource, 2), r.b())
		}},
		{"given", nil, func(r *run) error { return r.runPod("a", resource) }, func(r *run, a *function) string {
			return first(r.has(a, four, five), r.free(resource, 1), r.seen(a, "a"))
		}},
		{"taken back", nil, func(r *run) error { return r.endPod("a") }, func(r *run, a *function) string {
			return first(r.has(a, four, five), r.free(resource, 2))
		}},
		{"others", slots_(2, big.name), nil, func(r *run, a *function) string { return first(r.has(a, six), r.free(other, 1)) }},
		{"whole", order("vgpu", "vfs", 0), nil, func(r *run, a *function) string {
			if len(a.vfs) != 0 {
				return fmt.Sprintf("%d virtual functions are there", len(a.vfs))
			}
			return r.b()
		}},
	}
}

// hasty: pods that end before the kubelet lists them.
func hasty(resource string, before func(*run) object, n int) []stage {
	return []stage{
		{"cut", before, nil, func(r *run, a *function) string { return first(r.free(resource, n), r.b()) }},
		{"given", nil, func(r *run) error { return r.runPod("a", resource) }, func(r *run, a *function) string { return "" }},
		{"taken back", nil, func(r *run) error { return r.endPod("a") }, func(r *run, a *function) string { return r.free(resource, n) }},
		{"given again", nil, func(r *run) error { return r.runPod("c", resource) }, func(r *run, a *function) string { return "" }},
		{"whole", order("vgpu", "vfs", 0), func(r *run) error { return r.endPod("c") }, func(r *run, a *function) string {
			if len(a.vfs) != 0 {
				return fmt.Sprintf("%d virtual functions are there", len(a.vfs))
			}
			return r.b()
		}},
	}
}

var plainVFs = []stage{
	{"cut", order("vgpu", "vfs", 4), nil, func(r *run, a *function) string {
		if len(a.vfs) != 4 {
			return fmt.Sprintf("%d virtual functions are there", len(a.vfs))
		}
		return r.b()
	}},
	{"fewer", order("vgpu", "vfs", 2), nil, func(r *run, a *function) string {
		if len(a.vfs) != 2 {
			return fmt.Sprintf("%d virtual functions are there", len(a.vfs))
		}
		return r.b()
	}},
	{"whole", order("vgpu", "vfs", 0), nil, func(r *run, a *function) string {
		if len(a.vfs) != 0 {
			return fmt.Sprintf("%d virtual functions are there", len(a.vfs))
		}
		return r.b()
	}},
}

var (
	l40sTypes = []vgpuType{{1153, "NVIDIA L40S-12Q", 12288, 4}, {1155, "NVIDIA L40S-24Q", 24576, 2}}
	a2Types   = []vgpuType{{746, "NVIDIA A2-4Q", 4096, 4}, {747, "NVIDIA A2-8Q", 8192, 2}}
)

func cut(face string) shape {
	if face == "vfio" {
		return shape{driver: "nvidia", native: "nvidia", vendor: 0x10de, device: 0x26b9, vfs: 4, face: face, types: l40sTypes}
	}
	return shape{driver: "nvidia", native: "nvidia", vendor: 0x10de, device: 0x25b6, vfs: 4, face: face, types: a2Types}
}

var scenarios = []*scenario{
	{"bind", shape{driver: "nvidia", native: "nvidia", audio: true, vendor: 0x10de, device: 0x26b9}, passthrough},
	{"demand-vfio", cut("vfio"), onDemand("nvidia.com/NVIDIA_L40S-12Q", "nvidia.com/NVIDIA_L40S-24Q", 4, 2)},
	{"demand-mdev", cut("mdev"), onDemand("nvidia.com/NVIDIA_A2-4Q", "nvidia.com/NVIDIA_A2-8Q", 4, 2)},
	{"slots-vfio", cut("vfio"), ordered(l40sTypes[0], l40sTypes[1], "nvidia.com/NVIDIA_L40S-12Q", "nvidia.com/NVIDIA_L40S-24Q")},
	{"slots-mdev", cut("mdev"), ordered(a2Types[0], a2Types[1], "nvidia.com/NVIDIA_A2-4Q", "nvidia.com/NVIDIA_A2-8Q")},
	{"hasty-demand", cut("vfio"), hasty("nvidia.com/NVIDIA_L40S-12Q", order("vgpu", "vfs", 4), 4)},
	{"hasty-slots", cut("mdev"), hasty("nvidia.com/NVIDIA_A2-4Q", slots_(0, a2Types[0].name, 1, a2Types[0].name), 2)},
	{"sriov", shape{driver: "xe", native: "xe", vendor: 0x8086, device: 0x56c0, vfs: 4}, plainVFs},
}

// --- the whole -----------------------------------------------------------------------------------

// play runs the scenario to its end. What is said is what was wrong, "": nothing.
func (r *run) play() string {
	r.orders = true
	r.m.act = func(kind string) { r.act(kind) }
	for i := range r.sc.stages {
		if err := r.stage(i, &r.sc.stages[i]); err != nil {
			return err.Error()
		}
	}
	if r.m.met > 0 {
		r.m.heal()
	}
	if err := r.rest(); err != nil {
		return err.Error()
	}
	return r.m.verdict()
}

// rest: when all is done nothing more is written, also by a daemon that starts anew.
func (r *run) rest() error {
	m := r.m
	if err := r.quiet(); err != nil {
		return err
	}
	m.mu.Lock()
	m.killedBy = true
	m.mu.Unlock()
	m.programs.kill(false)
	starts := m.programs.count()
	for begun := time.Now(); m.programs.count() == starts; {
		time.Sleep(time.Millisecond)
		if time.Since(begun) > realLimit {
			return fmt.Errorf("the daemon was not started again")
		}
	}
	m.kubelet.sleep(time.Second)
	if err := r.quiet(); err != nil {
		return fmt.Errorf("after a start: %w", err)
	}
	last, from, begun := r.sc.stages[len(r.sc.stages)-1], m.page.now(), time.Now()
	for {
		no := r.reached(&last)
		if no == "" {
			return nil
		}
		if err := r.faulty(m.page.now(), from, no); err != nil {
			return err
		}
		if m.page.now()-max(from, r.since()) > settled && !(stays(m.fault) && !m.healed && m.met > 0) && time.Since(begun) > 5*time.Second {
			return fmt.Errorf("it did not stay so: %s", no)
		}
		time.Sleep(4 * time.Millisecond)
	}
}

func (r *run) quiet() error {
	m := r.m
	writes := func() int {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.kernel.writes
	}
	last, since, begun := writes(), m.page.now(), m.page.now()
	for m.page.now()-since < calm {
		if now := writes(); now != last {
			last, since = now, m.page.now()
		}
		if m.page.now()-begun > settled {
			return fmt.Errorf("%v after all was done it is written still", settled)
		}
		time.Sleep(4 * time.Millisecond)
	}
	return nil
}

func (m *machine) verdict() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := append(slices.Clone(m.kernel.violations), m.wrong...)
	return strings.Join(all, "; ")
}

// act is a fault that is none of the machine's.
func (r *run) act(kind string) {
	m := r.m
	resource := resourceB
	if len(m.shape.types) > 0 {
		resource = "nvidia.com/" + strings.ReplaceAll(m.shape.types[0].name, " ", "_")
	} else if m.shape.audio {
		resource = l40s
	}
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.acting--
	}()
	if kind != "removed" {
		m.kubelet.misbehave(kind, resource)
		return
	}
	asked := make(chan bool)
	go func() {
		if free := m.kubelet.devices(resource, true); len(free) > 0 {
			_, _ = m.kubelet.ask(resource, free[0])
		}
		close(asked)
	}()
	m.pull()
	<-asked
	m.kubelet.sleep(8 * time.Second)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kernel != nil && m.kernel.functions[m.cardA()] == nil && m.reboot == nil {
		m.plugA()
	}
}
