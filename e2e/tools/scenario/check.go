package scenario

import (
	"fmt"

	"vmgpu.io/e2e/kube"
)

// holds tells whether the check is true of an object (nil: there is none), and if not, why.
func (c *Check) holds(o kube.Object, remembered map[string]any) (bool, string) {
	if c.Gone {
		return o == nil, "it is there"
	}
	if o == nil && !(c.Exists != nil && !*c.Exists) {
		return false, "there is no such object"
	}
	if c.Columns != nil && !kube.Matches(map[string]any(o), map[string]any(c.Columns)) {
		return false, fmt.Sprintf("the columns are %s, want %s", kube.Text(o), kube.Text(c.Columns))
	}
	got := any(map[string]any(o))
	if c.Path != "" {
		got = o.Get(c.Path)
	}
	if c.Exists != nil && *c.Exists != (got != nil && o != nil) {
		return false, fmt.Sprintf("%s is %s", c.Path, kube.Text(got))
	}
	if c.Count != nil {
		list, _ := got.([]any)
		if len(list) != *c.Count {
			return false, fmt.Sprintf("%s has %d, want %d: %s", c.Path, len(list), *c.Count, kube.Text(got))
		}
	}
	return c.compares(got, remembered)
}

func (c *Check) compares(got any, remembered map[string]any) (bool, string) {
	for _, ask := range []struct {
		name  string
		want  any
		holds func(got, want any) bool
	}{
		{"equals", c.Equals, kube.Equal},
		{"matches", c.Matches, kube.Matches},
		{"contains", c.Contains, kube.Contains},
		{"lacks", c.Lacks, func(got, want any) bool { return !kube.Contains(got, want) }},
	} {
		if ask.want != nil && !ask.holds(got, ask.want) {
			return false, fmt.Sprintf("%s is %s, want %s %s", c.Path, kube.Text(got), ask.name, kube.Text(ask.want))
		}
	}
	for name, same := range map[string]bool{c.Same: true, c.Differs: false} {
		if name == "" {
			continue
		}
		kept, known := remembered[name]
		if !known {
			return false, "nothing is remembered as " + name
		}
		if kube.Equal(got, kept) != same {
			return false, fmt.Sprintf("%s is %s, remembered as %s is %s", c.Path, kube.Text(got), name, kube.Text(kept))
		}
	}
	return true, ""
}
