package faults

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// played is a machine without programs.
func played(t *testing.T, face string) *machine {
	t.Helper()
	m := &machine{dir: t.TempDir(), shape: cut(face), layout: layout{bus: "41"}}
	if face == "" {
		m.shape = scenarios[0].shape
	}
	m.boot()
	return m
}

func (m *machine) must(t *testing.T, want syscall.Errno, path, text string) {
	t.Helper()
	if got := m.kernel.write(path, text); got != want {
		t.Fatalf("%q to %s: %v, not %v", text, path, got, want)
	}
}

const a0, driversOfPCI = "sys/" + portA + "/0000:41:00.0", "sys/bus/pci/drivers/"

func TestBindsAsLinuxDoes(t *testing.T) {
	m := played(t, "")
	m.must(t, 0, a0+"/driver_override", "vfio-pci\n")
	m.must(t, syscall.ENODEV, driversOfPCI+"vfio-pci/unbind", "0000:41:00.0")
	m.must(t, 0, driversOfPCI+"nvidia/unbind", "0000:41:00.0")
	m.must(t, 0, "sys/bus/pci/drivers_probe", "0000:41:00.0")
	if link, _ := os.Readlink(m.dir + "/" + a0 + "/driver"); !strings.HasSuffix(link, "/drivers/vfio-pci") {
		t.Fatalf("its driver is %s", link)
	}
	if v := m.kernel.violations; len(v) > 0 {
		t.Fatal(v)
	}
}

func TestWhatMustNotHappenIsSeen(t *testing.T) {
	for name, do := range map[string]func(m *machine){
		"unbound while pod has it": func(m *machine) { m.kernel.write(driversOfPCI+"nvidia/unbind", "0000:41:00.0") },
		"reset while pod has it":   func(m *machine) { m.kernel.write(a0+"/reset", "1") },
		"is no GPU":                func(m *machine) { m.kernel.write("sys/devices/pci0000:00/"+diskC+"/driver_override", "vfio-pci") },
		"was written to":           func(m *machine) { m.kernel.write(a0+"/remove", "1") },
		"is with pod":              func(m *machine) { m.kernel.begin(&pod{name: "other", devices: []string{"0000:41:00.0"}}) },
		"and is not there":         func(m *machine) { m.kernel.begin(&pod{name: "other", devices: []string{"0000:77:00.0"}}) },
		"given to other as pod left": func(m *machine) {
			m.kernel.dirty[cardB] = "pod"
			m.kernel.begin(&pod{name: "other", devices: []string{cardB}})
		},
		"on driver \"\"":     func(m *machine) { m.kernel.begin(&pod{name: "other", devices: []string{cardB}}) },
		"without a variable": func(m *machine) { m.kernel.begin(&pod{name: "other"}) },
	} {
		m := played(t, "")
		m.kernel.held["0000:41:00.0"] = "pod"
		do(m)
		if v := strings.Join(m.kernel.violations, "; "); !strings.Contains(v, name) {
			t.Errorf("%s: seen was %q", name, v)
		}
	}
}

func TestVGPUsOfOneSize(t *testing.T) {
	m := played(t, "vfio")
	m.runTool("-e", "0000:41:00.0")
	place := func(n string) string { return "sys/" + portA + "/0000:41:00." + n + "/nvidia/current_vgpu_type" }
	m.must(t, 0, place("4"), "1155")
	m.must(t, syscall.EIO, place("4"), "1155")
	m.must(t, syscall.EIO, place("5"), "1153")
	m.must(t, 0, place("5"), "1155")
	m.must(t, syscall.EIO, place("6"), "1155")
	m.must(t, 0, place("4"), "0")
	m.must(t, syscall.EPERM, place("4"), "0")
	m.kernel.held["0000:41:00.5"] = "pod"
	m.must(t, 0, place("5"), "0")
	if v := strings.Join(m.kernel.violations, "; "); !strings.Contains(v, "removed while pod has it") {
		t.Errorf("seen was %q", v)
	}
}

func TestPowerCutKeepsWhatWasSynced(t *testing.T) {
	for what, want := range map[string]string{"durable": "one", "torn": "onetw", "written": "onetwoo"} {
		m := played(t, "")
		m.disk = disk{map[uint64][]byte{}, map[string]uint64{}}
		_ = os.MkdirAll(m.dir+"/state", 0o755)
		_ = os.WriteFile(m.dir+"/state/journal", []byte("one"), 0o600)
		m.note("state/journal")
		m.note("state")
		_ = os.WriteFile(m.dir+"/state/journal", []byte("onetwoo"), 0o600)
		m.lose(what)
		got, _ := os.ReadFile(m.dir + "/state/journal")
		if got = got[:end(got)]; string(got) != want {
			t.Errorf("%s: %q, not %q", what, got, want)
		}
	}
}
