package sweep

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"vmgpu.io/e2e/scenario"
)

// Usage is one line for the tool's help.
const Usage = "faults --state STATE --controller 'COMMAND {kubeconfig} {lease} {renew} {period} {retry}' [--shard 1/4] [--percent 5 --also FILE] [--only TEXT] [--list] --results FILE --commit ID FILE|FOLDER..."

// cluster is what a run needs to be believed.
type cluster interface {
	Answers(ctx context.Context) error
}

type settings struct {
	scenario.Flags
	shard, also, results, commit string
	choice                       Choice
	list                         bool
	calm                         time.Duration
	long                         time.Duration
	mu                           sync.Mutex
	failed                       error // to write results, or a cluster is gone
	stop                         context.CancelFunc
}

// Command is the subcommand.
func Command(ctx context.Context, args []string) int {
	s := settings{}
	set := flag.NewFlagSet("faults", flag.ContinueOnError)
	s.Flags.Add(set)
	set.Set("lease", "5s") // on a busy machine a renewal may take a second
	set.Set("slack", "3")
	set.Set("quiet", "3s")
	set.StringVar(&s.shard, "shard", "1/1", "I/N: the I-th of N parts")
	set.IntVar(&s.choice.Percent, "percent", 100, "how many of each scenario's runs, always the same ones")
	set.StringVar(&s.also, "also", "", "file with ids of cases that are run in any case")
	set.StringVar(&s.choice.Only, "only", "", "only cases whose id has this part")
	set.StringVar(&s.results, "results", "", "file that results are added to")
	set.StringVar(&s.commit, "commit", "", "what the results are results of")
	set.BoolVar(&s.list, "list", false, "only print which cases there are")
	set.DurationVar(&s.calm, "calm", 60*time.Second, "once a scenario nothing may be written for so long (0: not)")
	set.DurationVar(&s.long, "long-lease", 15*time.Second, "once a scenario the Lease lasts so long (0: not)")
	if set.Parse(args) != nil {
		return 2
	}
	broken, err := s.run(ctx, set.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		return 2
	}
	if broken > 0 || ctx.Err() != nil {
		return 1
	}
	return 0
}

func (s *settings) run(ctx context.Context, args []string) (broken int, err error) {
	var ok bool
	if s.choice.Shard, s.choice.Of, ok = parseShard(s.shard); !ok {
		return 0, fmt.Errorf("--shard %s: I/N", s.shard)
	}
	if s.choice.Also, err = readIDs(s.also); err != nil {
		return 0, err
	}
	all, err := scenario.Files(args)
	if err != nil {
		return 0, err
	}
	p, end, err := s.Flags.Open(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	if s.results == "" {
		s.results = s.Out + "/results"
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	s.stop = stop
	all = slices.DeleteFunc(all, func(sc *scenario.Scenario) bool { return sc.NoSweep })
	for i, sc := range all {
		owns := func(path string) bool { return hash(path)%len(all) == i }
		p.Add(func(b *scenario.Bench) { s.scenario(running, p, b, sc, owns) })
	}
	p.Run(running)
	if s.failed != nil {
		return 0, s.failed
	}
	if s.list {
		return 0, nil
	}
	runs, broken, unmet, err := Sum(s.results, s.commit)
	if unmet > 0 {
		fmt.Printf("# in %d of the runs the fault was not met: its place was not reached that time\n", unmet)
	}
	fmt.Printf("%d runs, %d broken\n", runs, broken)
	return broken, err
}

// scenario runs one without a fault, and adds the chosen cases to what is to be done.
func (s *settings) scenario(ctx context.Context, p *scenario.Pool, b *scenario.Bench, sc *scenario.Scenario, owns func(string) bool) {
	r := b.Run(ctx, sc, &scenario.Fault{}, nil) // no fault, but the steps that runs with one have
	if ctx.Err() == nil && !s.list {
		tell(sc.Name, r)
	}
	s.note(ctx, b, sc.Name+"/calm/0", true, r)
	if r.Failed() || r.Skipped != "" {
		return // what fails without a fault says nothing with one
	}
	cases := Plan(sc, r.Lines, owns)
	if !s.list {
		s.once(ctx, p, sc, longest(cases), r.Writes) // first: they take longest
	}
	for _, c := range s.choice.From(cases) {
		if s.list {
			fmt.Println(c.ID)
		} else {
			p.AddOf(r.Took+s.wait(c.Fault), func(b *scenario.Bench) { s.note(ctx, b, c.ID, false, b.Run(ctx, sc, c.Fault, r.Writes)) })
		}
	}
}

// wait is how much longer than without a fault a run takes: whoever was killed or stopped leaves a Lease that has to run out.
func (s *settings) wait(fault *scenario.Fault) time.Duration {
	if fault.Do == nil {
		return 0
	}
	return s.LeaseTime
}

// tell prints what a scenario shows, for whoever runs it only here.
func tell(name string, r *scenario.Result) {
	for _, said := range r.Says {
		Outcome{ID: name + ": " + said.Says, Met: true, Error: said.Error, Secs: r.Took.Seconds()}.print()
	}
}

// longest is the case that is run with the Lease as long as it is in earnest: killed in the middle.
func longest(cases []Case) *Case {
	var kills []Case
	for _, c := range cases {
		if c.Fault.Do != nil && !c.Fault.Standby {
			kills = append(kills, c)
		}
	}
	if len(kills) == 0 {
		return nil
	}
	return &kills[len(kills)/2]
}

// once are the runs that each scenario has one of: a long calm, and a long Lease. They are the part's that the id falls to.
func (s *settings) once(ctx context.Context, p *scenario.Pool, sc *scenario.Scenario, long *Case, writes map[string]int) {
	if id := sc.Name + "/long-calm/0"; s.calm > 0 && s.choice.Takes(id) {
		p.Add(func(b *scenario.Bench) { s.note(ctx, b, id, true, b.WithCalm(s.calm).Run(ctx, sc, nil, writes)) })
	}
	if long == nil || s.long == 0 {
		return
	}
	if id := long.ID + "/long-lease"; s.choice.Takes(id) {
		p.Add(func(b *scenario.Bench) {
			s.note(ctx, b, id, false, b.WithLease(s.long).Run(ctx, sc, long.Fault, writes))
		})
	}
}

// note keeps the result of a run. One that was ended from outside, whose cluster went away or lacks what the scenario needs, says
// nothing and is not kept.
func (s *settings) note(ctx context.Context, b cluster, id string, met bool, r *scenario.Result) {
	if ctx.Err() != nil {
		return
	}
	if r.Skipped != "" {
		if !s.list {
			fmt.Printf("ok - %s # SKIP %s\n", id, r.Skipped)
		}
		return
	}
	err := error(nil)
	if r.Failed() {
		err = b.Answers(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failed = fmt.Errorf("%s: its cluster does not answer any more: %w", id, err)
		s.stop()
		return
	}
	o := Outcome{Commit: s.commit, ID: id, Met: met || r.Met, Secs: r.Took.Seconds()}
	for _, said := range r.Says {
		if said.Error != "" && o.Error == "" {
			o.Error = said.Error
		}
	}
	if s.list {
		return
	}
	o.print()
	if o.Error != "" {
		fmt.Println("# logs:", r.Logs)
		for _, v := range r.Violations {
			fmt.Printf("# %s %s: %s\n", v.Invariant, v.Object, v.Message)
		}
	}
	if err := o.append(s.results); err != nil {
		s.failed = err
	}
}
