package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"
)

// count returns how many trials ended with a verdict.
func (r Result) count(v Verdict) int {
	n := 0
	for _, trial := range r.Trials {
		if trial.Verdict == v {
			n++
		}
	}
	return n
}

// score returns the percentage of mutants that the tests noticed. A mutant that no test
// runs counts as survived; one that is accepted as equivalent does not count.
func (r Result) score() string {
	noticed := r.count(Killed) + r.count(TimedOut)
	all := noticed + r.count(Survived) + r.count(NotCovered)
	if all == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100*float64(noticed)/float64(all))
}

// writeTable writes a row for each package, in Markdown.
func writeTable(w io.Writer, results []Result) {
	fmt.Fprintln(w, "| package | mutants | tried | killed | timed out | survived | not covered | equivalent | score | seed | time |")
	fmt.Fprintln(w, "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, r := range results {
		fmt.Fprintf(w, "| %s | %d | %d | %d | %d | %d | %d | %d | %s | %d | %s |\n", r.Name, r.Found, len(r.Trials), r.count(Killed),
			r.count(TimedOut), r.count(Survived), r.count(NotCovered), r.count(Equivalent), r.score(), r.Seed, r.Took.Round(time.Second))
	}
}

// writeSurvivors writes the mutants that no test noticed, each in the form of
// docs/mutants.md, and the entries of docs/mutants.md that are no longer mutations.
func writeSurvivors(w io.Writer, r Result) {
	survivors := slices.DeleteFunc(slices.Clone(r.Trials), func(t Trial) bool {
		return t.Verdict != Survived && t.Verdict != NotCovered
	})
	slices.SortFunc(survivors, func(a, b Trial) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if len(survivors)+len(r.Stale) > 0 {
		fmt.Fprintf(w, "\n## %s\n\n", r.Name)
	}
	for _, t := range survivors {
		fmt.Fprintf(w, "%s/%s:%d:%d %s\n- %s: \n", r.Name, t.File, t.Line, t.Column, t.Verdict, t.Mutation)
	}
	for _, text := range r.Stale {
		fmt.Fprintf(w, "no longer a mutation: %s\n", text)
	}
}
