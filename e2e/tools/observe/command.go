package observe

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"vmgpu.io/e2e/kube"
	"vmgpu.io/e2e/proxy"
)

// Usage is one line for the tool's help.
const Usage = "observe [check-once] --state STATE [--log PROXYLOG] [--pid N]... [--marker TEXT]... [--text FILE]... [--metrics URL] [--quiet 60s]"

type words []string

func (w *words) String() string     { return strings.Join(*w, " ") }
func (w *words) Set(s string) error { *w = append(*w, s); return nil }

type settings struct {
	options             Options
	state, log, metrics string
	pids, texts         words
	quiet, converge     time.Duration
	once                bool
	before              map[string]Process
}

// Command is the subcommand: exit code 1 if anything was violated.
func Command(ctx context.Context, args []string) int {
	s := settings{before: map[string]Process{}}
	if len(args) > 0 && args[0] == "check-once" {
		s.once, args = true, args[1:]
	}
	f := flag.NewFlagSet("observe", flag.ContinueOnError)
	f.StringVar(&s.state, "state", "", "cluster's folder or kubeconfig")
	f.StringVar(&s.log, "log", "", "log of the fault proxy: who wrote what")
	f.Var((*words)(&s.options.Markers), "marker", "text that is secret")
	f.Var(&s.texts, "text", "file that must not have secrets (a log)")
	f.StringVar(&s.metrics, "metrics", "", "URL whose answer must not have secrets")
	f.Var(&s.pids, "pid", "process that must not grow")
	f.DurationVar(&s.quiet, "quiet", 0, "then nothing may be written for so long")
	f.DurationVar(&s.converge, "converge", 15*time.Second, "how long until all must be done")
	if f.Parse(args) != nil {
		return 2
	}
	client, err := kube.Open(s.state, "vmgpu-e2e/observe")
	if err != nil {
		fmt.Fprintln(os.Stderr, "observe:", err)
		return 2
	}
	s.options.HasLog = s.log != ""
	o := New(s.options, os.Stdout)
	if err := s.observe(ctx, o, client); err != nil {
		fmt.Fprintln(os.Stderr, "observe:", err)
		return 2
	}
	if n := len(o.Violations()); n > 0 {
		fmt.Fprintf(os.Stderr, "observe: %d violations\n", n)
		return 1
	}
	return 0
}

// observe runs until it is stopped, or, if it is to check once, until all is done; what must hold at rest is checked then.
func (s *settings) observe(ctx context.Context, o *Observer, client *kube.Client) error {
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ready, failed := make(chan struct{}), make(chan error, 1)
	go func() { failed <- o.Run(watching, client, ready) }()
	go s.follow(watching, o)
	select {
	case err := <-failed:
		return err
	case <-ready:
	}
	if err := s.sizes(func(name string, p Process) { s.before[name] = p }); err != nil {
		return err
	}
	if !s.once {
		fmt.Fprintln(os.Stderr, "observe: watching")
		<-ctx.Done()
		ctx = context.WithoutCancel(ctx)
	}
	o.Converge(ctx, time.Second, s.converge)
	if s.quiet > 0 {
		o.StayQuiet(ctx, s.quiet)
	}
	if err := s.sizes(func(name string, p Process) { o.Grown(name, s.before[name], p) }); err != nil {
		return err
	}
	return s.read(o)
}

func (s *settings) sizes(each func(string, Process)) error {
	for _, pid := range s.pids {
		var number int
		if _, err := fmt.Sscan(pid, &number); err != nil {
			return err
		}
		p, err := ReadProcess("/proc", number)
		if err != nil {
			return err
		}
		each("pid "+pid, p)
	}
	return nil
}

// read looks for secrets where they might have been written.
func (s *settings) read(o *Observer) error {
	for _, file := range s.texts {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		o.Text(file, string(text))
	}
	if s.metrics == "" {
		return nil
	}
	answer, err := http.Get(s.metrics)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	o.Text(s.metrics, string(text))
	return err
}

// follow reads the proxy's log as it grows.
func (s *settings) follow(ctx context.Context, o *Observer) {
	for offset := int64(0); s.log != "" && ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		lines, next, err := proxy.ReadLog(s.log, offset)
		if err != nil && !os.IsNotExist(err) {
			fmt.Fprintln(os.Stderr, "observe:", err)
		}
		for _, l := range lines {
			o.Logged(l)
		}
		offset = next
	}
}
