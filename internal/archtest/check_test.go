package archtest

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// tree returns a file system with a module called made.up and these files.
func tree(files map[string]string) fs.FS {
	fsys := fstest.MapFS{"go.mod": {Data: []byte("module made.up\n\ngo 1.26\n")}}
	for name, src := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(src)}
	}
	return fsys
}

// madeUp returns the table that the made-up modules are checked against.
func madeUp() Table {
	return Table{
		"cmd/tool": {Imports: []string{"upper"}},
		"upper":    {Imports: []string{"lower"}, Tests: []string{"helper"}},
		"lower":    {},
		"helper":   {},
		"outside":  {Tests: []string{"helper"}},
	}
}

func TestCheckReportsEveryBreach(t *testing.T) {
	const upper = "// Package upper is above.\npackage upper\n"
	tests := []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{
			name: "a clean module",
			files: map[string]string{
				"cmd/tool/main.go":    "// Command tool does it.\npackage main\nimport _ \"made.up/upper\"\n",
				"upper/upper.go":      upper + "import (\n\"fmt\"\n\"elsewhere.example/lower/x\"\n\"made.up/lower\"\n)\n",
				"upper/upper_test.go": "package upper_test\nimport (\n_ \"made.up/helper\"\n_ \"made.up/upper\"\n)\n",
				"lower/lower.go":      "// Package lower, a leaf.\npackage lower\n",
				"outside/out_test.go": "// Package outside is tests alone.\npackage outside_test\nimport _ \"made.up/helper\"\n",
			},
		},
		{
			name: "an arrow that points up",
			files: map[string]string{
				"lower/lower.go": "// Package lower is a leaf.\npackage lower\nimport _ \"made.up/upper\"\n",
			},
			want: []string{"lower/lower.go: lower → upper is not in the import table"},
		},
		{
			name: "an arrow drawn in one build only",
			files: map[string]string{
				"lower/lower.go": "// Package lower is a leaf.\npackage lower\n",
				"lower/odd.go":   "//go:build plan9 && never\n\npackage lower\nimport _ \"made.up/upper\"\n",
			},
			want: []string{"lower/odd.go: lower → upper is not in the import table"},
		},
		{
			name: "a test's arrow in a file that is no test",
			files: map[string]string{
				"upper/upper.go": upper + "import _ \"made.up/helper\"\n",
			},
			want: []string{"upper/upper.go: upper → helper is not in the import table (only its tests may)"},
		},
		{
			name: "a test's arrow that no row has",
			files: map[string]string{
				"outside/out_test.go": "// Package outside is tests alone.\npackage outside\nimport _ \"made.up/lower\"\n",
			},
			want: []string{"outside/out_test.go: outside → lower is not in the import table"},
		},
		{
			name: "an import of the root and a package at the root",
			files: map[string]string{
				"root.go":        "// Package made is unwanted.\npackage made\n",
				"lower/lower.go": "// Package lower is a leaf.\npackage lower\nimport _ \"made.up\"\n",
			},
			want: []string{
				".: package is not in the import table (internal/archtest/table.go)",
				"lower/lower.go: lower → . is not in the import table",
			},
		},
		{
			name: "a package without a row",
			files: map[string]string{
				"util/util.go": "// Package util is everybody's.\npackage util\nimport _ \"made.up/lower\"\n",
			},
			want: []string{"util: package is not in the import table (internal/archtest/table.go)"},
		},
		{
			name:  "no package comment",
			files: map[string]string{"lower/lower.go": "// A license.\n\npackage lower\n"},
			want:  []string{`lower: no package comment; begin one with "Package lower"`},
		},
		{
			name: "a comment on the tests is none for the package",
			files: map[string]string{
				"lower/lower.go":      "package lower\n",
				"lower/lower_test.go": "// Package lower is a leaf.\npackage lower\n",
			},
			want: []string{`lower: no package comment; begin one with "Package lower"`},
		},
		{
			name: "two package comments",
			files: map[string]string{
				"lower/a.go": "// Package lower is a leaf.\npackage lower\n",
				"lower/b.go": "// Package lower is a leaf, again.\npackage lower\n",
			},
			want: []string{"lower: more than one package comment: a.go, b.go"},
		},
		{
			name: "comments that begin otherwise",
			files: map[string]string{
				"cmd/tool/main.go": "// Package main does it.\npackage main\n",
				"lower/lower.go":   "// Package lowers is a leaf.\npackage lower\n",
				"upper/upper.go":   "// Copyright.\npackage upper\n",
			},
			want: []string{
				`cmd/tool/main.go: the package comment must begin with "Command tool"`,
				`lower/lower.go: the package comment must begin with "Package lower"`,
				`upper/upper.go: the package comment must begin with "Package upper"`,
			},
		},
		{
			name: "what the go command passes over",
			files: map[string]string{
				"lower/testdata/x/x.go": "package x\nimport _ \"made.up/upper\"\n",
				"_draft.go":             "package draft\n",
				"lower/_old/x.go":       "package x\n",
				"lower/.hidden/x.go":    "package x\n",
				"vendor/x/x.go":         "package x\n",
				"nested/go.mod":         "module nested\n",
				"nested/x.go":           "package x\n",
				"nested/deeper/x.go":    "package x\n",
			},
		},
		{
			name: "a nested module that imports this one",
			files: map[string]string{
				"lower/lower.go":      "// Package lower is a leaf.\npackage lower\n",
				"outside/go.mod":      "module made.up/outside\n\nrequire made.up v0.0.0\n\nreplace made.up => ../\n",
				"outside/out_test.go": "// Package outside is tests alone.\npackage outside_test\nimport _ \"made.up/lower\"\n",
			},
			want: []string{"outside/out_test.go: outside → lower is not in the import table"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pkgs, err := Read(tree(tt.files))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, madeUp().Check(pkgs)); diff != "" {
				t.Errorf("breaches (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadFailsOnWhatItCannotJudge(t *testing.T) {
	tests := []struct {
		name string
		fsys fs.FS
		want string // part of the error
	}{
		{"no go.mod", fstest.MapFS{}, "finding the module"},
		{"go.mod without a module line", fstest.MapFS{"go.mod": {Data: []byte("go 1.26\n")}}, "no module line"},
		{"a file that does not parse", tree(map[string]string{"lower/bad.go": "packaged lower"}), "lower/bad.go"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pkgs, err := Read(tt.fsys)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Read = %v, %v; want an error that says %q", pkgs, err, tt.want)
			}
		})
	}
}
