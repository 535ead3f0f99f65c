package scenario

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"vmgpu.io/e2e/kube"
	"vmgpu.io/e2e/observe"
	"vmgpu.io/e2e/proxy"
)

// Fault is something that happens to the controllers in the middle of a scenario.
type Fault struct {
	Rules []proxy.Rule
	// Do is called when the rule named FaultRule has acted; nil if the rules are all.
	Do func(c *Control, ctx context.Context) error
	// Standby: a second controller waits for the Lease.
	Standby bool
}

// FaultRule is the name of the rule that a Fault waits for.
const FaultRule = "fault"

// Control is what a Fault may do to the controller whose request it met.
type Control struct {
	stage   *stage
	process *process
}

// Kill kills it, and starts it again in a world that goes on.
func (c *Control) Kill(context.Context) error {
	if err := c.process.end(syscall.SIGKILL, 10*time.Second); err != nil {
		return err
	}
	c.stage.proxy.Clear()
	return c.process.start()
}

// Stop stops it for longer than its Lease, and lets it go on.
func (c *Control) Stop(ctx context.Context) error {
	if err := c.process.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	select {
	case <-time.After(c.stage.lease + time.Second):
	case <-ctx.Done():
	}
	c.stage.proxy.Clear()
	return c.process.signal(syscall.SIGCONT)
}

// Result is how one run of a scenario went.
type Result struct {
	Says       []Said // behaviours in the order of the file; the last is the scenario's own
	Skipped    string
	Violations []observe.Violation
	Lines      []proxy.Line   // what the controllers asked for until all was done
	Writes     map[string]int // by path, until then
	Met        bool           // the fault happened
	Took       time.Duration
	Logs       string
}

// Said is one behaviour.
type Said struct{ Says, Error string }

// Failed tells whether anything went wrong.
func (r *Result) Failed() bool {
	return slices.ContainsFunc(r.Says, func(s Said) bool { return s.Error != "" })
}

// Run runs a scenario once. fault may be nil; baseline is what an undisturbed run wrote, or nil.
func (b *Bench) Run(ctx context.Context, sc *Scenario, fault *Fault, baseline map[string]int) *Result {
	begin := time.Now()
	r := &Result{}
	if missing := b.missing(sc); missing != "" {
		r.Skipped = "the cluster has no " + missing
		return r
	}
	b.proxy.Clear()
	b.observer.Begin(observe.Terms{Markers: sc.Secrets, MaxWrites: sc.MaxWrites, Baseline: baseline, EndGrace: sc.EndGrace.In(b.lease, 0)})
	b.proxy.Mark(sc.Name)
	s, err := newStage(ctx, b, sc, fault)
	if s != nil {
		defer s.close(context.WithoutCancel(ctx))
		r.Logs = s.out
	}
	if err == nil {
		err = s.run(ctx, fault, r)
	}
	r.finish(sc, err)
	r.judge(sc, b.observer.Violations())
	r.Took = time.Since(begin)
	if r.Failed() {
		b.failed = true
	} else {
		os.RemoveAll(r.Logs)
	}
	return r
}

func (b *Bench) missing(sc *Scenario) string {
	for _, group := range sc.Needs {
		if !slices.ContainsFunc(b.resources, func(r kube.Resource) bool { return r.Group == group }) {
			return group
		}
	}
	return ""
}

// run plays the scenario on a stage that is set.
func (s *stage) run(ctx context.Context, fault *Fault, r *Result) (err error) {
	defer func() { err = errors.Join(err, s.stopAll()) }()
	happened := s.expectFault(ctx, fault)
	if !s.scenario.Stopped {
		for _, name := range s.scenario.Controllers {
			if err := s.processes[name].start(); err != nil {
				return err
			}
		}
	}
	if err := s.steps(ctx, r); err != nil {
		return err
	}
	begin := time.Now()
	if err := s.comeToRest(ctx, fault); err != nil {
		return err
	}
	met := happened()
	r.Met = !met.IsZero()
	if met.After(begin) {
		if err := s.comeToRest(ctx, fault); err != nil {
			return err
		}
	}
	r.Lines, r.Writes = append(s.leads.since(), s.proxy.Open()...), s.observer.Writes()
	s.observer.StayQuiet(ctx, s.calm)
	if err := s.secondPlan(); err != nil {
		return err
	}
	if err := s.removeOurs(ctx); err != nil {
		return err
	}
	return s.settle(ctx, min(s.quiet, time.Second/2))
}

// comeToRest waits until all is done; after a fault somebody must lead again first.
func (s *stage) comeToRest(ctx context.Context, fault *Fault) error {
	if fault != nil {
		if err := s.awaitLeader(); err != nil {
			return err
		}
	}
	return s.settle(ctx, s.quiet)
}

// steps does one after the other, and notes the behaviours.
func (s *stage) steps(ctx context.Context, r *Result) error {
	for i := range s.scenario.Steps {
		step := &s.scenario.Steps[i]
		if step.Undisturbed && s.disturbed {
			continue
		}
		err := s.do(ctx, step)
		if err != nil {
			err = fmt.Errorf("step %d (%s): %w", i+1, step.verbs()[0], err)
		}
		if step.Says != "" {
			r.Says = append(r.Says, Said{Says: step.Says, Error: text(err)})
		}
		if err != nil {
			return err
		}
	}
	return s.meanwhile.join()
}

// expectFault puts the fault's rules in force. The function that it returns waits for what the fault does, and tells when that was
// done; zero if it never came to it.
func (s *stage) expectFault(ctx context.Context, fault *Fault) func() time.Time {
	if fault == nil {
		return func() time.Time { return time.Time{} }
	}
	s.proxy.Add(fault.Rules...)
	waiting, cancel := context.WithCancel(ctx)
	met := make(chan time.Time, 1)
	go func() {
		via, err := s.proxy.Wait(waiting, FaultRule)
		if err != nil {
			met <- time.Time{}
			return
		}
		if fault.Do != nil {
			if err := fault.Do(&Control{s, s.processes[via]}, ctx); err != nil {
				fmt.Fprintln(os.Stderr, "fault:", err)
			}
		}
		met <- time.Now()
	}()
	return func() time.Time {
		if done, _ := s.proxy.Acted(FaultRule); !done { // the steps are over: it will not be met any more
			cancel()
		}
		at := <-met
		s.proxy.Clear()
		return at
	}
}

const (
	secondPlanTime = 400 * time.Millisecond // after it has read all that there is
	leaderLimit    = 10 * time.Second       // beside the Lease
)

// secondPlan: who starts on a world in which all is done writes nothing, but the term of its leadership to each node.
func (s *stage) secondPlan() error {
	before := s.observer.Writes()
	for _, again := range []bool{false, true} {
		for _, p := range s.processes {
			if again {
				if err := p.start(); err != nil {
					return err
				}
			} else if err := p.end(syscall.SIGTERM, 10*time.Second); err != nil {
				return err
			}
		}
	}
	if len(s.processes) > 0 {
		if err := s.awaitLeader(); err != nil {
			return err
		}
	}
	time.Sleep(secondPlanTime)
	for path, n := range s.observer.Writes() {
		more := n - before[path]
		if strings.HasPrefix(path, gpuNodesPath+"/") && !strings.HasSuffix(path, "/status") {
			more -= len(s.processes) // each may lead once, while they end one by one
		}
		if more > 0 {
			return fmt.Errorf("controllers that were started anew wrote %s again, though all was done", path)
		}
	}
	return nil
}

// awaitLeader waits until one of the controllers leads and has read all that there is, as its log says: that nobody writes while
// nobody may proves nothing.
func (s *stage) awaitLeader() error {
	limit := s.lease + leaderLimit
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		for _, p := range s.processes {
			if p.logged(`"msg":"leading"`) && p.logged(`"msg":"caches synced"`) {
				return nil
			}
		}
	}
	return fmt.Errorf("no controller that runs has led and read all within %s", limit)
}

// stopAll ends the controllers and looks at how they ended and what they logged.
func (s *stage) stopAll() error {
	s.proxy.Clear()
	var first error
	for _, p := range s.processes {
		p.signal(syscall.SIGCONT)
		s.observer.Text("metrics of controller "+p.name, p.scrape())
		if err := p.end(syscall.SIGTERM, 10*time.Second); err != nil && first == nil {
			first = err
		}
		if complaint := p.complaint(); complaint != "" && first == nil {
			first = fmt.Errorf("%s", complaint)
		}
		if log, err := os.ReadFile(p.log); err == nil {
			s.observer.Text("log of controller "+p.name, string(log))
		}
	}
	return first
}

// finish adds the last behaviour: the scenario as a whole, and that no invariant was broken.
func (r *Result) finish(sc *Scenario, err error) {
	if err != nil && sc.Violates != "" {
		err = nil // it is meant to break something; which, the violations tell
	}
	r.Says = append(r.Says, Said{sc.Says, text(err)})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// judge adds the violations to the last behaviour.
func (r *Result) judge(sc *Scenario, all []observe.Violation) {
	r.Violations = all
	last := &r.Says[len(r.Says)-1]
	if sc.Violates == "" {
		if len(all) > 0 && last.Error == "" {
			last.Error = fmt.Sprintf("%s: %s: %s", all[0].Invariant, all[0].Object, all[0].Message)
		}
		return
	}
	for _, v := range all {
		if v.Invariant != sc.Violates {
			last.Error = fmt.Sprintf("%s was to be broken, and %s was: %s: %s", sc.Violates, v.Invariant, v.Object, v.Message)
		}
	}
	if len(all) == 0 {
		last.Error = sc.Violates + " was broken and the observer did not see it"
	}
}
