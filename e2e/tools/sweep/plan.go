// Package sweep runs each scenario many times, each time with one fault at one place: killed at its third write, the answer of the
// eleventh request lost, and so on. Where there is to be found a place is learnt from a run without faults.
package sweep

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"vmgpu.io/e2e/proxy"
	"vmgpu.io/e2e/scenario"
)

// Case is one run: a scenario with one fault.
type Case struct {
	ID       string // scenario/kind/place
	Scenario *scenario.Scenario
	Fault    *scenario.Fault
}

const (
	cutPlaces   = 32
	leasePlaces = 4  // they are all alike
	eventPlaces = 24 // of each kind of fault of events; more events than that are sampled evenly
	lateness    = proxy.Duration(2 * time.Second)
)

// Plan lists the cases of a scenario, from what its controllers asked for in a run without faults.
func Plan(sc *scenario.Scenario, lines []proxy.Line) []Case {
	var all []Case
	add := func(kind string, place int, f scenario.Fault) {
		f.Rules[0].Name = scenario.FaultRule
		all = append(all, Case{fmt.Sprintf("%s/%s/%d", sc.Name, kind, place), sc, &f})
	}
	n := count(lines)
	aWrite := proxy.Match{Writes: true, Not: "/leases"}
	for i := 1; i <= n.writes; i++ {
		for _, when := range []string{"before", "lost", "after"} {
			add("kill-"+when, i, scenario.Fault{Do: (*scenario.Control).Kill, Rules: []proxy.Rule{{Match: aWrite, Nth: i, Do: "freeze", When: when}}})
		}
		add("stop", i, scenario.Fault{Do: (*scenario.Control).Stop, Standby: true, Rules: []proxy.Rule{{Match: aWrite, Nth: i, Do: "hold", Then: "drop"}}})
		add("lost", i, one(proxy.Rule{Match: aWrite, Nth: i, Do: "drop-answer"}))
	}
	for i := 1; i <= n.requests; i++ {
		refusals(i, proxy.Match{Not: "/leases"}, "", add)
	}
	for i := 1; i <= min(n.leases, leasePlaces); i++ {
		refusals(i, proxy.Match{Path: "/leases"}, "lease-", add)
	}
	for i := 1; i <= n.watches; i++ {
		add("410-open", i, one(proxy.Rule{Match: proxy.Match{Watch: true}, Nth: i, Do: "status", Status: 410}))
	}
	for _, i := range sample(n.events, eventPlaces) {
		for _, do := range []string{"expire", "withhold", "repeat", "reorder"} {
			add(do, i, one(proxy.Rule{Match: proxy.Match{Watch: true}, Nth: i, Do: do, For: lateness}))
		}
	}
	for i, c := range cuts(lines) {
		add("cut", i+1, one(c))
	}
	return all
}

func refusals(i int, m proxy.Match, what string, add func(kind string, place int, f scenario.Fault)) {
	add(what+"429", i, one(proxy.Rule{Match: m, Nth: i, Do: "status", Status: 429, RetryAfter: "1"}))
	add(what+"500", i, one(proxy.Rule{Match: m, Nth: i, Do: "status", Status: 500}))
	add(what+"503", i, one(proxy.Rule{Match: m, Nth: i, Do: "status", Status: 503}))
}

func one(r proxy.Rule) scenario.Fault { return scenario.Fault{Rules: []proxy.Rule{r}} }

// counts is how often there was something that a fault can meet.
type counts struct{ requests, leases, writes, watches, events int }

func count(lines []proxy.Line) counts {
	var n counts
	for _, l := range done(lines) {
		if strings.Contains(l.Path, "/leases") {
			n.leases++
			continue
		}
		n.requests++
		if proxy.IsWrite(l.Method) {
			n.writes++
		}
		if isWatch(l) {
			n.watches++
			n.events += l.Events
		}
	}
	return n
}

func isWatch(l proxy.Line) bool {
	return strings.Contains(l.Query, "watch=1") || strings.Contains(l.Query, "watch=true")
}

// done leaves one line a request, in the order in which they came.
func done(lines []proxy.Line) []proxy.Line {
	all := slices.DeleteFunc(slices.Clone(lines), func(l proxy.Line) bool { return l.Phase != "done" })
	slices.SortFunc(all, func(a, b proxy.Line) int { return int(a.Index - b.Index) })
	return all
}

// sample is at most limit numbers of 1…n, evenly spread.
func sample(n, limit int) []int {
	var all []int
	for i := range min(n, limit) {
		all = append(all, 1+i*n/min(n, limit))
	}
	return all
}

// cuts are places evenly spread over all that the controllers read in answers to GET.
func cuts(lines []proxy.Line) []proxy.Rule {
	total := 0
	var read []proxy.Line
	for _, l := range done(lines) {
		if l.Method == "GET" {
			read = append(read, l)
			total += l.Bytes
		}
	}
	var all []proxy.Rule
	for i := range cutPlaces {
		at := (2*i + 1) * total / (2 * cutPlaces)
		times := map[string]int{}
		for _, l := range read {
			key := fmt.Sprint(l.Path, isWatch(l)) // as the rule counts
			times[key]++
			if at < l.Bytes {
				m := proxy.Match{Method: "GET", Path: "^" + regexp.QuoteMeta(l.Path) + "$", Watch: isWatch(l), Reads: !isWatch(l)}
				all = append(all, proxy.Rule{Match: m, Nth: times[key], Do: "cut", At: at})
				break
			}
			at -= l.Bytes
		}
	}
	return all
}
