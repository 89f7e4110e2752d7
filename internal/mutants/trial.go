package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

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
	overlay, err := t.overlay(dir, m)
	if err != nil {
		return trial, err
	}
	program := filepath.Join(dir, "tests")
	if _, err := t.build(ctx, program, "-overlay", overlay); err != nil {
		trial.Verdict = NotCompiled
		return trial, failed(ctx, err)
	}
	stages, took := t.stages(m)
	limit := max(t.leastLimit, time.Duration(factor)*took)
	for _, stage := range stages {
		trial, err = t.judge(ctx, trial, program, stage, limit)
		if err == nil && trial.Verdict == TimedOut {
			trial, err = t.judgeAgain(ctx, trial, program, stage, limit, factor)
		}
		if err != nil || trial.Verdict != Survived {
			return trial, err
		}
	}
	return trial, nil
}

// judge runs the tests that a flag chooses, and returns the trial with their verdict. If
// TestMain finds a leaked goroutine after a choice of tests, the goroutine might have
// ended during the other tests: then all tests decide.
func (t *Target) judge(ctx context.Context, trial Trial, program, chosen string, limit time.Duration) (Trial, error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	text, err := t.test(limited, filepath.Dir(program), program, chosen)
	switch {
	case err == nil:
		trial.Verdict = Survived
	case limited.Err() != nil:
		trial.Verdict = TimedOut
	case chosen != allTests && testsPassed(text):
		return t.judge(ctx, trial, program, allTests, allTestsLimit)
	default:
		trial.Verdict, trial.By = Killed, firstFailed(text)
	}
	return trial, failed(ctx, err)
}

// judgeAgain judges a mutant that timed out again if the chosen tests also take longer
// without the mutation now, because the machine is busier than it was when they were
// measured.
func (t *Target) judgeAgain(ctx context.Context, trial Trial, program, chosen string, limit time.Duration, factor int) (Trial, error) {
	took, err := t.duration(ctx, chosen)
	if err != nil {
		return trial, err
	}
	longer := time.Duration(factor) * took
	if longer <= limit {
		return trial, nil
	}
	return t.judge(ctx, trial, program, chosen, longer)
}

// testsPassed reports whether, according to an output, all tests have passed, so that
// TestMain has made the program fail.
func testsPassed(text []byte) bool {
	return regexp.MustCompile(`(?m)^PASS$`).Match(text)
}

// overlay writes the mutated file and the overlay that names it into dir, and
// returns the name of the overlay.
func (t *Target) overlay(dir string, m Mutation) (string, error) {
	mutated, overlay := filepath.Join(dir, m.File), filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(t.Dir, m.File): mutated}})
	if err != nil {
		return "", err
	}
	return overlay, errors.Join(os.WriteFile(mutated, m.apply(t.sources[m.File]), 0o600), os.WriteFile(overlay, text, 0o600))
}

// failed returns the error that leaves a trial without a verdict: the whole run is
// over, or a program could not be started. A program that reports a failure is a
// verdict.
func failed(ctx context.Context, err error) error {
	var exit *exec.ExitError
	if err == nil || ctx.Err() == nil && (errors.As(err, &exit) || errors.Is(err, exec.ErrWaitDelay) || errors.Is(err, context.DeadlineExceeded)) {
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
