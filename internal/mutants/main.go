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
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
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
	document := flags.String("accepted", "docs/mutants.md", "document with the accepted mutants, below root; may be missing")
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
