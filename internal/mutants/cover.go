package main

import (
	"bufio"
	"bytes"
	"fmt"
	"path"
	"strings"
)

// A Block is a part of a file of which either every statement is run or none.
type Block struct {
	begin, end [2]int // line and column, the end not included
	run        bool
}

// Coverage holds the blocks of each file, by the base name of the file.
type Coverage map[string][]Block

// parseCoverage parses the profile that go test -coverprofile writes for one package.
func parseCoverage(profile []byte) (Coverage, error) {
	c := Coverage{}
	lines := bufio.NewScanner(bytes.NewReader(profile))
	for lines.Scan() {
		text := lines.Text()
		if strings.HasPrefix(text, "mode: ") {
			continue
		}
		colon := strings.LastIndexByte(text, ':')
		if colon < 0 {
			return nil, fmt.Errorf("coverage profile: no file in %q", text)
		}
		var b Block
		var statements, count int
		if _, err := fmt.Sscanf(text[colon+1:], "%d.%d,%d.%d %d %d",
			&b.begin[0], &b.begin[1], &b.end[0], &b.end[1], &statements, &count); err != nil {
			return nil, fmt.Errorf("coverage profile: %q: %w", text, err)
		}
		b.run = count > 0
		file := path.Base(text[:colon])
		c[file] = append(c[file], b)
	}
	return c, lines.Err()
}

// runs reports whether the tests run the place of the mutation. A place in no block,
// such as a package's variable or the expression of a case, counts as run.
func (c Coverage) runs(m Mutation) bool {
	at, run := [2]int{m.Line, m.Column}, true
	var innermost [2]int
	for _, b := range c[m.File] {
		if !before(at, b.begin) && before(at, b.end) && !before(b.begin, innermost) {
			innermost, run = b.begin, b.run
		}
	}
	return run
}

// before reports whether a place comes before another one.
func before(a, b [2]int) bool {
	return a[0] < b[0] || a[0] == b[0] && a[1] < b[1]
}
