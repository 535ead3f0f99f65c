package manifests

import (
	"context"
	"fmt"
	"os"
	"strings"

	"vmgpu.io/e2e/kube"
)

const strict = "?fieldManager=e2e&fieldValidation=Strict"

// object is a manifest's object with the place where it goes.
type object struct {
	kube.Object
	all, one string // paths
}

// read gives the objects of a file, its text's first line without "# ".
func (c *check) read(file string, seed bool) (all []object, first string, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, "", err
	}
	docs, err := kube.DecodeYAML(text)
	if err != nil {
		return nil, "", err
	}
	if len(docs) == 1 && docs[0].Kind() == "List" {
		docs = docs[0].Objects("items")
	}
	for _, o := range docs {
		if seed {
			o.Prepare("seed")
		}
		r, err := c.kinds.Of(o)
		if err != nil {
			return nil, "", err
		}
		all = append(all, object{o, r.Path(c.namespace, ""), r.Path(c.namespace, o.Name())})
	}
	first, _, _ = strings.Cut(string(text), "\n")
	return all, strings.TrimPrefix(first, "# "), nil
}

// accepted: each object of the file is created, as a trial and in fact, and applying it twice more changes nothing the second time.
func (c *check) accepted(ctx context.Context, file string, seed bool) error {
	all, _, err := c.read(file, seed)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("no objects")
	}
	for _, o := range all {
		defer c.api.Delete(ctx, o.one, nil)
		if err == nil {
			err = c.accept(ctx, o)
		}
	}
	return err
}

func (c *check) accept(ctx context.Context, o object) error {
	if _, err := c.api.Create(ctx, o.all+strict+"&dryRun=All", o.Object); err != nil {
		return fmt.Errorf("a trial: %w", err)
	}
	if _, err := c.api.Create(ctx, o.all+strict, o.Object); err != nil {
		return err
	}
	first, err := c.api.Apply(ctx, o.one, "e2e-apply", o.Object)
	if err != nil {
		return fmt.Errorf("server-side apply: %w", err)
	}
	again, err := c.api.Apply(ctx, o.one, "e2e-apply", o.Object)
	if err == nil && again.RV() != first.RV() {
		err = fmt.Errorf("applied once more, it changes: %s", kube.Diff(map[string]any(first), map[string]any(again)))
	}
	return err
}

// refused: the file's only object is refused when it is made; of two, the second as a change of the first. The answer has the words
// of the file's first line.
func (c *check) refused(ctx context.Context, file string) (words string, err error) {
	all, words, err := c.read(file, false)
	if err != nil {
		return words, err
	}
	switch len(all) {
	case 1:
		defer c.api.Delete(ctx, all[0].one, nil)
		_, err = c.api.Create(ctx, all[0].all+strict, all[0].Object)
	case 2:
		defer c.api.Delete(ctx, all[0].one, nil)
		var made kube.Object
		if made, err = c.api.Create(ctx, all[0].all+strict, all[0].Object); err != nil {
			return words, fmt.Errorf("the first of the two: %w", err)
		}
		all[1].Object["metadata"].(map[string]any)["resourceVersion"] = made.RV()
		_, err = c.api.Put(ctx, all[1].one+strict, all[1].Object)
	default:
		return words, fmt.Errorf("%d objects, want one or two", len(all))
	}
	if err == nil {
		return words, fmt.Errorf("it is accepted")
	}
	if !strings.Contains(err.Error(), words) {
		return words, fmt.Errorf("refused with other words: %w", err)
	}
	return words, nil
}
