package sweep

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vmgpu.io/e2e/proxy"
	"vmgpu.io/e2e/scenario"
)

func lines() []proxy.Line {
	return []proxy.Line{
		{Index: 1, Phase: "done", Method: "GET", Path: "/apis/g.io/v1/vms", Query: "limit=500", Bytes: 300},
		{Index: 2, Phase: "open", Method: "GET", Path: "/apis/g.io/v1/vms", Query: "watch=1"},
		{Index: 4, Phase: "done", Method: "PATCH", Path: "/apis/g.io/v1/vms/a", Bytes: 50},
		{Index: 3, Phase: "done", Method: "PUT", Path: "/leases/x", Bytes: 50},
		{Index: 2, Phase: "done", Method: "GET", Path: "/apis/g.io/v1/vms", Query: "watch=1", Bytes: 100, Events: 2},
	}
}

func TestThePlanHasACaseForEachPlace(t *testing.T) {
	kinds := map[string]int{}
	seen := map[string]bool{}
	for _, c := range Plan(&scenario.Scenario{Name: "s"}, lines(), func(string) bool { return true }) {
		if seen[c.ID] {
			t.Error("twice:", c.ID)
		}
		seen[c.ID] = true
		if len(c.Fault.Rules) != 1 || c.Fault.Rules[0].Name != scenario.FaultRule {
			t.Error(c.ID, c.Fault.Rules)
		}
		kinds[strings.Split(c.ID, "/")[1]]++
	}
	want := map[string]int{"kill-before": 1, "kill-lost": 1, "kill-after": 1, "stop": 1, "lost": 1, "429": 3, "500": 3, "503": 3, "lease-429": 1, "lease-500": 1, "lease-503": 1, "410-open": 1,
		"expire": 2, "withhold": 2, "repeat": 2, "reorder": 2, "cut": 32}
	if fmt.Sprint(kinds) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", kinds, want)
	}
}

func TestWhatEachScenarioReadsAtItsStartIsRefusedInTheOneThatOwnsIt(t *testing.T) {
	var got []string
	for _, c := range Plan(&scenario.Scenario{Name: "s"}, lines(), func(path string) bool { return path == "/apis/g.io/v1/vms" }) {
		if kind := strings.Split(c.ID, "/")[1]; kind == "500" || kind == "410-open" {
			got = append(got, fmt.Sprint(c.ID, " ", c.Fault.Rules[0].Nth, c.Fault.Rules[0].Match))
		}
	}
	want := `s/500/vms.g.io 1 {GET ^/apis/g\.io/v1/vms$     false false true}
s/500/watch-vms.g.io 1 {GET ^/apis/g\.io/v1/vms$     false true false}
s/410-open/watch-vms.g.io 0 {GET ^/apis/g\.io/v1/vms$     false true false}
s/500/3 3 {  /leases    false false false}`
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

func TestCutsAreSpreadOverAllThatIsRead(t *testing.T) {
	places := map[string]int{}
	for _, r := range cuts(lines()) {
		if limit := map[bool]int{true: 100, false: 300}[r.Match.Watch]; r.At < 0 || r.At >= limit || r.Nth != 1 {
			t.Errorf("%+v", r)
		}
		places[fmt.Sprint(r.Match.Watch, r.At)]++
	}
	if len(places) != cutPlaces {
		t.Errorf("%d different places", len(places))
	}
}

func TestSample(t *testing.T) {
	if got := fmt.Sprint(sample(3, 24), sample(10, 5), sample(0, 5)); got != "[1 2 3] [1 3 5 7 9] []" {
		t.Error(got)
	}
}

func TestShardsPartAllCases(t *testing.T) {
	taken := 0
	for shard := range 3 {
		for i := range 1000 {
			if (Choice{Shard: shard, Of: 3, Percent: 100}).Takes(fmt.Sprint("s/kill/", i)) {
				taken++
			}
		}
	}
	if taken != 1000 {
		t.Error(taken)
	}
}

func TestAFixedShareAndWhatEverFailed(t *testing.T) {
	var all []Case
	for i := range 200 {
		all = append(all, Case{ID: fmt.Sprint("s/kill/", i)})
	}
	c := Choice{Of: 1, Percent: 5, Also: map[string]bool{}}
	share := c.From(all)
	if len(share) != 9 { // and the run without a fault
		t.Fatal(share)
	}
	if other := c.From(all[1:]); len(other) != 9 || !slices.ContainsFunc(other, func(one Case) bool { return one.ID == share[8].ID }) {
		t.Error("the share is not the same when there is one case less:", other)
	}
	left := slices.IndexFunc(all, func(one Case) bool {
		return !slices.ContainsFunc(share, func(other Case) bool { return other.ID == one.ID })
	})
	c.Also[all[left].ID] = true
	if also := c.From(all); len(also) != 10 {
		t.Error("a case that failed before is left out:", also)
	}
	for _, percent := range []int{100, 101} {
		if whole := (Choice{Of: 1, Percent: percent}).From(all); len(whole) != 200 {
			t.Error(len(whole))
		}
	}
	if none := c.From(nil); len(none) != 0 {
		t.Error(none)
	}
}

func TestResultsOfACommitAreSummed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results")
	for _, o := range []Outcome{{Commit: "a", ID: "1", Met: true, Error: "x"}, {Commit: "a", ID: "1", Met: true}, {Commit: "a", ID: "2", Error: "x"},
		{Commit: "b", ID: "3", Error: "x"}} {
		if err := o.append(file); err != nil {
			t.Fatal(err)
		}
	}
	runs, broken, unmet, err := Sum(file, "a")
	if runs != 2 || broken != 1 || unmet != 1 || err != nil {
		t.Error(runs, broken, unmet, err)
	}
}

type answers struct{ err error }

func (a answers) Answers(context.Context) error { return a.err }

func TestRunsThatWereEndedOrLostTheirClusterAreNotKept(t *testing.T) {
	broken := &scenario.Result{Says: []scenario.Said{{Says: "x", Error: "y"}}}
	ended, end := context.WithCancel(context.Background())
	end()
	file := filepath.Join(t.TempDir(), "results")
	stopped := false
	s := &settings{results: file, commit: "a", stop: func() { stopped = true }}
	s.note(ended, answers{}, "s/kill/1", true, broken)
	if s.failed != nil || stopped {
		t.Error("who is told to end has not failed:", s.failed)
	}
	s.note(context.Background(), answers{os.ErrDeadlineExceeded}, "s/kill/2", true, broken)
	if s.failed == nil || !stopped {
		t.Error("it goes on without its cluster")
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Error("kept:", err)
	}
	s.note(context.Background(), answers{}, "s/kill/4", false, &scenario.Result{Skipped: "the cluster has no x"})
	s.note(context.Background(), answers{}, "s/kill/3", true, broken)
	if runs, broken, _, err := Sum(file, "a"); runs != 1 || broken != 1 || err != nil {
		t.Error(runs, broken, err)
	}
}

func TestIDsAreReadWithoutComments(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ids")
	os.WriteFile(file, []byte("# failed\ns/kill/1 # since then\n\ns/500/2\n"), 0o600)
	ids, err := readIDs(file)
	if err != nil || len(ids) != 2 || !ids["s/kill/1"] || !ids["s/500/2"] {
		t.Error(ids, err)
	}
}

func TestShardsAreReadFromOne(t *testing.T) {
	if s, n, ok := parseShard("2/4"); s != 1 || n != 4 || !ok {
		t.Error(s, n, ok)
	}
	for _, bad := range []string{"0/4", "5/4", "x", "1/"} {
		if _, _, ok := parseShard(bad); ok {
			t.Error(bad)
		}
	}
}
