package scenario

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"vmgpu.io/e2e/observe"
)

// process is one controller under test. Whoever kills it says so before; an end of its own is looked into.
type process struct {
	name    string
	command []string
	log     string
	metrics string // URL, if the command has {metrics}

	mu       sync.Mutex
	cmd      *exec.Cmd
	ended    chan struct{}
	wanted   bool   // its end was asked for
	excused  bool   // it may end by itself, as who lost the Lease does, but not by a signal
	trouble  string // how it ended without being asked to
	size     observe.Process
	logBegin int // where in its log it began
	started  time.Time
}

// newProcess fills in the command of a controller: {kubeconfig}, {name}, {port} and {metrics} (free ports; at the latter /metrics is read
// in the end), and the times of its Lease.
func newProcess(command, kubeconfig, name, log string, lease time.Duration) (*process, error) {
	p := &process{name: name, log: log}
	fill := strings.NewReplacer("{kubeconfig}", kubeconfig, "{name}", name, "{lease}", whole(lease), "{renew}", whole(lease*2/3),
		"{period}", whole(lease/3), "{retry}", whole(lease*2/15))
	for _, w := range strings.Fields(command) {
		for _, what := range []string{"{port}", "{metrics}"} {
			if !strings.Contains(w, what) {
				continue
			}
			port, err := freePort()
			if err != nil {
				return nil, err
			}
			w = strings.ReplaceAll(w, what, port)
			if what == "{metrics}" {
				p.metrics = "http://127.0.0.1:" + port + "/metrics"
			}
		}
		p.command = append(p.command, fill.Replace(w))
	}
	if len(p.command) == 0 {
		return nil, fmt.Errorf("no controller to run: --controller")
	}
	return p, nil
}

// whole is a time in milliseconds; the program reads no more than that.
func whole(d time.Duration) string { return fmt.Sprint(d.Milliseconds(), "ms") }

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port), nil
}

// scrape reads the metrics; "" if there are none.
func (p *process) scrape() string {
	if p.metrics == "" || p.pid() == 0 {
		return ""
	}
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get(p.metrics)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return string(text)
}

func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return nil // a fault's doing
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	if at, err := log.Seek(0, io.SeekEnd); err == nil {
		p.logBegin = int(at)
	}
	cmd := exec.Command(p.command[0], p.command[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.wanted, p.ended = cmd, false, make(chan struct{})
	p.started = time.Now()
	go p.attend(cmd, p.ended)
	return nil
}

// logged tells whether its log has this text since it was last started.
func (p *process) logged(text string) bool {
	p.mu.Lock()
	begin := p.logBegin
	p.mu.Unlock()
	log, err := os.ReadFile(p.log)
	return err == nil && bytes.Contains(log[min(begin, len(log)):], []byte(text))
}

// attend waits for the end. A controller that ends by itself is started again, as its Deployment would.
func (p *process) attend(cmd *exec.Cmd, ended chan struct{}) {
	err := cmd.Wait()
	p.mu.Lock()
	wanted := p.wanted
	if !wanted && !(p.excused && exited(err)) {
		p.trouble = fmt.Sprintf("controller %s ended by itself: %v%s", p.name, err, lastWords(p.log))
	} else if wanted && err != nil && !killed(err) {
		p.trouble = fmt.Sprintf("controller %s did not end well: %v%s", p.name, err, lastWords(p.log))
	}
	p.cmd = nil
	p.mu.Unlock()
	close(ended)
	if !wanted {
		time.Sleep(200 * time.Millisecond)
		p.start()
	}
}

// lastWords is the last line of a log, to be added to what is said of its program's end; "" if it has none.
func lastWords(log string) string {
	text, _ := os.ReadFile(log)
	text = bytes.TrimSpace(text)
	line := text[bytes.LastIndexByte(text, '\n')+1:]
	if len(line) == 0 {
		return ""
	}
	return fmt.Sprintf("; its last line: %.400s", line)
}

func status(err error) syscall.WaitStatus {
	exit, ok := err.(*exec.ExitError)
	if !ok {
		return 0
	}
	status, _ := exit.Sys().(syscall.WaitStatus)
	return status
}

func killed(err error) bool { return status(err).Signaled() && status(err).Signal() == syscall.SIGKILL }

// exited: with a code, not by a signal.
func exited(err error) bool { return status(err).Exited() }

func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

func (p *process) signal(s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return fmt.Errorf("controller %s does not run", p.name)
	}
	p.wanted = p.wanted || s == syscall.SIGKILL || s == syscall.SIGTERM
	p.excused = p.excused || s == syscall.SIGSTOP
	return p.cmd.Process.Signal(s)
}

const beginLimit = 2 * time.Second

// awaitBegin waits until a process that was just started heeds SIGTERM: on a busy machine that takes a while.
func (p *process) awaitBegin() {
	for pid := p.pid(); pid != 0 && pid == p.pid() && time.Since(p.startedAt()) < beginLimit && !heeds(pid, syscall.SIGTERM); {
		time.Sleep(10 * time.Millisecond)
	}
}

func (p *process) startedAt() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.started
}

// heeds tells whether a process catches a signal, or keeps it for a signalfd.
func heeds(pid int, s syscall.Signal) bool {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for _, line := range strings.Split(string(status), "\n") {
		name, mask, _ := strings.Cut(line, ":\t")
		bits, err := strconv.ParseUint(mask, 16, 64)
		if (name == "SigCgt" || name == "SigBlk") && err == nil && bits>>(s-1)&1 == 1 {
			return true
		}
	}
	return false
}

// end sends a signal and waits; who does not heed SIGTERM in time is killed, and that is trouble.
func (p *process) end(s syscall.Signal, within time.Duration) error {
	if s == syscall.SIGTERM {
		p.awaitBegin()
	}
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	if p.signal(s) != nil {
		return nil // it has ended
	}
	select {
	case <-ended:
		return nil
	case <-time.After(within):
		p.signal(syscall.SIGCONT)
		p.signal(syscall.SIGKILL)
		<-ended
		return fmt.Errorf("controller %s did not end within %s of %s", p.name, within, s)
	}
}

// complaint is what the process has to be blamed for: an end of its own, or what a sanitizer wrote.
func (p *process) complaint() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text, _ := os.ReadFile(p.log)
	for _, sign := range []string{"ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "Assertion"} {
		if i := bytes.Index(text, []byte(sign)); i >= 0 {
			return fmt.Sprintf("controller %s: %.200s", p.name, text[i:])
		}
	}
	return p.trouble
}

// act does something to a controller, which may be named leader or follower.
func (s *stage) act(ctx context.Context, order string) error {
	verb, name, _ := strings.Cut(order, " ")
	p, err := s.controller(ctx, name)
	if err != nil {
		return err
	}
	switch verb {
	case "start":
		return p.start()
	case "kill":
		return p.end(syscall.SIGKILL, 10*time.Second)
	case "term":
		return p.end(syscall.SIGTERM, 10*time.Second)
	case "stop":
		return p.signal(syscall.SIGSTOP)
	case "cont":
		return p.signal(syscall.SIGCONT)
	case "measure", "compare":
		return s.size(p, verb == "compare")
	}
	return fmt.Errorf("controller: %q is none of start, kill, term, stop, cont, measure, compare", verb)
}

// size measures a controller, or compares it and its peak since then with what was measured before.
func (s *stage) size(p *process, compare bool) error {
	if !compare {
		if err := observe.ForgetPeak("/proc", p.pid()); err != nil {
			return err
		}
	}
	now, err := observe.ReadProcess("/proc", p.pid())
	if compare && err == nil {
		s.observer.Grown("controller "+p.name, p.size, now)
		s.observer.Peaked("controller "+p.name, p.size, now)
	}
	p.size = now
	return err
}

// controller finds one by name. The first use of leader or follower fixes who that is for the rest of the scenario.
func (s *stage) controller(ctx context.Context, name string) (*process, error) {
	if name == "leader" || name == "follower" {
		if s.leader == "" {
			if s.leader = s.leads.wait(ctx, 20*time.Second); s.leader == "" {
				return nil, fmt.Errorf("nobody holds the Lease")
			}
		}
		for other := range s.processes {
			if (other == s.leader) == (name == "leader") {
				return s.processes[other], nil
			}
		}
	}
	p := s.processes[name]
	if p == nil {
		return nil, fmt.Errorf("no controller is called %q", name)
	}
	return p, nil
}

// enroll makes the controllers of the scenario known; they are not started.
func (s *stage) enroll() error {
	for _, name := range s.scenario.Controllers {
		kubeconfig := filepath.Join(s.out, name+".kubeconfig")
		if err := s.proxy.Kubeconfig(name, kubeconfig); err != nil {
			return err
		}
		command := s.command
		if s.scenario.Program != "" {
			command = filepath.Join(s.scenario.folder, s.scenario.Program)
		}
		p, err := newProcess(command, kubeconfig, name, filepath.Join(s.out, name+".log"), s.lease)
		if err != nil {
			return err
		}
		p.excused = s.disturbed
		s.processes[name] = p
	}
	return nil
}
