package faults

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Verdicts, as in ../../../node/played.c.
const (
	proceed = iota
	refuse
	done
	instead
	silence // no answer: who asks is dead
)

type answer struct {
	verdict, value int32
	path           string
}

// place is one operation of a scenario: its words, and which of those with the same words.
type place struct {
	name string
	nth  int
}

func (p place) String() string { return fmt.Sprintf("%s #%d", p.name, p.nth) }

// fault is what happens at a place.
type fault struct {
	at   place
	kind string
	read string // path of a read that fails, instead of a place
	from int    // reads: from this stage of the scenario on

	wasMet bool
}

var errnos = map[string]syscall.Errno{"EBUSY": syscall.EBUSY, "ENODEV": syscall.ENODEV, "EINVAL": syscall.EINVAL, "EPERM": syscall.EPERM,
	"EIO": syscall.EIO, "ENOSPC": syscall.ENOSPC, "EINTR": syscall.EINTR}

func sum(body string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(body))
	return fmt.Sprintf("%016x", h.Sum64())
}

// serve answers the programs: one connection a process.
func (m *machine) serve() {
	for {
		c, err := m.ctl.Accept()
		if err != nil {
			return
		}
		go m.converse(c)
	}
}

func (m *machine) converse(c net.Conn) {
	defer c.Close()
	line := make([]byte, 16384)
	for {
		n, err := c.Read(line)
		if err != nil || n == 0 {
			return
		}
		parts := bytes.SplitN(line[:n], []byte{0}, 4)
		if len(parts) < 4 {
			return
		}
		pid := 0
		_, _ = fmt.Sscan(string(parts[0]), &pid)
		a := m.ask(pid, string(parts[1]), string(parts[2]), parts[3])
		if a.verdict == silence {
			return
		}
		out := make([]byte, 8+1024)
		binary.LittleEndian.PutUint32(out, uint32(a.verdict))
		binary.LittleEndian.PutUint32(out[4:], uint32(a.value))
		copy(out[8:8+1023], a.path)
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

// ask is one operation of a program: counted, and done, or what is to become of it.
func (m *machine) ask(pid int, what, path string, data []byte) answer {
	defer m.busy()()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kernel == nil || m.reboot != nil {
		return answer{verdict: silence}
	}
	switch what {
	case "read", "list", "link", "exists":
		if what != "link" || strings.HasPrefix(path, "sys") || strings.HasPrefix(path, "proc") {
			return m.read(what, path)
		}
	case "after":
		return m.after(pid, path)
	}
	op := operation{what, path, m.name(what, path, data)}
	m.counts[op.name]++
	here := place{op.name, m.counts[op.name]}
	m.tell("%d %s", pid, here)
	if m.record != nil {
		m.record.ops = append(m.record.ops, here)
	}
	if !strings.HasPrefix(path, "state") {
		m.doLate()
	}
	if m.comes(here) {
		if a, answered := m.strike(pid, op, data); answered {
			return a
		}
	}
	if strings.HasPrefix(path, "state") {
		m.pending[pid] = op
		return answer{}
	}
	return m.do(op, data)
}

// do carries a write out on the machine.
func (m *machine) do(op operation, data []byte) answer {
	var errno syscall.Errno
	if op.what == "tool" {
		errno = m.runTool(filepath.Base(op.path), filepath.Base(filepath.Dir(op.path)))
		return answer{verdict: map[bool]int32{true: proceed, false: refuse}[errno == 0]}
	}
	if errno = m.kernel.write(op.path, string(data)); errno != 0 {
		return answer{verdict: refuse, value: int32(errno)}
	}
	return answer{verdict: done, value: int32(len(data))}
}

// name says what is done in words that are the same in each run of a scenario.
func (m *machine) name(what, path string, data []byte) string {
	if !strings.HasPrefix(path, "state") {
		path = strings.TrimPrefix(path, "sys/bus/pci/")
		if f, rest := m.kernel.of("sys/" + strings.TrimPrefix(path, "sys/") + "/"); f != nil && strings.HasPrefix(path, "sys/devices") {
			path = f.at + "/" + strings.TrimSuffix(rest, "/")
		}
		return what + " " + path + " " + strings.TrimSpace(string(data))
	}
	name := strings.TrimPrefix(strings.TrimPrefix(path, "state"), "/")
	if what == "pwrite" {
		m.last = recordName(data)
		return what + " " + name + " " + m.last
	}
	if what == "sync" && name != "" {
		return what + " " + name + " " + m.last
	}
	if name == "" {
		name = "folder"
	}
	return what + " " + name
}

// recordName is which record of the journal that is: "unit binding".
func recordName(data []byte) string {
	_, doc, ok := bytes.Cut(data, []byte(` {"`))
	if !ok {
		return "zeros"
	}
	kind, rest, _ := bytes.Cut(doc, []byte(`"`))
	if string(kind) == "head" && len(data) > 300 {
		return "whole"
	}
	out := string(kind)
	for _, key := range []string{"state", "id", "card", "index"} {
		if _, value, ok := bytes.Cut(rest, []byte(`"`+key+`":`)); ok {
			value = bytes.Trim(value[:min(len(value), 24)], `"`)
			if i := bytes.IndexAny(value, `",}`); i >= 0 {
				value = value[:i]
			}
			out += " " + string(value)
		}
	}
	return out
}

// --- faults --------------------------------------------------------------------------------------

func sticky(kind string) bool { return errnos[kind] != 0 || kind == "short" }

func (m *machine) comes(here place) bool {
	if m.fault == nil || m.healed || m.fault.read != "" || here.name != m.fault.at.name {
		return false
	}
	if m.fault.kind == "EINTR" && m.struck >= 5 && strings.Contains(here.name, "journal") {
		return false // whoever writes to a file tries that again without end
	}
	return here.nth == m.fault.at.nth || (sticky(m.fault.kind) && m.met > 0)
}

// strike lets the fault happen. False: the operation goes on as if nothing was.
func (m *machine) strike(pid int, op operation, data []byte) (answer, bool) {
	if m.met == 0 {
		m.met = m.page.now()
	}
	m.struck++
	m.tell("it comes: %s", m.fault.kind)
	kind, when, _ := strings.Cut(m.fault.kind, "-")
	if errno := errnos[kind]; errno != 0 {
		return answer{verdict: refuse, value: int32(errno)}, true
	}
	switch kind {
	case "short":
		if op.what == "tool" || !strings.HasPrefix(op.path, "state") {
			return answer{verdict: done, value: int32(len(data) / 2)}, true
		}
		m.pending[pid] = op
		return answer{verdict: done}, true // the journal's write is halved there
	case "block", "block30":
		return m.hang(pid, op, data, kind), true
	case "kill", "pair", "power":
		return m.end(kind, when, op, data)
	default:
		m.acting++
		go m.act(m.fault.kind)
		return answer{}, false
	}
}

// hang keeps the writer in the kernel, where no signal reaches it, until it is let go. Then what it wrote is done.
func (m *machine) hang(pid int, op operation, data []byte, kind string) answer {
	let := make(chan struct{})
	m.waiting = append(m.waiting, let)
	if kind == "block30" {
		until := m.page.now() + 30*time.Second
		go func() {
			for m.page.now() < until {
				time.Sleep(time.Millisecond)
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			m.letGo()
		}()
	}
	if pid > 0 {
		m.page.set(pid, blocked)
	}
	m.mu.Unlock()
	m.page.hold.Add(-1)
	<-let
	m.page.hold.Add(1)
	m.mu.Lock()
	if pid > 0 {
		m.page.set(pid, runs)
	}
	if m.kernel == nil || m.reboot != nil {
		return answer{verdict: silence}
	}
	if strings.HasPrefix(op.path, "state") {
		m.pending[pid] = op
		return answer{}
	}
	return m.do(op, data)
}

func (m *machine) letGo() {
	for _, w := range m.waiting {
		close(w)
	}
	m.waiting = nil
}

// end kills the daemon, both programs, or the machine: before the operation is done or after it. A write to the machine that
// is under way when its daemon dies ("late") is done when the next one runs.
func (m *machine) end(kind, when string, op operation, data []byte) (answer, bool) {
	onDisk := strings.HasPrefix(op.path, "state")
	when, variant, _ := strings.Cut(when, "-")
	if when == "after" && onDisk {
		m.programs.dooms = func() { m.strikeDown(kind, variant) }
		return answer{}, false
	}
	if when == "after" {
		m.do(op, data)
	}
	if when == "late" {
		later := append([]byte{}, data...)
		m.late = append(m.late, func() { m.do(op, later) })
	}
	m.strikeDown(kind, variant)
	return answer{verdict: silence}, true
}

func (m *machine) strikeDown(kind, variant string) {
	if kind == "power" {
		l := m.layout
		switch variant {
		case "moved":
			l.bus = map[bool]string{true: "51", false: "41"}[l.bus == "41"]
		case "swapped":
			l.other = true
		}
		m.reboot = &reboot{l, variant}
		for pid := range m.pending {
			delete(m.pending, pid)
		}
	}
	m.killedBy = true
	m.programs.kill(kind != "kill")
}

// after is the end of an operation of the journal.
func (m *machine) after(pid int, path string) answer {
	op := m.pending[pid]
	delete(m.pending, pid)
	if op.what == "sync" {
		m.note(path)
	}
	if doom := m.programs.dooms; doom != nil {
		m.programs.dooms = nil
		doom()
		return answer{verdict: silence}
	}
	return answer{}
}

// heal takes the fault away.
func (m *machine) heal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.healed {
		m.healedAt = m.page.now()
	}
	m.healed = true
	m.page.reads.Store(0)
	m.letGo()
}

// --- reads ---------------------------------------------------------------------------------------

func (m *machine) read(what, path string) answer {
	if m.record != nil {
		if !m.record.reads[path] {
			m.record.reads[path] = true
			m.record.kinds[path] = what
		}
		return answer{}
	}
	if m.fault == nil || m.healed || m.fault.read != path {
		return answer{}
	}
	if m.met == 0 {
		m.met = m.page.now()
	}
	m.counts[path]++
	kind := m.fault.kind
	if kind == "differs" { // what was true at first is not so from then on, and again
		if m.counts[path]%2 == 1 {
			return answer{}
		}
		kind = "other"
	}
	return m.instead(what, kind)
}

func (m *machine) instead(what, kind string) answer {
	in := filepath.Join(m.dir, "instead")
	if what == "exists" || kind == "gone" {
		return answer{verdict: refuse, value: int32(syscall.ENOENT)}
	}
	if what == "link" {
		return answer{verdict: instead, path: map[string]string{"empty": "/", "garbage": "\xff\x1b[31m", "long": "", "other": "../../../bus/pci/drivers/other"}[kind]}
	}
	suffix := ""
	if what == "list" {
		suffix = ".d"
	}
	if kind == "other" && what == "list" {
		kind = "empty"
	}
	return answer{verdict: instead, path: in + "/" + kind + suffix}
}

// files of this machine that a test wants to see.
func (m *machine) log() string {
	bytes, _ := os.ReadFile(filepath.Join(m.dir, "daemon.log"))
	return string(bytes)
}
