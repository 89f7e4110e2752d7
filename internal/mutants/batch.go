package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// A batch is one program of tests with many mutants: the program contains a copy of the
// function for each of its mutations, and calls the copy that the environment chooses.
// Building a program takes longer than most mutants live.
type batch struct {
	program string
	numbers map[Mutation]int  // the number of each mutant in the program, from 1
	broken  map[Mutation]bool // mutants that do not compile
}

// leastBatch is the minimum number of mutants that are worth a program of their own and
// a run of all tests, and mostBatch the maximum, because copies make a program slower.
const (
	leastBatch = 5
	mostBatch  = 150
)

// batch builds the program of the mutations. Those outside of functions are not in it.
// Without a mutant, all tests must pass with the program as well; if they do not, or if
// the mutations are few, batch returns an empty batch.
func (t *Target) batch(ctx context.Context, dir string, mutations []Mutation, progress io.Writer) (batch, error) {
	if len(mutations) < leastBatch {
		return batch{}, nil
	}
	b := batch{program: filepath.Join(dir, "tests"), broken: map[Mutation]bool{}}
	mutations = slices.Clone(mutations[:min(len(mutations), mostBatch)])
	for {
		copies, err := t.copies(mutations)
		if err != nil {
			return batch{}, err
		}
		overlay, err := t.overlay(dir, copies.sources)
		if err != nil {
			return batch{}, err
		}
		text, err := t.build(ctx, b.program, "-overlay", overlay, "-gcflags=-e")
		if err == nil {
			b.numbers = copies.numbers
			break
		}
		broken := copies.broken(text)
		if len(broken) == 0 {
			return batch{}, fmt.Errorf("building the mutants of %s: %w\n%s", t.Name, err, tail(text))
		}
		for _, m := range broken {
			b.broken[m] = true
		}
		mutations = slices.DeleteFunc(mutations, func(m Mutation) bool { return b.broken[m] })
	}
	text, err := t.test(ctx, dir, program{path: b.program}, allTests)
	if err != nil && !testsPassed(text) {
		fmt.Fprintf(progress, "%s: each mutant gets a program of its own, because with copies of functions %s fails\n",
			t.Name, firstFailed(text))
		return batch{}, failed(ctx, err)
	}
	return b, nil
}

// A program is a program of tests. In that of a batch, mutant is the number of the mutant
// to run, and 0 is none of them.
type program struct {
	path   string
	mutant int
}

// switchKey is the environment variable with the number of the mutant to run, and
// switchName the variable of the package that holds it.
const (
	switchKey  = "OSGATE_MUTANT"
	switchName = "mutantOfThisRun"
)

// copies are the sources of a batch.
type copies struct {
	sources map[string][]byte // files that differ from the checkout
	numbers map[Mutation]int
	lines   map[string][]span // of each file
}

// A span is the lines of a file that hold the copy of a function with a mutation.
type span struct {
	Mutation
	first, last int
}

// copies returns the sources of a batch: the files with mutations, and one with the
// switch.
func (t *Target) copies(mutations []Mutation) (copies, error) {
	c := copies{sources: map[string][]byte{}, numbers: map[Mutation]int{}, lines: map[string][]span{}}
	for _, name := range t.GoFiles {
		f, err := newCopier(name, t.sources[name])
		if err != nil {
			return c, err
		}
		for _, m := range mutations {
			if m.File == name && f.add(m, len(c.numbers)+1) {
				c.numbers[m] = len(c.numbers) + 1
			}
		}
		if len(f.spans) > 0 {
			c.sources[name], c.lines[name] = f.text(), f.spans
			c.sources["mutants_switch.go"] = fmt.Appendf(nil, "package %s\n\nimport (\n\t\"os\"\n\t\"strconv\"\n)\n\n"+
				"var %s, _ = strconv.Atoi(os.Getenv(%s))\n", f.file.Name.Name, switchName, strconv.Quote(switchKey))
		}
	}
	return c, nil
}

// broken returns the mutations whose copies do not compile, according to the output of
// the compiler.
func (c copies) broken(text []byte) []Mutation {
	var broken []Mutation
	place := regexp.MustCompile(`(?m)^(\S+\.go):(\d+):`)
	for _, parts := range place.FindAllStringSubmatch(string(text), -1) {
		number, _ := strconv.Atoi(parts[2])
		for _, s := range c.lines[filepath.Base(parts[1])] {
			if s.first <= number && number <= s.last {
				broken = append(broken, s.Mutation)
			}
		}
	}
	return broken
}

// environment returns the setting that chooses the mutant.
func (p program) environment() string {
	return switchKey + "=" + strconv.Itoa(p.mutant)
}
