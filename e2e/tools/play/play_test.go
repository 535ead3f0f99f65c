package play

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"vmgpu.io/e2e/kube"
)

func TestAKeyIsNeverWorkedOnTwiceAtOnceAndNoChangeIsLost(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	q := newQueue()
	var mu sync.Mutex
	version, seen, inside := 0, 0, 0
	work := func(string) error {
		mu.Lock()
		inside++
		if inside > 1 {
			t.Error("two workers on one key")
		}
		now := version
		mu.Unlock()
		time.Sleep(time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		inside--
		seen = now
		if seen == 100 {
			cancel()
		}
		return nil
	}
	for range 4 {
		go q.run(ctx, work)
	}
	for range 100 {
		mu.Lock()
		version++
		mu.Unlock()
		q.add("k")
		time.Sleep(200 * time.Microsecond)
	}
	<-ctx.Done()
	mu.Lock()
	defer mu.Unlock()
	if seen != 100 {
		t.Errorf("the last change seen is %d of 100", seen)
	}
}

func TestAKeyThatFailedIsTriedAgain(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	q, tries := newQueue(), 0
	q.add("k")
	q.run(ctx, func(string) error {
		if tries++; tries == 2 {
			cancel()
		}
		return fmt.Errorf("no")
	})
	if tries != 2 {
		t.Errorf("%d tries", tries)
	}
}

func TestPhaseOfAVMI(t *testing.T) {
	for _, c := range []struct {
		phase string
		gone  bool
		want  string
	}{{"Scheduled", false, "Running"}, {"Running", false, "Running"}, {"Running", true, "Succeeded"}, {"Pending", true, "Pending"}, {"Failed", true, "Failed"}} {
		if got := nextPhase(c.phase, c.gone); got != c.want {
			t.Errorf("%s, gone %v: %s, want %s", c.phase, c.gone, got, c.want)
		}
	}
}

func TestOrdersMatchByName(t *testing.T) {
	p := New(nil, nil, false, nil)
	p.objects["node n"] = kube.Object{"metadata": m{"annotations": m{failAnnotation: "UnexpectedAdmissionError a/virt-launcher-x", holdAnnotation: "slow"}}}
	pod := func(name string) kube.Object { return kube.Object{"metadata": m{"namespace": "a", "name": name}} }
	for name, want := range map[string]string{"virt-launcher-x1": "UnexpectedAdmissionError/", "virt-launcher-y": "/", "slow-1": "/hold"} {
		if got := p.order(failAnnotation, pod(name), "node n") + "/" + p.order(holdAnnotation, pod(name), "node n"); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestWordsBecomeNodes(t *testing.T) {
	nodes, err := Nodes([]string{"a", "x/y=2", "b"})
	if err != nil || fmt.Sprint(nodes) != "[{a map[x/y:2]} {b map[]}]" {
		t.Error(nodes, err)
	}
	if _, err := Nodes([]string{"x/y=2"}); err == nil {
		t.Error("a resource without a node")
	}
}
