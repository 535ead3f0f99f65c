package seeds

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"vmgpu.io/e2e/kube"
	"vmgpu.io/e2e/play"
	"vmgpu.io/e2e/proxy"
)

const (
	nodeName       = "gpu-node"
	gpuNodePath    = "/apis/vmgpu.io/v1alpha1/gpunodes/" + nodeName
	pciDevicesPath = "/apis/devices.harvesterhci.io/v1beta1/pcidevices/"
	kubevirtPath   = "/apis/kubevirt.io/v1/namespaces/kubevirt/kubevirts/kubevirt"
	quiet          = 1500 * time.Millisecond
)

type m = map[string]any

// rig is a cluster with one played node whose GPUs vmgpu-node scanned, and a controller behind a proxy that notes what it writes.
type rig struct {
	Options
	client    *kube.Client
	resources kube.Resources
	proxy     *proxy.Proxy
	record    *record
	devices   string // the field that GPUs go to here
	uids      map[string]string

	processes  map[string]*exec.Cmd
	controller string // command
	before     kube.Object
	types      []kube.Object // that it applied
	ends       []func()
}

func newRig(ctx context.Context, o Options) (*rig, error) {
	r := &rig{Options: o, record: &record{applied: map[string]kube.Object{}}, processes: map[string]*exec.Cmd{}, uids: map[string]string{}}
	for _, set := range []func(context.Context) error{r.setClient, r.setCluster, r.setNode, r.setProxy} {
		if err := set(ctx); err != nil {
			return r, fmt.Errorf("setting up: %w", err)
		}
	}
	return r, nil
}

func (r *rig) setClient(ctx context.Context) (err error) {
	if err = os.MkdirAll(r.Out, 0o755); err != nil {
		return err
	}
	if r.client, err = kube.Open(r.State, "vmgpu-e2e/seeds"); err != nil {
		return err
	}
	r.resources, err = r.client.Discover(ctx)
	return err
}

// setCluster makes what the manifests find: the namespace, the instance types that they name, and the KubeVirt CR.
func (r *rig) setCluster(ctx context.Context) error {
	if _, err := r.client.Apply(ctx, "/api/v1/namespaces/"+Namespace, "e2e", kube.Object{"apiVersion": "v1", "kind": "Namespace", "metadata": m{"name": Namespace}}); err != nil {
		return err
	}
	text, err := os.ReadFile(r.Types)
	if err != nil {
		return err
	}
	if r.types, err = kube.DecodeYAML(text); err != nil {
		return err
	}
	for _, t := range r.types {
		if _, err := r.apply(ctx, t); err != nil {
			return err
		}
	}
	if r.before, err = r.client.Get(ctx, kubevirtPath); err != nil {
		return err
	}
	// Cozystack has the gate on, KubeVirt's default is off.
	gates := []string{}
	r.devices = "gpus"
	if r.Generation == "cozystack" {
		gates, r.devices = []string{"HostDevices"}, "hostDevices"
	}
	return r.configure(ctx, m{}, gates)
}

func (r *rig) configure(ctx context.Context, permitted, gates any) error {
	for _, list := range []any{nil, permitted} {
		c := m{"spec": m{"configuration": m{"permittedHostDevices": list, "developerConfiguration": m{"featureGates": gates}}}}
		if _, err := r.client.Merge(ctx, kubevirtPath+"?fieldManager=e2e", c); err != nil {
			return err
		}
	}
	return nil
}

// setNode plays a node that has the resources that vmgpu-node finds, and lets vmgpu-node report them.
func (r *rig) setNode(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "sh", "-c", r.Scan+" --once --node-name "+nodeName+" -o json").Output()
	if err != nil {
		return err
	}
	report, err := kube.Decode(out)
	if err != nil {
		return err
	}
	node := play.Node{Name: nodeName, Resources: map[string]string{}}
	counts := map[string]int{}
	for _, u := range report.Objects("status.units") {
		counts[u.Str("name")]++
		node.Resources[u.Str("name")] = fmt.Sprint(counts[u.Str("name")])
	}
	playing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	player := play.New(r.client, []play.Node{node}, true, os.Stderr)
	go player.Run(playing)
	r.ends = append(r.ends, cancel)
	select {
	case <-player.Ready():
	case <-time.After(20 * time.Second):
		return fmt.Errorf("the player does not get ready")
	}
	config := filepath.Join(r.Out, "node.kubeconfig")
	if err := r.client.Config.Write(config); err != nil {
		return err
	}
	if err := r.start("node", r.Scan+" --node-name "+nodeName+" --lease-namespace default --kubeconfig "+config); err != nil {
		return err
	}
	return await(ctx, 10*time.Second, func() error {
		n, err := r.client.Get(ctx, gpuNodePath)
		if err == nil && len(n.List("status.units")) != len(report.List("status.units")) {
			err = fmt.Errorf("vmgpu-node has not reported")
		}
		return err
	})
}

func (r *rig) setProxy(context.Context) (err error) {
	log, err := os.Create(filepath.Join(r.Out, "requests"))
	if err != nil {
		return err
	}
	if r.proxy, err = proxy.New(r.client.Config, log); err != nil {
		return err
	}
	r.ends = append(r.ends, r.proxy.Close)
	r.proxy.Wrote = r.record.wrote
	if err := r.proxy.Listen("a", "127.0.0.1:0"); err != nil {
		return err
	}
	config := filepath.Join(r.Out, "controller.kubeconfig")
	r.controller = strings.ReplaceAll(r.Controller, "{kubeconfig}", config)
	return r.proxy.Kubeconfig("a", config)
}

// start runs a program until stop, its output in Out/NAME.log.
func (r *rig) start(name, command string) error {
	log, err := os.OpenFile(filepath.Join(r.Out, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	words := strings.Fields(command)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r.processes[name] = cmd
	return cmd.Start()
}

// startController starts it, and waits until it leads and has read the cluster.
func (r *rig) startController(ctx context.Context) error {
	file := filepath.Join(r.Out, "controller.log")
	before, _ := os.ReadFile(file)
	if err := r.start("controller", r.controller); err != nil {
		return err
	}
	return await(ctx, 30*time.Second, func() error {
		log, err := os.ReadFile(file)
		for _, sign := range []string{`"msg":"leading"`, `"msg":"caches synced"`} {
			if err == nil && !strings.Contains(string(log[len(before):]), sign) {
				err = fmt.Errorf("the controller's log has no %s", sign)
			}
		}
		return err
	})
}

// stop ends a program as Kubernetes would, and says if that was not what it did.
func (r *rig) stop(name string) error {
	cmd := r.processes[name]
	if cmd == nil {
		return nil
	}
	delete(r.processes, name)
	cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
	defer kill.Stop()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s did not end well: %w", name, err)
	}
	return nil
}

// close leaves the cluster as it was, but for the namespace, which it has deleted and not waited for, and for CRDs of the other generation.
func (r *rig) close(ctx context.Context, seeds []*seed) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if r.client != nil {
		for _, s := range seeds {
			r.delete(ctx, s.manifest)
		}
		await(ctx, 10*time.Second, func() error { return r.nothingLeft(ctx) })
		for _, t := range r.types {
			r.delete(ctx, t)
		}
	}
	for name := range r.processes {
		r.stop(name)
	}
	if r.before != nil {
		r.configure(ctx, r.before.Get("spec.configuration.permittedHostDevices"), r.before.Get("spec.configuration.developerConfiguration.featureGates"))
		r.client.Delete(ctx, "/api/v1/namespaces/"+Namespace, nil)
		r.client.Delete(ctx, gpuNodePath, nil)
	}
	for _, end := range r.ends {
		end()
	}
	if r.before != nil {
		r.client.Delete(ctx, "/api/v1/nodes/"+nodeName, nil)
	}
}

func (r *rig) delete(ctx context.Context, o kube.Object) {
	if path, err := r.pathOf(o); err == nil {
		r.client.Delete(ctx, path, nil)
	}
}

func (r *rig) nothingLeft(ctx context.Context) error {
	l, err := r.client.Get(ctx, "/apis/kubevirt.io/v1/namespaces/"+Namespace+"/virtualmachineinstances")
	if err == nil && len(l.List("items")) > 0 {
		err = fmt.Errorf("machines are there")
	}
	return err
}

// pathOf is where an object is, or goes to.
func (r *rig) pathOf(o kube.Object) (string, error) {
	res, err := r.resources.Of(o)
	if err != nil {
		return "", err
	}
	ns := o.Namespace()
	if ns == "" && res.Namespaced {
		ns = Namespace
	}
	return res.Path(ns, o.Name()), nil
}

func (r *rig) get(ctx context.Context, o kube.Object) (kube.Object, error) {
	path, err := r.pathOf(o)
	if err != nil {
		return nil, err
	}
	return r.client.Get(ctx, path)
}

func (r *rig) apply(ctx context.Context, o kube.Object) (kube.Object, error) {
	path, err := r.pathOf(o)
	if err != nil {
		return nil, err
	}
	return r.client.Apply(ctx, path, "e2e", o)
}

// settle waits until the controller has written nothing for a while.
func (r *rig) settle(ctx context.Context) error {
	return await(ctx, 20*time.Second, func() error {
		if r.record.quietFor() < quiet {
			return fmt.Errorf("the controller goes on writing")
		}
		return nil
	})
}

// await tries again until it is done or the time is over.
func await(ctx context.Context, within time.Duration, done func() error) error {
	for end := time.Now().Add(within); ; time.Sleep(50 * time.Millisecond) {
		err := done()
		if err == nil || time.Now().After(end) || ctx.Err() != nil {
			return err
		}
	}
}

// kubectl runs it with this input; what it prints, and its exit code.
func (r *rig) kubectl(ctx context.Context, in string, args ...string) (out, complaints string, code int) {
	cmd := exec.CommandContext(ctx, "kubectl", args...)
	dir, _ := filepath.Abs(filepath.Dir(r.Kubectl))
	cmd.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(r.Out, "node.kubeconfig"), "KUBECACHEDIR="+filepath.Join(r.Out, "cache"), "PATH="+dir+":"+os.Getenv("PATH"))
	cmd.Stdin = strings.NewReader(in)
	var o, e strings.Builder
	cmd.Stdout, cmd.Stderr = &o, &e
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		return "", err.Error(), 127
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// decodeAll reads JSON objects that follow each other.
func decodeAll(text string) ([]kube.Object, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var all []kube.Object
	for d.More() {
		var o kube.Object
		if err := d.Decode(&o); err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}
