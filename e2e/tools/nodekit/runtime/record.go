package runtime

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Sandbox is what is remembered of a pod: FOLDER/sandboxes/NAMESPACE_POD_ATTEMPT_ID.json.
type Sandbox struct {
	ID           string            `json:"id"`
	Namespace    string            `json:"namespace"`
	Pod          string            `json:"pod"`
	UID          string            `json:"uid"`
	Attempt      uint32            `json:"attempt"`
	State        string            `json:"state"` // ready, ended, removed
	Created      int64             `json:"created"`
	IP           string            `json:"ip,omitempty"` // none: the host's
	LogDirectory string            `json:"logDirectory"`
	Handler      string            `json:"handler,omitempty"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
}

// Container is what a container got: FOLDER/containers/NAMESPACE_POD_NAME_ATTEMPT_ID.json. The file stays when it is removed.
type Container struct {
	ID          string            `json:"id"`
	Sandbox     string            `json:"sandbox"`
	Namespace   string            `json:"namespace"`
	Pod         string            `json:"pod"`
	UID         string            `json:"uid"`
	Name        string            `json:"name"`
	Attempt     uint32            `json:"attempt"`
	State       string            `json:"state"` // created, running, exited, removed
	Image       string            `json:"image"`
	Command     []string          `json:"command,omitempty"`
	Args        []string          `json:"args,omitempty"`
	Env         []string          `json:"env"` // NAME=VALUE, each as it was sent: a name may stand there twice
	Devices     []Device          `json:"devices"`
	Mounts      []Mount           `json:"mounts"`
	CDI         []string          `json:"cdi,omitempty"`
	LogPath     string            `json:"logPath"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Created     int64             `json:"created"`
	Started     int64             `json:"started,omitempty"`
	Ends        int64             `json:"ends,omitempty"` // when it will have ended by itself
	Finished    int64             `json:"finished,omitempty"`
	ExitCode    int32             `json:"exitCode"`
}

// Device is a device node in a container.
type Device struct {
	Host        string `json:"host"`
	Container   string `json:"container"`
	Permissions string `json:"permissions"`
}

// Mount is a mount in a container.
type Mount struct {
	Host      string `json:"host"`
	Container string `json:"container"`
	ReadOnly  bool   `json:"readOnly,omitempty"`
}

const (
	ready   = "ready"
	ended   = "ended"
	created = "created"
	running = "running"
	exited  = "exited"
	removed = "removed"
)

func (s *Sandbox) file() string {
	return fmt.Sprintf("sandboxes/%s_%s_%d_%s.json", s.Namespace, s.Pod, s.Attempt, s.ID)
}

func (c *Container) file() string {
	return fmt.Sprintf("containers/%s_%s_%s_%d_%s.json", c.Namespace, c.Pod, c.Name, c.Attempt, c.ID)
}

// settle lets a container end whose time has come.
func (c *Container) settle(now time.Time) {
	if c.State == running && c.Ends != 0 && c.Ends <= now.UnixNano() {
		c.State, c.Finished = exited, c.Ends
	}
}

// write replaces a record as a whole: who reads it sees the old or the new one.
func write(folder, name string, record any) error {
	text, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(folder, name)
	hidden := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	if err := os.WriteFile(hidden, append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(hidden, path)
}

// load reads the records of an earlier runtime in this folder, so that its pods outlive it.
func load[T any](folder, kind string, each func(*T)) error {
	if err := os.MkdirAll(filepath.Join(folder, kind), 0o755); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(folder, kind, "[^.]*.json"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		record := new(T)
		if err := json.Unmarshal(text, record); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		each(record)
	}
	return nil
}
