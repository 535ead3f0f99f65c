package seeds

import (
	"fmt"
	"slices"

	"vmgpu.io/e2e/kube"
)

// lacks names what of want is not in got: got may have more keys in its maps; its lists are the same. What
// was sent as "" may have been filled in.
// tells the elements apart by a key.
func lacks(at string, got, want any) []string {
	switch w := want.(type) {
	case kube.Object:
		return lacks(at, got, map[string]any(w))
	case map[string]any:
		return lacksKeys(at, got, w)
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return []string{fmt.Sprintf("%s: %s, want %s", at, kube.Text(got), kube.Text(want))}
		}
		var all []string
		for i := range w {
			all = append(all, lacks(fmt.Sprintf("%s[%d]", at, i), g[i], w[i])...)
		}
		return all
	}
	if _, isText := got.(string); isText && want == "" {
		return nil // KubeVirt fills machine.type in
	}
	if !kube.Equal(got, want) {
		return []string{fmt.Sprintf("%s: %s, want %s", at, kube.Text(got), kube.Text(want))}
	}
	return nil
}

func lacksKeys(at string, got any, want map[string]any) []string {
	if o, ok := got.(kube.Object); ok {
		got = map[string]any(o)
	}
	g, ok := got.(map[string]any)
	if !ok {
		return []string{fmt.Sprintf("%s: %s, want %s", at, kube.Text(got), kube.Text(want))}
	}
	var all []string
	for k, v := range want {
		if _, has := g[k]; !has {
			all = append(all, fmt.Sprintf("%s.%s is not there, want %s", at, k, kube.Text(v)))
			continue
		}
		all = append(all, lacks(at+"."+k, g[k], v)...)
	}
	slices.Sort(all)
	return all
}
