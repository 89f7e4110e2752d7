// Command mutants measures tests by mutation: it changes one operator, constant,
// statement or result of a package at a time, and runs the tests of the package, one of
// which should fail.
//
// It selects a sample by a seed, does not change the checkout (go test -overlay), and
// prints a row for each package and the mutants that no test noticed. docs/mutants.md
// contains the results and the mutants that are accepted because they behave like the
// original.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := mutants(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// mutants measures the packages that the arguments name, in the module of the working
// directory, or in that of -root. An interrupted run prints the results so far.
func mutants(ctx context.Context, arguments []string, out, progress io.Writer) error {
	var o Options
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.IntVar(&o.Sample, "sample", 60, "mutants of each package to try; 0: all")
	flags.Uint64Var(&o.Seed, "seed", 1, "seed that selects the mutants")
	flags.DurationVar(&o.Box, "box", 10*time.Minute, "time after which no further mutant of a package is tried")
	flags.IntVar(&o.Workers, "workers", 1, "mutants to try at the same time")
	flags.IntVar(&o.Factor, "factor", 4, "time limit of a mutant, as a multiple of the time of its tests")
	flags.StringVar(&o.Only, "only", "", "try only the mutants of this file.go or file.go:line")
	root := flags.String("root", ".", "folder of the module")
	document := flags.String("accepted", "docs/mutants.md",
		"document with the accepted mutants, below root; may be missing")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(*root, *document))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return err
	}
	accepted := parseAccepted(string(text))
	var results []Result
	for _, name := range flags.Args() {
		var target *Target
		if target, err = load(ctx, *root, name); err != nil {
			break
		}
		var result Result
		result, err = target.run(ctx, o, accepted, progress)
		results = append(results, result)
		if err != nil {
			break
		}
	}
	writeTable(out, results)
	for _, r := range results {
		writeSurvivors(out, r)
	}
	return err
}

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
		fmt.Fprintf(w, "| %s | %d | %d | %d | %d | %d | %d | %d | %s | %d | %s |\n",
			r.Name, r.Found, len(r.Trials), r.count(Killed), r.count(TimedOut), r.count(Survived),
			r.count(NotCovered), r.count(Equivalent), r.score(), r.Seed, r.Took.Round(time.Second))
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

// Accepted holds the mutations that no test needs to notice, with the reason, by the
// name of their package and the text of the mutation.
type Accepted map[string]map[string]string

// parseAccepted reads a document with a section ("## ") for each package and a list
// item for each mutation: file, line before, line afterwards, "(1 of 2)" if the file
// has two such mutations, and why the mutant behaves like the original. Other items are
// ignored.
func parseAccepted(document string) Accepted {
	const code = "(?:`[^`]+`|`` .+? ``)"
	item := regexp.MustCompile("^- (" + code + ": " + code + " → " + code + `(?: \(\d+ of \d+\))?): (.*)$`)
	accepted := Accepted{}
	section := ""
	for line := range strings.Lines(document) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "## "); ok {
			section = name
			continue
		}
		if parts := item.FindStringSubmatch(line); parts != nil {
			if accepted[section] == nil {
				accepted[section] = map[string]string{}
			}
			accepted[section][parts[1]] = parts[2]
		}
	}
	return accepted
}

// stale returns the accepted texts of a package that are no longer mutations of it.
func (a Accepted) stale(name string, mutations []Mutation) []string {
	found := map[string]bool{}
	for _, m := range mutations {
		found[m.String()] = true
	}
	var stale []string
	for text := range a[name] {
		if !found[text] {
			stale = append(stale, text)
		}
	}
	slices.Sort(stale)
	return stale
}
