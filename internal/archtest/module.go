package archtest

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A Package is one directory of Go files, with the data that the import table needs.
type Package struct {
	Dir   string // directory below the module's root; "." is the root itself
	Name  string // the name after "package", without "_test"
	Files []File // in the order of their names; never empty
}

// A File is one Go source file of a Package.
type File struct {
	Name    string   // base name
	Test    bool     // reports whether go build leaves it out: *_test.go
	Doc     string   // text of the package comment, "" if there is none
	Imports []string // directories of the packages of this module that it imports
}

// Read parses every Go file of the module in root and returns the packages sorted by
// directory. It ignores build constraints: an import on another system is an import
// too. Like the go command it skips testdata, vendor, and names that begin with "." or
// "_". It skips nested modules too, except those that import this one (a replace line in
// their go.mod). The error names the file that could not be read or parsed.
func Read(root fs.FS) ([]Package, error) {
	module, err := modulePath(root)
	if err != nil {
		return nil, err
	}
	byDir := map[string]*Package{}
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return enter(root, module, name)
		case !strings.HasSuffix(name, ".go") || hidden(path.Base(name)):
			return nil
		}
		return addFile(byDir, root, module, name)
	})
	if err != nil {
		return nil, fmt.Errorf("reading the module: %w", err)
	}
	var pkgs []Package
	for _, p := range byDir {
		pkgs = append(pkgs, *p)
	}
	slices.SortFunc(pkgs, func(a, b Package) int { return strings.Compare(a.Dir, b.Dir) })
	return pkgs, nil
}

// modulePath returns the path that root's go.mod declares.
func modulePath(root fs.FS) (string, error) {
	data, err := fs.ReadFile(root, "go.mod")
	if err != nil {
		return "", fmt.Errorf("finding the module: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "module" {
			return f[1], nil
		}
	}
	return "", errors.New("finding the module: go.mod has no module line")
}

// enter returns fs.SkipDir for a directory that does not belong to the module and holds
// no module that imports it.
func enter(root fs.FS, module, dir string) error {
	if dir == "." {
		return nil
	}
	base := path.Base(dir)
	if base == "testdata" || base == "vendor" || hidden(base) {
		return fs.SkipDir
	}
	text, err := fs.ReadFile(root, path.Join(dir, "go.mod"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !strings.Contains(string(text), "\nreplace "+module+" => ") {
		return fs.SkipDir
	}
	return err
}

// hidden reports whether the go command ignores a file or directory of this name.
func hidden(base string) bool {
	return strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")
}

// addFile parses the file with this name and adds it to the package of its directory.
func addFile(byDir map[string]*Package, root fs.FS, module, name string) error {
	src, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	syntax, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return err
	}
	dir := path.Dir(name)
	p := byDir[dir]
	if p == nil {
		p = &Package{Dir: dir, Name: strings.TrimSuffix(syntax.Name.Name, "_test")}
		byDir[dir] = p
	}
	imports, err := ourImports(syntax, module)
	if err != nil {
		return err
	}
	p.Files = append(p.Files, File{
		Name:    path.Base(name),
		Test:    strings.HasSuffix(name, "_test.go"),
		Doc:     syntax.Doc.Text(),
		Imports: imports,
	})
	return nil
}

// ourImports returns the directories of the packages of this module that the file
// imports.
func ourImports(syntax *ast.File, module string) ([]string, error) {
	var dirs []string
	for _, spec := range syntax.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("unquoting import %s: %w", spec.Path.Value, err)
		}
		if imported == module {
			dirs = append(dirs, ".")
		} else if dir, ok := strings.CutPrefix(imported, module+"/"); ok {
			dirs = append(dirs, dir)
		}
	}
	return dirs, nil
}
