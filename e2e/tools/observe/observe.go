// Package observe checks vmgpu's invariants from outside: it sees what the API server shows to anybody, the log of the fault proxy, and
// processes; it never asks the program under test. Each invariant is a file. What is told by an event is checked at the event, what is a
// state must last a moment before it counts (watches of different kinds are not in step), and some can only be told at rest.
//
// Everything comes in by Saw, Logged, Text and Tick, so each check is a unit test; run.go connects that to a cluster.
package observe

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"sync"
	"time"

	"vmgpu.io/e2e/kube"
	"vmgpu.io/e2e/proxy"
)

// Violation is one line of output.
type Violation struct {
	Time      time.Time `json:"t"`
	Invariant string    `json:"invariant"`
	Object    string    `json:"object"`
	Message   string    `json:"message"`
}

// Options say whom to suspect and how long to wait.
type Options struct {
	Manager    string         // field managers of the program under test begin with it; default vmgpu
	Markers    []string       // I12: texts that are secret
	MaxWrites  int            // I7: writes on one object between two calls of Begin; default 40
	Baseline   map[string]int // I7: writes on each path in a run without faults; then twice that (and two more) is the limit
	Lease      string         // I9: the leader's Lease, part of its path; default /leases/vmgpu
	Writing    func() bool    // whether a write is on its way, if that can be known
	HasLog     bool           // every write of the program comes by Logged, so no other is its
	ReadyGrace time.Duration  // I6: how long a status may be behind; default 15 s
	EndGrace   time.Duration  // I8: how long a deletion may last; default 60 s
}

// Observer is one observer.
type Observer struct {
	Options
	out io.Writer
	now func() time.Time

	maxWrites int
	endGrace  time.Duration

	mu       sync.Mutex
	world    world
	changes  []change // not yet known whose they are
	wrote    map[string]bool
	created  map[string]bool // uids
	permits  permits
	lastOurs time.Time
	lastPath string
	synced   map[string]bool
	writes   map[string]int
	leader   leader
	suspects map[string]suspect
	told     map[string]bool
	all      []Violation
}

// New makes an observer that reports to out.
func New(o Options, out io.Writer) *Observer {
	o.Manager, o.Lease = cmp.Or(o.Manager, "vmgpu"), cmp.Or(o.Lease, "/leases/vmgpu")
	o.MaxWrites = cmp.Or(o.MaxWrites, 40)
	o.ReadyGrace, o.EndGrace = cmp.Or(o.ReadyGrace, 15*time.Second), cmp.Or(o.EndGrace, time.Minute)
	return &Observer{maxWrites: o.MaxWrites, endGrace: o.EndGrace, Options: o, out: out, now: time.Now, world: newWorld(), wrote: map[string]bool{}, created: map[string]bool{}, writes: map[string]int{},
		leader: newLeader(), suspects: map[string]suspect{}, told: map[string]bool{}, permits: newPermits(), synced: map[string]bool{}}
}

// report tells a violation, once.
func (o *Observer) report(invariant, object, format string, args ...any) {
	v := Violation{o.now().UTC(), invariant, object, fmt.Sprintf(format, args...)}
	if key := invariant + object + v.Message; o.told[key] {
		return
	} else {
		o.told[key] = true
	}
	o.all = append(o.all, v)
	text, _ := json.Marshal(v)
	fmt.Fprintln(o.out, string(text))
}

// Violations are all so far.
func (o *Observer) Violations() []Violation {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]Violation(nil), o.all...)
}

// Terms are what may differ from one scenario to the next; what is not set is the observer's own.
type Terms struct {
	Markers   []string
	MaxWrites int
	Baseline  map[string]int
	EndGrace  time.Duration
}

// Begin starts a new count of writes and of violations.
func (o *Observer) Begin(t Terms) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.Markers, o.Baseline = t.Markers, t.Baseline
	o.maxWrites, o.endGrace = cmp.Or(t.MaxWrites, o.MaxWrites), cmp.Or(t.EndGrace, o.EndGrace)
	o.writes, o.all = map[string]int{}, nil
	o.leader.terms = 0
	o.told, o.suspects = map[string]bool{}, map[string]suspect{}
}

// Saw takes one event of a watch. kind is Kind.group, as kube.Resources.Find has it.
func (o *Observer) Saw(kind string, r kube.Resource, e kube.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if e.Type == "SYNCED" {
		o.synced[kind] = true
		return
	}
	o.world.set(kind, r, e, o.now())
	o.checkSecrets(kind, e)
	if e.Type != "DELETED" {
		o.checkGenerations(kind, e)
		o.sawLease(r, e)
	}
	o.changes = append(o.changes, change{kind, r, e, o.now(), !o.synced[kind]})
	o.attribute(false)
}

// Logged takes one line of the proxy's log.
func (o *Observer) Logged(l proxy.Line) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !l.IsWrite() || l.Phase != "done" {
		return
	}
	if l.RV != "" {
		o.wrote[l.RV] = true
	}
	o.loggedWrite(l)
	o.attribute(false)
}

// Heard is when the last event came of the object at a path; zero if there was none.
func (o *Observer) Heard(path string) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.world.since[path]
}

// Tick looks at the state as it is now. A suspicion that lasts as long as its grace is a violation.
func (o *Observer) Tick() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.attribute(false)
	o.states(false)
}

// suspect is something that may be so for a moment.
type suspect struct {
	invariant, object, message string
	grace                      time.Duration
	since                      time.Time
}

func (o *Observer) states(atRest bool) {
	now := map[string]suspect{}
	add := func(invariant, object string, grace time.Duration, format string, args ...any) {
		s := suspect{invariant, object, fmt.Sprintf(format, args...), grace, o.now()}
		key := s.invariant + s.object + s.message
		if old, known := o.suspects[key]; known {
			s.since = old.since
		}
		now[key] = s
	}
	o.overcommitted(add)
	o.sharedUnits(add)
	o.dishonest(add)
	o.endless(add)
	o.suspects = now
	for _, key := range sortedKeys(now) {
		if s := now[key]; atRest || o.now().Sub(s.since) >= s.grace {
			o.report(s.invariant, s.object, "%s", s.message)
		}
	}
}

type adder func(invariant, object string, grace time.Duration, format string, args ...any)

// AtRest checks what must hold when nothing is left to do, and what still is not so.
func (o *Observer) AtRest() []Violation {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := len(o.all)
	o.attribute(true)
	o.states(true)
	o.orphans()
	return append([]Violation(nil), o.all[before:]...)
}

// Pending tells what AtRest would report, without reporting it: what is still being worked on.
func (o *Observer) Pending() []Violation {
	o.mu.Lock()
	defer o.mu.Unlock()
	out, told, all, suspects := o.out, o.told, o.all, o.suspects
	o.out, o.told, o.all = io.Discard, map[string]bool{}, nil
	o.states(true)
	o.orphans()
	found := o.all
	o.out, o.told, o.all, o.suspects = out, told, all, suspects
	return found
}

func sortedKeys[V any](m map[string]V) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	sort.Strings(all)
	return all
}
