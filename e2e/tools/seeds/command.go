// Package seeds applies the manifests that others publish to a real control plane, and holds what became of them against what was
// expected before: each object as it was written and as it is read back, KubeVirt's machine, the status; that nothing is written twice;
// and that kubectl-vmgpu renders the same.
package seeds

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Usage is one line for the tool's help.
const Usage = "seeds --state STATE --generation newest|cozystack --controller 'COMMAND {kubeconfig}' --scan 'vmgpu-node ...' --kubectl-vmgpu FILE --types FILE [--next FOLDER] [--out FOLDER] FOLDER"

// Options are the flags.
type Options struct {
	State, Generation, Controller, Scan, Kubectl, Types, Next, Out string
	WorkerImage                                                    string
}

// Command is the subcommand.
func Command(ctx context.Context, args []string) int {
	var o Options
	set := flag.NewFlagSet("seeds", flag.ContinueOnError)
	set.StringVar(&o.State, "state", "", "cluster's folder")
	set.StringVar(&o.Generation, "generation", "newest", "which CRDs of neighbours the cluster has: newest or cozystack")
	set.StringVar(&o.Controller, "controller", "", "command of the controller; {kubeconfig} is filled in")
	set.StringVar(&o.Scan, "scan", "", "command of vmgpu-node, with the folder of its /sys")
	set.StringVar(&o.Kubectl, "kubectl-vmgpu", "", "the plugin")
	set.StringVar(&o.WorkerImage, "worker-image", "registry.example.com/worker:{minor}", "for controller and plugin")
	set.StringVar(&o.Types, "types", "", "manifests of instance types and preferences")
	set.StringVar(&o.Next, "next", "", "CRDs of the other generation, to which the cluster is brought in the end")
	set.StringVar(&o.Out, "out", "", "folder for logs")
	if set.Parse(args) != nil || set.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage:", Usage)
		return 2
	}
	all, err := load(set.Arg(0))
	own := o.Out == ""
	if err == nil && own {
		o.Out, err = os.MkdirTemp("", "vmgpu-e2e-")
	}
	if err == nil {
		o.Out, err = filepath.Abs(o.Out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "seeds:", err)
		return 2
	}
	o.Controller += " --worker-image=" + o.WorkerImage
	code := run(ctx, o, all)
	if own && code == 0 {
		os.RemoveAll(o.Out)
	}
	return code
}

func run(ctx context.Context, o Options, all []*seed) int {
	t := &tap{prefix: "seeds, " + o.Generation + ": "}
	r, err := newRig(ctx, o)
	defer r.close(ctx, all)
	if err == nil {
		err = r.startController(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "seeds:", err)
		return 2
	}
	c := &checks{rig: r, seeds: all, tap: t}
	c.all(ctx)
	t.say("the controller ends well when asked", r.stop("controller"))
	fmt.Printf("1..%d\n", t.n)
	if t.failed || ctx.Err() != nil {
		return 1
	}
	return 0
}

// tap prints a line a behaviour.
type tap struct {
	prefix string
	n      int
	failed bool
}

func (t *tap) say(behaviour string, err error) {
	t.n++
	if err == nil {
		fmt.Printf("ok %d - %s%s\n", t.n, t.prefix, behaviour)
		return
	}
	t.failed = true
	fmt.Printf("not ok %d - %s%s\n", t.n, t.prefix, behaviour)
	for _, line := range strings.Split(err.Error(), "\n") {
		fmt.Println("#", line)
	}
}

// faults makes one error of all that was found, nil of nothing.
func faults(what string, found []string) error {
	if len(found) == 0 {
		return nil
	}
	more := ""
	if len(found) > 20 {
		found, more = found[:20], "\n..."
	}
	return errors.New(what + ":\n" + strings.Join(found, "\n") + more)
}
