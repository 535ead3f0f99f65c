package faults

import (
	"fmt"
	"hash/fnv"
	"path/filepath"
	"slices"
	"strings"
)

// testCase is one run: a scenario with one fault.
type testCase struct {
	id    string // scenario/kind/place
	sc    *scenario
	fault *fault
}

// What is done at each write to the machine, and at each step of the journal.
var (
	ofWrites = strings.Fields(`kill-before kill-after kill-late pair-before pair-after
		power-before-durable power-after-durable power-after-written power-after-moved power-after-swapped
		power-after-damaged power-after-empty power-after-newer
		EBUSY ENODEV EINVAL EPERM EIO ENOSPC EINTR short block30 block
		kubelet.restart kubelet.late kubelet.wiped kubelet.replaced allocate.twice allocate.unknown removed`)
	ofJournal = strings.Fields(`kill-before kill-after pair-before pair-after
		power-before-durable power-after-durable power-after-written power-after-torn EIO ENOSPC`)
	ofReads = strings.Fields(`empty garbage long gone differs`)
)

const sameWords = 2 // so many places of the same words, and the last one

func plan(sc *scenario, seen *recording) []testCase {
	var all []testCase
	last := map[string]int{}
	for _, p := range seen.ops {
		last[p.name] = p.nth
	}
	for _, p := range seen.ops {
		if strings.Contains(p.name, cardB) || (p.nth > sameWords && p.nth != last[p.name]) { // the other card is for who looks
			continue
		}
		for _, kind := range kindsAt(p) {
			all = append(all, testCase{fmt.Sprintf("%s/%s/%s", sc.name, kind, p), sc, &fault{at: p, kind: kind}})
		}
	}
	return append(all, planReads(sc, seen)...)
}

func kindsAt(p place) []string {
	what, rest, _ := strings.Cut(p.name, " ")
	if strings.HasPrefix(rest, "journal") || rest == "folder" {
		kinds := ofJournal
		if what == "pwrite" {
			kinds = append(slices.Clone(kinds), "EINTR", "short")
		}
		return kinds
	}
	return ofWrites
}

// planReads: what is read of the card that faults are about, and of the machine as a whole; from one of the stages on.
func planReads(sc *scenario, seen *recording) []testCase {
	var all []testCase
	var paths []string
	for path := range seen.reads {
		if !strings.Contains(path, portB) && !strings.Contains(path, "0000:61:00.0") && !strings.Contains(path, diskC) && !strings.Contains(path, "/vfio-dev/vfio") && !uuid(path) {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	for _, path := range paths {
		for i, kind := range ofReads {
			if (seen.kinds[path] == "exists" && kind != "gone") || lies(path, kind) {
				continue
			}
			id := fmt.Sprintf("%s/read-%s/%s", sc.name, kind, strings.TrimPrefix(strings.TrimPrefix(path, "sys/"), "devices/pci0000:40/0000:40:01.0/"))
			all = append(all, testCase{id, sc, &fault{read: path, kind: kind, from: int(hash(path)+uint32(i)) % len(sc.stages)}})
		}
	}
	return all
}

// lies are reads that no kernel gives, or that nobody could tell from the truth: the folder of a device or type that is there has its files; a type
// without a name goes by its number; where no mediated devices are listed there are none; and a function that has no driver or no vGPUs, or is gone,
// is remembered so.
func lies(path, kind string) bool {
	nothing := kind == "empty" || kind == "gone" || kind == "differs"
	return nothing && (strings.HasSuffix(path, "/name") || strings.HasPrefix(path, "sys/bus/mdev/devices")) ||
		isAddress.MatchString(filepath.Base(path)) || strings.HasPrefix(filepath.Base(path), "nvidia-") || (kind == "gone" && (filepath.Base(path) == "driver" || filepath.Base(path) == "current_vgpu_type"))
}

func uuid(path string) bool {
	for _, part := range strings.Split(path, "/") {
		if len(part) == 36 && strings.Count(part, "-") == 4 {
			return true
		}
	}
	return false
}

func hash(s string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s))
	return h.Sum32()
}

// choice is which of the cases are run.
type choice struct {
	shard, of, percent int
	only               string
	also               map[string]bool
}

func (c *choice) takes(id string) bool {
	if c.only != "" && !strings.Contains(id, c.only) {
		return false
	}
	if c.also[id] {
		return true
	}
	n := hash(id)
	return int(n%uint32(c.of)) == c.shard-1 && int(n/7%1000) < 10*c.percent
}
