package policy_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"osgate/policy"
)

const casesOfDeletes = `[
  {"name": "kept", "client": "app-one", "request": "DELETE /us/us-east-1` + keyOne + `", "expect": "deny", "rule": "no-deletes"},
  {"name": "any rule", "client": "app-one", "request": "GET ` + keyOne + `", "expect": "allow"},
  {"name": "of a header", "client": "app-one", "headers": {"X-App": "a"}, "request": "PUT ` + keyOne + `", "expect": "deny", "rule": "of-a", "shadow": ["big"], "valueBytes": 11}
]`

const rulesOfDeletes = permitAll + noDeletes +
	`@id("of-a") forbid(principal, action, resource) when { context.headers has "x-app" && context.headers["x-app"] == "a" };
@id("big") @mode("shadow") forbid(principal, action, resource) when { context.valueBytes > 10 };` + "\n"

func TestCasesThatHoldAreCounted(t *testing.T) {
	folder := write(t, "deletes.cases.json", casesOfDeletes, "other.json", "no case")
	report, err := policy.RunCases(load(t, rulesOfDeletes, "x-app").Rules(), folder, nil)
	if err != nil || report.Cases != 3 || len(report.Failures) > 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestACaseThatLeavesOutItsCallersPlaceHasDefaults: the organization of the request,
// loopback and now.
func TestACaseThatLeavesOutItsCallersPlaceHasDefaults(t *testing.T) {
	rules := `@id("here") permit(principal in Organization::"org-root", action, resource)
		when { context.sourceIP.isLoopback() && context.time > datetime("2020-01-01") };`
	folder := write(t, "a.cases.json", `[
		{"name": "left out", "client": "app-one", "request": "GET `+keyOne+`", "expect": "allow", "rule": "here"},
		{"name": "of nothing", "client": "app-one", "organizations": [], "request": "GET `+keyOne+`", "expect": "deny"},
		{"name": "elsewhere", "client": "app-one", "sourceIP": "192.0.2.1", "request": "GET `+keyOne+`", "expect": "deny"},
		{"name": "long ago", "client": "app-one", "time": "2019-12-31T00:00:00Z", "request": "GET `+keyOne+`", "expect": "deny"}
	]`)
	report, err := policy.RunCases(load(t, rules).Rules(), folder, nil)
	if err != nil || report.Cases != 4 || len(report.Failures) > 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestCasesThatFailAreReportedAsADiff(t *testing.T) {
	folder := write(t, "deletes.cases.json", casesOfDeletes)
	report, err := policy.RunCases(load(t, permitAll+`forbid(principal, action in Action::"read", resource) when { `+overflow+` || resource.key == "KeyOne" };`, "x-app").Rules(), folder, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range report.Failures {
		got = append(got, strings.ReplaceAll(f.String(), folder, ""))
	}
	want := []string{
		"/deletes.cases.json, case 1 \"kept\": DELETE /us/us-east-1" + keyOne + "\n  - deny by no-deletes\n  + allow by all",
		"/deletes.cases.json, case 2 \"any rule\": GET " + keyOne + "\n  - allow\n  + deny by p.cedar:2",
		"/deletes.cases.json, case 3 \"of a header\": PUT " + keyOne + "\n  - deny by of-a, in shadow mode: big\n  + allow by all, in shadow mode: ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestInvalidCasesAreErrors(t *testing.T) {
	const (
		get   = `"client": "c", "request": "GET /us/us-east-1` + keyOne + `"`
		put   = `"client": "c", "request": "PUT /us/us-east-1` + keyOne + `"`
		store = `"client": "c", "request": "PUT /us/us-east-1` + billing + `"`
	)
	p := load(t, permitAll+`forbid(principal, action == Action::"getKey", resource) when { resource.plane == "eu" && resource.region == "x" };`, "x-app")
	located := func(plane, region string) bool { return plane == "us" && (region == "us-east-1" || region == "") }
	for text, want := range map[string]string{
		`[{` + get + `, "expect": "maybe"}]`:                                     "expect",
		`[{"client": "c", "request": "GET /nowhere", "expect": "deny"}]`:         "no method and path",
		`[{"client": "c", "request": "GET ` + root + `/x/y", "expect": "deny"}]`: "not an Object Store v2",
		`[{` + get + `, "expect": "deny", "rul": "a"}]`:                          "unknown field",
		"[\n\n{]":            "near line 3",
		`{}`:                 "cannot unmarshal",
		`null`:               "no array of cases",
		`[null]`:             "no method and path",
		"[]\n[{}]":           "near line 2: something follows",
		"[\n<<<<<<< HEAD\n]": "near line 2",
		`[{` + get + `, "expect": "allow"}] garbage`:                                                                  "something follows",
		`[{"request": "GET /us/us-east-1` + keyOne + `", "expect": "deny"}]`:                                          "case 1 \"\": client: ",
		`[{` + get + `, "expect": "deny"}, {` + get + `, "name": "b", "expect": "allow", "environmentType": "prod"}]`: `case 2 "b": environmentType is "prod"`,
		`[{` + get + `, "expect": "allow", "environmentType": "Production"}]`:                                         `environmentType is "Production"`,
		`[{` + get + `, "expect": "allow", "headers": {"X-Other": "a"}}]`:                                             "headers: X-Other",
		`[{` + put + `, "expect": "allow", "valueBytes": -5}]`:                                                        "valueBytes is -5",
		`[{` + put + `, "expect": "allow", "valueType": "string"}]`:                                                   `valueType is "string"`,
		`[{` + get + `, "expect": "allow", "valueType": "STRING"}]`:                                                   "valueType: getKey has none",
		`[{` + store + `, "expect": "allow", "ttlSeconds": -1}]`:                                                      "ttlSeconds is -1",
		`[{` + put + `, "expect": "allow", "ttlSeconds": 1}]`:                                                         "ttlSeconds: putKey has none",
		`[{"client": "c", "request": "PUT /xx/mars` + keyOne + `", "expect": "deny"}]`:                                "request: there is no region xx/mars",
		`[{"client": "c", "request": "GET ` + keyOne + `", "expect": "deny"}]`:                                        "request: it names no plane",
		`[{"client": "c", "request": "GET /us` + keyOne + `", "expect": "deny"}]`:                                     "request: it names no region",
	} {
		path := filepath.Join(write(t, "a.cases.json", text), "a.cases.json")
		if _, err := policy.RunCases(p.Rules(), path, located); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q and the file in one line", text, err, want)
		}
	}
	for _, name := range []string{"none", "none.cases.json"} {
		if report, err := policy.RunCases(nil, filepath.Join(t.TempDir(), name), nil); err == nil {
			t.Errorf("%s does not exist: %+v and no error", name, report)
		}
	}
	fine := write(t, "a.cases.json", `[{`+store+`, "expect": "allow", "ttlSeconds": 0}, {`+put+`, "expect": "allow", "valueType": "STRING", "headers": {"X-APP": "a"}},
		{"user": "u", "request": "PUT `+keyOne+`", "expect": "allow", "environmentType": "unknown"}, {"user": "u", "request": "GET /us`+root+`", "expect": "allow"}]`+"\n \n")
	if report, err := policy.RunCases(p.Rules(), fine, located); err != nil || report.Cases != 4 || len(report.Failures) != 0 {
		t.Errorf("what a gateway may meet: %+v, %v", report, err)
	}
}

// TestACaseMayExpectThatARuleFails or leave it out: a denial by a rule that fails is a
// denial.
func TestACaseMayExpectThatARuleFails(t *testing.T) {
	const put = `[{"client": "c", "request": "PUT ` + keyOne + `", "valueBytes": 1, "expect": `
	unsure := strings.NewReplacer("forbid", "permit", `"failing"`, `"unsure"`).Replace(failing)
	for _, tt := range []struct{ text, rules, want string }{
		{`"deny", "rule": "failing"}]`, failing, ""},
		{`"deny", "rule": "failing", "errors": ["failing"]}]`, failing, ""},
		{`"deny"}]`, failing, ""},
		{`"allow", "rule": "all", "errors": ["unsure"]}]`, unsure, ""},
		{`"allow", "errors": ["failing"]}]`, unsure, "  - allow, failing: failing\n  + allow, failing: unsure; rule unsure: integer overflow"},
		{`"deny", "rule": "failing", "errors": []}]`, failing, "  - deny by failing, failing: \n  + deny by failing, failing: failing; rule failing: integer overflow"},
		{`"allow"}]`, failing, "  - allow\n  + deny by failing; rule failing: integer overflow"},
	} {
		report, err := policy.RunCases(load(t, permitAll+tt.rules).Rules(), write(t, "a.cases.json", put+tt.text), nil)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, f := range report.Failures {
			_, got, _ = strings.Cut(f.String(), "\n")
		}
		if got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.text, got, tt.want)
		}
	}
}
