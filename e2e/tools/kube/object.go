package kube

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"sigs.k8s.io/yaml"
)

// Object is any decoded JSON object. Numbers are json.Number, so that nothing is lost on the way through.
type Object map[string]any

// Decode reads one JSON object.
func Decode(text []byte) (Object, error) {
	var o Object
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&o); err != nil {
		return nil, err
	}
	return o, nil
}

// DecodeYAML reads all documents of a YAML (or JSON) text; empty ones are left out.
func DecodeYAML(text []byte) ([]Object, error) {
	var all []Object
	for _, part := range strings.Split("\n"+string(text), "\n---") {
		j, err := yaml.YAMLToJSONStrict([]byte(part))
		if err != nil {
			return nil, err
		}
		if bytes.Equal(bytes.TrimSpace(j), []byte("null")) {
			continue
		}
		o, err := Decode(j)
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

// Normal turns any Go value into what decoding its JSON would give, so that two values can be compared.
func Normal(v any) any {
	text, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var n any
	if err := d.Decode(&n); err != nil && err != io.EOF {
		return nil
	}
	return n
}

// Text is v as one line of JSON.
func Text(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return "?"
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (o Object) Str(path string) string {
	s, _ := o.Get(path).(string)
	return s
}

// Int is the number at path, else 0.
func (o Object) Int(path string) int64 {
	n, _ := o.Get(path).(json.Number)
	i, _ := n.Int64()
	return i
}

// List is the list at path, else nil.
func (o Object) List(path string) []any {
	l, _ := o.Get(path).([]any)
	return l
}

// Objects is the list of objects at path.
func (o Object) Objects(path string) []Object {
	var all []Object
	for _, v := range o.List(path) {
		if m, ok := v.(map[string]any); ok {
			all = append(all, m)
		}
	}
	return all
}

func (o Object) meta(field string) string {
	m, _ := o["metadata"].(map[string]any)
	s, _ := m[field].(string)
	return s
}

func (o Object) Name() string      { return o.meta("name") }
func (o Object) Namespace() string { return o.meta("namespace") }
func (o Object) UID() string       { return o.meta("uid") }
func (o Object) RV() string        { return o.meta("resourceVersion") }
func (o Object) Deleting() bool    { return o.meta("deletionTimestamp") != "" }

// Key is namespace/name, or name alone.
func (o Object) Key() string {
	if ns := o.Namespace(); ns != "" {
		return ns + "/" + o.Name()
	}
	return o.Name()
}

// Group is the API group of the object.
func (o Object) Group() string {
	v, _ := o["apiVersion"].(string)
	if g, _, ok := strings.Cut(v, "/"); ok {
		return g
	}
	return ""
}

// Kind is the kind of the object.
func (o Object) Kind() string {
	k, _ := o["kind"].(string)
	return k
}

// Map is the map of strings at path (labels, annotations).
func (o Object) Map(path string) map[string]string {
	all := map[string]string{}
	m, _ := o.Get(path).(map[string]any)
	for k, v := range m {
		if s, ok := v.(string); ok {
			all[k] = s
		}
	}
	return all
}

// Prepare does to a manifest of others what the API server forces: a name, and nothing that only a server sets. It tells what it did.
func (o Object) Prepare(name string) (changed []string) {
	metadata, _ := o["metadata"].(map[string]any)
	if metadata == nil {
		metadata = map[string]any{}
		o["metadata"] = metadata
	}
	if metadata["name"] == nil {
		metadata["name"] = name
		changed = append(changed, "a name")
	}
	for _, field := range []string{"creationTimestamp", "generation", "resourceVersion", "uid"} {
		if metadata[field] != nil {
			delete(metadata, field)
			changed = append(changed, "without "+field)
		}
	}
	if o["status"] != nil {
		delete(o, "status")
		changed = append(changed, "without status")
	}
	return changed
}
