package faults

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// layout is what lies where after a boot.
type layout struct {
	bus   string // of the card that a fault is about
	other bool   // another card is in its slot
}

// machine is a node with one card that faults are about, one that must be served all the same, and a disk that is nobody's.
type machine struct {
	dir        string
	page       *page
	shape      shape
	layout     layout
	boots      int
	api        *api
	kubelet    *kubelet
	ctl, tools net.Listener

	works    atomic.Int32 // how often somebody here began or ended something
	closed   atomic.Bool
	watched  atomic.Bool // the eyes run
	told     sync.Mutex  // history
	mu       sync.Mutex
	kernel   *kernel
	fault    *fault
	counts   map[string]int
	record   *recording
	met      time.Duration // when the fault came, 0: not yet
	healed   bool
	healedAt time.Duration
	struck   int
	acting   int
	waiting  []chan struct{}   // writers that hang
	late     []func()          // what a write that hangs does when it is let go
	pending  map[int]operation // of the journal, between before and after
	disk     disk
	reboot   *reboot // to be done when the daemon is dead
	programs programs
	killedBy bool // the death of the daemon is ours
	wrong    []string
	act      func(kind string) // faults that are not the machine's
	url      string
	history  []string
	last     string // record of the journal
}

type operation struct{ what, path, name string }

// recording is what a run without a fault shows.
type recording struct {
	ops   []place
	reads map[string]bool // path, and whether it is a link or a folder
	kinds map[string]string
}

// disk is what of the journal's folder would be there after the power is lost.
type disk struct {
	files map[uint64][]byte
	names map[string]uint64
}

type reboot struct {
	layout  layout
	journal string // what is done to it: "", durable, written, torn, empty, newer, gone
}

// shape is which cards a machine has.
type shape struct {
	driver, native string
	audio          bool
	device, vendor int
	vfs            int
	face           string
	types          []vgpuType
}

const (
	portA = "devices/pci0000:40/0000:40:01.0"
	portB = "devices/pci0000:60/0000:60:01.0"
	cardB = "0000:61:00.0"
	diskC = "0000:01:00.0"
)

func newMachine(dir string, s shape) (*machine, error) {
	m := &machine{dir: dir, shape: s, layout: layout{bus: "41"}, counts: map[string]int{}, pending: map[int]operation{},
		disk: disk{files: map[uint64][]byte{}, names: map[string]uint64{}}}
	for _, d := range []string{"state", "plugins", "pods", "instead"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	var err error
	if m.page, err = newPage(filepath.Join(dir, "shm")); err != nil {
		return nil, err
	}
	m.stuff()
	m.boot()
	if m.ctl, err = net.Listen("unixpacket", filepath.Join(dir, "ctl")); err != nil {
		return nil, err
	}
	go m.serve()
	if err = m.tool(); err != nil {
		return nil, err
	}
	go m.clock()
	m.api = newAPI(m)
	m.kubelet = newKubelet(m)
	return m, nil
}

func (m *machine) close() {
	m.programs.end(m)
	m.heal()
	m.closed.Store(true)
	m.ctl.Close()
	m.tools.Close()
	m.kubelet.stop()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kernel, m.disk = nil, disk{}
	_ = os.RemoveAll(m.dir)
}

// stuff are the files that a read may get instead.
func (m *machine) stuff() {
	in := filepath.Join(m.dir, "instead")
	_ = os.WriteFile(in+"/empty", nil, 0o644)
	_ = os.WriteFile(in+"/garbage", []byte("\xff\x00\x1b[31m}{garbage\n\n"), 0o644)
	_ = os.WriteFile(in+"/long", []byte(strings.Repeat("A", 1<<20)), 0o644)
	_ = os.WriteFile(in+"/other", []byte("0x1234\n"), 0o644)
	_ = os.MkdirAll(in+"/empty.d", 0o755)
	_ = os.MkdirAll(in+"/garbage.d", 0o755)
	for _, name := range []string{"\xff\xfe", "0000:zz:00.0", "virtfn9", "x"} {
		_ = os.WriteFile(in+"/garbage.d/"+name, nil, 0o644)
	}
	_ = os.MkdirAll(in+"/long.d", 0o755)
	for i := range 3000 {
		_ = os.Symlink("x", fmt.Sprintf("%s/long.d/f%d", in, i))
	}
}

// --- boot ----------------------------------------------------------------------------------------

// boot makes the machine as firmware and kernel leave it.
func (m *machine) boot() {
	m.boots++
	for _, d := range []string{"sys", "proc"} {
		_ = os.RemoveAll(filepath.Join(m.dir, d))
	}
	_ = os.WriteFile(filepath.Join(m.dir, "boot_id"), fmt.Appendf(nil, "00000000-0000-4000-8000-%012d\n", m.boots), 0o644)
	k := &kernel{root: m.dir, functions: map[string]*function{}, groups: 9, held: map[string]string{}, dirty: map[string]string{}, resets: map[string]int{}}
	if m.kernel != nil {
		k.violations, k.writes = m.kernel.violations, m.kernel.writes
	}
	m.kernel = k
	for _, d := range []string{"sys/bus/pci/devices", "sys/bus/pci/drivers/vfio-pci", "sys/bus/mdev/devices", "sys/class/vfio", "sys/class/mdev_bus",
		"sys/class/iommu/dmar0", "sys/module/nvidia", "proc/1/fd", "proc/self/ns"} {
		_ = os.MkdirAll(filepath.Join(m.dir, d), 0o755)
	}
	k.put("sys/bus/pci/drivers_probe", "")
	for _, d := range []string{"vfio-pci", "nvidia", "snd_hda_intel", "nvme", "xe"} {
		k.put("sys/bus/pci/drivers/"+d+"/unbind", "")
	}
	k.put("sys/module/nvidia/version", "595.45.04\n")
	k.put("proc/devices", "Character devices:\n195 nvidia\n243 vfio\n")
	k.put("proc/1/maps", "")
	_ = os.Symlink("pid:[4026531836]", filepath.Join(m.dir, "proc/self/ns/pid"))
	_ = os.Symlink("/dev/null", filepath.Join(m.dir, "proc/1/fd/0"))
	m.plug()
}

func (m *machine) plug() {
	k := m.kernel
	k.add(&function{at: diskC, dir: "sys/devices/pci0000:00/" + diskC, vendor: 0x144d, device: 0xa80a, class: 0x010802, driver: "nvme", native: "nvme"})
	k.add(&function{at: "0000:40:01.0", dir: "sys/" + portA, vendor: 0x8086, device: 0x352a, class: 0x060400, driver: "pcieport", native: "pcieport"})
	k.add(&function{at: "0000:60:01.0", dir: "sys/" + portB, vendor: 0x8086, device: 0x352a, class: 0x060400, driver: "pcieport", native: "pcieport"})
	m.plugA()
	k.add(&function{at: cardB, dir: "sys/" + portB + "/" + cardB, vendor: 0x10de, device: 0x20b5, class: 0x030200})
}

// plugA is the card that faults are about, or another one in its slot.
func (m *machine) plugA() {
	k, s, at := m.kernel, m.shape, m.cardA()
	a := &function{at: at, dir: "sys/" + portA + "/" + at, vendor: s.vendor, device: s.device, class: 0x030200, driver: s.driver, native: s.native,
		total: s.vfs, face: s.face, types: s.types}
	if m.layout.other {
		*a = function{at: at, dir: a.dir, vendor: 0x10de, device: 0x2321, class: 0x030200}
	}
	k.add(a)
	if s.audio && !m.layout.other {
		audio := strings.TrimSuffix(at, "0") + "1"
		k.add(&function{at: audio, dir: "sys/" + portA + "/" + audio, vendor: s.vendor, device: 0x22ba, class: 0x040300,
			driver: "snd_hda_intel", native: "snd_hda_intel", group: a.group, companionOf: at})
	}
	if a.driver == "xe" {
		k.file(a.dir+"/drm/card0", "dev", "226:0\n")
	}
}

// pull takes the card out of its slot, whoever has it.
func (m *machine) pull() {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.kernel.functions[m.cardA()]
	if a == nil {
		return
	}
	m.kubelet.mu.Lock()
	for name, p := range m.kubelet.pods {
		if p.resource != resourceB {
			for _, d := range p.devices {
				delete(m.kernel.held, d)
			}
			delete(m.kubelet.pods, name)
		}
	}
	m.kubelet.mu.Unlock()
	m.kernel.setVFs(a, 0, "")
	for _, at := range []string{audioOf(a), a.at} {
		if f := m.kernel.functions[at]; f != nil {
			m.kernel.gone(f)
		}
	}
	m.kernel.dirty = map[string]string{}
}

func (m *machine) cardA() string { return "0000:" + m.layout.bus + ":00.0" }

// --- the vendor's tool ---------------------------------------------------------------------------

// tool answers in the place of sriov-manage.
func (m *machine) tool() error {
	l, err := net.Listen("unix", filepath.Join(m.dir, "tool"))
	if err != nil {
		return err
	}
	m.tools = l
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				line := make([]byte, 256)
				n, _ := c.Read(line)
				words := strings.Fields(string(line[:n]))
				if len(words) != 3 {
					return
				}
				verdict := m.ask(0, "tool", "sys/"+words[2]+"/"+words[1], nil)
				if verdict.verdict == proceed {
					_, _ = c.Write([]byte("0 \n"))
				} else if verdict.verdict == refuse {
					_, _ = c.Write([]byte("1 it failed\n"))
				}
			}()
		}
	}()
	return nil
}

func (m *machine) runTool(word, at string) syscall.Errno {
	f := m.kernel.functions[at]
	if f == nil || f.driver != "nvidia" {
		return syscall.ENODEV
	}
	m.kernel.writes++
	return m.kernel.setVFs(f, map[bool]int{true: f.total}[word == "-e"], "nvidia")
}

// tell adds a line to what is kept of a run that fails.
func (m *machine) tell(format string, args ...any) {
	m.told.Lock()
	defer m.told.Unlock()
	m.history = append(m.history, fmt.Sprintf("%8.3f ", m.page.now().Seconds())+fmt.Sprintf(format, args...))
}

// --- power ---------------------------------------------------------------------------------------

// note keeps what a sync has put on the disk.
func (m *machine) note(path string) {
	full := filepath.Join(m.dir, path)
	st, err := os.Stat(full)
	if err != nil {
		return
	}
	if !st.IsDir() {
		if bytes, err := os.ReadFile(full); err == nil {
			m.disk.files[st.Sys().(*syscall.Stat_t).Ino] = append([]byte{}, bytes[:end(bytes)]...)
		}
		return
	}
	m.disk.names = map[string]uint64{}
	entries, _ := os.ReadDir(full)
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			m.disk.names[e.Name()] = info.Sys().(*syscall.Stat_t).Ino
		}
	}
}

// lose leaves of the journal's folder what the power cut leaves, and does what is to be done to the journal.
func (m *machine) lose(what string) {
	state := filepath.Join(m.dir, "state")
	if what == "durable" || what == "torn" {
		kept := map[string][]byte{}
		for name, ino := range m.disk.names {
			kept[name] = m.disk.files[ino]
		}
		if what == "torn" { // half of what was written since
			whole, _ := os.ReadFile(state + "/journal")
			kept["journal"] = half(kept["journal"], whole)
		}
		_ = os.RemoveAll(state)
		_ = os.MkdirAll(state, 0o700)
		for name, bytes := range kept {
			at := filepath.Join(state, name)
			if os.WriteFile(at, bytes, 0o600) == nil && name != "journal.lock" {
				_ = os.Truncate(at, max(1<<20, int64(len(bytes)))) // with the zeros behind its end
			}
		}
	}
	journal := state + "/journal"
	switch bytes, _ := os.ReadFile(journal); what {
	case "empty":
		_ = os.WriteFile(journal, nil, 0o600)
	case "newer":
		_ = os.WriteFile(journal, newer(bytes), 0o600)
	case "gone":
		_ = os.Remove(journal)
	case "damaged":
		if n := end(bytes); n > 200 {
			copy(bytes[n/2:], "0000000000000000000000000000000000000000")
			_ = os.WriteFile(journal, bytes, 0o600)
		}
	}
	m.note("state/journal")
	m.note("state")
}

// end is where the zeros begin.
func end(bytes []byte) int {
	n := len(bytes)
	for n > 0 && bytes[n-1] == 0 {
		n--
	}
	return n
}

func half(durable, written []byte) []byte {
	from := 0
	for from < len(durable) && from < len(written) && durable[from] == written[from] {
		from++
	}
	if from < len(durable) {
		return durable // it is another file by now
	}
	return append(append([]byte{}, durable...), written[from:from+(end(written)-from)/2]...)
}

// newer has a head of the next version, with the right sum.
func newer(bytes []byte) []byte {
	line, rest, ok := strings.Cut(string(bytes), "\n")
	if !ok {
		return bytes
	}
	_, body, _ := strings.Cut(line, " ")
	numbers, doc, _ := strings.Cut(body, " {")
	var record map[string]map[string]any
	if json.Unmarshal([]byte("{"+doc), &record) != nil || record["head"] == nil {
		return bytes
	}
	body = strings.Replace(numbers+" {"+doc, `"version":1`, `"version":9`, 1)
	return []byte(sum(body) + " " + body + "\n" + rest)
}
