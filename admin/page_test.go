package admin_test

import (
	"cmp"
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// loaded matches the addresses that a browser loads or calls without a click, in HTML,
// CSS and JavaScript.
var loaded = regexp.MustCompile(`(?i)(?:\b(?:src|href|action|formaction|poster|data|srcset)\s*=\s*["']?|url\(\s*["']?|@import\s+["']?|\bimport\s*\(?\s*["']|\bfrom\s+["']|(?:fetch|EventSource)\(\s*["'` + "`" + `])([^"'\s>)` + "`" + `?]+)`)

// served returns the paths of the page's files with their media types. Third-party
// files, below vendor, are included if vendor is true.
func served(t *testing.T, vendor bool) map[string]string {
	t.Helper()
	types := map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
	paths := map[string]string{"/": "text/html; charset=utf-8", "/favicon.svg": "image/svg+xml"}
	err := fs.WalkDir(os.DirFS("page"), "assets", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && (vendor || !strings.HasPrefix(name, "assets/vendor/")) {
			paths["/"+name] = cmp.Or(types[path.Ext(name)], "text/plain; charset=utf-8")
		}
		return err
	})
	if err != nil || paths["/assets/app.js"] == "" {
		t.Fatalf("the files of the page: %v, %v", paths, err)
	}
	return paths
}

func TestFilesOfThePageAreServed(t *testing.T) {
	h := newHandler(t, options())
	for name, contentType := range served(t, true) {
		answer := send(t, h, http.MethodGet, name, "")
		if got := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || got != contentType || text(t, answer) == "" {
			t.Errorf("%s: %d, %s; want 200, %s", name, answer.StatusCode, got, contentType)
		}
	}
}

func TestPageLoadsNoForeignResources(t *testing.T) {
	h := newHandler(t, options())
	seen := map[string]bool{}
	for path := range served(t, false) {
		body := text(t, send(t, h, http.MethodGet, path, ""))
		for _, match := range loaded.FindAllStringSubmatch(body, -1) {
			target := match[1]
			seen[target] = true
			if !strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "#") || strings.HasPrefix(target, "//") {
				t.Errorf("%s loads %s, want only our own files", path, target)
			}
		}
		for _, foreign := range []string{"http://", "https://", "WebSocket", "XMLHttpRequest", "sendBeacon", "importScripts"} {
			if at := strings.Index(strings.ReplaceAll(body, `"http://www.w3.org/2000/svg"`, ""), foreign); at >= 0 {
				t.Errorf("%s holds %q", path, foreign)
			}
		}
	}
	for _, needed := range []string{"/assets/app.js", "/assets/style.css", "/favicon.svg", "/api/live", "/api/recent", "/api/history", "/cache/purge"} {
		if !seen[needed] {
			t.Errorf("no file loads %s: the expression of this test misses it", needed)
		}
	}
}

func TestLinksOfThePageAreServed(t *testing.T) {
	h := newHandler(t, options())
	for path := range served(t, false) {
		for _, match := range loaded.FindAllStringSubmatch(text(t, send(t, h, http.MethodGet, path, "")), -1) {
			target := match[1]
			if strings.HasPrefix(target, "#") || target == "/cache/purge" || target == "/logout" { // posted to
				continue
			}
			if got := send(t, h, http.MethodHead, target, "").StatusCode; got != http.StatusOK { // /api/live does not end
				t.Errorf("%s links to %s: %d, want 200", path, target, got)
			}
		}
	}
}

// The Content-Security-Policy forbids inline scripts, styles and handlers. An inline
// one in the page would not work.
func TestPageHasNoInlineCode(t *testing.T) {
	inline := regexp.MustCompile(`(?i)<style|\bstyle\s*=\s*["']|<script(?:\s+[^>]*)?>\s*[^<\s]|\son[a-z]+\s*=|javascript:|innerHTML|outerHTML|insertAdjacentHTML|\beval\(|new Function`)
	public := newHandler(t, public())
	pages := map[string]string{"the login form": text(t, send(t, public, http.MethodGet, "/", ""))}
	for path := range served(t, false) {
		pages[path] = text(t, send(t, newHandler(t, options()), http.MethodGet, path, ""))
	}
	for name, body := range pages {
		if found := inline.FindString(body); found != "" {
			t.Errorf("%s holds %q", name, found)
		}
	}
}

func TestPageIsLabeled(t *testing.T) {
	body := text(t, send(t, newHandler(t, options()), http.MethodGet, "/", ""))
	for _, want := range []string{`<html lang="en">`, "<main", "<header>", "<footer", "<h1>", `role="status"`, `class="skip"`, "<noscript>"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	for _, table := range regexp.MustCompile(`(?s)<table.*?</table>`).FindAllString(body, -1) {
		if !strings.Contains(table, "aria-labelledby=") || strings.Contains(table, "<th>") || !strings.Contains(table, `scope="col"`) {
			t.Errorf("a table without a name or with headings without scope: %s", table)
		}
	}
	for _, ref := range regexp.MustCompile(`aria-(?:labelledby|describedby)="([^"]+)"`).FindAllStringSubmatch(body, -1) {
		if !strings.Contains(body, `id="`+ref[1]+`"`) {
			t.Errorf("no element has the id %s that an aria attribute refers to", ref[1])
		}
	}
}

// The page has every element that the script looks up by its id.
func TestScriptFindsItsElements(t *testing.T) {
	h := newHandler(t, options())
	page, script := text(t, send(t, h, http.MethodGet, "/", "")), ""
	for path := range served(t, false) {
		if strings.HasSuffix(path, ".js") {
			script += text(t, send(t, h, http.MethodGet, path, ""))
		}
	}
	ids := regexp.MustCompile(`\b(?:id|figure|fill)\("([a-z0-9-]+)"`).FindAllStringSubmatch(script, -1)
	if len(ids) < 20 {
		t.Fatalf("only %d ids found in the script", len(ids))
	}
	for _, id := range ids {
		if !strings.Contains(page, `id="`+id[1]+`"`) {
			t.Errorf("the script looks for #%s, which the page does not have", id[1])
		}
	}
}

// maxTransferred is how many bytes a browser loads for the page at most.
const maxTransferred = 150 << 10

func TestPageIsSmall(t *testing.T) {
	h, sum := newHandler(t, options()), 0
	for path := range served(t, false) {
		answer := send(t, h, http.MethodGet, path, "", "Accept-Encoding: gzip, deflate, br, zstd")
		if answer.Header.Get("Content-Encoding") != "gzip" || answer.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s is not compressed: %v", path, answer.Header)
		}
		sum += len(text(t, answer))
		unpacked, err := gzip.NewReader(send(t, h, http.MethodGet, path, "", "Accept-Encoding: gzip").Body)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(unpacked)
		if plain := text(t, send(t, h, http.MethodGet, path, "", "Accept-Encoding: gzip;q=0")); err != nil || string(body) != plain {
			t.Errorf("%s: the compressed file is another one, %v", path, err)
		}
	}
	if sum > maxTransferred {
		t.Errorf("the page has %d bytes, want at most %d", sum, maxTransferred)
	}
	t.Logf("%d bytes", sum)
}

// TestRunbooksOfPartsExist: each section that the page names for a failing part is a
// heading of the documentation.
func TestRunbooksOfPartsExist(t *testing.T) {
	words, err := os.ReadFile("page/assets/words.js")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`"(docs/[a-z-]+\.md)#([a-z-]+)"`).FindAllStringSubmatch(string(words), -1)
	if len(found) < 10 {
		t.Fatalf("only %d sections found", len(found))
	}
	for _, section := range found {
		text, err := os.ReadFile("../" + section[1])
		if err != nil {
			t.Error(err)
			continue
		}
		heading := strings.ReplaceAll(section[2], "-", " ")
		if !regexp.MustCompile(`(?im)^#+ ` + heading + `$`).Match(text) {
			t.Errorf("%s has no section %q", section[1], heading)
		}
	}
}
