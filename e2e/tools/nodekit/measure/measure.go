// Package measure plays the kubelet for a device plugin that it starts, and times it: until all is listed, Allocates, a kubelet
// that starts again, a card that is pulled out and put back, and rest. It prints one JSON object; times are in ms or us.
package measure

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Usage is one line for the tool's help.
const Usage = "measure [--devices N] [--calls N] [--return] [--idle TIME] [--restart kubelet|socket] [--replug ADDRESS --event FILE] ... -- PLUGIN..."

type options struct {
	folder, log, resource, restart, replug, event string
	devices, calls, size                          int
	back, show, once                              bool
	settle, idle, gap, most, pause                time.Duration
	plugin                                        []string
}

func flags(args []string) (*options, bool) {
	o := &options{}
	f := flag.NewFlagSet("measure", flag.ContinueOnError)
	f.StringVar(&o.folder, "dir", "/var/lib/kubelet/device-plugins", "folder of kubelet.sock")
	f.StringVar(&o.log, "log", "/dev/null", "file for what the plugin says")
	f.IntVar(&o.devices, "devices", 1, "it is up when its lists hold so many")
	f.DurationVar(&o.settle, "settle", time.Second, "time between that and the first measuring")
	f.DurationVar(&o.idle, "idle", 0, "CPU and wake-ups are counted so long")
	f.IntVar(&o.calls, "calls", 0, "Allocates, at least: rounds of all devices, after one round that is not timed")
	f.IntVar(&o.size, "round", 0, "devices of a round, if not all of them")
	f.StringVar(&o.resource, "resource", "", "end of the name of the resource that is asked for")
	f.DurationVar(&o.pause, "pause", 0, "between two Allocates")
	f.BoolVar(&o.back, "return", false, "after a round a pod is listed with all, then none, and it is waited until the plugin rests")
	f.BoolVar(&o.once, "once", false, "one round of so many calls, timed from the first on")
	f.BoolVar(&o.show, "show", false, "what there is: the resources, and what one container of each would get")
	f.StringVar(&o.replug, "replug", "", "address of a card that is pulled out and put back")
	f.StringVar(&o.event, "event", "", "file that \"change\" is written to then: a real uevent of a device that nobody looks at")
	f.StringVar(&o.restart, "restart", "", "a kubelet starts again: 'kubelet' sweeps its folder as it does, 'socket' replaces its socket alone")
	f.DurationVar(&o.gap, "gap", 0, "in a restart, so long there is no kubelet.sock")
	f.DurationVar(&o.most, "timeout", 10*time.Second, "limit of each step")
	if f.Parse(args) != nil || f.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage:", Usage)
		return nil, false
	}
	o.plugin = f.Args()
	return o, true
}

// run is one life of a plugin.
type run struct {
	*options
	figures
	k    *kubelet
	pods *holders
	pid  int
}

// Command is the subcommand.
func Command(_ context.Context, args []string) int {
	o, ok := flags(args)
	if !ok {
		return 2
	}
	m := &run{options: o, figures: figures{}, k: &kubelet{folder: o.folder, change: make(chan struct{}, 1)}, pods: &holders{}}
	if err := m.all(); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		return 1
	}
	_ = json.NewEncoder(os.Stdout).Encode(m.figures)
	return 0
}

func (m *run) all() error {
	m.k.sweep()
	if err := m.k.serve(); err != nil {
		return err
	}
	defer m.k.stop()
	if err := m.pods.serve(filepath.Join(filepath.Dir(m.folder), "pod-resources/kubelet.sock")); err != nil {
		return err
	}
	end, err := m.start()
	if err != nil {
		return err
	}
	defer end()
	if m.figures["start_to_lists_ms"] == nil {
		return nil
	}
	time.Sleep(m.settle)
	m.usage(m.pid, "start")
	if m.idle > 0 {
		m.rest()
	}
	for _, step := range []struct {
		wanted bool
		do     func() error
	}{{m.calls > 0, m.allocate}, {m.replug != "", m.replugged}, {m.restart != "", m.restarted}, {m.show, m.shown}} {
		if !step.wanted {
			continue
		}
		if err := step.do(); err != nil {
			return err
		}
	}
	m.usage(m.pid, "end")
	m.k.mu.Lock()
	defer m.k.mu.Unlock()
	if len(m.k.refused) > 0 {
		m.figures["refused"] = m.k.refused
	}
	return nil
}

// start begins the plugin's life; times run from its fork.
func (m *run) start() (end func(), err error) {
	log, err := os.Create(m.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(m.plugin[0], m.plugin[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	from := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	m.pid = cmd.Process.Pid
	up := m.k.wait(m.most, func() bool { return m.k.count(false) >= m.devices })
	m.k.mu.Lock()
	first, last, lists := m.k.times()
	m.figures["resources"], m.figures["devices"], m.figures["healthy"] = len(m.k.resources), m.k.count(false), m.k.count(true)
	m.k.mu.Unlock()
	m.figures["start_to_register_ms"], m.figures["start_to_last_register_ms"] = since(from, first), since(from, last)
	m.figures["start_to_lists_ms"] = nil
	if up {
		m.figures["start_to_lists_ms"] = since(from, lists)
	}
	return func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		t := time.AfterFunc(2*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		t.Stop()
	}, nil
}

func (m *run) rest() {
	cpu, woken := cpuSeconds(m.pid), switches(m.pid)
	time.Sleep(m.idle)
	m.figures["idle_s"], m.figures["idle_cpu_ms"], m.figures["idle_wakeups"] = m.idle.Seconds(), (cpuSeconds(m.pid)-cpu)*1e3, switches(m.pid)-woken
}

// restarted: times run from the moment at which the new kubelet.sock accepts.
func (m *run) restarted() error {
	m.k.mu.Lock()
	want, n := m.k.count(false), len(m.k.resources)
	m.k.mu.Unlock()
	m.k.stop()
	time.Sleep(100 * time.Millisecond)
	if m.restart == "kubelet" {
		m.k.sweep()
	}
	time.Sleep(m.gap)
	if err := m.k.serve(); err != nil {
		return err
	}
	m.figures["restart_to_lists_ms"] = nil
	if m.k.wait(m.most, func() bool { return len(m.k.resources) >= n && m.k.count(false) >= want }) {
		m.k.mu.Lock()
		_, _, lists := m.k.times()
		m.figures["restart_to_lists_ms"] = since(m.k.serving, lists)
		m.k.mu.Unlock()
	}
	return nil
}

// replugged: a plugin may look at /sys when the kernel tells of a change, or at /dev/vfio: it finds both.
func (m *run) replugged() error {
	link := "/sys/bus/pci/devices/" + m.replug
	group, err := os.Readlink(link + "/iommu_group")
	if err != nil {
		return err
	}
	node, aside := "/dev/vfio/"+filepath.Base(group), "/sys/bus/pci/"+m.replug
	m.k.mu.Lock()
	all := m.k.count(true)
	m.k.mu.Unlock()
	m.figures["unplug_ms"], m.figures["replug_ms"] = nil, nil
	from := time.Now()
	if err := firstError(os.Rename(link, aside), os.Remove(node), m.tell()); err != nil {
		return err
	}
	if m.k.wait(m.most, func() bool { return m.k.count(true) < all }) {
		m.figures["unplug_ms"] = ms(time.Since(from))
	}
	time.Sleep(time.Second)
	from = time.Now()
	if err := firstError(os.Rename(aside, link), os.WriteFile(node, nil, 0o600), m.tell()); err != nil {
		return err
	}
	if m.k.wait(m.most, func() bool { return m.k.count(true) >= all }) && m.figures["unplug_ms"] != nil {
		m.figures["replug_ms"] = ms(time.Since(from))
	}
	return nil
}

func (m *run) tell() error {
	if m.event == "" {
		return nil
	}
	f, err := os.OpenFile(m.event, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString("change")
	return err
}

func firstError(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}
