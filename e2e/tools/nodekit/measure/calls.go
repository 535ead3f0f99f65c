package measure

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const (
	deaf  = 11 * time.Second      // a kubelet younger than that may not know its pods yet, for all that a plugin knows
	quiet = 60 * time.Millisecond // so long a plugin that rests uses no CPU
)

func request(id string) *api.AllocateRequest {
	return &api.AllocateRequest{ContainerRequests: []*api.ContainerAllocateRequest{{DevicesIds: []string{id}}}}
}

// allocate asks for one device after another, round by round.
func (m *run) allocate() error {
	r := m.k.find(m.resource)
	if r == nil {
		return fmt.Errorf("no resource ends in %q", m.resource)
	}
	if m.back {
		time.Sleep(time.Until(m.k.serving.Add(deaf)))
	}
	var took []time.Duration
	if m.once {
		m.size = m.calls
	}
	for first := !m.once; len(took) < m.calls || first; first = false {
		m.figures["last_round"] = time.Now().UTC().Format("2006-01-02T15:04:05.000")
		round, err := m.round(r)
		if err != nil {
			return err
		}
		if !first {
			took = append(took, round...)
		}
	}
	m.spread("allocate", took)
	return nil
}

// next is a device that nobody has, as a kubelet would take it: from the list as it is now. "": there is none.
func (m *run) next(r *resource, held []string) (id string) {
	m.k.wait(m.most, func() bool {
		for _, d := range r.devices {
			if d.Health == api.Healthy && !slices.Contains(held, d.ID) {
				id = d.ID
				return true
			}
		}
		return false
	})
	return
}

func (m *run) round(r *resource) (took []time.Duration, err error) {
	var ids []string
	m.k.mu.Lock()
	n := len(r.devices)
	m.k.mu.Unlock()
	if m.size > 0 {
		n = m.size
	}
	for len(ids) < n {
		time.Sleep(m.pause)
		id := m.next(r, ids)
		from := time.Now()
		a, err := r.client.Allocate(context.Background(), request(id))
		took = append(took, time.Since(from))
		if err != nil {
			return nil, fmt.Errorf("Allocate %s of %s: %w", id, r.name, err)
		}
		if c := a.ContainerResponses; len(c) != 1 || len(c[0].Envs)+len(c[0].Devices) == 0 {
			return nil, fmt.Errorf("Allocate %s of %s: an empty answer", id, r.name)
		}
		ids = append(ids, id)
		m.pods.hold(r.name, ids)
	}
	if !m.back {
		return took, nil
	}
	for _, held := range [][]string{ids, nil} {
		m.pods.hold(r.name, held)
		if err := m.rested(func() bool { return m.pods.asked() > 0 }); err != nil {
			return nil, err
		}
	}
	return took, nil
}

// rested: what was waited for has come, and the plugin has no child and uses no CPU.
func (m *run) rested(cond func() bool) error {
	for until := time.Now().Add(m.most); time.Now().Before(until); {
		cpu := cpuSeconds(m.pid)
		time.Sleep(quiet)
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", m.pid, m.pid))
		if cond() && len(bytes.TrimSpace(children)) == 0 && cpuSeconds(m.pid) == cpu {
			return nil
		}
	}
	return fmt.Errorf("the plugin does not come to rest")
}

// shown asks one device of each resource.
func (m *run) shown() error {
	got := map[string]any{}
	m.figures["listed"], m.figures["got"] = m.k.names(), got
	for name := range m.k.names() {
		r := m.k.find(name)
		if len(r.devices) == 0 {
			continue
		}
		a, err := r.client.Allocate(context.Background(), request(r.devices[0].ID))
		if err != nil {
			got[name] = err.Error()
			continue
		}
		var nodes []string
		for _, d := range a.ContainerResponses[0].Devices {
			nodes = append(nodes, d.HostPath)
		}
		got[name] = map[string]any{"devices": nodes, "variables": a.ContainerResponses[0].Envs}
	}
	return nil
}
