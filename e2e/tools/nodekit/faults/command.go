// Package faults runs the shipped vmgpu-node on a played machine, many times, each time with one fault at one place: killed before its
// third write, a read that says garbage, the power lost behind a record of the journal. The places are learnt from a run without faults.
package faults

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Usage is one line for the tool's help.
const Usage = "faults --node PROGRAM --preload played.so [--shard 1/4] [--percent 5 --also FILE] [--only TEXT] [--list] [--jobs N] [--out FOLDER]"

type sweep struct {
	choice
	node, preload, out, tmp string
	jobs                    int
	list                    bool
	server                  *http.Server
	url                     string
	mu                      sync.Mutex
	machines                map[string]*machine
	passed, failed, unmet   int
	n                       int
}

// Command is the subcommand.
func Command(ctx context.Context, args []string) int {
	s := &sweep{machines: map[string]*machine{}}
	f := flag.NewFlagSet("faults", flag.ContinueOnError)
	f.StringVar(&s.node, "node", "build/dev/vmgpu-node", "the program")
	f.StringVar(&s.preload, "preload", "build/played.so", "what it is preloaded with")
	shard := f.String("shard", "1/1", "I/N: the I-th of N parts")
	f.IntVar(&s.percent, "percent", 100, "how many of the runs, always the same ones")
	also := f.String("also", "", "file with ids of cases that are run in any case")
	f.StringVar(&s.only, "only", "", "only cases whose id has this part")
	f.BoolVar(&s.list, "list", false, "only print which cases there are")
	f.IntVar(&s.jobs, "jobs", 2*runtime.NumCPU(), "so many at once")
	f.StringVar(&s.out, "out", "", "folder for the logs of what fails")
	if f.Parse(args) != nil || f.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usage:", Usage)
		return 2
	}
	if n, _ := fmt.Sscanf(*shard, "%d/%d", &s.shard, &s.of); n != 2 || s.shard < 1 || s.shard > s.of {
		fmt.Fprintf(os.Stderr, "faults: --shard %s: I/N\n", *shard)
		return 2
	}
	if err := s.run(ctx, *also); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		return 2
	}
	if s.list {
		return 0
	}
	if s.unmet > 0 {
		fmt.Printf("# in %d of the runs the fault was not met: its place was not reached that time\n", s.unmet)
	}
	fmt.Printf("1..%d\n%d passed, %d failed, 0 skipped\n", s.n, s.passed, s.failed)
	if s.failed > 0 || ctx.Err() != nil {
		return 1
	}
	return 0
}

func (s *sweep) run(ctx context.Context, also string) (err error) {
	if s.also, err = readIDs(also); err != nil {
		return err
	}
	for _, p := range []*string{&s.node, &s.preload} {
		if *p, err = filepath.Abs(*p); err != nil {
			return err
		}
		if _, err = os.Stat(*p); err != nil {
			return err
		}
	}
	in := "/dev/shm" // many small files
	if _, err := os.Stat(in); err != nil {
		in = ""
	}
	if s.tmp, err = os.MkdirTemp(in, "vmgpu-faults-"); err != nil {
		return err
	}
	defer os.RemoveAll(s.tmp)
	if err := s.serve(); err != nil {
		return err
	}
	defer s.server.Close()
	cases := s.cases(ctx)
	if s.list {
		for _, c := range cases {
			fmt.Println(c.id)
		}
		return nil
	}
	s.all(ctx, cases)
	return nil
}

// serve is the API server of all machines: /m/NAME is one's.
func (s *sweep) serve() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.url = "http://" + l.Addr().String()
	s.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := strings.SplitN(r.URL.Path, "/", 4)
		s.mu.Lock()
		var m *machine
		if len(parts) == 4 {
			m = s.machines[parts[2]]
		}
		s.mu.Unlock()
		if m == nil {
			http.NotFound(w, r)
			return
		}
		m.api.ServeHTTP(w, r, "/"+parts[3])
	})}
	go func() { _ = s.server.Serve(l) }()
	return nil
}

// cases are the chosen ones, from what each scenario does without a fault: twice, since reads that are asked for are slow.
func (s *sweep) cases(ctx context.Context) []testCase {
	var all []testCase
	var mu sync.Mutex
	var wait sync.WaitGroup
	for _, sc := range scenarios {
		if only, _, _ := strings.Cut(s.only, "/"); strings.Contains(s.only, "/") && only != sc.name {
			continue
		}
		wait.Go(func() {
			seen := &recording{reads: map[string]bool{}, kinds: map[string]string{}}
			said := s.one(ctx, testCase{sc.name + "/none", sc, nil}, seen)
			mu.Lock()
			defer mu.Unlock()
			if said != "" {
				s.tell(sc.name+"/none", said, true, 0)
				return
			}
			for _, c := range plan(sc, seen) {
				if s.takes(c.id) {
					all = append(all, c)
				}
			}
		})
	}
	wait.Wait()
	return all
}

func (s *sweep) all(ctx context.Context, cases []testCase) {
	next := make(chan testCase)
	var wait sync.WaitGroup
	for range s.jobs {
		wait.Go(func() {
			for c := range next {
				begun := time.Now()
				said := s.one(ctx, c, nil)
				if ctx.Err() == nil {
					s.mu.Lock()
					s.tell(c.id, said, c.fault.wasMet, time.Since(begun))
					s.mu.Unlock()
				}
			}
		})
	}
	for _, c := range cases {
		if ctx.Err() != nil {
			break
		}
		next <- c
	}
	close(next)
	wait.Wait()
}

func (s *sweep) tell(id, said string, met bool, took time.Duration) {
	s.n++
	unmet := ""
	if !met {
		s.unmet++
		unmet = " (not met)"
	}
	if said == "" {
		s.passed++
		fmt.Printf("ok %d - %s%s\n", s.n, id, unmet)
		return
	}
	s.failed++
	fmt.Printf("not ok %d - %s%s\n# %s (%.1f s)\n", s.n, id, unmet, said, took.Seconds())
}

// one is one run, on a machine of its own.
func (s *sweep) one(ctx context.Context, c testCase, seen *recording) (said string) {
	if ctx.Err() != nil {
		return ""
	}
	s.mu.Lock()
	name := fmt.Sprint(len(s.machines))
	s.machines[name] = nil
	s.mu.Unlock()
	m, err := newMachine(filepath.Join(s.tmp, name), c.sc.shape)
	if err != nil {
		return err.Error()
	}
	s.mu.Lock()
	s.machines[name] = m
	s.mu.Unlock()
	defer func() {
		m.close()
		s.mu.Lock()
		s.machines[name] = nil
		s.mu.Unlock()
	}()
	m.fault, m.record, m.url = c.fault, seen, s.url+"/m/"+name
	m.programs.binary, m.programs.preload = s.node, s.preload
	if seen != nil {
		m.page.reads.Store(readsAsked)
	}
	if err := m.programs.start(m); err != nil {
		return err.Error()
	}
	said = (&run{m: m, sc: c.sc}).play()
	if c.fault != nil {
		c.fault.wasMet = m.met > 0
	}
	if said != "" {
		s.keep(m, c.id)
	}
	return said
}

// keep saves the logs of a run that failed.
func (s *sweep) keep(m *machine, id string) {
	if s.out == "" {
		return
	}
	to := filepath.Join(s.out, strings.NewReplacer("/", "_", " ", "_", "#", "").Replace(id))
	_ = os.MkdirAll(to, 0o755)
	for _, name := range []string{"daemon.log", "eyes.log", "state/journal"} {
		if bytes, err := os.ReadFile(filepath.Join(m.dir, name)); err == nil {
			_ = os.WriteFile(filepath.Join(to, filepath.Base(name)), bytes[:max(end(bytes), 0)], 0o644)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = os.WriteFile(filepath.Join(to, "asked"), []byte(strings.Join(m.history, "\n")+"\n"), 0o644)
}

func readIDs(path string) (map[string]bool, error) {
	ids := map[string]bool{}
	if path == "" {
		return ids, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("--also"), err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		id, _, _ := strings.Cut(lines.Text(), " # ")
		if id = strings.TrimSpace(id); id != "" && !strings.HasPrefix(id, "#") {
			ids[id] = true
		}
	}
	return ids, nil
}
