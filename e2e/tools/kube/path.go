package kube

import (
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Get follows a path like spec.gpus[0].name, metadata.annotations["vmgpu.io/x"], status.conditions[type=Ready].status, or
// spec.gpus[*].name (a list of what the rest of the path finds in each element). What is not there is nil.
func (o Object) Get(path string) any {
	steps, err := ParsePath(path)
	if err != nil {
		return nil
	}
	return follow(map[string]any(o), steps)
}

// A Step goes from a value to one inside it: a key of a map, or the text between brackets.
type Step struct {
	Key     string
	Bracket bool
}

// ParsePath splits a path into steps.
func ParsePath(path string) ([]Step, error) {
	var steps []Step
	for rest := path; rest != ""; {
		switch {
		case rest[0] == '.':
			rest = rest[1:]
		case strings.HasPrefix(rest, `["`):
			key, after, ok := strings.Cut(rest[2:], `"]`)
			if !ok {
				return nil, fmt.Errorf("path %q: no closing \"]", path)
			}
			steps, rest = append(steps, Step{Key: key}), after
		case rest[0] == '[':
			inside, after, ok := strings.Cut(rest[1:], "]")
			if !ok {
				return nil, fmt.Errorf("path %q: no closing ]", path)
			}
			if _, err := strconv.Atoi(inside); err != nil && inside != "*" && !strings.Contains(inside, "=") {
				return nil, fmt.Errorf("path %q: [%s] is neither an index, *, nor field=value", path, inside)
			}
			steps, rest = append(steps, Step{inside, true}), after
		default:
			end := strings.IndexAny(rest, ".[")
			if end < 0 {
				end = len(rest)
			}
			steps, rest = append(steps, Step{Key: rest[:end]}), rest[end:]
		}
	}
	return steps, nil
}

func follow(v any, steps []Step) any {
	for i, s := range steps {
		if !s.Bracket {
			m, ok := asMap(v)
			if !ok {
				return nil
			}
			v = m[s.Key]
			continue
		}
		l, ok := v.([]any)
		if !ok {
			return nil
		}
		if s.Key == "*" {
			var all []any
			for _, e := range l {
				if found := follow(e, steps[i+1:]); found != nil {
					all = append(all, found)
				}
			}
			return all
		}
		v = element(l, s.Key)
	}
	return v
}

func asMap(v any) (map[string]any, bool) {
	switch m := v.(type) {
	case map[string]any:
		return m, true
	case Object:
		return m, true
	}
	return nil, false
}

func element(l []any, which string) any {
	if i, err := strconv.Atoi(which); err == nil {
		if i < 0 {
			i += len(l)
		}
		if i < 0 || i >= len(l) {
			return nil
		}
		return l[i]
	}
	field, want, _ := strings.Cut(which, "=")
	for _, e := range l {
		if m, ok := asMap(e); ok && fmt.Sprint(m[field]) == want {
			return e
		}
	}
	return nil
}

// Equal compares two values as JSON.
func Equal(a, b any) bool { return Text(Normal(a)) == Text(Normal(b)) } // encoding/json sorts the keys

// Matches tells whether got has at least what want says: maps may have more keys, lists must have as many elements, each matching.
func Matches(got, want any) bool {
	switch w := Normal(want).(type) {
	case map[string]any:
		g, ok := asMap(Normal(got))
		if !ok {
			return false
		}
		for k, v := range w {
			if !Matches(g[k], v) {
				return false
			}
		}
		return true
	case []any:
		g, ok := Normal(got).([]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range w {
			if !Matches(g[i], w[i]) {
				return false
			}
		}
		return true
	default:
		return Equal(got, want)
	}
}

// Contains tells whether a text has a part, a list an element that matches, a map a key or matching entries.
func Contains(got, want any) bool {
	switch g := Normal(got).(type) {
	case string:
		w, ok := want.(string)
		return ok && strings.Contains(g, w)
	case []any:
		for _, e := range g {
			if Matches(e, want) {
				return true
			}
			if s, ok := e.(string); ok {
				if w, ok := want.(string); ok && strings.Contains(s, w) {
					return true
				}
			}
		}
	case map[string]any:
		if key, ok := want.(string); ok {
			_, has := g[key]
			return has
		}
		return Matches(g, want)
	}
	return false
}

// Diff names what differs between two values, path by path.
func Diff(a, b any) []string {
	var all []string
	diff("", Normal(a), Normal(b), &all)
	return all
}

func diff(at string, a, b any, all *[]string) {
	ma, oka := asMap(a)
	mb, okb := asMap(b)
	if oka && okb {
		for _, k := range keys(ma, mb) {
			diff(at+"."+k, ma[k], mb[k], all)
		}
		return
	}
	la, oka := a.([]any)
	lb, okb := b.([]any)
	if oka && okb && len(la) == len(lb) {
		for i := range la {
			diff(fmt.Sprintf("%s[%d]", at, i), la[i], lb[i], all)
		}
		return
	}
	if !Equal(a, b) {
		*all = append(*all, fmt.Sprintf("%s: %s → %s", at, Text(a), Text(b)))
	}
}

func keys(maps ...map[string]any) []string {
	seen := map[string]bool{}
	var all []string
	for _, m := range maps {
		for k := range m {
			if !seen[k] {
				seen[k] = true
				all = append(all, k)
			}
		}
	}
	sort.Strings(all)
	return all
}

// Quantity reads a resource count ("4"); suffixes are no business of device counts.
func Quantity(v any) int64 {
	switch q := v.(type) {
	case string:
		n, _ := strconv.ParseInt(q, 10, 64)
		return n
	case json.Number:
		n, _ := q.Int64()
		return n
	}
	return 0
}
