package measure

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// figures are what is printed; null: it did not come about in time.
type figures map[string]any

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

func since(a, b time.Time) any {
	if b.IsZero() {
		return nil
	}
	return ms(b.Sub(a))
}

func (f figures) spread(name string, took []time.Duration) {
	if len(took) == 0 {
		return
	}
	sort.Slice(took, func(i, j int) bool { return took[i] < took[j] })
	us := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Nanoseconds()) / 1e3 }
	f[name+"_n"], f[name+"_p50_us"], f[name+"_p99_us"] = len(took), us(.5), us(.99)
}

// usage adds the memory of a process and its CPU until now.
func (f figures) usage(pid int, when string) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for _, line := range strings.Split(string(status), "\n") {
		w := strings.Fields(line)
		for _, k := range [][2]string{{"VmRSS:", "rss_kib_"}, {"VmHWM:", "peak_kib_"}, {"RssAnon:", "anon_kib_"}} {
			if len(w) > 1 && w[0] == k[0] {
				f[k[1]+when], _ = strconv.Atoi(w[1])
			}
		}
	}
	f["cpu_ms_"+when] = cpuSeconds(pid) * 1e3
}

// cpuSeconds reads the process's CPU clock, which counts nanoseconds, and threads that have ended.
func cpuSeconds(pid int) float64 {
	var t unix.Timespec
	if unix.ClockGettime(int32(^pid<<3|2), &t) != nil {
		return 0
	}
	return float64(t.Nano()) / 1e9
}

// switches are how often its threads were taken from a CPU: each wake-up ends in one.
func switches(pid int) (n int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, f := range files {
		s, _ := os.ReadFile(f)
		for _, line := range strings.Split(string(s), "\n") {
			if w := strings.Fields(line); len(w) == 2 && w[0] == "voluntary_ctxt_switches:" {
				one, _ := strconv.Atoi(w[1])
				n += one
			}
		}
	}
	return
}
