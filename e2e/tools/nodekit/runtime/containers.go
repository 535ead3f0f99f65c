package runtime

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Annotations of a pod that say what its containers do. Without them they run until they are told to end, and then end at once.
const (
	// endsAnnotation is "NAME=CODE[@AFTER] ...": these end by themselves, at once or after that time.
	endsAnnotation = "play.vmgpu.io/ends"
	// lingersAnnotation is a time for which they go on when they are told to end.
	lingersAnnotation = "play.vmgpu.io/lingers"
)

// CreateContainer writes down all that the kubelet sends. As runc does, it wants to see each device node.
func (r *Runtime) CreateContainer(_ context.Context, q *cri.CreateContainerRequest) (*cri.CreateContainerResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sandboxes[q.GetPodSandboxId()]
	if s == nil || s.State != ready {
		return nil, status.Errorf(codes.NotFound, "no sandbox %s that is ready", q.GetPodSandboxId())
	}
	c := newContainer(s, q.GetConfig())
	for _, o := range r.containers {
		if o.Sandbox == c.Sandbox && o.Name == c.Name && o.Attempt == c.Attempt {
			return nil, status.Errorf(codes.AlreadyExists, "%s/%s has a container %s at attempt %d: %s", c.Namespace, c.Pod, c.Name, c.Attempt, o.ID)
		}
	}
	for _, d := range c.Devices {
		if _, err := os.Stat(d.Host); err != nil {
			return nil, status.Errorf(codes.Unknown, "container %s of %s/%s: device %s: %v", c.Name, c.Namespace, c.Pod, d.Host, err)
		}
	}
	if err := write(r.folder, c.file(), c); err != nil {
		return nil, err
	}
	r.containers[c.ID] = c
	return &cri.CreateContainerResponse{ContainerId: c.ID}, nil
}

func newContainer(s *Sandbox, q *cri.ContainerConfig) *Container {
	c := &Container{ID: newID(), Sandbox: s.ID, Namespace: s.Namespace, Pod: s.Pod, UID: s.UID, Name: q.GetMetadata().GetName(),
		Attempt: q.GetMetadata().GetAttempt(), State: created, Image: q.GetImage().GetImage(), Command: q.GetCommand(), Args: q.GetArgs(),
		Env: []string{}, Devices: []Device{}, Mounts: []Mount{}, LogPath: q.GetLogPath(), Labels: q.GetLabels(), Annotations: q.GetAnnotations(),
		Created: time.Now().UnixNano()}
	for _, e := range q.GetEnvs() {
		c.Env = append(c.Env, e.GetKey()+"="+string(e.GetValue()))
	}
	for _, d := range q.GetDevices() {
		c.Devices = append(c.Devices, Device{d.GetHostPath(), d.GetContainerPath(), d.GetPermissions()})
	}
	for _, m := range q.GetMounts() {
		c.Mounts = append(c.Mounts, Mount{m.GetHostPath(), m.GetContainerPath(), m.GetReadonly()})
	}
	for _, d := range q.GetCDIDevices() {
		c.CDI = append(c.CDI, d.GetName())
	}
	return c
}

// ends says whether the pod's annotation lets that container end by itself, with which code and after how long.
func (s *Sandbox) ends(name string) (code int32, after time.Duration, ok bool) {
	for _, word := range strings.Fields(s.Annotations[endsAnnotation]) {
		n, rest, _ := strings.Cut(word, "=")
		if n != name {
			continue
		}
		text, wait, _ := strings.Cut(rest, "@")
		number, _ := strconv.Atoi(text)
		after, _ = time.ParseDuration(wait)
		return int32(number), after, true
	}
	return 0, 0, false
}

// StartContainer lets it run, or have run.
func (r *Runtime) StartContainer(_ context.Context, q *cri.StartContainerRequest) (*cri.StartContainerResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[q.GetContainerId()]
	if c == nil {
		return nil, status.Errorf(codes.NotFound, "no container %s", q.GetContainerId())
	}
	if c.State != created {
		return nil, status.Errorf(codes.FailedPrecondition, "container %s is %s", c.ID, c.State)
	}
	now := time.Now()
	c.State, c.Started = running, now.UnixNano()
	if code, after, ok := r.sandboxes[c.Sandbox].ends(c.Name); ok {
		c.Ends, c.ExitCode = now.Add(after).UnixNano(), code
		c.settle(now)
	}
	return &cri.StartContainerResponse{}, write(r.folder, c.file(), c)
}

// StopContainer is SIGTERM, and SIGKILL after the timeout. An unknown one is as good as stopped.
func (r *Runtime) StopContainer(ctx context.Context, q *cri.StopContainerRequest) (*cri.StopContainerResponse, error) {
	r.mu.Lock()
	c := r.containers[q.GetContainerId()]
	var lingers time.Duration
	if c != nil {
		c.settle(time.Now())
		if c.State == running {
			lingers, _ = time.ParseDuration(r.sandboxes[c.Sandbox].Annotations[lingersAnnotation])
		}
	}
	r.mu.Unlock()
	code := int32(143)
	if most := time.Duration(q.GetTimeout()) * time.Second; lingers > most {
		lingers, code = most, 137
	}
	select {
	case <-time.After(lingers):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c == nil || c.State == removed {
		return &cri.StopContainerResponse{}, nil
	}
	return &cri.StopContainerResponse{}, r.endContainer(c, code, false)
}

// RemoveContainer forgets it; its file stays.
func (r *Runtime) RemoveContainer(_ context.Context, q *cri.RemoveContainerRequest) (*cri.RemoveContainerResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.containers[q.GetContainerId()]; c != nil {
		return &cri.RemoveContainerResponse{}, r.endContainer(c, 137, true)
	}
	return &cri.RemoveContainerResponse{}, nil
}

func (r *Runtime) endContainer(c *Container, code int32, forget bool) error {
	c.settle(time.Now())
	if c.State != exited {
		c.State, c.Finished, c.ExitCode = exited, time.Now().UnixNano(), code
	}
	if forget {
		c.State = removed
		delete(r.containers, c.ID)
	}
	return write(r.folder, c.file(), c)
}

// ListContainers lists what the filter lets through.
func (r *Runtime) ListContainers(_ context.Context, q *cri.ListContainersRequest) (*cri.ListContainersResponse, error) {
	f := q.GetFilter()
	r.mu.Lock()
	defer r.mu.Unlock()
	a := &cri.ListContainersResponse{}
	for _, c := range r.containers {
		c.settle(time.Now())
		if (f.GetId() == "" || f.GetId() == c.ID) && (f.GetPodSandboxId() == "" || f.GetPodSandboxId() == c.Sandbox) &&
			(f.GetState() == nil || f.GetState().GetState() == c.state()) && matches(f.GetLabelSelector(), c.Labels) {
			a.Containers = append(a.Containers, &cri.Container{Id: c.ID, PodSandboxId: c.Sandbox, Metadata: c.metadata(), State: c.state(), CreatedAt: c.Created,
				Image: &cri.ImageSpec{Image: c.Image}, ImageRef: c.Image, ImageId: c.Image, Labels: c.Labels, Annotations: c.Annotations})
		}
	}
	return a, nil
}

// ContainerStatus is how the kubelet learns what became of it.
func (r *Runtime) ContainerStatus(_ context.Context, q *cri.ContainerStatusRequest) (*cri.ContainerStatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[q.GetContainerId()]
	if c == nil {
		return nil, status.Errorf(codes.NotFound, "no container %s", q.GetContainerId())
	}
	c.settle(time.Now())
	s := &cri.ContainerStatus{Id: c.ID, Metadata: c.metadata(), State: c.state(), CreatedAt: c.Created, StartedAt: c.Started, Image: &cri.ImageSpec{Image: c.Image},
		ImageRef: c.Image, ImageId: c.Image, Labels: c.Labels, Annotations: c.Annotations, LogPath: c.LogPath}
	if c.State == exited {
		s.FinishedAt, s.ExitCode, s.Reason = c.Finished, c.ExitCode, "Completed"
		if c.ExitCode != 0 {
			s.Reason = "Error"
		}
	}
	for _, m := range c.Mounts {
		s.Mounts = append(s.Mounts, &cri.Mount{HostPath: m.Host, ContainerPath: m.Container, Readonly: m.ReadOnly})
	}
	return &cri.ContainerStatusResponse{Status: s}, nil
}

func (c *Container) metadata() *cri.ContainerMetadata {
	return &cri.ContainerMetadata{Name: c.Name, Attempt: c.Attempt}
}

func (c *Container) state() cri.ContainerState {
	switch c.State {
	case created:
		return cri.ContainerState_CONTAINER_CREATED
	case running:
		return cri.ContainerState_CONTAINER_RUNNING
	}
	return cri.ContainerState_CONTAINER_EXITED
}
