package proxy

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// Line is one line of the log. A watch has two, with the same index: one when it is opened, one when it is over; all else has one.
type Line struct {
	Index  int64     `json:"i,omitempty"`
	Phase  string    `json:"phase,omitempty"` // open, done
	Time   time.Time `json:"t"`               // when the request came
	Via    string    `json:"via,omitempty"`   // the listener
	Conn   int       `json:"conn,omitempty"`
	Method string    `json:"method,omitempty"`
	Path   string    `json:"path,omitempty"`
	Query  string    `json:"query,omitempty"`
	Agent  string    `json:"agent,omitempty"`
	Type   string    `json:"type,omitempty"`
	Status int       `json:"status,omitempty"` // 0: there was none
	Sent   int       `json:"sent,omitempty"`   // bytes of the request's body
	Bytes  int       `json:"bytes,omitempty"`  // of the answer's
	Events int       `json:"events,omitempty"` // of a watch, bookmarks too
	Millis float64   `json:"ms,omitempty"`
	RV     string    `json:"rv,omitempty"` // resourceVersion that a write brought about, also if its answer was lost
	UID    string    `json:"uid,omitempty"`
	Holder string    `json:"holder,omitempty"` // holderIdentity that a write to a Lease brought about
	Fault  string    `json:"fault,omitempty"`  // rule:fault
	Error  string    `json:"error,omitempty"`
	Mark   string    `json:"mark,omitempty"`
}

// IsWrite tells whether the request changes anything.
func (l *Line) IsWrite() bool {
	changes := l.Method == "POST" || l.Method == "PUT" || l.Method == "PATCH" || l.Method == "DELETE"
	return changes && !strings.Contains(l.Query, "dryRun=All")
}

type logger struct {
	mu   sync.Mutex
	to   io.Writer
	hear []func(Line)
}

func (l *logger) write(line Line) {
	text, err := json.Marshal(line)
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.to.Write(append(text, '\n'))
	for _, hear := range l.hear {
		hear(line)
	}
}

// ReadLog reads a log from an offset, up to the last whole line, and says where that ends.
func ReadLog(path string, offset int64) ([]Line, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, offset, err
	}
	defer f.Close()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return nil, offset, err
	}
	var all []Line
	for r := bufio.NewReader(f); ; {
		text, err := r.ReadBytes('\n')
		if err != nil {
			return all, offset, nil
		}
		offset += int64(len(text))
		var l Line
		if err := json.Unmarshal(text, &l); err != nil {
			return all, offset, err
		}
		all = append(all, l)
	}
}
