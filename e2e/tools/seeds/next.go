package seeds

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"vmgpu.io/e2e/kube"
)

const crdsPath = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

// nextGeneration replaces the neighbours' CRDs by those of the other generation while the controller runs. The server deletes all
// objects of them with the CRDs: what must come back is everything, in the other versions.
func (c *checks) nextGeneration(ctx context.Context) {
	old := c.Generation
	c.Generation = map[string]string{"newest": "cozystack", "cozystack": "newest"}[old]
	c.tap.prefix = "seeds, from " + old + " to " + c.Generation + ": "
	err := c.replaceCRDs(ctx)
	if err == nil {
		c.resources, err = c.client.Discover(ctx)
	}
	if err != nil {
		c.tap.say("the CRDs of "+old+" are replaced by those of "+c.Generation, err)
		return
	}
	n := c.record.count()
	c.free = 1 // the machines have the others
	c.expectations()
	for _, s := range c.seeds {
		if s.manifest.Kind() != "Kubernetes" {
			continue
		}
		all, _ := s.writes(c.situation(s))
		err := await(ctx, 30*time.Second, func() error { return c.written(all) })
		c.tap.say(s.file+": all of it comes back, in the versions that are served now", err)
		c.tap.say(s.file+": all of it is read back, no field pruned, and accepted strictly", c.readBack(ctx, all))
		c.tap.say(s.file+": its status", c.status(ctx, s, s.expect.Status))
	}
	err = c.settle(ctx)
	if err == nil {
		err = c.onceEach(n)
	}
	c.tap.say("each object was written once, and then nothing any more", err)
	c.tap.say("a controller that starts anew writes nothing", c.again(ctx))
	text, err := c.render(ctx, "yaml")
	if err == nil {
		err = c.diff(ctx, text, nil)
	}
	c.tap.say("kubectl diff of what is rendered is empty", err)
}

// onceEach: no object was applied twice, and no write was one that no server can take.
func (c *checks) onceEach(n int) error {
	var found []string
	times := map[string]int{}
	for _, w := range c.record.since(n) {
		if w.Status == 400 || w.Status == 422 {
			found = append(found, fmt.Sprintf("%s %s: %d", w.Method, w.Path, w.Status))
		}
		if w.Type == kube.ApplyPatch && w.Status/100 == 2 {
			if times[key(w.body)]++; times[key(w.body)] == 2 {
				found = append(found, key(w.body))
			}
		}
	}
	return faults("refused, or written twice", found)
}

// replaceCRDs deletes those that are there and, when they are gone, creates the others.
func (c *checks) replaceCRDs(ctx context.Context) error {
	files, err := filepath.Glob(filepath.Join(c.Next, "*", "*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("%s: no CRDs", c.Next)
	}
	var crds []kube.Object
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		docs, err := kube.DecodeYAML(text)
		if err != nil {
			return err
		}
		crds = append(crds, docs...)
	}
	for _, crd := range crds {
		if err := c.client.Delete(ctx, crdsPath+"/"+crd.Name(), nil); err != nil && !kube.IsCode(err, 404) {
			return err
		}
	}
	for _, crd := range crds {
		err := await(ctx, 30*time.Second, func() error {
			o, err := c.client.Get(ctx, crdsPath+"/"+crd.Name())
			if kube.IsCode(err, 404) {
				return nil
			}
			if err == nil {
				err = fmt.Errorf("%s is not gone: %s", crd.Name(), kube.Text(o.Get("status.conditions")))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, crd := range crds {
		if _, err := c.client.Create(ctx, crdsPath, crd); err != nil {
			return err
		}
	}
	for _, crd := range crds {
		err := await(ctx, 10*time.Second, func() error {
			o, err := c.client.Get(ctx, crdsPath+"/"+crd.Name())
			if err == nil && o.Str("status.conditions[type=Established].status") != "True" {
				err = fmt.Errorf("%s is not established", crd.Name())
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
