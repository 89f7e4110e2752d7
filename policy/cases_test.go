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
	report, err := policy.RunCases(load(t, rulesOfDeletes, "x-app").Rules(), folder)
	if err != nil || report.Cases != 3 || len(report.Failures) > 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestCasesThatFailAreToldAsADiff(t *testing.T) {
	folder := write(t, "deletes.cases.json", casesOfDeletes)
	report, err := policy.RunCases(load(t, permitAll+`forbid(principal, action in Action::"read", resource) when { `+overflow+` || resource.key == "KeyOne" };`).Rules(), folder)
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

func TestWhatIsNoCaseIsAnError(t *testing.T) {
	for text, want := range map[string]string{
		`[{"request": "GET ` + keyOne + `", "expect": "maybe"}]`:            "expect",
		`[{"request": "GET /nowhere", "expect": "deny"}]`:                   "no method and path",
		`[{"request": "GET ` + root + `/x/y", "expect": "deny"}]`:           "not an Object Store v2",
		`[{"request": "GET ` + keyOne + `", "expect": "deny", "rul": "a"}]`: "unknown field",
		"[\n\n{]": "near line 3",
		`{}`:      "cannot unmarshal",
	} {
		folder := write(t, "a.cases.json", text)
		if _, err := policy.RunCases(load(t, permitAll).Rules(), filepath.Join(folder, "a.cases.json")); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "a.cases.json") {
			t.Errorf("%s: %v, want %q and the file", text, err, want)
		}
	}
	if _, err := policy.RunCases(nil, filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no folder: no error")
	}
}
