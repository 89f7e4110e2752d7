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

// A copier adds copies of functions to a file. The original functions stay on their
// lines; the copies come after the end of the file.
type copier struct {
	source    []byte
	file      *ast.File
	positions *token.File
	edits     []edit // of the original functions
	named     map[*ast.FuncDecl]bool
	added     strings.Builder // the copies
	spans     []span
}

// An edit replaces the source between two offsets.
type edit struct {
	start, end int
	text       string
}

func newCopier(name string, source []byte) (*copier, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	positions := files.File(file.FileStart)
	return &copier{source: source, file: file, positions: positions, named: map[*ast.FuncDecl]bool{}}, nil
}

// add adds a copy of the function that contains the mutation, and a call of it to the
// original. It returns false for a mutation outside of functions, and for those in a
// function that nothing can call.
func (c *copier) add(m Mutation, number int) bool {
	at := slices.IndexFunc(c.file.Decls, func(d ast.Decl) bool {
		f, ok := d.(*ast.FuncDecl)
		return ok && f.Body != nil && c.offset(f.Body.Lbrace) < m.start && m.end < c.offset(f.Body.End())
	})
	if at < 0 {
		return false
	}
	f, _ := c.file.Decls[at].(*ast.FuncDecl)
	if f.Recv == nil && (f.Name.Name == "init" || f.Name.Name == "main") || f.Name.Name == "_" {
		return false
	}
	name := fmt.Sprintf("mutant%d_%s", number, f.Name.Name)
	c.call(f, name, number)
	start, ends := c.offset(f.Pos()), c.offset(f.End())
	text := slices.Concat(
		c.source[start:c.offset(f.Name.Pos())], []byte(name), c.source[c.offset(f.Name.End()):m.start],
		[]byte(m.text), c.source[m.end:ends],
	)
	first := bytes.Count(c.source, []byte("\n")) + strings.Count(c.added.String(), "\n") + 2
	fmt.Fprintf(&c.added, "\n%s\n", text)
	c.spans = append(c.spans, span{m, first, first + bytes.Count(text, []byte("\n"))})
	return true
}

// call makes the original function call a copy of itself if the copy is chosen.
func (c *copier) call(f *ast.FuncDecl, name string, number int) {
	receiver, edits := c.arguments(f.Recv)
	arguments, more := c.arguments(f.Type.Params)
	if !c.named[f] {
		c.edits = append(c.edits, append(edits, more...)...)
		c.named[f] = true
	}
	called := name + c.typeArguments(f) + "(" + strings.Join(arguments, ", ") + ")"
	if len(receiver) > 0 {
		called = receiver[0] + "." + called
	}
	if f.Type.Results != nil {
		called = "return " + called
	} else {
		called += "; return"
	}
	brace := c.offset(f.Body.Lbrace) + 1
	c.edits = append(c.edits, edit{brace, brace, fmt.Sprintf(" if %s == %d { %s };", switchName, number, called)})
}

// arguments returns the parameters of a list as arguments of a call, and the edits that
// name those without a name.
func (c *copier) arguments(list *ast.FieldList) (names []string, edits []edit) {
	if list == nil {
		return nil, nil
	}
	for _, field := range list.List {
		if len(field.Names) == 0 {
			at := c.offset(field.Type.Pos())
			names = append(names, fmt.Sprint("argument", at))
			edits = append(edits, edit{at, at, names[len(names)-1] + " "})
		}
		for _, ident := range field.Names {
			name := ident.Name
			if at := c.offset(ident.Pos()); name == "_" {
				name = fmt.Sprint("argument", at)
				edits = append(edits, edit{at, at + 1, name})
			}
			names = append(names, name)
		}
		if _, variadic := field.Type.(*ast.Ellipsis); variadic {
			names[len(names)-1] += "..."
		}
	}
	return names, edits
}

// typeArguments returns the type parameters of a function as arguments of a call.
func (c *copier) typeArguments(f *ast.FuncDecl) string {
	names, _ := c.arguments(f.Type.TypeParams)
	if len(names) == 0 {
		return ""
	}
	return "[" + strings.Join(names, ", ") + "]"
}

// text returns the file with the copies.
func (c *copier) text() []byte {
	slices.SortStableFunc(c.edits, func(a, b edit) int { return a.start - b.start })
	var text []byte
	at := 0
	for _, e := range c.edits {
		text = append(append(text, c.source[at:e.start]...), e.text...)
		at = e.end
	}
	return append(append(text, c.source[at:]...), c.added.String()...)
}

// offset returns where a position is in the source.
func (c *copier) offset(p token.Pos) int {
	return c.positions.Offset(p)
}
