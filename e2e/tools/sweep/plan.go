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
	eventPlaces = 16 // of each kind of fault of events; more events than that are sampled evenly
	lateness    = proxy.Duration(2 * time.Second)
)

// Plan lists the cases of a scenario, from what its controllers asked for in a run without faults. What a controller reads when it
// starts is the same in each scenario: refused it is where owns says so.
func Plan(sc *scenario.Scenario, lines []proxy.Line, owns func(path string) bool) []Case {
	var all []Case
	add := func(kind string, place any, f scenario.Fault) {
		f.Rules[0].Name = scenario.FaultRule
		all = append(all, Case{fmt.Sprintf("%s/%s/%v", sc.Name, kind, place), sc, &f})
	}
	n := count(lines)
	writes(n.writes, add)
	for _, l := range n.start {
		if m := startMatch(l); owns(l.Path) {
			refusals(place(l), m, 1, "", add)
			if isWatch(l) {
				add("410-open", place(l), one(proxy.Rule{Match: m, Do: "status", Status: 410}))
			}
		}
	}
	for i := len(n.start) + 1; i <= n.requests; i++ {
		refusals(i, proxy.Match{Not: "/leases"}, i, "", add)
	}
	for i := 1; i <= min(n.leases, leasePlaces); i++ {
		refusals(i, proxy.Match{Path: "/leases"}, i, "lease-", add)
	}
	for i := n.startWatches + 1; i <= n.watches; i++ {
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

type adder func(kind string, place any, f scenario.Fault)

// writes are the ends that a controller may come to at each of its n writes.
func writes(n int, add adder) {
	aWrite := proxy.Match{Writes: true, Not: "/leases"}
	for i := 1; i <= n; i++ {
		for _, when := range []string{"before", "lost", "after"} {
			add("kill-"+when, i, scenario.Fault{Do: (*scenario.Control).Kill, Rules: []proxy.Rule{{Match: aWrite, Nth: i, Do: "freeze", When: when}}})
		}
		add("stop", i, scenario.Fault{Do: (*scenario.Control).Stop, Standby: true, Rules: []proxy.Rule{{Match: aWrite, Nth: i, Do: "hold", Then: "drop"}}})
		add("lost", i, one(proxy.Rule{Match: aWrite, Nth: i, Do: "drop-answer"}))
	}
}

// startMatch is what a controller that starts reads, by path: many are asked for at once, and come in any order.
func startMatch(l proxy.Line) proxy.Match {
	return proxy.Match{Method: "GET", Path: "^" + regexp.QuoteMeta(l.Path) + "$", Watch: isWatch(l), Reads: !isWatch(l)}
}

// place names what is read: watch-vminstances.apps.cozystack.io.
func place(l proxy.Line) string {
	parts := strings.Split(strings.Trim(l.Path, "/"), "/")
	name := strings.Join(parts, "-")
	if len(parts) > 3 && parts[0] == "apis" {
		name = strings.Join(parts[3:], "-") + "." + parts[1]
	}
	if isWatch(l) {
		return "watch-" + name
	}
	return name
}

func refusals(place any, m proxy.Match, nth int, what string, add adder) {
	add(what+"429", place, one(proxy.Rule{Match: m, Nth: nth, Do: "status", Status: 429, RetryAfter: "1"}))
	add(what+"500", place, one(proxy.Rule{Match: m, Nth: nth, Do: "status", Status: 500}))
	add(what+"503", place, one(proxy.Rule{Match: m, Nth: nth, Do: "status", Status: 503}))
}

func one(r proxy.Rule) scenario.Fault { return scenario.Fault{Rules: []proxy.Rule{r}} }

// counts is how often there was something that a fault can meet; start are the reads before the first write, each path once.
type counts struct {
	requests, leases, writes, watches, startWatches, events int
	start                                                   []proxy.Line
}

func count(lines []proxy.Line) counts {
	var n counts
	seen := map[string]bool{}
	for _, l := range done(lines) {
		if strings.Contains(l.Path, "/leases") {
			n.leases++
			continue
		}
		if key := l.Path + "?" + fmt.Sprint(isWatch(l)); n.writes == 0 && n.requests == len(n.start) && !seen[key] && l.Method == "GET" {
			seen[key] = true
			n.start = append(n.start, l)
			if isWatch(l) {
				n.startWatches++
			}
		}
		n.requests++
		if l.IsWrite() {
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
