package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/anishathalye/porcupine"
)

// mutantVariable names the environment variable that selects the mutant in a program of
// mutants.
const mutantVariable = "MUTANT"

// mutations are the edits that turn osgate into a program of mutants. Each breaks one
// rule of the coherence protocol for the mutant of this name. Its text must be in its
// file exactly once, so that a change of the code cannot disable a mutation unnoticed.
var mutations = []struct{ file, from, to string }{
	{
		"cache/coherence/protocol.go",
		`func Admit(entry, read Stamp) bool { return entry == read }`,
		`func Admit(entry, read Stamp) bool { return entry == read || mutant("serves without comparing") }`,
	},
	{
		"cache/look.go",
		`case reading.Closed != "":`,
		`case reading.Closed != "" && !mutant("serves under a lease"):`,
	},
	{
		"cache/fill.go",
		`e.stamp, e.on = f.stamp, f.on`,
		`e.stamp, e.on = stamped(f), f.on`,
	},
	{
		"cache/mark.go",
		`if err := m.cache.options.Coherence.Mark(ctx, m.on, m.writer, m.lease); err != nil {`,
		`if mutant("marks afterwards") {
	} else if err := m.cache.options.Coherence.Mark(ctx, m.on, m.writer, m.lease); err != nil {`,
	},
	{
		"cache/mark.go",
		`if m.done.Swap(true) {`,
		`markAfterwards(m)
	if m.done.Swap(true) {`,
	},
	{
		"cache/mark.go",
		"m.countEnd(outcome, now)\n\tif m.keeps(outcome) {",
		"m.countEnd(outcome, now)\n\tif m.keeps(outcome) && !mutantKeeps(m, outcome) {",
	},
	{
		"cache/mark.go",
		`Release(m.on, m.writer, outcome != Refused)`,
		`Release(m.on, m.writer, outcome != Refused && !mutant("keeps what a write changed"))`,
	},
	{
		"cache/coherence/script.go",
		`script(enterLua, markLua)`,
		`script(enterLua, outliving(markLua))`,
	},
	{
		"cache/collapse.go",
		`return flightKey{s.question.Token, s.key, s.stamp,`,
		`return flightKey{s.question.Token, s.key, collapsing(s),`,
	},
	{
		"cache/coherence/redis.go",
		`remembered, newIDs(1), c.options.Settle.Microseconds(), flag(`,
		`remembered, newIDs(1), settling(c), flag(`,
	},
	{
		"cache/coherence/redis.go",
		`c.unmarked.add(on, writer, until)`,
		`remember(c, on, writer, until)`,
	},
	{
		"proxy/write.go",
		`l.timer.Reset(l.remaining() / 2)`,
		`if !mutant("does not renew a mark") {
		l.timer.Reset(l.remaining() / 2)
	}`,
	},
	{
		"proxy/write.go",
		`l := &lease{ctx: ctx, mark: mark, spare: spare, cut: cut}`,
		`if mutant("does not cut a write without a mark") {
		cut = func() {}
	}
	l := &lease{ctx: ctx, mark: mark, spare: spare, cut: cut}`,
	},
}

// mutantSources are added to the packages of these names.
var mutantSources = map[string]string{"cache": cacheMutants, "cache/coherence": coherenceMutants, "proxy": proxyMutants}

const proxyMutants = `package proxy

import "os"

func mutant(name string) bool { return name == os.Getenv("` + mutantVariable + `") }
`

const cacheMutants = `package cache

import (
	"context"
	"os"

	"osgate/cache/coherence"
)

var chosenMutant = os.Getenv("` + mutantVariable + `")

func mutant(name string) bool { return name == chosenMutant }

func stamped(f *Fill) coherence.Stamp {
	if !mutant("stamps after the fetch") {
		return f.stamp
	}
	reading, _ := f.cache.options.Coherence.Read(context.Background(), f.on)
	return reading.Stamp
}

func markAfterwards(m *Mark) {
	if mutant("marks afterwards") && !m.done.Load() {
		_ = m.cache.options.Coherence.Mark(context.Background(), m.on, m.writer, m.lease)
	}
}

// mutantKeeps reports whether a mutant gives back a lease that is to be kept.
func mutantKeeps(m *Mark, outcome WriteOutcome) bool {
	if m.mayRollBack {
		return mutant("gives the lease of a confirmable write back")
	}
	return mutant("gives every lease back")
}

func collapsing(s *Search) coherence.Stamp {
	if mutant("joins a fetch from before a write") {
		return coherence.Stamp{}
	}
	return s.stamp
}
`

const coherenceMutants = `package coherence

import (
	"os"
	"strings"
	"time"
)

var chosenMutant = os.Getenv("` + mutantVariable + `")

func mutant(name string) bool { return name == chosenMutant }

// outliving is the script of a mark, of a mutant without what ends a generation with
// its lease.
func outliving(script string) string {
	if !mutant("serves what a lease that ran out was over") && !mutant("serves what a lost release was over") {
		return script
	}
	return strings.ReplaceAll(script, "outlive(key, leases)", "")
}

// remember remembers a write that went unmarked, but not one whose mark could not be
// renewed where the mutant forgets these.
func remember(c *Redis, on Resources, writer ID, until time.Time) {
	if !mutant("forgets a mark that was lost") {
		c.unmarked.add(on, writer, until)
	}
}

func settling(c *Redis) int64 {
	if mutant("does not settle") {
		return 0
	}
	return c.options.Settle.Microseconds()
}
`

// mutants builds the program of all mutants, and removes it when the test ends.
func mutants(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	program, overlay := filepath.Join(dir, "osgate"), filepath.Join(dir, "overlay.json")
	text, _ := json.Marshal(map[string]any{"Replace": mutated(t, dir)}) // strings cannot fail to marshal
	write(t, overlay, text)
	command := goBuild("-overlay", overlay, "-o", program, "./cmd/osgate")
	command.Dir = mainModule
	if text, err := command.CombinedOutput(); err != nil {
		t.Fatalf("building the mutants: %v\n%s", err, text)
	}
	return program
}

// mutated writes the mutated sources into dir and returns which files they replace.
func mutated(t *testing.T, dir string) map[string]string {
	t.Helper()
	root, err := filepath.Abs(mainModule)
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string][]byte{}
	for name, source := range mutantSources {
		sources[filepath.Join(root, filepath.FromSlash(name), "mutant.go")] = []byte(source)
	}
	for _, m := range mutations {
		file := filepath.Join(root, filepath.FromSlash(m.file))
		if sources[file] == nil {
			if sources[file], err = os.ReadFile(file); err != nil {
				t.Fatal(err)
			}
		}
		if n := bytes.Count(sources[file], []byte(m.from)); n != 1 {
			t.Fatalf("%s contains the text that a mutation replaces %d times, want it once: %s", m.file, n, m.from)
		}
		sources[file] = bytes.Replace(sources[file], []byte(m.from), []byte(m.to), 1)
	}
	replaced := map[string]string{}
	for file, source := range sources {
		replaced[file] = filepath.Join(dir, filepath.Base(filepath.Dir(file))+"-"+filepath.Base(file))
		write(t, replaced[file], source)
	}
	return replaced
}

func write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCheckerDetectsMutants breaks one rule of the protocol at a time, each in a
// gateway of its own. The checker must detect it, with requests under which osgate
// without a mutation stays linearizable.
func TestCheckerDetectsMutants(t *testing.T) {
	t.Parallel()
	program := mutants(t)
	for name, schedule := range schedules {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newDeployment(t, setup{program: program, mutant: name}, mutantSettings(name)...)
			schedule(w)
			if got := w.history.check(); got != porcupine.Illegal {
				t.Errorf("the result is %v, want the checker to detect the stale answer: %v", got, w.history.counts)
			}
		})
		t.Run("not "+name, func(t *testing.T) {
			t.Parallel()
			w := newDeployment(t, unmutated(), mutantSettings("not "+name)...)
			schedule(w)
			w.history.checkLinearizable(t)
		})
	}
}
