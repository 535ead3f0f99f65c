// Package scenario runs scenarios: files that say what an outsider does and what must come of it. The format is described in
// e2e/scenarios/README.md; this file is the whole of it in Go.
package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"vmgpu.io/e2e/kube"
	"vmgpu.io/e2e/proxy"
)

// Scenario is one file.
type Scenario struct {
	Name        string           `json:"-"`
	Says        string           `json:"says"`
	Needs       []string         `json:"needs"`       // API groups; without them it is skipped
	Secrets     []string         `json:"secrets"`     // I12: texts that must not be seen
	Controllers []string         `json:"controllers"` // default [a]; b waits for the Lease
	Stopped     bool             `json:"stopped"`     // no controller is started before the first step
	Program     string           `json:"program"`     // run instead of the controller under test; a file beside the scenario's
	AlsoLease   Duration         `json:"alsoLease"`   // run once more, with a Lease of this length
	KubeVirt    KubeVirt         `json:"kubevirt"`
	Nodes       map[string]*Node `json:"nodes"`
	Given       Objects          `json:"given"`
	Steps       []Step           `json:"steps"`
	MaxWrites   int              `json:"maxWrites"` // I7: on one object, where 40 are too few
	EndGrace    Duration         `json:"endGrace"`  // I8: how long a deletion may last, where it is not a minute
	NoSweep     bool             `json:"noSweep"`   // it has faults of its own
	Violates    string           `json:"violates"`  // the invariant that this scenario breaks on purpose

	text   []byte
	common Objects
	folder string
	lease  time.Duration // instead of the bench's
}

// KubeVirt is what the KubeVirt CR says at the beginning. Permitted nil: the field is absent.
type KubeVirt struct {
	Permitted kube.Object `json:"permitted"`
	Gates     []string    `json:"gates"`
}

// Node is a played node.
type Node struct {
	GPUs      []GPU             `json:"gpus"`      // reported in a GPUNode, and resources of the Node
	Resources map[string]string `json:"resources"` // others
	Obeys     bool              `json:"obeys"`     // what the GPUNode's spec says is done
}

// GPU is some GPUs of one kind.
type GPU struct {
	Name    string   `json:"name"`
	ID      string   `json:"id"` // vendor:device
	Model   string   `json:"model"`
	Aliases []string `json:"aliases"`
	Count   int      `json:"count"`  // default 1
	Driver  string   `json:"driver"` // default vfio-pci
	Audio   string   `json:"audio"`  // vendor:device of the audio function beside it, "": it has none
	VFs     int      `json:"vfs"`    // virtual functions that it can have, at most 4
	Types   []string `json:"types"`  // of vGPUs, mediated devices, once it has virtual functions
}

// Step is one thing to do or to check; exactly one of the verbs is set.
type Step struct {
	Says        string `json:"says"`        // a behaviour of its own in the output
	Undisturbed bool   `json:"undisturbed"` // left out of runs with a fault

	Apply      Objects     `json:"apply"`      // server-side apply, as manager e2e or By
	Status     Objects     `json:"status"`     // the same on the status
	Patch      *Patch      `json:"patch"`      //
	Append     *Append     `json:"append"`     // to a list, by get and put as an admin's tool would
	Delete     Texts       `json:"delete"`     // REFs; does not wait
	Call       *Call       `json:"call"`       // any request
	Refused    *Refused    `json:"refused"`    // an apply that must be refused
	Wait       *Check      `json:"wait"`       // must become true
	Expect     *Check      `json:"expect"`     // must be true
	Stays      *Check      `json:"stays"`      // must be true all the time
	Remember   *Remember   `json:"remember"`   // a value, for same
	Controller Texts       `json:"controller"` // start|kill|term|stop|cont NAME, NAME may be leader, follower
	Rule       *proxy.Rule `json:"rule"`       // to the fault proxy
	Hit        string      `json:"hit"`        // waits until that rule acted
	Proxy      string      `json:"proxy"`      // release, clear, close, black-hole
	Settle     bool        `json:"settle"`     // all is done and nothing is written any more
	Pause      Duration    `json:"pause"`
	Join       bool        `json:"join"` // waits for all that goes on meanwhile

	By        string   `json:"by"`        // field manager
	Through   string   `json:"through"`   // sent through the proxy's listener of that name, as if that controller did it
	Times     int      `json:"times"`     // done so often; $I counts from 1
	Every     Duration `json:"every"`     // pause behind each object and each time
	Meanwhile bool     `json:"meanwhile"` // what follows does not wait for it, but the end of the steps does

	raw    json.RawMessage
	Within Duration `json:"within"` // for what waits, default 10 s
	For    Duration `json:"for"`    // of stays, default 2 s
}

// Check is something about an object.
type Check struct {
	Of       string `json:"of"`
	Path     string `json:"path"`
	Equals   any    `json:"equals"`
	Matches  any    `json:"matches"`
	Contains any    `json:"contains"`
	Lacks    any    `json:"lacks"`
	Same     string `json:"same"`    // as remembered
	Differs  string `json:"differs"` // from what is remembered
	Count    *int   `json:"count"`
	Exists   *bool  `json:"exists"`
	Gone     bool   `json:"gone"` // the object itself
	Columns  m      `json:"columns"`
}

// Patch changes an object.
type Patch struct {
	Of          string      `json:"of"`
	Merge       kube.Object `json:"merge"`
	JSON        []any       `json:"json"`
	Subresource string      `json:"subresource"`
}

// Append adds an element to a list of an object.
type Append struct {
	Of    string `json:"of"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// Call is a request by method and path; its answer must be 2xx.
type Call struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Body   any    `json:"body"`
}

// Refused is an apply that the server must refuse with a message that has the text.
type Refused struct {
	Apply    kube.Object `json:"apply"`
	Contains string      `json:"contains"`
}

// Remember keeps a value under a name.
type Remember struct {
	As   string `json:"as"`
	Of   string `json:"of"`
	Path string `json:"path"`
}

// Objects is one object or a list of them.
type Objects []kube.Object

func (l *Objects) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")) {
		var parts []json.RawMessage
		if err := json.Unmarshal(text, &parts); err != nil {
			return err
		}
		for _, p := range parts {
			o, err := kube.Decode(p)
			if err != nil {
				return err
			}
			*l = append(*l, o)
		}
		return nil
	}
	o, err := kube.Decode(text)
	*l = Objects{o}
	return err
}

// Texts is one text or a list of them.
type Texts []string

func (l *Texts) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*l = Texts{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(l))
}

// Duration is a time, or lease+TIME: beyond the controller's Lease.
type Duration struct {
	Time      time.Duration
	PlusLease bool
}

func (d *Duration) UnmarshalText(text []byte) (err error) {
	rest, plus := strings.CutPrefix(string(text), "lease+")
	d.PlusLease = plus
	d.Time, err = time.ParseDuration(rest)
	return err
}

// In is the time with a given Lease; fallback if there is none.
func (d Duration) In(lease, fallback time.Duration) time.Duration {
	switch {
	case d.PlusLease:
		return lease + d.Time
	case d.Time == 0:
		return fallback
	}
	return d.Time
}

// Load reads a file. $NS stands for the scenario's namespace until Bind replaces it.
func Load(file string) (*Scenario, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	s.Name, s.folder = strings.TrimSuffix(filepath.Base(file), ".yaml"), filepath.Dir(file)
	s.common, err = common(file)
	return s, err
}

// withLease is the scenario with a Lease of its own, by another name.
func (s *Scenario) withLease(lease time.Duration) *Scenario {
	other := *s
	other.Name, other.lease, other.AlsoLease = fmt.Sprintf("%s-%s", s.Name, lease), lease, Duration{}
	return &other
}

// common are the objects that every scenario in the folder of a file finds: _common.yaml.
func common(file string) (Objects, error) {
	text, err := os.ReadFile(filepath.Join(filepath.Dir(file), "_common.yaml"))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	j, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	var all Objects
	err = json.Unmarshal(j, &all)
	return all, err
}

// Parse reads the text of a scenario. A word that the format does not have is an error.
func Parse(text []byte) (*Scenario, error) {
	j, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	s := &Scenario{Controllers: []string{"a"}, text: text}
	d := json.NewDecoder(bytes.NewReader(j))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(s); err != nil {
		return nil, err
	}
	if s.Says == "" {
		return nil, fmt.Errorf("no says: what does it show?")
	}
	var raw struct{ Steps []json.RawMessage }
	if err := json.Unmarshal(j, &raw); err != nil {
		return nil, err
	}
	for i := range s.Steps {
		s.Steps[i].raw = raw.Steps[i]
		if verbs := s.Steps[i].verbs(); len(verbs) != 1 {
			return nil, fmt.Errorf("step %d has %d verbs: %v", i+1, len(verbs), verbs)
		}
		if err := s.Steps[i].check(); err != nil {
			return nil, fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	for _, o := range s.objects() {
		if o.Name() == "" {
			return nil, fmt.Errorf("%s without a name that is a text (off, no, n and the like are booleans in YAML)", o.Kind())
		}
	}
	return s, nil
}

// objects are all that the scenario applies.
func (s *Scenario) objects() Objects {
	all := append(Objects{}, s.Given...)
	for _, step := range s.Steps {
		all = append(append(all, step.Apply...), step.Status...)
	}
	return all
}

// round is the step as it is done the i-th time.
func (s *Step) round(i int) (*Step, error) {
	if !bytes.Contains(s.raw, []byte("$I")) {
		return s, nil
	}
	var step Step
	d := json.NewDecoder(bytes.NewReader(bytes.ReplaceAll(s.raw, []byte("$I"), []byte(fmt.Sprint(i)))))
	d.UseNumber()
	return &step, d.Decode(&step)
}

// verbs are those that a step has.
func (s *Step) verbs() []string {
	var all []string
	for _, v := range []struct {
		name string
		set  bool
	}{{"apply", s.Apply != nil}, {"status", s.Status != nil}, {"patch", s.Patch != nil}, {"append", s.Append != nil}, {"delete", s.Delete != nil}, {"call", s.Call != nil},
		{"refused", s.Refused != nil}, {"wait", s.Wait != nil}, {"expect", s.Expect != nil}, {"stays", s.Stays != nil}, {"remember", s.Remember != nil},
		{"controller", s.Controller != nil}, {"rule", s.Rule != nil}, {"hit", s.Hit != ""}, {"proxy", s.Proxy != ""}, {"settle", s.Settle},
		{"pause", s.Pause.Time != 0 || s.Pause.PlusLease}, {"join", s.Join}} {
		if v.set {
			all = append(all, v.name)
		}
	}
	return all
}

// check finds what would only be found when the step's turn comes.
func (s *Step) check() error {
	for _, c := range []*Check{s.Wait, s.Expect, s.Stays} {
		if c == nil {
			continue
		}
		if _, err := kube.ParsePath(c.Path); err != nil {
			return err
		}
		if c.Of == "" || c.asks() == 0 {
			return fmt.Errorf("a check without of, or one that asks nothing")
		}
	}
	return nil
}

func (c *Check) asks() int {
	n := 0
	for _, set := range []bool{c.Equals != nil, c.Matches != nil, c.Contains != nil, c.Lacks != nil, c.Same != "", c.Differs != "", c.Count != nil,
		c.Exists != nil, c.Gone, c.Columns != nil} {
		if set {
			n++
		}
	}
	return n
}

// Bind is the scenario with its namespace in the place of $NS.
func (s *Scenario) Bind(namespace string) (*Scenario, error) {
	bound, err := Parse(bytes.ReplaceAll(s.text, []byte("$NS"), []byte(namespace)))
	if err == nil {
		bound.Name, bound.common, bound.folder, bound.lease = s.Name, s.common, s.folder, s.lease
		bound.Given = append(append(Objects{}, s.common...), bound.Given...)
	}
	return bound, err
}
