package scenario

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"vmgpu.io/e2e/kube"
	"vmgpu.io/e2e/observe"
	"vmgpu.io/e2e/proxy"
)

func TestFilesThatCannotBeAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{steps: []}`:         "no says",
		`{says: x, step: []}`: `unknown field "step"`,
		`{says: x, steps: [{apply: {}, delete: X y}]}`:                  "2 verbs",
		`{says: x, steps: [{within: 1s}]}`:                              "0 verbs",
		`{says: x, steps: [{wait: {of: X y, path: "a["}}]}`:             "no closing ]",
		`{says: x, steps: [{wait: {of: X y, path: a}}]}`:                "asks nothing",
		`{says: x, steps: [{wait: {of: X y, pat: a}}]}`:                 `unknown field "pat"`,
		`{says: x, steps: [{apply: {kind: X, metadata: {name: off}}}]}`: "without a name that is a text",
		`{says: x, steps: [{pause: soon}]}`:                             "soon",
		"says: x\nsays: y":                                              "already set",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestTheNamespaceIsFilledInAndTheCommonObjectsComeFirst(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"_common.yaml": `[{kind: T, metadata: {name: common}}]`,
		"one.yaml":     `{says: x, given: [{kind: X, metadata: {name: own}}], steps: [{call: {method: PUT, path: /a/$NS/b}}]}`,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, err := Files([]string{folder})
	if err != nil || len(all) != 1 || all[0].Name != "one" {
		t.Fatal(all, err)
	}
	s, err := all[0].Bind("ns1")
	if err != nil || s.Steps[0].Call.Path != "/a/ns1/b" || s.Name != "one" || s.Controllers[0] != "a" {
		t.Error(s, err)
	}
	if len(s.Given) != 2 || s.Given[0].Name() != "common" || s.Given[1].Name() != "own" {
		t.Error(s.Given)
	}
}

func TestARoundIsNumbered(t *testing.T) {
	s, err := Parse([]byte(`{says: x, steps: [{delete: X name-$I, times: 3}, {delete: X y}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if step, err := s.Steps[0].round(2); err != nil || step.Delete[0] != "X name-2" {
		t.Error(step, err)
	}
	if step, err := s.Steps[1].round(2); err != nil || step.Delete[0] != "X y" {
		t.Error(step, err)
	}
}

func TestTheEndOfTheStepsWaitsForWhatGoesOnMeanwhile(t *testing.T) {
	var m meanwhile
	begin := time.Now()
	m.begin(func() error { time.Sleep(50 * time.Millisecond); return context.Canceled })
	m.begin(func() error { return nil })
	if err := m.join(); err == nil || time.Since(begin) < 50*time.Millisecond {
		t.Error(err)
	}
}

func TestAPoolDoesAllTasksAlsoThoseThatCameLater(t *testing.T) {
	p := newPool([]*Bench{{}, {}, {}})
	var done atomic.Int64
	for range 10 {
		p.Add(func(*Bench) {
			time.Sleep(time.Millisecond)
			done.Add(1)
			p.Add(func(*Bench) { done.Add(1) })
		})
	}
	p.Run(context.Background())
	if done.Load() != 20 {
		t.Error(done.Load())
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.Add(func(*Bench) { cancel(); done.Store(0) })
	for range 100 {
		p.Add(func(*Bench) { time.Sleep(time.Millisecond); done.Add(1) })
	}
	p.Run(ctx)
	if done.Load() > 10 {
		t.Error("it goes on although it was cancelled:", done.Load())
	}
}

func TestAPoolTakesLongAndShortInTurn(t *testing.T) {
	p := newPool([]*Bench{{}})
	var done []string
	add := func(takes time.Duration, name string) { p.AddOf(takes, func(*Bench) { done = append(done, name) }) }
	p.Add(func(*Bench) {
		add(2*time.Second, "short")
		add(time.Minute, "long")
		add(time.Second, "shortest")
		add(30*time.Second, "middling")
		p.Add(func(*Bench) { done = append(done, "unknown") })
		p.Add(func(*Bench) { done = append(done, "unknown too") })
	})
	p.Run(t.Context())
	if got := strings.Join(done, ", "); got != "unknown, unknown too, shortest, long, short, middling" {
		t.Error(got)
	}
}

func TestABenchLeavesAPoolWhileOthersAreBusy(t *testing.T) {
	p := newPool([]*Bench{{}, {}})
	left := make(chan *Bench, 2)
	p.Leave(func(b *Bench) { left <- b })
	p.Add(func(b *Bench) {
		select {
		case other := <-left:
			if other == b {
				t.Error("it leaves while it is busy")
			}
		case <-time.After(10 * time.Second):
			t.Error("the other waits for this one")
		}
	})
	p.Run(t.Context())
	<-left
}

func TestABenchThatJoinsAPoolLaterWorksToo(t *testing.T) {
	first, second := &Bench{}, &Bench{}
	p := newPool([]*Bench{first})
	file := filepath.Join(t.TempDir(), "late.free")
	p.Join(func(ctx context.Context) *Bench {
		if !appears(ctx, file) {
			return nil
		}
		return second
	})
	p.Join(func(ctx context.Context) *Bench { // never comes, and holds nobody up
		if appears(ctx, file+".never") {
			t.Error("it is there")
		}
		return nil
	})
	joined := make(chan bool, 1)
	p.Add(func(b *Bench) {
		os.WriteFile(file, nil, 0o600)
		p.Add(func(b *Bench) { joined <- b == second })
		select {
		case ok := <-joined:
			if !ok {
				t.Error("the first did it")
			}
		case <-time.After(10 * time.Second):
			t.Error("it does not join")
		}
	})
	p.Run(context.Background())
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{"2s": 2 * time.Second, "lease+1s": 16 * time.Second, "0s": 7 * time.Second} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.In(15*time.Second, 7*time.Second) != want {
			t.Error(text, d, err)
		}
	}
}

func TestChecks(t *testing.T) {
	all, err := kube.DecodeYAML([]byte(`{metadata: {uid: u}, spec: {l: [{a: 1}, {a: 2}], t: hello world}}`))
	if err != nil {
		t.Fatal(err)
	}
	remembered := map[string]any{"u": "u", "other": "v"}
	for text, want := range map[string]bool{
		`{path: spec.l, count: 2}`:                      true,
		`{path: spec.l, count: 1}`:                      false,
		`{path: spec.l, equals: [{a: 1}, {a: 2}]}`:      true,
		`{path: spec.l, equals: [{a: 1}]}`:              false,
		`{path: spec, matches: {t: hello world}}`:       true,
		`{path: spec.t, contains: world}`:               true,
		`{path: spec.t, lacks: world}`:                  false,
		`{path: spec.t, lacks: moon}`:                   true,
		`{path: spec.x, exists: false}`:                 true,
		`{path: spec.x, exists: true}`:                  false,
		`{path: metadata.uid, same: u}`:                 true,
		`{path: metadata.uid, differs: u}`:              false,
		`{path: metadata.uid, differs: other}`:          true,
		`{path: metadata.uid, same: nothing}`:           false,
		`{gone: true}`:                                  false,
		`{columns: {spec: {t: hello world}}}`:           true,
		`{columns: {spec: {t: moon}}}`:                  false,
		`{path: spec.t, contains: hello, exists: true}`: true,
		`{path: spec.t, contains: moon, exists: true}`:  false,
	} {
		s, err := Parse([]byte(`{says: x, steps: [{wait: {of: X y, ` + text[1:] + `}]}`))
		if err != nil {
			t.Fatal(text, err)
		}
		if ok, why := s.Steps[0].Wait.holds(all[0], remembered); ok != want || (!ok && why == "") {
			t.Errorf("%s: %v %s", text, ok, why)
		}
	}
	for text, want := range map[string]bool{`{gone: true}`: true, `{exists: false}`: true, `{path: a, exists: false}`: true, `{path: a, equals: 1}`: false,
		`{path: a, lacks: x}`: false} {
		s, _ := Parse([]byte(`{says: x, steps: [{wait: {of: X y, ` + text[1:] + `}]}`))
		if ok, _ := s.Steps[0].Wait.holds(nil, nil); ok != want {
			t.Errorf("%s of nothing: %v", text, ok)
		}
	}
}

func TestTAP(t *testing.T) {
	var out bytes.Buffer
	tap := &tap{out: &out}
	tap.result("one", &Result{Says: []Said{{"it works", ""}, {"all", "no"}}, Logs: "/x", Violations: []observe.Violation{{Invariant: "I1", Object: "o", Message: "m"}}})
	tap.result("two", &Result{Skipped: "the cluster has no x"})
	tap.end()
	want := `ok 1 - one: it works
not ok 2 - one: all
# no
# I1 o: m
# logs: /x
ok 3 - two # SKIP the cluster has no x
1..3
1 passed, 1 failed, 1 skipped
`
	if out.String() != want {
		t.Error(out.String())
	}
}

func TestAViolationFailsAScenarioUnlessItIsMeantTo(t *testing.T) {
	i1, i3 := observe.Violation{Invariant: "I1"}, observe.Violation{Invariant: "I3"}
	for _, c := range []struct {
		violates string
		all      []observe.Violation
		ok       bool
	}{{"", nil, true}, {"", []observe.Violation{i1}, false}, {"I1", []observe.Violation{i1}, true}, {"I1", nil, false}, {"I1", []observe.Violation{i1, i3}, false}} {
		r := &Result{}
		sc := &Scenario{Says: "x", Violates: c.violates}
		r.finish(sc, nil)
		r.judge(sc, c.all)
		if r.Failed() == c.ok {
			t.Errorf("%s %v: %v", c.violates, c.all, r.Says)
		}
	}
}

func runningAs(t *testing.T, script string) *process {
	return &process{name: "a", command: []string{"/bin/sh", "-c", script}, log: filepath.Join(t.TempDir(), "log")}
}

func TestAProcessThatIsKilledOrAskedToEndIsNotToBlame(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		p := runningAs(t, `trap "exit 0" TERM; while :; do sleep 0.01; done`)
		if err := p.start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		if err := p.end(s, 5*time.Second); err != nil || p.complaint() != "" || p.pid() != 0 {
			t.Error(s, err, p.complaint())
		}
	}
}

func TestAProcessThatEndsByItselfIsStartedAgainAndToBlame(t *testing.T) {
	p := runningAs(t, `echo begun; [ $(wc -l <`+"$0"+`) -lt 2 ] && echo "no such flag" && exit 3; sleep 10`)
	p.command = append(p.command, p.log)
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if text, _ := os.ReadFile(p.log); strings.Count(string(text), "begun") == 2 {
			break
		}
	}
	if !strings.Contains(p.complaint(), "ended by itself: exit status 3; its last line: no such flag") || p.pid() == 0 {
		t.Error(p.complaint(), p.pid())
	}
	p.end(syscall.SIGKILL, time.Second)
}

func TestWhoWasStoppedMayEndByItselfButNotCrash(t *testing.T) {
	for script, blamed := range map[string]bool{"sleep 0.2; exit 1": false, "sleep 0.2; kill -SEGV $$": true} {
		p := runningAs(t, script)
		if err := p.start(); err != nil {
			t.Fatal(err)
		}
		ended := p.ended
		p.signal(syscall.SIGSTOP)
		p.signal(syscall.SIGCONT)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatal("it goes on")
		}
		if (p.complaint() != "") != blamed {
			t.Errorf("%s: %q", script, p.complaint())
		}
		p.end(syscall.SIGKILL, time.Second)
	}
}

func TestAProcessThatDoesNotHeedSIGTERMIsToBlame(t *testing.T) {
	p := runningAs(t, `trap "" TERM; while :; do sleep 0.01; done`)
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if err := p.end(syscall.SIGTERM, 100*time.Millisecond); err == nil || p.pid() != 0 {
		t.Error(err, p.pid())
	}
}

func TestWhatASanitizerWroteIsToBlame(t *testing.T) {
	p := runningAs(t, `echo "x.c:1: runtime error: shift exponent"; sleep 10`)
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	p.end(syscall.SIGKILL, time.Second)
	if !strings.Contains(p.complaint(), "runtime error: shift") {
		t.Error(p.complaint())
	}
}

func TestTheLeaderIsWhoPutItselfIntoTheLease(t *testing.T) {
	l := &leads{lease: "/leases/vmgpu"}
	l.take(proxy.Line{Via: "a", Method: "GET", Path: "/x/leases/vmgpu-controller", Status: 200, Holder: "A"})
	l.take(proxy.Line{Via: "b", Method: "PUT", Path: "/x/leases/vmgpu-controller", Status: 409, Holder: ""})
	if got := l.wait(context.Background(), 0); got != "" {
		t.Error(got)
	}
	l.take(proxy.Line{Via: "b", Method: "PUT", Path: "/x/leases/vmgpu-controller", Status: 200, Holder: "B"})
	l.take(proxy.Line{Via: "a", Method: "PUT", Path: "/x/leases/vmgpu-controller", Status: 200, Holder: ""}) // a release
	if got := l.wait(context.Background(), time.Second); got != "b" {
		t.Error(got)
	}
	l.take(proxy.Line{Mark: "next"})
	if got := l.wait(context.Background(), 0); got != "" || len(l.since()) != 0 {
		t.Error(got)
	}
}

func TestWordsOfACommandAreFilledIn(t *testing.T) {
	p, err := newProcess("x --kubeconfig {kubeconfig} --me {name} --port {port} --lease={lease},{renew},{period},{retry} :{metrics}", "/k", "a", "", 15*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	w := p.command
	if w[2] != "/k" || w[4] != "a" || w[6] == "{port}" || w[7] != "--lease=15000ms,10000ms,5000ms,2000ms" || p.metrics != "http://127.0.0.1"+w[8]+"/metrics" {
		t.Error(w, p.metrics)
	}
	if _, err := newProcess(" ", "", "", "", 0); err == nil {
		t.Error("no command")
	}
}

func TestAScenarioIsRunOnceMoreWithAnotherLease(t *testing.T) {
	file := filepath.Join(t.TempDir(), "one.yaml")
	if err := os.WriteFile(file, []byte(`{says: x, alsoLease: 15s, steps: [{pause: 1s}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := Files([]string{file})
	if err != nil || len(all) != 2 || all[0].lease != 0 || all[1].Name != "one-15s" || all[1].AlsoLease.Time != 0 {
		t.Fatal(all, err)
	}
	if bound, err := all[1].Bind("ns"); err != nil || bound.lease != 15*time.Second {
		t.Error(bound, err)
	}
}

func TestTheLastWordsAreOneLine(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	if got := lastWords(log); got != "" {
		t.Error(got)
	}
	for text, want := range map[string]string{"": "", "\n": "", "one": "; its last line: one", "one\ntwo\n\n": "; its last line: two",
		strings.Repeat("x", 500): "; its last line: " + strings.Repeat("x", 400)} {
		if err := os.WriteFile(log, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := lastWords(log); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestAFolderThatNobodyNamedGoesUnlessSomethingFailed(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	left := func() int { all, _ := os.ReadDir(temp); return len(all) }
	f := Flags{State: filepath.Join(temp, "no-cluster")}
	if _, _, err := f.Open(context.Background()); err == nil || left() != 0 {
		t.Error(err, left())
	}
	folders := []string{filepath.Join(temp, "out"), filepath.Join(temp, "out", "2")}
	for _, kept := range []string{"results", ""} {
		os.MkdirAll(folders[1], 0o700)
		for _, name := range []string{"violations", "requests", "2/violations", "2/requests", kept} {
			if name != "" {
				os.WriteFile(filepath.Join(folders[0], name), nil, 0o600)
			}
		}
		removeRecords(folders)
		if left() != len(kept)/len("results") {
			t.Errorf("%q: %d left", kept, left())
		}
		os.Remove(filepath.Join(folders[0], "results"))
	}
}

func TestAProcessIsToldToEndWhenItHeedsThat(t *testing.T) {
	// Not a shell: bash blocks SIGTERM for an instant around each fork, which looks like heeding it.
	heedsLate := "select(undef, undef, undef, 0.3); $SIG{TERM} = sub { exit 0 }; sleep 60"
	p := &process{name: "a", log: filepath.Join(t.TempDir(), "log"), command: []string{"perl", "-e", heedsLate}}
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	if err := p.end(syscall.SIGTERM, 10*time.Second); err != nil || p.complaint() != "" {
		t.Error(err, p.complaint())
	}
}

func TestTimesOfALeaseAreWholeMilliseconds(t *testing.T) {
	p, err := newProcess("x --lease={lease},{renew},{period},{retry}", "", "a", "", 5*time.Second)
	if err != nil || p.command[1] != "--lease=5000ms,3333ms,1666ms,666ms" {
		t.Error(p.command, err)
	}
}

func TestAnotherProgramIsLookedForBesideTheScenario(t *testing.T) {
	p, err := proxy.New(kube.Config{Server: "https://127.0.0.1:1"}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Listen("a", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s := &stage{Bench: &Bench{command: "controller", proxy: p}, out: t.TempDir(), processes: map[string]*process{},
		scenario: &Scenario{Controllers: []string{"a"}, Program: "leaks.sh", folder: "/x"}}
	if err := s.enroll(); err != nil || s.processes["a"].command[0] != "/x/leaks.sh" {
		t.Error(s.processes["a"], err)
	}
}
