package archtest

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// CheckPromises returns a line for each test that the document of promises names and
// that does not exist, and for each test of the folder witness that the document does
// not name. A test is named as `folder.TestName`.
func CheckPromises(fsys fs.FS, document, witness string) ([]string, error) {
	text, err := fs.ReadFile(fsys, document)
	if err != nil {
		return nil, err
	}
	named := map[string][]string{witness: nil} // test names by folder
	for _, parts := range regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz)\\w*)`").
		FindAllStringSubmatch(string(text), -1) {
		named[parts[1]] = append(named[parts[1]], parts[2])
	}
	var breaches []string
	for folder, names := range named {
		tests, err := testsOf(fsys, folder)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if !slices.Contains(tests, name) {
				breaches = append(breaches, fmt.Sprintf("%s: %s has no test %s", document, folder, name))
			}
		}
		if folder != witness {
			continue
		}
		for _, name := range tests {
			if !slices.Contains(names, name) {
				breaches = append(breaches, fmt.Sprintf("%s: no promise names `%s.%s`", document, folder, name))
			}
		}
	}
	slices.Sort(breaches)
	return slices.Compact(breaches), nil
}

// testsOf returns the names of all tests of a folder, including those with build tags.
func testsOf(fsys fs.FS, folder string) ([]string, error) {
	files, err := fs.Glob(fsys, path.Join(folder, "*_test.go"))
	if err != nil {
		return nil, err
	}
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w*)\(`)
	var names []string
	for _, file := range files {
		text, err := fs.ReadFile(fsys, file)
		if err != nil {
			return nil, err
		}
		for _, parts := range declaration.FindAllSubmatch(text, -1) {
			if name := string(parts[1]); name != "TestMain" {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// CheckLinks returns a line for each item of a section ("## ") of the document that
// links to no file, and for each link of the section to a file that does not exist.
func CheckLinks(fsys fs.FS, document, section string) ([]string, error) {
	text, err := fs.ReadFile(fsys, document)
	if err != nil {
		return nil, err
	}
	_, rest, found := strings.Cut(string(text), "\n## "+section+"\n")
	if !found {
		return []string{fmt.Sprintf("%s: no section %q", document, section)}, nil
	}
	body, _, _ := strings.Cut(rest, "\n## ")
	var breaches []string
	for i, item := range strings.Split(body, "\n- ") {
		links := regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`).FindAllStringSubmatch(item, -1)
		if i > 0 && len(links) == 0 {
			first, _, _ := strings.Cut(item, "\n")
			breaches = append(breaches, fmt.Sprintf("%s: no test for %q", document, first))
		}
		for _, link := range links {
			if _, err := fs.Stat(fsys, path.Join(path.Dir(document), link[1])); err != nil {
				breaches = append(breaches, fmt.Sprintf("%s: %s does not exist", document, link[1]))
			}
		}
	}
	return breaches, nil
}
