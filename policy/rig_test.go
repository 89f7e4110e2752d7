package policy_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"osgate/auth"
	"osgate/objectstore"
	"osgate/policy"
)

const (
	root      = "/api/v1/organizations/org-root"
	prod      = root + "/environments/env-prod"
	billing   = prod + "/stores/APP_billing__default"
	partition = billing + "/partitions/DEFAULT_PARTITION"
	keyOne    = partition + "/keys/KeyOne"
)

// write writes files, given as name and text in turn, into a new folder and returns it.
func write(t testing.TB, files ...string) string {
	t.Helper()
	folder := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(folder, files[i]), []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// load loads rules.
func load(t testing.TB, rules string, headers ...string) *policy.Policy {
	t.Helper()
	p, err := policy.Load(policy.Options{Path: write(t, "p.cedar", rules), Headers: headers})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// requestOf returns a request of app-one, changed by edits.
func requestOf(t testing.TB, line string, edits ...func(*policy.Request)) policy.Request {
	t.Helper()
	method, target, _ := strings.Cut(line, " ")
	path, query, _ := strings.Cut(target, "?")
	op, err := objectstore.Parse(method, path, query)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	r := policy.Request{
		Principal: &auth.Principal{Plane: "us", Client: "app-one", Organizations: []string{"org-root", "org-sub"}}, Operation: op,
		Plane: "us", Region: "us-east-1", TTLSeconds: -1, SourceIP: netip.MustParseAddr("10.1.2.3"),
		Time: time.Date(2026, 11, 20, 10, 30, 0, 0, time.UTC),
	}
	for _, edit := range edits {
		edit(&r)
	}
	return r
}

const permitAll = "@id(\"all\") permit(principal, action, resource);\n"
