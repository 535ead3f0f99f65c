package scenario

import (
	"context"
	"fmt"
	"strings"

	"vmgpu.io/e2e/kube"
)

const gpuNodesPath = "/apis/vmgpu.io/v1alpha1/gpunodes"

// reportGPUs writes the GPUNode of a played node: each GPU a unit, in an IOMMU group of its own, held by nobody.
func (s *stage) reportGPUs(ctx context.Context, node string, gpus []GPU) error {
	if len(gpus) == 0 {
		return nil
	}
	n, err := s.client.Get(ctx, "/api/v1/nodes/"+node)
	if err != nil {
		return err
	}
	owner := []m{{"apiVersion": "v1", "kind": "Node", "name": node, "uid": n.UID()}}
	o := kube.Object{"apiVersion": "vmgpu.io/v1alpha1", "kind": "GPUNode", "metadata": m{"name": node, "ownerReferences": owner}}
	path := gpuNodesPath + "/" + node
	if _, err := s.client.Apply(ctx, path, "vmgpu-node", o); err != nil {
		return err
	}
	_, err = s.client.Merge(ctx, path+"/status?fieldManager=vmgpu-node", m{"status": gpuNodeStatus(gpus)})
	return err
}

func gpuNodeStatus(gpus []GPU) m {
	var units []m
	names := []string{}
	for _, g := range gpus {
		vendor, device, _ := strings.Cut(g.ID, ":")
		for range max(1, g.Count) {
			address := fmt.Sprintf("0000:%02x:00.0", 0x41+len(units))
			function := m{"address": address, "role": "gpu", "vendorID": vendor, "deviceID": device, "class": "030200"}
			u := m{"id": address, "address": address, "name": g.Name, "model": g.Model, "aliases": g.Aliases, "vendorID": vendor,
				"deviceID": device, "class": "030200", "functions": []any{function},
				"iommuGroup": m{"id": 40 + len(units), "members": []string{address}}, "numaNode": 0}
			if vendor, device, has := strings.Cut(g.Audio, ":"); has {
				u["functions"] = []any{function, m{"address": address[:11] + "1", "role": "audio", "vendorID": vendor, "deviceID": device,
					"class": "040300", "driver": g.driver()}}
			}
			if g.VFs > 0 {
				u["sriov"] = m{"totalVFs": g.VFs, "numVFs": 0}
			}
			bind(u, g.driver())
			units = append(units, u)
		}
		names = append(names, fmt.Sprintf("%dx %s", max(1, g.Count), g.Name))
	}
	ready := []m{{"type": "Ready", "status": "True", "reason": "Reporting", "message": "reports and obeys", "lastTransitionTime": epoch}}
	return m{"units": units, "summary": m{"gpus": len(units), "inUse": 0, "names": strings.Join(names, ", ")}, "conditions": ready,
		"nodeInfo": m{"kernel": "6.1.0", "iommu": "intel"}}
}

const epoch = "2026-01-01T00:00:00Z"
