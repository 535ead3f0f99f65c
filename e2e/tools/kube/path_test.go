package kube

import "testing"

func object(t *testing.T, text string) Object {
	t.Helper()
	all, err := DecodeYAML([]byte(text))
	if err != nil || len(all) != 1 {
		t.Fatalf("%d objects, %v", len(all), err)
	}
	return all[0]
}

func TestPathFindsWhatItNames(t *testing.T) {
	o := object(t, `
metadata: {annotations: {vmgpu.io/x: "1"}, generation: 90071992547409931}
spec: {gpus: [{name: a}, {name: b}]}
status: {conditions: [{type: Ready, status: "True"}]}`)
	for path, want := range map[string]string{
		"spec.gpus[0].name":                      `"a"`,
		"spec.gpus[-1].name":                     `"b"`,
		"spec.gpus[2].name":                      `null`,
		"spec.gpus[*].name":                      `["a","b"]`,
		`metadata.annotations["vmgpu.io/x"]`:     `"1"`,
		"status.conditions[type=Ready].status":   `"True"`,
		"status.conditions[type=Missing].status": `null`,
		"spec.gpus.name":                         `null`,
		"metadata.generation":                    `90071992547409931`,
	} {
		if got := Text(o.Get(path)); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestPathThatCannotBeReadIsAnError(t *testing.T) {
	for _, path := range []string{"a[", `a["b`, "a[b]"} {
		if _, err := ParsePath(path); err == nil {
			t.Errorf("%s: no error", path)
		}
	}
}

func TestMatchesWantsAtLeast(t *testing.T) {
	got := object(t, `{a: 1, l: [{x: 1, y: 2}, {x: 2}]}`)
	for text, want := range map[string]bool{
		`{a: 1}`:                true,
		`{a: 2}`:                false,
		`{l: [{x: 1}, {}]}`:     true,
		`{l: [{x: 1}]}`:         false,
		`{b: null}`:             true,
		`{l: [{x: 1}, {y: 1}]}`: false,
	} {
		if Matches(got, object(t, text)) != want {
			t.Errorf("%s: not %v", text, want)
		}
	}
}

func TestContains(t *testing.T) {
	for _, c := range []struct {
		got, want any
		yes       bool
	}{
		{"GPU x is not permitted", "not permitted", true},
		{"ok", "not", false},
		{[]any{map[string]any{"a": 1, "b": 2}}, map[string]any{"a": 1}, true},
		{[]any{"one", "two"}, "tw", true},
		{[]any{"one"}, "two", false},
		{map[string]any{"k": "v"}, "k", true},
		{nil, "x", false},
	} {
		if Contains(c.got, c.want) != c.yes {
			t.Errorf("Contains(%v, %v) is not %v", c.got, c.want, c.yes)
		}
	}
}

func TestDiffNamesThePaths(t *testing.T) {
	d := Diff(object(t, `{a: {b: 1, c: [1, 2]}}`), object(t, `{a: {b: 1, c: [1, 3], d: x}}`))
	if Text(d) != `[".a.c[1]: 2 → 3",".a.d: null → \"x\""]` {
		t.Error(Text(d))
	}
}

func TestFindWantsTheGroupOnlyWhereTwoShareAKind(t *testing.T) {
	all := Resources{{Group: "kubevirt.io", Kind: "VirtualMachine"}, {Group: "apps.cozystack.io", Kind: "VirtualMachine"}, {Kind: "Pod"},
		{Group: "events.k8s.io", Kind: "Event"}, {Kind: "Event"}}
	if _, err := all.Find("VirtualMachine"); err == nil {
		t.Error("ambiguous kind found")
	}
	if r, err := all.Find("VirtualMachine.kubevirt.io"); err != nil || r.Group != "kubevirt.io" {
		t.Error(r, err)
	}
	if _, err := all.Find("Pod"); err != nil {
		t.Error(err)
	}
	if r, err := all.Find("Event"); err != nil || r.Group != "" {
		t.Error(r, err)
	}
}
