package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"
)

// Options bound a run.
type Options struct {
	Sample  int           // mutants of each package to try; 0: all
	Seed    uint64        // selects the sample
	Box     time.Duration // time after which no further mutant of a package is tried
	Workers int           // mutants to try at the same time
	Factor  int           // time limit of a mutant, as a multiple of its tests' time
	Only    string        // file, or file:line, whose mutants are tried; empty: all
}

// A Result holds the results of one package.
type Result struct {
	Name   string
	Found  int // mutations of the package
	Trials []Trial
	Seed   uint64
	Took   time.Duration
	Stale  []string // accepted texts that are no longer mutations
}

// run tries mutants of the package and writes a line for each to progress.
func (t *Target) run(ctx context.Context, o Options, accepted Accepted, progress io.Writer) (Result, error) {
	began := time.Now()
	result := Result{Name: t.Name, Found: len(t.mutations), Seed: o.Seed, Stale: accepted.stale(t.Name, t.mutations)}
	if err := t.cover(ctx, o.Workers); err != nil {
		return result, err
	}
	fmt.Fprintf(progress, "%s: %d mutations, %d tests, covered in %.0fs\n",
		t.Name, len(t.mutations), len(t.tests), time.Since(began).Seconds())
	chosen := only(shuffle(t.mutations, o.Seed), o.Only)
	queue := &queue{mutations: chosen, most: o.Sample, end: time.Now().Add(o.Box)}
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return result, err
	}
	defer os.RemoveAll(dir)
	b, err := t.batch(ctx, dir, t.toRun(chosen, o.Sample, accepted), progress)
	if err != nil {
		return result, err
	}
	judge := func(m Mutation) (Trial, error) {
		trial := Trial{Mutation: m}
		switch {
		case accepted[t.Name][m.String()] != "":
			trial.Verdict = Equivalent
		case !t.whole.runs(m):
			trial.Verdict = NotCovered
		case b.broken[m]:
			trial.Verdict = NotCompiled
		case b.numbers[m] > 0:
			return t.verdict(ctx, trial, program{b.program, b.numbers[m]}, o.Factor)
		default:
			return t.try(ctx, m, o.Factor)
		}
		return trial, nil
	}
	err = queue.work(o.Workers, judge, func(trial Trial) {
		if trial.Verdict != NotCompiled {
			result.Trials = append(result.Trials, trial)
		}
		fmt.Fprintf(progress, "%s %d %s %s:%d %s %s\n",
			t.Name, len(result.Trials), trial.Verdict, trial.File, trial.Line, trial.To, trial.By)
	})
	result.Took = time.Since(began)
	return result, err
}

// toRun returns the first mutations, without those that get a verdict without a run; all
// of them if most is 0.
func (t *Target) toRun(mutations []Mutation, most int, accepted Accepted) []Mutation {
	if most > 0 {
		mutations = mutations[:min(most, len(mutations))]
	}
	return slices.DeleteFunc(slices.Clone(mutations), func(m Mutation) bool {
		return accepted[t.Name][m.String()] != "" || !t.whole.runs(m)
	})
}

// only returns the mutations of a file, or of one line of it; all if place is empty.
func only(mutations []Mutation, place string) []Mutation {
	var chosen []Mutation
	for _, m := range mutations {
		if place == "" || place == m.File || place == fmt.Sprintf("%s:%d", m.File, m.Line) {
			chosen = append(chosen, m)
		}
	}
	return chosen
}

// A queue returns mutations until enough have been tried, or the time is over.
type queue struct {
	most int // 0: no bound
	end  time.Time

	mu        sync.Mutex
	mutations []Mutation // the remaining mutations
	out       int        // mutations that were returned, without those that did not compile
	err       error      // the error that ended the work
}

// next returns the mutation to try next, and false if there is none.
func (q *queue) next(now time.Time) (Mutation, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil || len(q.mutations) == 0 || !now.Before(q.end) || q.most > 0 && q.out >= q.most {
		return Mutation{}, false
	}
	m := q.mutations[0]
	q.mutations = q.mutations[1:]
	q.out++
	return m, true
}

// work tries mutations with several workers. It reports one trial at a time.
func (q *queue) work(workers int, judge func(Mutation) (Trial, error), report func(Trial)) error {
	var all sync.WaitGroup
	for range max(1, workers) {
		all.Go(func() {
			for m, ok := q.next(time.Now()); ok; m, ok = q.next(time.Now()) {
				trial, err := judge(m)
				q.done(trial, err, report)
			}
		})
	}
	all.Wait()
	return q.err
}

// done reports a trial, or ends the work after an error. A mutant that does not compile
// is replaced by another one.
func (q *queue) done(trial Trial, err error, report func(Trial)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err != nil {
		q.err = errors.Join(q.err, err)
		return
	}
	if trial.Verdict == NotCompiled {
		q.out--
	}
	report(trial)
}

// shuffle returns the mutations in an order that depends on the seed. The position of
// each mutation depends only on its own text, so that a change in another part of the
// package keeps most of a sample.
func shuffle(mutations []Mutation, seed uint64) []Mutation {
	type ranked struct {
		Mutation
		rank [sha256.Size]byte
	}
	order := make([]ranked, 0, len(mutations))
	for _, m := range mutations {
		order = append(order, ranked{m, sha256.Sum256(fmt.Appendf(nil, "%d %d %s", seed, m.Same[0], m.lines()))})
	}
	slices.SortFunc(order, func(a, b ranked) int {
		return cmp.Or(bytes.Compare(a.rank[:], b.rank[:]), cmp.Compare(a.start, b.start))
	})
	shuffled := make([]Mutation, 0, len(order))
	for _, m := range order {
		shuffled = append(shuffled, m.Mutation)
	}
	return shuffled
}

// waitDelay is how long a killed program may keep its output open.
const waitDelay = 5 * time.Second

// A Verdict is the result of a trial.
type Verdict string

const (
	Killed      Verdict = "killed"
	TimedOut    Verdict = "timed out"
	Survived    Verdict = "survived"
	NotCovered  Verdict = "not covered"
	Equivalent  Verdict = "accepted"
	NotCompiled Verdict = "does not compile"
)

// A Trial is a mutation and its verdict.
type Trial struct {
	Mutation
	Verdict Verdict
	By      string // the test that failed first
}

// leastLimit is the minimum time limit of a mutant.
const leastLimit = 15 * time.Second

// allTests is the flag that chooses all tests, and allTestsLimit is their time limit if
// a choice of tests gives no verdict.
const (
	allTests      = "-test.run=."
	allTestsLimit = 5 * time.Minute
)

// try runs the tests that cover the mutation on the mutated package. Their time limit
// is factor times their duration without the mutation, which is measured again when the
// limit ends. The checkout does not change: the go command reads the mutated file in
// place of the original one.
func (t *Target) try(ctx context.Context, m Mutation, factor int) (Trial, error) {
	trial := Trial{Mutation: m}
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return trial, err
	}
	defer os.RemoveAll(dir)
	overlay, err := t.overlay(dir, map[string][]byte{m.File: m.apply(t.sources[m.File])})
	if err != nil {
		return trial, err
	}
	p := program{path: filepath.Join(dir, "tests")}
	if _, err := t.build(ctx, p.path, "-overlay", overlay); err != nil {
		trial.Verdict = NotCompiled
		return trial, failed(ctx, err)
	}
	return t.verdict(ctx, trial, p, factor)
}

// verdict runs the tests that cover the mutation of a trial with the program of its
// mutant, and returns the trial with its verdict.
func (t *Target) verdict(ctx context.Context, trial Trial, p program, factor int) (Trial, error) {
	var err error
	stages, took := t.stages(trial.Mutation)
	limit := max(t.leastLimit, time.Duration(factor)*took)
	for _, stage := range stages {
		trial, err = t.judge(ctx, trial, p, stage, limit)
		if err == nil && trial.Verdict == TimedOut {
			trial, err = t.judgeAgain(ctx, trial, p, stage, limits{now: limit, factor: factor})
		}
		if err != nil || trial.Verdict != Survived {
			return trial, err
		}
	}
	return trial, nil
}

// judge runs the tests that a flag chooses, and returns the trial with their verdict.
// If TestMain finds a leaked goroutine after a choice of tests, the goroutine might
// have ended during the other tests: then all tests decide.
func (t *Target) judge(ctx context.Context, trial Trial, p program, chosen string, limit time.Duration) (Trial, error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return trial, err
	}
	defer os.RemoveAll(dir)
	text, err := t.test(limited, dir, p, chosen)
	switch {
	case err == nil:
		trial.Verdict = Survived
	case limited.Err() != nil:
		trial.Verdict = TimedOut
	case chosen != allTests && testsPassed(text):
		return t.judge(ctx, trial, p, allTests, allTestsLimit)
	default:
		trial.Verdict, trial.By = Killed, firstFailed(text)
	}
	return trial, failed(ctx, err)
}

// limits are the time limit of a mutant that timed out, and the factor by which a limit
// exceeds the time of the tests without the mutation.
type limits struct {
	now    time.Duration
	factor int
}

// judgeAgain judges a mutant that timed out again if the chosen tests also take longer
// without the mutation now, because the machine is busier than it was when they were
// measured.
func (t *Target) judgeAgain(ctx context.Context, trial Trial, p program, chosen string, l limits) (Trial, error) {
	took, err := t.duration(ctx, p, chosen)
	if err != nil {
		return trial, err
	}
	longer := time.Duration(l.factor) * took
	if longer <= l.now {
		return trial, nil
	}
	return t.judge(ctx, trial, p, chosen, longer)
}

// testsPassed reports whether, according to an output, all tests have passed, so that
// TestMain has made the program fail.
func testsPassed(text []byte) bool {
	return regexp.MustCompile(`(?m)^PASS$`).Match(text)
}

// overlay writes the changed sources and the overlay that names them into dir, and
// returns the name of the overlay.
func (t *Target) overlay(dir string, sources map[string][]byte) (string, error) {
	replace := map[string]string{}
	for name, source := range sources {
		replace[filepath.Join(t.Dir, name)] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), source, 0o600); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o600)
}

// failed returns the error that leaves a trial without a verdict: the whole run is
// over, or a program could not be started. A program that reports a failure is a
// verdict.
func failed(ctx context.Context, err error) error {
	var exit *exec.ExitError
	if err == nil || ctx.Err() == nil &&
		(errors.As(err, &exit) || errors.Is(err, exec.ErrWaitDelay) || errors.Is(err, context.DeadlineExceeded)) {
		return nil
	}
	return err
}

// firstFailed returns the name of the first test that an output reports as failed.
func firstFailed(text []byte) string {
	failure := regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	if parts := failure.FindSubmatch(text); parts != nil {
		return string(parts[1])
	}
	if testsPassed(text) {
		return "TestMain"
	}
	return "a crash"
}
