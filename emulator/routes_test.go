package emulator_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The emulator has no route that is not in the document.
func TestEveryRouteIsInTheDocument(t *testing.T) {
	d := contract(t)
	c := one(t)
	methods := []string{"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE"}
	var targets []string
	for prefix, words := range map[string][]string{
		east:  {"organizations", "environments", "stores", "partitions", "keys", "confirmations"},
		"/us": {"organizations", "environments", "regions", "stores"},
	} {
		target := prefix + "/api/v1"
		for _, word := range words {
			targets = append(targets, target+"/"+word, target+"/"+word+"/x")
			target += "/" + word + "/x"
		}
	}
	targets = append(targets, east+"/api/v1/organizations/x/regions")
	for _, file := range []string{"mint.go", "me.go"} {
		for path := range routesIn(t, file, `"(accounts/[^"]+)":`) {
			targets = append(targets, "/us/"+strings.ReplaceAll(path, "{org}", "x"))
		}
	}
	for path := range routesIn(t, "backdoor.go", `case "[A-Z]+ ([^"]+)":`) {
		targets = append(targets, "/_osemu/"+strings.ReplaceAll(path, "{id}", "x"))
	}
	served := 0
	for _, target := range targets {
		for _, method := range methods {
			r := httptest.NewRequest(method, target, strings.NewReader(""))
			r.Host = c.host
			got := c.send(r) // without a token: the request has no effect, except on routes without authentication
			isServed := got.status != http.StatusMethodNotAllowed && got.status != http.StatusNotImplemented &&
				!(got.status == http.StatusNotFound && regexp.MustCompile("no such p|the back door has").MatchString(got.body))
			if isServed != (d.find(r) != nil) {
				t.Errorf("%s %s: the answer is %d %.100s; in the document: %t", method, target, got.status, got.body, d.find(r) != nil)
			}
			if isServed {
				served++
			}
		}
	}
	all := 0
	for _, item := range d.document.Paths.Map() {
		all += len(item.Operations())
	}
	if served != all {
		t.Errorf("%d operations are served, the document has %d", served, all)
	}
}

// routesIn returns the paths that a source file of the package routes.
func routesIn(t *testing.T, file, pattern string) map[string]bool {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]bool{}
	for _, found := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(source), -1) {
		paths[found[1]] = true
	}
	if len(paths) == 0 {
		t.Fatalf("%s has no routes", file)
	}
	return paths
}
