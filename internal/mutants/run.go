package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	if err := t.cover(ctx); err != nil {
		return result, err
	}
	fmt.Fprintf(progress, "%s: %d mutations, %d tests, covered in %.0fs\n", t.Name, len(t.mutations), len(t.tests), time.Since(began).Seconds())
	queue := &queue{mutations: only(shuffle(t.mutations, o.Seed), o.Only), most: o.Sample, end: time.Now().Add(o.Box)}
	judge := func(m Mutation) (Trial, error) {
		switch {
		case accepted[t.Name][m.String()] != "":
			return Trial{Mutation: m, Verdict: Equivalent}, nil
		case !t.whole.runs(m):
			return Trial{Mutation: m, Verdict: NotCovered}, nil
		}
		return t.try(ctx, m, o.Factor)
	}
	err := queue.work(o.Workers, judge, func(trial Trial) {
		if trial.Verdict != NotCompiled {
			result.Trials = append(result.Trials, trial)
		}
		fmt.Fprintf(progress, "%s %d %s %s:%d %s %s\n", t.Name, len(result.Trials), trial.Verdict, trial.File, trial.Line, trial.To, trial.By)
	})
	result.Took = time.Since(began)
	return result, err
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
