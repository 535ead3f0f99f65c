// Package manifests tries manifests against the CRDs of a real API server: those that must be accepted (by strict validation, by
// server-side apply, and as a change that changes nothing) and those that must be refused, with the right words.
package manifests

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"

	"vmgpu.io/e2e/kube"
)

// Usage is one line for the tool's help.
const Usage = "manifests --kubeconfig FILE --namespace NAME --refused FOLDER --seeds GLOB FILE|FOLDER..."

// check is one run; its objects live in one namespace, which the caller makes and deletes.
type check struct {
	api       *kube.Client
	kinds     kube.Resources
	namespace string
	failed    int
}

// Command is the subcommand. It prints TAP lines.
func Command(ctx context.Context, args []string) int {
	var kubeconfig, refused, seeds string
	c := &check{}
	set := flag.NewFlagSet("manifests", flag.ContinueOnError)
	set.StringVar(&kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "of the cluster")
	set.StringVar(&c.namespace, "namespace", "default", "where the objects go")
	set.StringVar(&refused, "refused", "", "folder of manifests that must be refused")
	set.StringVar(&seeds, "seeds", "", "manifests of others, which get a name and lose what only a server sets")
	if set.Parse(args) != nil || set.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage:", Usage)
		return 2
	}
	var err error
	if c.api, err = kube.Open(kubeconfig, "vmgpu-e2e"); err == nil {
		c.kinds, err = c.api.Discover(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "manifests:", err)
		return 2
	}
	for _, file := range c.files(set.Args()...) {
		c.result(file+" is accepted", c.accepted(ctx, file, false))
	}
	for _, file := range c.files(seeds) {
		c.result(file+" is accepted", c.accepted(ctx, file, true))
	}
	for _, file := range c.files(refused) {
		words, err := c.refused(ctx, file)
		c.result(fmt.Sprintf("%s is refused: %s", filepath.Base(file), words), err)
	}
	if c.failed > 0 {
		return 1
	}
	return 0
}

// files are the manifests that names, folders and patterns mean, in order. One that means none is a failure.
func (c *check) files(args ...string) []string {
	var all []string
	for _, a := range args {
		if a == "" {
			continue
		}
		if info, err := os.Stat(a); err == nil && info.IsDir() {
			a = filepath.Join(a, "*.yaml")
		}
		some, _ := filepath.Glob(a)
		if len(some) == 0 {
			c.result(a+" has manifests", errors.New("no such file"))
		}
		sort.Strings(some)
		all = append(all, some...)
	}
	return all
}

func (c *check) result(name string, err error) {
	if err == nil {
		fmt.Printf("ok - %s\n", name)
		return
	}
	c.failed++
	fmt.Printf("# %v\nnot ok - %s\n", err, name)
}
