package manifests

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vmgpu.io/e2e/kube"
)

// server answers every write with code and text, a GPUPool's with a resourceVersion that grows with each if it must.
func server(t *testing.T, code int, text string, grows bool) *check {
	version := 1
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if grows {
			version++
		}
		w.WriteHeader(code)
		w.Write([]byte(strings.ReplaceAll(text, "RV", string(rune('0'+version)))))
	}))
	t.Cleanup(s.Close)
	api := kube.New(kube.Config{Server: s.URL}, "test")
	return &check{api: api, namespace: "n", kinds: kube.Resources{{Group: "vmgpu.io", Version: "v1alpha1", Plural: "gpupools", Kind: "GPUPool"}}}
}

func file(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "a.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const pool = "{apiVersion: vmgpu.io/v1alpha1, kind: GPUPool, metadata: {name: a}}\n"

func TestAccepted(t *testing.T) {
	stored := `{"metadata": {"name": "a", "resourceVersion": "RV"}}`
	for _, c := range []struct {
		does, answer, want string
		code               int
		grows              bool
	}{
		{"what is accepted and stays", stored, "", 200, false},
		{"what changes when it is applied again", stored, "applied once more, it changes", 200, true},
		{"what is refused", `{"message": "spec.x: no"}`, "spec.x: no", 422, false},
	} {
		err := server(t, c.code, c.answer, c.grows).accepted(context.Background(), file(t, pool), false)
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.does, err, c.want)
		}
	}
}

func TestRefused(t *testing.T) {
	text := "# must be told\n" + pool
	for _, c := range []struct {
		does, text, answer, want string
		code                     int
	}{
		{"with the words", text, `{"message": "spec.x must be told"}`, "", 422},
		{"with others", text, `{"message": "spec.x is wrong"}`, "other words", 422},
		{"not at all", text, `{"metadata": {"name": "a"}}`, "it is accepted", 200},
		{"the object that the change begins with", text + "---\n" + pool, `{"message": "must be told"}`, "the first of the two", 422},
		{"nothing to try", "# must be told\n", "{}", "0 objects", 200},
	} {
		words, err := server(t, c.code, c.answer, false).refused(context.Background(), file(t, c.text))
		if words != "must be told" || (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q, %v, want %q", c.does, words, err, c.want)
		}
	}
}

func TestSeedIsPrepared(t *testing.T) {
	o := kube.Object{"kind": "X", "status": 1}
	o.Prepare("seed")
	if o.Name() != "seed" || o["status"] != nil {
		t.Errorf("%v", o)
	}
	o = kube.Object{"metadata": map[string]any{"name": "b", "uid": "1", "labels": map[string]any{}}}
	o.Prepare("seed")
	if o.Name() != "b" || o.UID() != "" || o.Get("metadata.labels") == nil {
		t.Errorf("%v", o)
	}
}

func TestFilesThatAreNotThereFail(t *testing.T) {
	c := &check{}
	path := file(t, pool)
	if got := c.files("", path, filepath.Dir(path)); len(got) != 2 || c.failed != 0 {
		t.Errorf("%v, %d failed", got, c.failed)
	}
	if got := c.files(filepath.Join(filepath.Dir(path), "b*.yaml")); len(got) != 0 || c.failed != 1 {
		t.Errorf("%v, %d failed", got, c.failed)
	}
}
