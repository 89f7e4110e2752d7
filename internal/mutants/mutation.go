package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// A Mutation is one small change of a source file, which a test of the package
// should notice.
type Mutation struct {
	File   string // name of the file in the folder of its package
	Line   int    // line on which the changed text begins
	Column int    // column of the changed text, in bytes
	From   string // the line before the change, without the space around it
	To     string // the same line afterwards
	Same   [2]int // its number, from 1, among the mutations of the file with the same lines, and the number of these

	start, end int // the changed text, as offsets in the file
	text       string
}

// String returns the mutation in the form of an accepted one, without its reason.
func (m Mutation) String() string {
	if m.Same[1] > 1 {
		return fmt.Sprintf("%s (%d of %d)", m.lines(), m.Same[0], m.Same[1])
	}
	return m.lines()
}

// lines returns the file and both lines of the mutation.
func (m Mutation) lines() string {
	return fmt.Sprintf("%s: %s → %s", quote(m.File), quote(m.From), quote(m.To))
}

// quote returns the text as code in Markdown.
func quote(text string) string {
	if strings.Contains(text, "`") {
		return "`` " + text + " ``"
	}
	return "`" + text + "`"
}

// apply returns the source after the mutation.
func (m Mutation) apply(source []byte) []byte {
	return slices.Concat(source[:m.start], []byte(m.text), source[m.end:])
}

// find returns all mutations of a file, in the order of the file.
func find(name string, source []byte) ([]Mutation, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	f := finder{name: name, source: source, positions: files.File(file.FileStart), swaps: swaps()}
	ast.Walk(function{finder: &f}, file)
	slices.SortStableFunc(f.found, func(a, b Mutation) int { return a.start - b.start })
	number(f.found)
	return f.found, nil
}

// number sets Same of the mutations of a file, which are in its order.
func number(mutations []Mutation) {
	count := map[string]int{}
	for i := range mutations {
		m := &mutations[i]
		count[m.lines()]++
		m.Same[0] = count[m.lines()]
	}
	for i := range mutations {
		mutations[i].Same[1] = count[mutations[i].lines()]
	}
}

// A finder collects the mutations of one file.
type finder struct {
	name      string
	source    []byte
	positions *token.File
	swaps     map[token.Token][]token.Token
	found     []Mutation
}

// replace adds the mutation that replaces the source between two positions with text,
// unless they are equal.
func (f *finder) replace(from, to token.Pos, text string) {
	m := Mutation{File: f.name, start: f.positions.Offset(from), end: f.positions.Offset(to), text: text}
	if string(f.source[m.start:m.end]) == text {
		return
	}
	position := f.positions.Position(from)
	m.Line, m.Column = position.Line, position.Column
	m.From = line(f.source, m.start)
	m.To = line(m.apply(f.source), m.start)
	f.found = append(f.found, m)
}

// line returns the line of the source that contains the offset.
func line(source []byte, offset int) string {
	start := bytes.LastIndexByte(source[:offset], '\n') + 1
	length := bytes.IndexByte(source[start:], '\n')
	if length < 0 {
		length = len(source) - start
	}
	return string(bytes.TrimSpace(source[start : start+length]))
}

// textOf returns the source of a node.
func (f *finder) textOf(n ast.Node) string {
	return string(f.source[f.positions.Offset(n.Pos()):f.positions.Offset(n.End())])
}
