package seeds

import (
	"strings"
	"testing"

	"vmgpu.io/e2e/kube"
)

func object(t *testing.T, text string) kube.Object {
	t.Helper()
	all, err := kube.DecodeYAML([]byte(text))
	if err != nil || len(all) != 1 {
		t.Fatalf("%v: %s", err, text)
	}
	return all[0]
}

func TestPrunedFieldIsNamed(t *testing.T) {
	sent := object(t, `{spec: {a: 1, list: [{x: 1, z: 2}], type: ""}}`)
	for stored, want := range map[string]string{
		`{spec: {a: 1, b: 2, list: [{x: 1, z: 2}], type: q35}}`: "",
		`{spec: {a: 1, list: [{x: 1}], type: ""}}`:              ".spec.list[0].z is not there",
		`{spec: {a: 1, list: [], type: ""}}`:                    ".spec.list: []",
		`{spec: {a: 2, list: [{x: 1, z: 2}], type: ""}}`:        ".spec.a: 2, want 1",
		`{}`: ".spec is not there",
	} {
		got := strings.Join(lacks("", object(t, stored), sent), "; ")
		if (want == "") != (got == "") || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", stored, got, want)
		}
	}
}

func TestVariables(t *testing.T) {
	s := &seed{manifest: object(t, `{kind: Kubernetes, spec: {nodeGroups: {g: {maxReplicas: 3}}}}`)}
	s.expect.Writes = []kube.Object{
		object(t, `{kind: KubevirtMachineTemplate, metadata: {name: t-$HASH}, spec: {"$DEVICES": [x]}}`),
		object(t, `{kind: MachineDeployment, metadata: {uid: $UID}, spec: {template: t-$HASH, surge: $SURGE}}`),
	}
	all, err := s.writes(situation{devices: "gpus", uid: "u", free: 4})
	if err != nil {
		t.Fatal(err)
	}
	// printf '{"gpus":["x"]}' | sha256sum
	want := `[{"kind":"KubevirtMachineTemplate","metadata":{"name":"t-8589d9"},"spec":{"gpus":["x"]}},` +
		`{"kind":"MachineDeployment","metadata":{"uid":"u"},"spec":{"surge":3,"template":"t-8589d9"}}]`
	if got := kube.Text(all); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestWhatOnlyAServerSetsIsTakenOff(t *testing.T) {
	s := &seed{manifest: object(t, `{metadata: {name: me, uid: u, generation: 2, labels: {a: b}}, spec: {}, status: {x: 1}}`)}
	s.changed = s.manifest.Prepare("other")
	if got := kube.Text(s.manifest); got != `{"metadata":{"labels":{"a":"b"},"name":"me"},"spec":{}}` || len(s.changed) != 3 {
		t.Errorf("%s, %v", got, s.changed)
	}
}

func TestOneLineIsRemovedFromEach(t *testing.T) {
	text := "---\nkind: Service\nmetadata:\n  labels:\n    app.kubernetes.io/name: v\nspec:\n  selector:\n    app.kubernetes.io/name: v\n" +
		"---\nkind: HelmRelease\nspec:\n  timeout: 10m\n  x: y\n"
	docs := documents(text)
	want := "---\nkind: Service\nmetadata:\n  labels:\n    app.kubernetes.io/name: v\nspec:\n  selector:\n---\nkind: HelmRelease\nspec:\n  x: y\n"
	if got := without(docs, optional); got != want {
		t.Errorf("%s", got)
	}
}
