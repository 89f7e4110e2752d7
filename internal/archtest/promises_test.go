package archtest

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEachPromiseNamesItsTests(t *testing.T) {
	module := os.DirFS(moduleRoot)
	tests, err := CheckPromises(module, "docs/promises.md", "e2e")
	if err != nil {
		t.Fatal(err)
	}
	links, err := CheckLinks(module, "docs/promises.md", "In short")
	if err != nil {
		t.Fatal(err)
	}
	for _, breach := range append(tests, links...) {
		t.Error(breach)
	}
}

func TestPromisesWithoutTestsAreReported(t *testing.T) {
	fsys := tree(map[string]string{
		"docs/promises.md":  "| one | `e2e.TestOne`, `in/side.FuzzOne` |\n| two | `e2e.TestGone`, `in/side.TestGone`, `nowhere.TestIt` |\n",
		"e2e/one_test.go":   "package e2e\n\nfunc TestMain(m *testing.M) {}\n\nfunc TestOne(t *testing.T) {}\n",
		"e2e/two_test.go":   "//go:build soak\n\npackage e2e\n\nfunc TestTwo(t *testing.T) {}\n",
		"in/side/a_test.go": "package side\n\nfunc FuzzOne(f *testing.F) {}\n\nfunc TestUnnamed(t *testing.T) {}\n\nfunc (r rig) TestGone() {}\n",
	})
	want := []string{
		"docs/promises.md: e2e has no test TestGone",
		"docs/promises.md: in/side has no test TestGone",
		"docs/promises.md: no promise names `e2e.TestTwo`",
		"docs/promises.md: nowhere has no test TestIt",
	}
	got, err := CheckPromises(fsys, "docs/promises.md", "e2e")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("breaches (-want +got):\n%s", diff)
	}
	if _, err := CheckPromises(fsys, "docs/absent.md", "e2e"); err == nil {
		t.Error("a document that does not exist has no breach")
	}
}

func TestPromisesWithoutLinksAreReported(t *testing.T) {
	fsys := tree(map[string]string{
		"README.md": "# It\n\n- no promise\n\n## What it promises\n\nText.\n\n- One. [one](e2e/one_test.go), [page](docs/page.md#top)\n" +
			"- Two,\n  in two lines.\n- Three. [three](e2e/gone_test.go), [one](e2e/one_test.go)\n\n## More\n\n- no promise [gone](gone)\n",
		"docs/page.md":    "",
		"e2e/one_test.go": "package e2e\n",
	})
	want := []string{`README.md: no test for "Two,"`, "README.md: e2e/gone_test.go does not exist"}
	got, err := CheckLinks(fsys, "README.md", "What it promises")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("breaches (-want +got):\n%s", diff)
	}
	if got, err := CheckLinks(fsys, "README.md", "Nothing"); err != nil || len(got) != 1 {
		t.Errorf("a section that does not exist: %v, %v; want one breach", got, err)
	}
}
