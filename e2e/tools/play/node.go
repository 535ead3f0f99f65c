package play

import (
	"context"
	"fmt"
	"maps"
	"time"

	"vmgpu.io/e2e/kube"
)

const (
	leasesPath     = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
	leasePeriod    = 10 * time.Second // as the kubelet
	heartbeatEvery = 6                // in lease periods; virt-controller takes a node for dead after 5 minutes without
)

type m = map[string]any

// handlerLabels are those of virt-handler that launchers of virtual machines ask for.
var handlerLabels = m{"kubevirt.io/schedulable": "true", "machine-type.node.kubevirt.io/q35": "true"}

// enter makes the node's part that is ours be there.
func (p *Player) enter(ctx context.Context, n Node) error {
	if !p.alone {
		return p.join(ctx, n)
	}
	for { // its kubelet makes it
		_, err := p.client.Merge(ctx, nodesPath+"/"+n.Name, m{"metadata": m{"labels": handlerLabels}})
		if err == nil {
			break
		}
		if !kube.IsCode(err, 404) {
			fmt.Fprintf(p.log, "play: labels of %s: %v\n", n.Name, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
	if err := p.renew(ctx, n.Name, true); err != nil {
		return err
	}
	return p.handler(ctx, n.Name)
}

// join creates the node as a kubelet would, with all that the scheduler and virt-controller look at.
func (p *Player) join(ctx context.Context, n Node) error {
	labels := m{"kubernetes.io/hostname": n.Name, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux"}
	maps.Copy(labels, handlerLabels)
	node := m{"metadata": m{"name": n.Name, "labels": labels}}
	if _, err := p.client.Create(ctx, nodesPath, node); err != nil && !kube.IsCode(err, 409) {
		return err
	}
	if _, err := p.client.Merge(ctx, nodesPath+"/"+n.Name, node); err != nil {
		return err
	}
	resources := m{"cpu": "64", "memory": "256Gi", "pods": "1000", "ephemeral-storage": "1000Gi", "devices.kubevirt.io/tun": "1000"}
	for name, count := range n.Resources {
		resources[name] = count
	}
	ready := m{"type": "Ready", "status": "True", "reason": "Played", "lastHeartbeatTime": now(), "lastTransitionTime": now()}
	status := m{"status": m{"capacity": resources, "allocatable": resources, "conditions": []m{ready}}}
	if _, err := p.client.Merge(ctx, nodesPath+"/"+n.Name+"/status", status); err != nil {
		return err
	}
	// One that nobody played for a while is tainted; the node controller takes the taints off too, on a busy machine much later.
	if _, err := p.client.Merge(ctx, nodesPath+"/"+n.Name, m{"spec": m{"taints": nil}}); err != nil {
		return err
	}
	lease := m{"metadata": m{"name": n.Name}, "spec": m{"holderIdentity": n.Name, "leaseDurationSeconds": 40}}
	if _, err := p.client.Create(ctx, leasesPath, lease); err != nil && !kube.IsCode(err, 409) {
		return err
	}
	if err := p.renew(ctx, n.Name, true); err != nil {
		return err
	}
	return p.handler(ctx, n.Name)
}

// handler gets virt-handler's token: virt-api lets it write only VMIs of its own node, which it knows from the token.
func (p *Player) handler(ctx context.Context, node string) error {
	const day = 86400
	request := m{"spec": m{"expirationSeconds": day, "boundObjectRef": m{"apiVersion": "v1", "kind": "Node", "name": node}}}
	answer, err := p.client.Create(ctx, "/api/v1/namespaces/kubevirt/serviceaccounts/kubevirt-handler/token", request)
	if kube.IsCode(err, 404) {
		fmt.Fprintf(p.log, "play: no KubeVirt here, %s runs pods only\n", node)
		return nil
	}
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.handlers[node] = p.client.As(answer.Str("status.token"))
	p.mu.Unlock()
	return nil
}

func (p *Player) renew(ctx context.Context, node string, heartbeat bool) error {
	if err := p.lease(ctx, node); err != nil || !heartbeat {
		return err
	}
	_, err := p.client.Merge(ctx, nodesPath+"/"+node, m{"metadata": m{"annotations": m{"kubevirt.io/heartbeat": now()}}})
	return err
}

// lease is the kubelet's.
func (p *Player) lease(ctx context.Context, node string) error {
	if p.alone {
		return nil
	}
	renewed := m{"spec": m{"renewTime": time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")}}
	_, err := p.client.Merge(ctx, leasesPath+"/"+node, renewed)
	return err
}

func (p *Player) beat(ctx context.Context) {
	tick := time.NewTicker(leasePeriod)
	defer tick.Stop()
	for i := 1; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for name := range p.nodes {
			if err := p.renew(ctx, name, i%heartbeatEvery == 0); err != nil && ctx.Err() == nil && !kube.IsCode(err, 404) {
				fmt.Fprintf(p.log, "play: beat of %s: %v\n", name, err)
			}
		}
	}
}
