package seeds

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"sigs.k8s.io/yaml"

	"vmgpu.io/e2e/kube"
)

// Namespace is where the manifests go; the expectations name it.
const Namespace = "tenant-seeds"

// seed is a manifest of others and what must become of it; the format is described in e2e/data/seeds/expected/README.md.
type seed struct {
	file     string
	manifest kube.Object // fit to apply
	changed  []string    // what was done to it for that
	expect   expectation
}

type expectation struct {
	Name      string                   `json:"name"`
	About     string                   `json:"about"`
	Writes    []kube.Object            `json:"writes"`
	Newest    []kube.Object            `json:"newest"`
	Cozystack []kube.Object            `json:"cozystack"`
	Status    kube.Object              `json:"status"`
	Stored    kube.Object              `json:"stored"`
	Pod       kube.Object              `json:"pod"`
	Play      map[string][]kube.Object `json:"play"`
	Then      kube.Object              `json:"then"`
}

// load reads the manifests of a folder, each with its expectation.
func load(folder string) ([]*seed, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("%s: no manifests", folder)
	}
	sort.Strings(files)
	var all []*seed
	for _, file := range files {
		s := &seed{file: filepath.Base(file)}
		if err := s.read(file, filepath.Join(folder, "expected", s.file)); err != nil {
			return nil, fmt.Errorf("%s: %w", s.file, err)
		}
		all = append(all, s)
	}
	return all, nil
}

func (s *seed) read(manifest, expected string) error {
	text, err := os.ReadFile(expected)
	if err != nil {
		return err
	}
	j, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(j))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(&s.expect); err != nil {
		return err
	}
	if text, err = os.ReadFile(manifest); err != nil {
		return err
	}
	docs, err := kube.DecodeYAML(text)
	if err != nil || len(docs) != 1 {
		return fmt.Errorf("not one object: %v", err)
	}
	s.manifest = docs[0]
	s.changed = s.manifest.Prepare(s.expect.Name)
	return nil
}

// surge is how many workers of the manifest's group this many GPUs are enough for.
func (s *seed) surge(free int64) int64 {
	groups, _ := s.manifest.Get("spec.nodeGroups").(map[string]any)
	for _, g := range groups {
		group, _ := g.(map[string]any)
		if max := kube.Object(group).Int("maxReplicas"); max > 0 {
			return min(free, max)
		}
	}
	return min(free, 10)
}

// situation is what the variables in an expectation stand for.
type situation struct {
	generation, devices, uid string
	free                     int64 // L40S
}

// writes are the objects that must be written, with the variables filled in.
func (s *seed) writes(in situation) ([]kube.Object, error) {
	all := append([]kube.Object{}, s.expect.Writes...)
	switch in.generation {
	case "newest":
		all = append(all, s.expect.Newest...)
	case "cozystack":
		all = append(all, s.expect.Cozystack...)
	}
	text := kube.Text(all)
	for name, value := range map[string]string{"$UID": in.uid, "$DEVICES": in.devices, `"$SURGE"`: fmt.Sprint(s.surge(in.free))} {
		text = strings.ReplaceAll(text, name, value)
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	all = nil
	if err := d.Decode(&all); err != nil {
		return nil, err
	}
	// The name of a template follows from what is in it.
	for _, o := range all {
		if o.Kind() != "KubevirtMachineTemplate" {
			continue
		}
		sum := sha256.Sum256([]byte(kube.Text(o["spec"])))
		text = strings.ReplaceAll(kube.Text(all), "$HASH", hex.EncodeToString(sum[:])[:6])
		d = json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		all = nil
		return all, d.Decode(&all)
	}
	return all, nil
}

// key tells objects apart.
func key(o kube.Object) string { return fmt.Sprintf("%v %s %s", o["apiVersion"], o.Kind(), o.Key()) }
