package runtime

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// RunPodSandbox is the first thing a pod needs.
func (r *Runtime) RunPodSandbox(_ context.Context, q *cri.RunPodSandboxRequest) (*cri.RunPodSandboxResponse, error) {
	c, m := q.GetConfig(), q.GetConfig().GetMetadata()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sandboxes {
		if s.UID == m.GetUid() && s.Attempt == m.GetAttempt() {
			return nil, status.Errorf(codes.AlreadyExists, "%s/%s has sandbox %s at attempt %d", s.Namespace, s.Pod, s.ID, s.Attempt)
		}
	}
	s := &Sandbox{ID: newID(), Namespace: m.GetNamespace(), Pod: m.GetName(), UID: m.GetUid(), Attempt: m.GetAttempt(), State: ready,
		Created: time.Now().UnixNano(), LogDirectory: c.GetLogDirectory(), Handler: q.GetRuntimeHandler(), Labels: c.GetLabels(), Annotations: c.GetAnnotations()}
	if c.GetLinux().GetSecurityContext().GetNamespaceOptions().GetNetwork() != cri.NamespaceMode_NODE {
		r.addresses++
		s.IP = fmt.Sprintf("10.88.%d.%d", r.addresses/250%250, r.addresses%250+2)
	}
	if err := write(r.folder, s.file(), s); err != nil {
		return nil, err
	}
	r.sandboxes[s.ID] = s
	return &cri.RunPodSandboxResponse{PodSandboxId: s.ID}, nil
}

// StopPodSandbox ends it with all its containers. An unknown one is as good as stopped, as the interface demands.
func (r *Runtime) StopPodSandbox(_ context.Context, q *cri.StopPodSandboxRequest) (*cri.StopPodSandboxResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &cri.StopPodSandboxResponse{}, r.endSandbox(q.GetPodSandboxId(), ended)
}

// RemovePodSandbox forgets it and its containers; their files stay.
func (r *Runtime) RemovePodSandbox(_ context.Context, q *cri.RemovePodSandboxRequest) (*cri.RemovePodSandboxResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &cri.RemovePodSandboxResponse{}, r.endSandbox(q.GetPodSandboxId(), removed)
}

func (r *Runtime) endSandbox(id, state string) error {
	s := r.sandboxes[id]
	if s == nil {
		return nil
	}
	for _, c := range r.containers {
		if c.Sandbox != id {
			continue
		}
		if err := r.endContainer(c, 137, state == removed); err != nil {
			return err
		}
	}
	s.State = state
	if state == removed {
		delete(r.sandboxes, id)
	}
	return write(r.folder, s.file(), s)
}

// PodSandboxStatus tells the pod's address, too.
func (r *Runtime) PodSandboxStatus(_ context.Context, q *cri.PodSandboxStatusRequest) (*cri.PodSandboxStatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sandboxes[q.GetPodSandboxId()]
	if s == nil {
		return nil, status.Errorf(codes.NotFound, "no sandbox %s", q.GetPodSandboxId())
	}
	return &cri.PodSandboxStatusResponse{Status: &cri.PodSandboxStatus{Id: s.ID, Metadata: s.metadata(), State: s.state(), CreatedAt: s.Created,
		Network: &cri.PodSandboxNetworkStatus{Ip: s.IP}, Labels: s.Labels, Annotations: s.Annotations, RuntimeHandler: s.Handler,
		Linux: &cri.LinuxPodSandboxStatus{Namespaces: &cri.Namespace{Options: &cri.NamespaceOption{}}}}}, nil
}

// ListPodSandbox lists what the filter lets through.
func (r *Runtime) ListPodSandbox(_ context.Context, q *cri.ListPodSandboxRequest) (*cri.ListPodSandboxResponse, error) {
	f := q.GetFilter()
	r.mu.Lock()
	defer r.mu.Unlock()
	a := &cri.ListPodSandboxResponse{}
	for _, s := range r.sandboxes {
		if (f.GetId() == "" || f.GetId() == s.ID) && (f.GetState() == nil || f.GetState().GetState() == s.state()) && matches(f.GetLabelSelector(), s.Labels) {
			a.Items = append(a.Items, &cri.PodSandbox{Id: s.ID, Metadata: s.metadata(), State: s.state(), CreatedAt: s.Created, Labels: s.Labels,
				Annotations: s.Annotations, RuntimeHandler: s.Handler})
		}
	}
	return a, nil
}

func (s *Sandbox) metadata() *cri.PodSandboxMetadata {
	return &cri.PodSandboxMetadata{Name: s.Pod, Namespace: s.Namespace, Uid: s.UID, Attempt: s.Attempt}
}

func (s *Sandbox) state() cri.PodSandboxState {
	if s.State == ready {
		return cri.PodSandboxState_SANDBOX_READY
	}
	return cri.PodSandboxState_SANDBOX_NOTREADY
}
