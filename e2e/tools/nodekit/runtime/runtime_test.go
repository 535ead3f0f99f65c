package runtime

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

var ctx = context.Background()

func open(t *testing.T, folder string) *Runtime {
	t.Helper()
	r, err := Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func pod(name string, annotations map[string]string) *cri.PodSandboxConfig {
	return &cri.PodSandboxConfig{Metadata: &cri.PodSandboxMetadata{Namespace: "ns", Name: name, Uid: "uid-" + name},
		Labels: map[string]string{"app": name}, Annotations: annotations}
}

// sandbox makes one, and a container in it that was started.
func started(t *testing.T, r *Runtime, p *cri.PodSandboxConfig, devices ...string) (sandbox, container string) {
	t.Helper()
	s, err := r.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: p})
	if err != nil {
		t.Fatal(err)
	}
	q := &cri.ContainerConfig{Metadata: &cri.ContainerMetadata{Name: "main"}, Image: &cri.ImageSpec{Image: "i"},
		Envs: []*cri.KeyValue{{Key: "A", Value: []byte("1")}, {Key: "A", Value: []byte("2")}}, Labels: map[string]string{"c": "main"}}
	for _, d := range devices {
		q.Devices = append(q.Devices, &cri.Device{HostPath: d, ContainerPath: "/dev/x", Permissions: "mrw"})
	}
	c, err := r.CreateContainer(ctx, &cri.CreateContainerRequest{PodSandboxId: s.PodSandboxId, Config: q})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: c.ContainerId}); err != nil {
		t.Fatal(err)
	}
	return s.PodSandboxId, c.ContainerId
}

func state(t *testing.T, r *Runtime, id string) *cri.ContainerStatus {
	t.Helper()
	s, err := r.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: id})
	if err != nil {
		t.Fatal(err)
	}
	return s.Status
}

func record(t *testing.T, folder, pattern string) *Container {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(folder, "containers", pattern))
	if len(files) != 1 {
		t.Fatalf("%s: %v", pattern, files)
	}
	text, _ := os.ReadFile(files[0])
	c := &Container{}
	if err := json.Unmarshal(text, c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRecordHasWhatWasSent(t *testing.T) {
	folder := t.TempDir()
	r := open(t, folder)
	started(t, r, pod("a", nil), "/dev/null")
	c := record(t, folder, "ns_a_main_0_*.json")
	if got := strings.Join(c.Env, " "); got != "A=1 A=2" || c.State != running {
		t.Errorf("env %q, state %s", got, c.State)
	}
	if len(c.Devices) != 1 || c.Devices[0] != (Device{"/dev/null", "/dev/x", "mrw"}) {
		t.Errorf("devices %v", c.Devices)
	}
}

func TestPodsOutliveTheRuntime(t *testing.T) {
	folder := t.TempDir()
	r := open(t, folder)
	s, c := started(t, r, pod("a", nil))
	gone, _ := started(t, r, pod("b", nil))
	if _, err := r.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: gone}); err != nil {
		t.Fatal(err)
	}
	r = open(t, folder)
	all, _ := r.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{})
	if len(all.Items) != 1 || all.Items[0].Id != s || all.Items[0].Labels["app"] != "a" {
		t.Errorf("sandboxes %v", all.Items)
	}
	if got := state(t, r, c); got.State != cri.ContainerState_CONTAINER_RUNNING {
		t.Errorf("state %v", got)
	}
	if c := record(t, folder, "ns_b_main_0_*.json"); c.State != removed {
		t.Errorf("what was removed is %s", c.State)
	}
	fresh, _ := r.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: pod("c", nil)})
	a, _ := r.PodSandboxStatus(ctx, &cri.PodSandboxStatusRequest{PodSandboxId: s})
	b, _ := r.PodSandboxStatus(ctx, &cri.PodSandboxStatusRequest{PodSandboxId: fresh.PodSandboxId})
	if a.Status.Network.Ip == "" || a.Status.Network.Ip == b.Status.Network.Ip {
		t.Errorf("addresses %q and %q", a.Status.Network.Ip, b.Status.Network.Ip)
	}
}

func TestRefusals(t *testing.T) {
	r := open(t, t.TempDir())
	s, c := started(t, r, pod("a", nil))
	create := func(sandbox, name string, device string) error {
		q := &cri.ContainerConfig{Metadata: &cri.ContainerMetadata{Name: name}}
		if device != "" {
			q.Devices = []*cri.Device{{HostPath: device}}
		}
		_, err := r.CreateContainer(ctx, &cri.CreateContainerRequest{PodSandboxId: sandbox, Config: q})
		return err
	}
	_, twice := r.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: pod("a", nil)})
	_, again := r.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: c})
	_, unknown := r.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: "nobody"})
	for what, row := range map[string]struct {
		err  error
		code codes.Code
	}{
		"a sandbox at the same attempt":     {twice, codes.AlreadyExists},
		"a container that runs":             {again, codes.FailedPrecondition},
		"an unknown container":              {unknown, codes.NotFound},
		"a container in no sandbox":         {create("nobody", "x", ""), codes.NotFound},
		"a container's name taken":          {create(s, "main", ""), codes.AlreadyExists},
		"a device node that does not exist": {create(s, "x", "/dev/nothing/here"), codes.Unknown},
	} {
		if status.Code(row.err) != row.code {
			t.Errorf("%s: %v, want %v", what, row.err, row.code)
		}
	}
}

func TestEndings(t *testing.T) {
	r := open(t, t.TempDir())
	stop := func(id string, timeout int64) time.Duration {
		from := time.Now()
		if _, err := r.StopContainer(ctx, &cri.StopContainerRequest{ContainerId: id, Timeout: timeout}); err != nil {
			t.Error(err)
		}
		return time.Since(from)
	}
	for name, row := range map[string]struct {
		annotations map[string]string
		wait        time.Duration
		timeout     int64
		code        int32
	}{
		"until told":    {nil, 0, 30, 143},
		"by itself":     {map[string]string{endsAnnotation: "other=1 main=3"}, 0, 30, 3},
		"after a while": {map[string]string{endsAnnotation: "main=0@20ms"}, 30 * time.Millisecond, 30, 0},
		"lingering":     {map[string]string{lingersAnnotation: "50ms"}, 0, 30, 143},
		"killed":        {map[string]string{lingersAnnotation: "1h"}, 0, 1, 137},
	} {
		_, c := started(t, r, pod(name, row.annotations))
		time.Sleep(row.wait)
		took := stop(c, row.timeout)
		got := state(t, r, c)
		if got.State != cri.ContainerState_CONTAINER_EXITED || got.ExitCode != row.code || got.FinishedAt < got.StartedAt {
			t.Errorf("%s: %v", name, got)
		}
		if name == "lingering" && took < 50*time.Millisecond || name == "killed" && took < time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
	stop("nobody", 0)
}

func TestFilters(t *testing.T) {
	r := open(t, t.TempDir())
	s, c := started(t, r, pod("a", nil))
	started(t, r, pod("b", map[string]string{endsAnnotation: "main=0"}))
	count := func(f *cri.ContainerFilter) int {
		a, _ := r.ListContainers(ctx, &cri.ListContainersRequest{Filter: f})
		return len(a.Containers)
	}
	for i, row := range []struct {
		filter *cri.ContainerFilter
		want   int
	}{
		{nil, 2}, {&cri.ContainerFilter{Id: c}, 1}, {&cri.ContainerFilter{PodSandboxId: s}, 1}, {&cri.ContainerFilter{PodSandboxId: "nobody"}, 0},
		{&cri.ContainerFilter{State: &cri.ContainerStateValue{State: cri.ContainerState_CONTAINER_RUNNING}}, 1},
		{&cri.ContainerFilter{LabelSelector: map[string]string{"c": "main"}}, 2}, {&cri.ContainerFilter{LabelSelector: map[string]string{"c": "x"}}, 0},
	} {
		if got := count(row.filter); got != row.want {
			t.Errorf("filter %d lets %d through, want %d", i, got, row.want)
		}
	}
	if _, err := r.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: s}); err != nil {
		t.Fatal(err)
	}
	a, _ := r.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{Filter: &cri.PodSandboxFilter{State: &cri.PodSandboxStateValue{State: cri.PodSandboxState_SANDBOX_READY}}})
	if len(a.Items) != 1 || state(t, r, c).State != cri.ContainerState_CONTAINER_EXITED {
		t.Errorf("a stopped sandbox: %v", a.Items)
	}
}
