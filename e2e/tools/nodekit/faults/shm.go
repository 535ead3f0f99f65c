package faults

import (
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	slots = 64
	tick  = 200 * time.Millisecond // how far two idle milliseconds go
)

// page is what a machine shares with the programs that run on it: laid out as in ../../../node/played.c.
type page struct {
	offset, step                            atomic.Int64
	hold, eyes, reads, permits, turns, pad_ atomic.Int32
	match                                   [256]byte
	slots                                   [slots]struct {
		pid, state, killed, pad atomic.Int32
		until                   atomic.Int64
	}
}

// States of a process that writes, and how reads are treated.
const (
	runs    = 1
	blocked = 3

	readsAsked   = 1
	readsOfMatch = 2
)

func newPage(path string) (*page, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(8192); err != nil {
		return nil, err
	}
	bytes, err := syscall.Mmap(int(f.Fd()), 0, 8192, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	p := (*page)(unsafe.Pointer(&bytes[0]))
	p.step.Store(int64(tick))
	return p, nil
}

// now is the time on the machine.
func (p *page) now() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &t)
	return time.Duration(t.Nano() + p.offset.Load())
}

// clock lets time pass: a step whenever nobody here has had anything to do for a moment, and the eyes have looked up now and then. The
// daemon takes it once it has nothing to do itself, so that no time passes for who waits for a busy machine.
func (m *machine) clock() {
	const most = 8 // steps that the eyes may sleep through
	var works int32
	turns, steps := int32(0), 0
	for !m.closed.Load() {
		time.Sleep(2 * time.Millisecond)
		now := m.works.Load()
		if t := m.page.turns.Load(); t != turns || !m.watched.Load() {
			turns, steps = t, 0
		}
		if now == works && m.page.hold.Load() == 0 && m.page.permits.Load() == 0 && steps < most {
			steps++
			m.page.permits.Store(1)
		}
		works = now
	}
}

// busy keeps time from running ahead until the returned function is called.
func (m *machine) busy() func() {
	m.works.Add(1)
	m.page.hold.Add(1)
	return func() {
		m.works.Add(1)
		m.page.hold.Add(-1)
	}
}

func (p *page) set(pid int, state int32) {
	for i := range p.slots {
		if p.slots[i].pid.Load() == int32(pid) {
			p.slots[i].state.Store(state)
		}
	}
}

// forget is for a new life of the daemon: nobody of the last one counts.
func (p *page) forget() {
	for i := range p.slots {
		p.slots[i].state.Store(0)
		p.slots[i].killed.Store(0)
		p.slots[i].pid.Store(0)
	}
}

func (p *page) setMatch(path string) {
	p.match = [256]byte{}
	copy(p.match[:255], path)
}
