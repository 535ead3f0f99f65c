package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// programs are the two that run on a machine. Whoever dies is started again, as a DaemonSet does.
type programs struct {
	mu           sync.Mutex
	daemon, eyes *exec.Cmd
	ending       bool
	alive        sync.WaitGroup
	binary       string
	preload      string
	dooms        func() // what is to come when the operation that is under way has been done
	starts       int
}

func (p *programs) start(m *machine) error {
	kubeconfig := fmt.Sprintf(`{"apiVersion":"v1","clusters":[{"name":"k","cluster":{"server":"%s"}}],"users":[{"name":"u","user":{"token":"t"}}],`+
		`"contexts":[{"name":"c","context":{"cluster":"k","user":"u"}}],"current-context":"c"}`, m.url)
	if err := os.WriteFile(filepath.Join(m.dir, "kubeconfig"), []byte(kubeconfig), 0o600); err != nil {
		return err
	}
	if err := p.run(m, "eyes"); err != nil {
		return err
	}
	return p.run(m, "daemon")
}

func (p *programs) args(m *machine, role string) []string {
	at := func(name string) string { return filepath.Join(m.dir, name) }
	if role == "eyes" {
		return []string{"observe", "--eyes-socket", at("eyes"), "--sys-root", at("sys"), "--proc-root", at("proc")}
	}
	return []string{"--node-name", "n1", "--kubeconfig", at("kubeconfig"), "--lease-namespace", "default", "--sys-root", at("sys"), "--proc-root", at("proc"),
		"--state-dir", at("state"), "--eyes-socket", at("eyes"), "--tool-socket", at("tool"), "--device-plugins", at("plugins"),
		"--pod-resources", at("pods"), "--pci-ids", "/dev/null", "--log-level", "debug"}
}

func (p *programs) run(m *machine, role string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ending {
		return nil
	}
	log, err := os.OpenFile(filepath.Join(m.dir, role+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	c := exec.Command(p.binary, p.args(m, role)...)
	c.Env = []string{"LD_PRELOAD=" + p.preload, "PLAYED=" + m.dir, "PLAYED_ROLE=" + role, "PATH=/usr/bin:/bin", "ASAN_OPTIONS=verify_asan_link_order=0"}
	c.Stderr, c.Stdout = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true} // Linux shares the cores among sessions
	if err := c.Start(); err != nil {
		return err
	}
	p.starts++
	p.alive.Add(1)
	if role == "eyes" {
		m.watched.Store(true)
		p.eyes = c
	} else {
		p.daemon = c
	}
	go p.follow(m, role, c)
	return nil
}

// follow waits for the end of one, and starts the next.
func (p *programs) follow(m *machine, role string, c *exec.Cmd) {
	err := c.Wait()
	defer p.alive.Done()
	p.mu.Lock()
	ending := p.ending
	p.mu.Unlock()
	if role == "eyes" {
		m.watched.Store(false)
		m.page.eyes.Store(0)
	}
	if ending {
		return
	}
	m.mu.Lock()
	mine, down := m.killedBy, m.reboot
	if role == "daemon" {
		m.killedBy = false
		m.page.forget()
	}
	blind := m.fault != nil && strings.Contains(m.fault.read, "bus/pci/devices") && !m.healed // it says so, and is started again
	if !mine && !blind && role == "daemon" {
		m.wrong = append(m.wrong, fmt.Sprintf("the daemon ended by itself: %v: %s", err, lastLine(m.log())))
	}
	m.mu.Unlock()
	if role == "daemon" && down != nil {
		m.restart(down)
	}
	if role == "daemon" {
		m.soonLate()
	}
	if err := p.run(m, role); err != nil {
		m.mu.Lock()
		m.wrong = append(m.wrong, err.Error())
		m.mu.Unlock()
	}
}

func (p *programs) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.starts
}

// kill ends the daemon, or both. Who calls has locked the machine.
func (p *programs) kill(both bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if both && p.eyes != nil {
		_ = p.eyes.Process.Kill()
	}
	if p.daemon != nil {
		_ = p.daemon.Process.Kill()
	}
}

// end stops both for good. Whether the daemon ended as it should.
func (p *programs) end(m *machine) {
	p.mu.Lock()
	p.ending = true
	daemon, eyes := p.daemon, p.eyes
	p.mu.Unlock()
	for _, c := range []*exec.Cmd{daemon, eyes} {
		if c != nil && c.Process != nil {
			_ = c.Process.Kill()
		}
	}
	p.alive.Wait()
}

// restart is what a machine does when its power is back.
func (m *machine) restart(r *reboot) {
	m.programs.kill(true)
	m.mu.Lock()
	m.letGo()
	m.late = nil
	m.lose(r.journal)
	m.layout = r.layout
	m.boot()
	m.mu.Unlock()
	m.kubelet.boot()
	m.mu.Lock()
	m.reboot = nil
	m.mu.Unlock()
}

// soonLate does what hung in the kernel when the last daemon died: soon, or before the next one writes.
func (m *machine) soonLate() {
	go func() {
		m.kubelet.sleep(2 * time.Second)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.doLate()
	}()
}

func (m *machine) doLate() {
	late := m.late
	m.late = nil
	for _, f := range late {
		f()
	}
}

func (m *machine) bootsNow() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.boots
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
