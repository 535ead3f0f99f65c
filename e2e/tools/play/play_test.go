package play

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
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

func TestPhaseOfAVMIWithARealLauncher(t *testing.T) {
	for _, c := range []struct{ phase, pod, want string }{
		{"Scheduled", "Pending", "Scheduled"}, {"Scheduled", "Running", "Running"}, {"Running", "Running", "Running"},
		{"Running", "Succeeded", "Succeeded"}, {"Running", "Failed", "Failed"}, {"Running", "", "Succeeded"},
		{"Scheduled", "", "Succeeded"}, {"Pending", "", "Pending"}, {"Scheduling", "Running", "Scheduling"}, {"Succeeded", "Running", "Succeeded"},
	} {
		var pod kube.Object
		if c.pod != "" {
			pod = kube.Object{"status": m{"phase": c.pod}}
		}
		if got := phaseByLauncher(c.phase, pod); got != c.want {
			t.Errorf("%s, pod %q: %s, want %s", c.phase, c.pod, got, c.want)
		}
	}
}

func TestDevicesAreHandedToTheLauncher(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	root := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("sys/fs/cgroup/kubepods/burstable/podU/c1/cgroup.procs", "7\n8\n")
	write("sys/fs/cgroup/kubepods/burstable/podU/c2/cgroup.procs", "9\n") // it has no device
	write("sys/fs/cgroup/kubepods/burstable/podV/c3/cgroup.procs", "10\n")
	container, group := write("proc/7/root/dev/vfio/vfio", ""), write("proc/7/root/dev/vfio/12", "")
	deeper, other := write("proc/7/root/dev/vfio/devices/vfio0", ""), write("proc/10/root/dev/vfio/13", "")
	write("proc/10/root/dev/vfio/vfio", "")
	if err := handDevices(root, "U"); err != nil {
		t.Fatal(err)
	}
	for path, uid := range map[string]uint32{group: launcherUser, container: launcherUser, deeper: 0, other: 0} {
		var st syscall.Stat_t
		if err := syscall.Stat(path, &st); err != nil || st.Uid != uid {
			t.Errorf("%s is %d's, want %d (%v)", path, st.Uid, uid, err)
		}
	}
	if info, err := os.Stat(container); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("%s: %v %v", container, info.Mode(), err)
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
