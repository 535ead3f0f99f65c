package sweep

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Outcome is one line of the results.
type Outcome struct {
	Commit string  `json:"commit"`
	ID     string  `json:"id"`
	Met    bool    `json:"met"` // the fault happened: its place was reached
	Error  string  `json:"error,omitempty"`
	Secs   float64 `json:"seconds"`
}

// print is a line of TAP.
func (o Outcome) print() {
	unmet := ""
	if !o.Met {
		unmet = ", fault not met"
	}
	if o.Error == "" {
		fmt.Printf("ok - %s (%.1f s%s)\n", o.ID, o.Secs, unmet)
	} else {
		fmt.Printf("not ok - %s (%.1f s%s)\n# %s\n", o.ID, o.Secs, unmet, o.Error)
	}
}

func (o Outcome) append(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := json.Marshal(o)
	if err == nil {
		_, err = f.Write(append(text, '\n'))
	}
	return err
}

// Sum counts the runs of a commit and those that broke something; of a case that was run twice the last counts.
func Sum(file, commit string) (runs, broken, unmet int, err error) {
	last, err := latest(file, commit)
	for _, o := range last {
		runs++
		if o.Error != "" {
			broken++
		}
		if !o.Met {
			unmet++
		}
	}
	return runs, broken, unmet, err
}

func latest(file, commit string) (map[string]Outcome, error) {
	last := map[string]Outcome{}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var o Outcome
		if json.Unmarshal(lines.Bytes(), &o) == nil && o.Commit == commit {
			last[o.ID] = o
		}
	}
	return last, nil
}

// words of a file, comments left out: the cases that ever failed.
func readIDs(file string) (map[string]bool, error) {
	all := map[string]bool{}
	if file == "" {
		return all, nil
	}
	text, err := os.ReadFile(file)
	for _, line := range strings.Split(string(text), "\n") {
		if id := strings.TrimSpace(strings.SplitN(line, "#", 2)[0]); id != "" {
			all[id] = true
		}
	}
	return all, err
}

// Choice says which cases are run.
type Choice struct {
	Shard, Of int             // 0 of 1: all
	Percent   int             // of a scenario's runs, the one without a fault counted; always the same
	Also      map[string]bool // these in any case
	Only      string          // part of the id
}

// Takes tells by its id alone whether a case is of this shard and has the part Only.
func (c Choice) Takes(id string) bool {
	return strings.Contains(id, c.Only) && hash(id)%c.Of == c.Shard
}

// From takes this share of a scenario's cases, by a digest of their ids, and what is to be run in any case. The run without a
// fault, which they are known from, is one of the share.
func (c Choice) From(all []Case) []Case {
	drawn := slices.Clone(all)
	slices.SortFunc(drawn, func(a, b Case) int {
		of, other := sha256.Sum256([]byte(a.ID)), sha256.Sum256([]byte(b.ID))
		return bytes.Compare(of[:], other[:])
	})
	n := ((len(all)+1)*c.Percent+50)/100 - 1
	share := map[string]bool{}
	for _, one := range drawn[:min(max(n, 0), len(all))] {
		share[one.ID] = true
	}
	return slices.DeleteFunc(slices.Clone(all), func(one Case) bool { return !c.Takes(one.ID) || !share[one.ID] && !c.Also[one.ID] })
}

func hash(text string) int {
	h := fnv.New32a()
	h.Write([]byte(text))
	return int(h.Sum32() >> 1)
}

// parseShard reads i/n, i from 1.
func parseShard(text string) (shard, of int, ok bool) {
	i, n, found := strings.Cut(text, "/")
	shard, err := strconv.Atoi(i)
	of, err2 := strconv.Atoi(n)
	return shard - 1, of, found && err == nil && err2 == nil && shard >= 1 && shard <= of
}
