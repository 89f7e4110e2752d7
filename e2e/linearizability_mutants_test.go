package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// mutantVariable chooses which mutant a program of mutants is.
const mutantVariable = "MUTANT"

// mutations are the edits that make a program of mutants out of osgate: in each, one rule of the coherence protocol is broken for the mutant of this
// name. The text must be in its file exactly once, so that a mutation cannot come to mean nothing when the code changes.
var mutations = []struct{ file, from, to string }{
	{
		"cache/protocol.go",
		`func admit(entry, read Stamp) bool { return entry == read }`,
		`func admit(entry, read Stamp) bool { return entry == read || mutant("serves without comparing") }`,
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
		`if m.keeps(outcome) {`,
		`if m.keeps(outcome) && !mutantKeeps(m, outcome) {`,
	},
	{
		"cache/mark.go",
		`Release(m.on, m.writer, outcome != Refused)`,
		`Release(m.on, m.writer, outcome != Refused && !mutant("keeps what a write changed"))`,
	},
	{
		"cache/script.go",
		`script(enterLua, markLua)`,
		`script(enterLua, outliving(markLua))`,
	},
	{
		"cache/collapse.go",
		`return flightKey{s.question.Token, s.key, s.stamp,`,
		`return flightKey{s.question.Token, s.key, collapsing(s),`,
	},
	{
		"cache/redis.go",
		`return []any{remembered, newIDs(1), c.options.Settle.Microseconds(),`,
		`return []any{remembered, newIDs(1), settling(c),`,
	},
}

// mutantSource is added to package cache.
const mutantSource = `package cache

import (
	"context"
	"os"
	"strings"
)

var chosenMutant = os.Getenv("` + mutantVariable + `")

func mutant(name string) bool { return name == chosenMutant }

func stamped(f *Fill) Stamp {
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
	if m.pending {
		return mutant("gives the lease of a confirmable write back")
	}
	return mutant("gives every lease back")
}

// outliving is the script of a mark, of a mutant without what ends a generation with
// its lease.
func outliving(script string) string {
	if !mutant("serves what a lease that ran out was over") {
		return script
	}
	return strings.ReplaceAll(script, "outlive(key, leases)", "")
}

func collapsing(s *Search) Stamp {
	if mutant("joins a fetch from before a write") {
		return Stamp{}
	}
	return s.stamp
}

func settling(c *RedisCoherence) int64 {
	if mutant("does not settle") {
		return 0
	}
	return c.options.Settle.Microseconds()
}
`

// mutants builds the program of all mutants, which goes with the test.
func mutants(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	program, overlay := filepath.Join(dir, "osgate"), filepath.Join(dir, "overlay.json")
	text, _ := json.Marshal(map[string]any{"Replace": mutated(t, dir)}) // strings cannot fail to marshal
	write(t, overlay, text)
	command := exec.Command("go", "build", "-buildvcs=false", "-overlay", overlay, "-o", program, "osgate/cmd/osgate")
	if text, err := command.CombinedOutput(); err != nil {
		t.Fatalf("building the mutants: %v\n%s", err, text)
	}
	return program
}

// mutated writes the mutated sources into dir and returns which files they replace.
func mutated(t *testing.T, dir string) map[string]string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string][]byte{filepath.Join(root, "cache", "mutant.go"): []byte(mutantSource)}
	for _, m := range mutations {
		file := filepath.Join(root, filepath.FromSlash(m.file))
		if sources[file] == nil {
			if sources[file], err = os.ReadFile(file); err != nil {
				t.Fatal(err)
			}
		}
		if n := bytes.Count(sources[file], []byte(m.from)); n != 1 {
			t.Fatalf("%s has %d times the text that a mutation replaces, want it once: %s", m.file, n, m.from)
		}
		sources[file] = bytes.Replace(sources[file], []byte(m.from), []byte(m.to), 1)
	}
	replaced := map[string]string{}
	for file, source := range sources {
		replaced[file] = filepath.Join(dir, "mutated-"+filepath.Base(file))
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

// The times of a schedule: longer than those of a history, so that a busy machine does not keep what is meant to happen in one of them from it.
const (
	scheduleTimeout = 2 * time.Second     // UPSTREAM_TIMEOUT
	scheduleLease   = 2 * scheduleTimeout // of a write, and how long an epoch settles
)

// schedules are what each mutant is caught by: a few requests of which the order is made sure of, through gateways a, b and c. Osgate as it is answers
// them truly.
var schedules = map[string]func(w *world){
	"serves without comparing": func(w *world) {
		w.cached(b)
		w.ask(a, w.history.put(0, 0))
		w.until(b, getKey, hit, patience)
	},
	"stamps after the fetch": func(w *world) {
		w.cached(b)
		w.stack.emulator.forget()
		w.replicas[b].upstream.delay(back, scheduleTimeout/2)
		read := w.begin(b, question{verb: getFresh})
		w.stack.emulator.receives(func(r logged) bool {
			return r.Method == http.MethodGet && r.Target == w.history.target(question{}) && r.Status != 0
		})
		w.ask(a, w.history.put(0, 0))
		read.Wait()
		w.replicas[b].upstream.heal()
		w.until(b, getKey, hit, patience)
	},
	"joins a fetch from before a write": func(w *world) {
		w.ask(a, w.history.put(0, 0))
		w.until(c, headKey, hit, patience) // its lease has been given back
		w.stack.emulator.forget()
		w.replicas[b].upstream.delay(back, scheduleTimeout*8/10)
		read := w.begin(b, question{})
		w.stack.emulator.receives(w.answered(http.MethodGet))
		w.ask(a, w.history.put(0, 0))
		w.until(c, headKey, hit, scheduleTimeout*2/10)
		w.ask(b, question{})
		read.Wait()
	},
	"marks afterwards": func(w *world) {
		w.cached(b)
		w.replicas[a].upstream.delay(back, scheduleTimeout*6/10)
		latest := w.history.put(0, 0)
		write := w.begin(a, latest)
		w.until(c, getFresh, shows(latest), scheduleLease)
		w.until(b, getKey, hit, patience)
		write.Wait()
	},
	"serves under a lease": func(w *world) {
		w.ask(a, w.history.put(0, 0))
		w.lateWrite(func() {})
	},
	"does not settle": func(w *world) {
		w.cached(b)
		w.lateWrite(func() {
			w.until(b, getKey, closed, scheduleTimeout)
			w.replicas[a].redis.hole(forth) // or the renewal of its mark would make up for it
			w.redis.Flush()
		})
	},
	"gives every lease back": func(w *world) {
		w.ask(a, w.history.put(0, 0))
		w.replicas[a].upstream.delay(forth, scheduleTimeout*3/2)
		latest := w.history.put(0, 0)
		w.ask(a, latest) // its outcome is unknown when it has yet to arrive
		w.until(b, getKey, hit, scheduleTimeout*4/10)
		w.until(c, getFresh, shows(latest), scheduleLease)
		w.until(b, getKey, hit, patience)
	},
	"keeps what a write changed": func(w *world) {
		w.cached(b)
		w.ask(a, w.history.put(0, 0))
		w.until(b, getKey, hit, patience)
	},
	"serves what a lease that ran out was over": func(w *world) {
		w.cached(b)
		w.replicas[a].upstream.delay(back, scheduleTimeout*3/2)
		w.ask(a, w.history.put(0, 0)) // its outcome is unknown, though it has arrived
		w.until(b, getKey, hit, scheduleLease+patience)
	},
	"gives the lease of a confirmable write back": func(w *world) {
		w.cached(b)
		before := w.history.latest.Load()
		pending := w.history.put(0, 0)
		pending.confirmable = true
		w.ask(a, pending)
		w.until(b, getKey, hit, scheduleTimeout)
		w.rollsBack(before)
		w.until(b, getKey, hit, scheduleTimeout)
	},
	"writes without a mark": cutOff,
}

// settingsOf returns the settings of a mutant. To write without a mark it needs no broken code.
func settingsOf(mutant string) []string {
	settings := []string{"UPSTREAM_TIMEOUT=" + scheduleTimeout.String()}
	if mutant == "writes without a mark" {
		return settings
	}
	return append(settings, "CACHE_STRICT=true")
}

// a, b and c are the gateways of a schedule.
const a, b, c = 0, 1, 2

// cutOff is a write through a gateway that alone has no Redis: CACHE_STRICT refuses it, and without that the others do not learn of it.
func cutOff(w *world) {
	w.cached(b)
	w.replicas[a].redis.cut(forth)
	w.ask(a, w.history.put(0, 0))
	w.until(b, getKey, hit, patience)
	w.replicas[a].redis.heal()
}

// lateWrite is a write that is marked long before it arrives, that begins before meanwhile is called, and is answered so late that its outcome is unknown.
func (w *world) lateWrite(meanwhile func()) {
	w.replicas[a].upstream.delay(forth, scheduleTimeout*8/10)
	w.replicas[a].upstream.delay(back, scheduleTimeout*4/10)
	latest := w.history.put(0, 0)
	write := w.begin(a, latest)
	meanwhile()
	w.until(b, getKey, hit, scheduleTimeout*6/10)
	w.until(c, getFresh, shows(latest), scheduleLease)
	w.until(b, getKey, hit, patience)
	write.Wait()
}

// cached writes a value and reads it through a gateway until its cache answers.
func (w *world) cached(gateway int) {
	w.ask(a, w.history.put(0, 0))
	w.until(gateway, getKey, hit, patience)
}

// rollsBack lets the confirmable write of the one key of a schedule roll back by
// itself. To the history that is a put of the value of before, which may take effect at
// any time from now on.
func (w *world) rollsBack(before int32) {
	w.history.expects(question{verb: putKey, value: before})
	w.stack.emulator.backDoor(http.MethodPost, "clock", `{"advance":"11m"}`)
	w.until(c, getFresh, shows(question{value: before}), patience)
}

// ask asks through a gateway.
func (w *world) ask(gateway int, q question) *answer {
	return w.history.ask(gateway, w.replicas[gateway].caller(), q)
}

// answered holds for a request of this method for the one key of a schedule that upstream has answered.
func (w *world) answered(method string) func(logged) bool {
	return func(r logged) bool { return toTarget(method, w.history.target(question{}))(r) && r.Status != 0 }
}

// begin asks through a gateway, and does not wait.
func (w *world) begin(gateway int, q question) *sync.WaitGroup {
	var asking sync.WaitGroup
	c := w.replicas[gateway].caller()
	asking.Go(func() { w.history.ask(10+gateway, c, q) })
	return &asking
}

// until reads the one key of a schedule through a gateway until an answer holds, or the bound is over.
func (w *world) until(gateway int, v verb, holds func(*answer) bool, bound time.Duration) {
	for deadline := time.Now().Add(bound); ; pause(10 * time.Millisecond) {
		if answer := w.ask(gateway, question{verb: v}); answer != nil && holds(answer) || time.Now().After(deadline) {
			return
		}
	}
}

// closed reports whether an answer went past the cache because something is being written.
func closed(a *answer) bool { return strings.Contains(a.header.Get("Cache-Status"), "write-in-flight") }

// shows holds for answers with the value of a put.
func shows(q question) func(*answer) bool {
	return func(a *answer) bool {
		value, ok := valueIn(a.body)
		return ok && value == q.value
	}
}

// TestTheCheckerCatchesMutants breaks one rule of the protocol at a time, each in a gateway of its own, and wants the checker to see it, by requests
// under which osgate as it is stays linearizable.
func TestTheCheckerCatchesMutants(t *testing.T) {
	t.Parallel()
	program := mutants(t)
	for name, schedule := range schedules {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, kind{program: program, mutant: name}, settingsOf(name)...)
			schedule(w)
			if got := w.history.verdict(); got != porcupine.Illegal {
				t.Errorf("got %v, want the checker to see that the gateway lies: %v", got, w.history.counts)
			}
		})
		t.Run("not "+name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, asItIs(), settingsOf("none")...)
			schedule(w)
			w.history.isLinearizable(t)
		})
	}
}
