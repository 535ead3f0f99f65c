package seeds

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vmgpu.io/e2e/kube"
)

// What the plans read of a cluster, as kubectl names it.
var facts = []string{"gpunodes.vmgpu.io", "kubevirts.kubevirt.io", "virtualmachines.apps.cozystack.io", "vminstances.apps.cozystack.io",
	"kuberneteses.apps.cozystack.io", "virtualmachines.kubevirt.io", "virtualmachineinstances.kubevirt.io",
	"virtualmachineclusterinstancetypes.instancetype.kubevirt.io", "virtualmachineclusterpreferences.instancetype.kubevirt.io",
	"clusters.cluster.x-k8s.io", "machinedeployments.cluster.x-k8s.io", "kubevirtmachinetemplates.infrastructure.cluster.x-k8s.io", "namespaces"}

// Their CRDs say which versions are served.
var neighbours = []string{"clusters.cluster.x-k8s.io", "machinedeployments.cluster.x-k8s.io", "machinehealthchecks.cluster.x-k8s.io",
	"kamajicontrolplanes.controlplane.cluster.x-k8s.io", "kubeadmconfigtemplates.bootstrap.cluster.x-k8s.io"}

// One line of each kind that an object can do without, beside one that all of them have.
var (
	everywhere = "app.kubernetes.io/managed-by: vmgpu"
	optional   = map[string]string{
		"Service":                 "app.kubernetes.io/name: v",
		"VirtualMachine":          "terminationGracePeriodSeconds: 30",
		"Cluster":                 "cluster.x-k8s.io/cluster-name: ", // there is nothing in its spec that it can do without
		"KamajiControlPlane":      "- ExternalIP",
		"KubevirtCluster":         "cluster.x-k8s.io/managed-by: kamaji",
		"KubeadmConfigTemplate":   "- systemctl stop containerd.service",
		"KubevirtMachineTemplate": "evictionStrategy: External",
		"MachineDeployment":       "maxSurge: ",
		"MachineHealthCheck":      "nodeStartupTimeout",
		"HelmRelease":             "timeout: 10m",
		"HelmRepository":          "interval: 1h",
	}
)

// rendered holds kubectl-vmgpu against what the controller wrote; the controller is stopped for it.
func (c *checks) rendered(ctx context.Context) {
	c.tap.say("the controller ends well when asked", c.stop("controller"))
	text, err := c.render(ctx, "yaml")
	c.tap.say("render gives the same bytes twice", err)
	c.tap.say("render has the objects that the controller wrote, no more and no less, each the same", c.sameObjects(ctx))
	c.tap.say("kubectl diff of what is rendered is empty", c.diff(ctx, text, nil))
	docs := documents(text)
	c.tap.say("a label's line removed from each rendered object: kubectl diff shows it in each", c.diff(ctx, without(docs, nil), docs))
	c.tap.say("another line removed from each rendered object: kubectl diff shows it in each", c.diff(ctx, without(docs, optional), docs))
	c.tap.say("a label removed from each object in the cluster: kubectl diff shows it in each", c.drift(ctx, text, docs))
	n := c.record.count()
	if err = c.startController(ctx); err == nil {
		err = await(ctx, 10e9, func() error { return c.repaired(n, len(docs)) })
	}
	if err == nil {
		err = c.settle(ctx)
	}
	c.tap.say("the controller puts it back, one write each", err)
	c.tap.say("kubectl diff is empty again", c.diff(ctx, text, nil))
}

// render runs the plugin twice on the manifests as they were applied and the facts of the cluster.
func (c *checks) render(ctx context.Context, format string) (string, error) {
	args := []string{"vmgpu", "render", "-o", format, "--worker-image", c.WorkerImage}
	for i, get := range [][]string{append([]string{"crd"}, neighbours...), {strings.Join(facts, ","), "-A"}} {
		out, complaints, code := c.kubectl(ctx, "", append(append([]string{"get"}, get...), "-o", "yaml")...)
		if code != 0 {
			return "", fmt.Errorf("kubectl get: %s", complaints)
		}
		file := filepath.Join(c.Out, fmt.Sprintf("facts-%d.yaml", i))
		if err := os.WriteFile(file, []byte(out), 0o644); err != nil {
			return "", err
		}
		args = append(args, "--facts", file)
	}
	var manifests []string
	for _, s := range c.seeds {
		o, _ := kube.Decode([]byte(kube.Text(s.manifest)))
		if r, err := c.resources.Of(o); err == nil && r.Namespaced {
			o["metadata"].(map[string]any)["namespace"] = Namespace
		}
		manifests = append(manifests, kube.Text(o))
	}
	file := filepath.Join(c.Out, "manifests.yaml")
	if err := os.WriteFile(file, []byte(strings.Join(manifests, "\n---\n")), 0o644); err != nil {
		return "", err
	}
	args = append(args, "-f", file)
	first, complaints, code := c.kubectl(ctx, "", args...)
	second, _, _ := c.kubectl(ctx, "", args...)
	if code != 0 || first == "" {
		return "", fmt.Errorf("kubectl vmgpu render ended with %d: %s", code, complaints)
	}
	if first != second {
		return "", fmt.Errorf("the second time it gave other bytes")
	}
	return first, nil
}

func (c *checks) sameObjects(ctx context.Context) error {
	text, err := c.render(ctx, "json")
	if err != nil {
		return err
	}
	all, err := decodeAll(text)
	if err != nil {
		return err
	}
	c.record.mu.Lock()
	defer c.record.mu.Unlock()
	var found []string
	seen := map[string]bool{}
	for _, o := range all {
		seen[key(o)] = true
		body := c.record.applied[key(o)]
		if body == nil {
			found = append(found, key(o)+" was rendered and not written")
			continue
		}
		found = append(found, prefixed(key(o), kube.Diff(body, o))...)
	}
	for k := range c.record.applied {
		if !seen[k] {
			found = append(found, k+" was written and not rendered")
		}
	}
	if len(all) != len(c.want) {
		found = append(found, fmt.Sprintf("%d objects were rendered, %d expected", len(all), len(c.want)))
	}
	return faults("written → rendered", found)
}

// document is one rendered object: its text, and what kubectl diff calls it.
type document struct{ text, kind, file string }

func documents(text string) []document {
	var all []document
	for _, part := range strings.Split(text, "---\n")[1:] {
		o, err := kube.DecodeYAML([]byte(part))
		if err != nil || len(o) != 1 {
			continue
		}
		version, _ := o[0]["apiVersion"].(string)
		file := strings.Join([]string{strings.ReplaceAll(version, "/", "."), o[0].Kind(), o[0].Namespace(), o[0].Name()}, ".")
		all = append(all, document{part, o[0].Kind(), file})
	}
	return all
}

// without removes one line of each document: the first that has the text for its kind; a nil table means the one that all have.
func without(docs []document, table map[string]string) string {
	var all strings.Builder
	for _, d := range docs {
		part := everywhere
		if table != nil {
			part = table[d.kind]
		}
		lines := strings.SplitAfter(d.text, "\n")
		from := 0
		if d.kind == "Service" && table != nil { // of the selector, not of the labels
			from = slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "spec:") })
		}
		for i := from; i < len(lines) && part != ""; i++ {
			if strings.Contains(lines[i], part) {
				lines = slices.Delete(lines, i, i+1)
				break
			}
		}
		all.WriteString("---\n" + strings.Join(lines, ""))
	}
	return all.String()
}

// diff runs kubectl diff as the documents say it: nil for docs means that it must be empty, else that every document must be in it.
func (c *checks) diff(ctx context.Context, text string, docs []document) error {
	out, complaints, code := c.kubectl(ctx, text, "diff", "--server-side", "--force-conflicts", "--field-manager=vmgpu", "-f", "-")
	if docs == nil {
		if code != 0 || out != "" {
			return fmt.Errorf("kubectl diff ended with %d: %s\n%.3000s", code, complaints, out)
		}
		return nil
	}
	if code != 1 {
		return fmt.Errorf("kubectl diff ended with %d: %s", code, complaints)
	}
	var found []string
	for _, d := range docs {
		if !strings.Contains(out, "/"+d.file+"\n") && !strings.Contains(out, "/"+d.file+"\t") {
			found = append(found, d.file)
		}
	}
	return faults("kubectl diff does not show", found)
}

// drift takes the label that all have away in the cluster, as somebody else.
func (c *checks) drift(ctx context.Context, text string, docs []document) error {
	remove := []any{m{"op": "remove", "path": "/metadata/labels/app.kubernetes.io~1managed-by"}}
	for _, o := range c.want {
		path, err := c.pathOf(o)
		if err == nil {
			_, err = c.client.Do(ctx, "PATCH", path+"?fieldManager=e2e", kube.JSONPatch, remove)
		}
		if err != nil {
			return err
		}
	}
	return c.diff(ctx, text, docs)
}

// repaired: each object was applied once more.
func (c *checks) repaired(n, objects int) error {
	applied := map[string]int{}
	for _, w := range c.record.since(n) {
		if w.Type == kube.ApplyPatch {
			applied[key(w.body)]++
		}
	}
	for k, times := range applied {
		if times != 1 {
			return fmt.Errorf("%s was written %d times", k, times)
		}
	}
	if len(applied) != objects {
		return fmt.Errorf("%d of %d objects were written again", len(applied), objects)
	}
	return nil
}
