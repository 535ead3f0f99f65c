package scenario

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"vmgpu.io/e2e/kube"
	"vmgpu.io/e2e/observe"
	"vmgpu.io/e2e/proxy"
)

// Usage is one line for the tool's help.
const Usage = "scenario --state STATE --controller 'COMMAND {kubeconfig}' [--out FOLDER] [--lease 15s] [--slack 1] [--quiet 1s] FILE|FOLDER..."

// Flags are those that every command which runs scenarios has.
type Flags struct {
	State, Late            string
	Controller, Out, Lease string
	Slack                  float64
	Quiet, LeaseTime       time.Duration
	Keep                   bool
}

// Add declares them.
func (f *Flags) Add(set *flag.FlagSet) {
	set.StringVar(&f.State, "state", "", "cluster's folder or kubeconfig; several with commas between them share the work")
	set.StringVar(&f.Late, "late", "", "more of them, each of which joins when there is a file of its name with .free behind it")
	set.StringVar(&f.Controller, "controller", "", "command of a controller; {kubeconfig}, {name}, {port} and {metrics} (free ones), {lease}, {renew}, {period} and {retry} are filled in")
	set.StringVar(&f.Out, "out", "", "folder for logs, default a new one; logs of what passes are removed")
	set.StringVar(&f.Lease, "lease-path", "/leases/vmgpu", "part of the path of the leader's Lease")
	set.DurationVar(&f.LeaseTime, "lease", 15*time.Second, "how long a Lease of the controller lasts")
	set.Float64Var(&f.Slack, "slack", 1, "all waiting times are multiplied by this")
	set.BoolVar(&f.Keep, "keep-namespaces", false, "empty namespaces stay, for clusters that are thrown away: to delete one is a quarter of a run's work")
	set.DurationVar(&f.Quiet, "quiet", time.Second, "how long nothing may be written for all to be done")
}

// Open makes a bench of each cluster; proxies and observers run until the function that it returns is called.
func (f *Flags) Open(ctx context.Context) (*Pool, func(), error) {
	var err error
	own := f.Out == ""
	if own {
		f.Out, err = os.MkdirTemp("", "vmgpu-e2e-")
	} else {
		f.Out, err = filepath.Abs(f.Out)
	}
	if err != nil {
		return nil, nil, err
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	var benches []*Bench
	var folders []string
	end := func() {
		stop()
		for _, b := range benches {
			b.proxy.Close()
		}
		if own && !slices.ContainsFunc(benches, func(b *Bench) bool { return b.failed }) {
			removeRecords(folders)
		}
	}
	states, late := strings.Split(f.State, ","), strings.FieldsFunc(f.Late, func(r rune) bool { return r == ',' })
	for i := range len(states) + len(late) {
		folder := f.Out
		if i > 0 {
			folder = filepath.Join(f.Out, fmt.Sprint(i+1))
		}
		folders = append(folders, folder)
	}
	for i, state := range states {
		b, err := f.open(watching, ctx, state, folders[i])
		if err != nil {
			end()
			return nil, nil, err
		}
		benches = append(benches, b)
	}
	p := newPool(slices.Clone(benches))
	var mu sync.Mutex
	for i, state := range late {
		p.Join(func(ctx context.Context) *Bench {
			if !appears(ctx, state+".free") {
				return nil
			}
			b, err := f.open(watching, ctx, state, folders[len(states)+i])
			if err != nil {
				fmt.Fprintf(os.Stderr, "%s does not join: %v\n", state, err)
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			benches = append(benches, b)
			return b
		})
	}
	return p, end, nil
}

// appears waits for a file; false if ctx ends before.
func appears(ctx context.Context, file string) bool {
	for {
		if _, err := os.Stat(file); err == nil {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// free says that others may have the cluster, whose doings are not this bench's to judge.
func (b *Bench) free() {
	b.blind()
	b.proxy.Close()
	if err := os.WriteFile(b.state+".free", nil, 0o600); err != nil {
		fmt.Fprintln(os.Stderr, "scenario:", err)
	}
}

// removeRecords removes folders, the first of which has the others, with what every bench records, unless something else is in them.
func removeRecords(folders []string) {
	for _, folder := range slices.Backward(folders) {
		os.Remove(filepath.Join(folder, "violations"))
		os.Remove(filepath.Join(folder, "requests"))
		os.Remove(folder)
	}
}

// open makes a bench whose observer watches until ctx ends; it is given up if ready does before the observer has seen everything.
func (f *Flags) open(ctx, ready context.Context, state, folder string) (*Bench, error) {
	client, err := kube.Open(state, "vmgpu-e2e/scenario")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	b := &Bench{client: client, state: state, command: f.Controller, lease: f.LeaseTime, slack: f.Slack, quiet: f.Quiet, keep: f.Keep, folder: folder, leads: &leads{lease: f.Lease}}
	if b.resources, err = client.Discover(ctx); err != nil {
		return nil, err
	}
	violations, err := os.Create(filepath.Join(folder, "violations"))
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(folder, "requests"))
	if err != nil {
		return nil, err
	}
	b.observer = observe.New(observe.Options{HasLog: true, Lease: f.Lease, Writing: func() bool { return b.proxy.Writing() }}, violations)
	if b.proxy, err = proxy.New(client.Config, log, b.observer.Logged, b.leads.take); err != nil {
		return nil, err
	}
	for _, name := range []string{"a", "b"} {
		if err := b.proxy.Listen(name, "127.0.0.1:0"); err != nil {
			return nil, err
		}
	}
	seen, failed := make(chan struct{}), make(chan error, 1)
	ctx, b.blind = context.WithCancel(ctx)
	go func() { failed <- b.observer.Run(ctx, client, seen) }()
	select {
	case err := <-failed:
		return nil, err
	case <-ready.Done():
		return nil, ready.Err()
	case <-seen:
		return b, nil
	}
}

// Files are the scenarios in files and folders, in order.
func Files(args []string) ([]*Scenario, error) {
	var all []*Scenario
	for _, arg := range args {
		files := []string{arg}
		if s, err := os.Stat(arg); err == nil && s.IsDir() {
			if files, err = filepath.Glob(filepath.Join(arg, "*.yaml")); err != nil {
				return nil, err
			}
		}
		for _, file := range files {
			if strings.HasPrefix(filepath.Base(file), "_") {
				continue
			}
			s, err := Load(file)
			if err != nil {
				return nil, err
			}
			all = append(all, s)
			if s.AlsoLease.Time != 0 {
				all = append(all, s.withLease(s.AlsoLease.Time))
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no scenarios")
	}
	return all, nil
}

// Command is the subcommand.
func Command(ctx context.Context, args []string) int {
	var f Flags
	set := flag.NewFlagSet("scenario", flag.ContinueOnError)
	f.Add(set)
	free := set.Bool("free", false, "as soon as no scenario is left for a cluster, make the file that --late waits for")
	if set.Parse(args) != nil {
		return 2
	}
	all, err := Files(set.Args())
	var p *Pool
	end := func() {}
	if err == nil {
		p, end, err = f.Open(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "scenario:", err)
		return 2
	}
	defer end()
	if *free {
		p.Leave((*Bench).free)
	}
	t := &tap{out: os.Stdout}
	for _, s := range all {
		p.Add(func(b *Bench) { t.result(s.Name, b.Run(ctx, s, nil, nil)) })
	}
	p.Run(ctx)
	t.end()
	if t.failed > 0 || ctx.Err() != nil {
		return 1
	}
	return 0
}
