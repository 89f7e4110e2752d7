package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"osgate/policy"
	"osgate/regionmap"
)

// folder returns a new folder that contains these files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const (
	permitAll   = "@id(\"all\")\npermit (principal, action, resource);\n"
	noDeletes   = "@id(\"no-deletes\")\nforbid (principal, action in Action::\"delete\", resource)\nwhen { resource.environmentType == \"production\" };\n"
	noKeyShadow = "@id(\"no-key\")\n@mode(\"shadow\")\nforbid (principal, action == Action::\"getKey\", resource);\n"
	deleteCase  = `{"name": "a delete", "client": "app", "request": "DELETE /us/us-east-1/api/v1/organizations/o/environments/e/stores/s", "environmentType": "production", "expect": "`
)

func TestPolicyTestShowsWhatIsDecidedOtherwise(t *testing.T) {
	for _, tt := range []struct {
		name   string
		files  map[string]string
		path   string // below the folder
		status int
		says   []string
	}{
		{"all as expected", map[string]string{"a.cedar": permitAll, "b.cedar": noDeletes, "b.cases.json": "[" + deleteCase + `deny", "rule": "no-deletes"}]`}, "", exitOK, []string{"passed: 1 case, 2 rules"}},
		{"otherwise", map[string]string{"a.cedar": permitAll, "b.cedar": noDeletes, "b.cases.json": "[" + deleteCase + `allow"}]`}, "", exitFailed, []string{"b.cases.json, case 1 \"a delete\"", "- allow", "+ deny by no-deletes", "FAILED: 1 of 1 case"}},
		{"a file's own cases", map[string]string{"a.cedar": permitAll, "b.cedar": noDeletes, "a.cases.json": "[" + deleteCase + `allow"}]`, "b.cases.json": "[" + deleteCase + `allow"}]`}, "a.cedar", exitOK, []string{"passed: 1 case, 1 rule"}},
		{"no case", map[string]string{"a.cedar": permitAll}, "", exitFailed, []string{"nothing was tested"}},
		{"no JSON", map[string]string{"a.cedar": permitAll, "a.cases.json": "[{]"}, "", exitMisuse, []string{"a.cases.json", "line 1"}},
		{"no rule", map[string]string{"a.txt": ""}, "", exitMisuse, []string{"would deny everything"}},
		{"a file of another name", map[string]string{"a.rules": permitAll, "a.cases.json": "[" + deleteCase + `allow"}]`}, "a.rules", exitOK, []string{"passed: 1 case, 1 rule"}},
		{"no such region", map[string]string{"a.cedar": permitAll, "a.cases.json": "[" + strings.Replace(deleteCase, "/us/us-east-1", "/eu/us-east-1", 1) + `allow"}]`}, "", exitMisuse, []string{"a.cases.json, case 1", "no region eu/us-east-1"}},
		{"no such plane", map[string]string{"a.cedar": permitAll, "a.cases.json": "[" + strings.Replace(deleteCase, "/us/us-east-1", "/mars", 1) + `allow"}]`}, "", exitMisuse, []string{"a.cases.json, case 1", "no region mars/"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(folder(t, tt.files), tt.path)
			for _, args := range [][]string{{"policy", "test", path}, {"policy", "test"}} {
				// Shadow mode would let everything pass; the decisions of the rules are
				// tested all the same.
				status, out, complaints := ran(t, []string{"OSGATE_POLICY=" + path, "OSGATE_POLICY_SHADOW=true"}, args...)
				if status != tt.status {
					t.Errorf("%q: exit %d, want %d", args, status, tt.status)
				}
				for _, says := range tt.says {
					if !strings.Contains(out+complaints, says) {
						t.Errorf("%q does not contain %q:\n%s%s", args, says, out, complaints)
					}
				}
			}
		})
	}
}

func TestFaultsOfAPolicyHaveTheFormOfCompilers(t *testing.T) {
	dir := folder(t, map[string]string{"a.cedar": permitAll, "b.cedar": "permit (principal, action, resource)\nwhen { resource.stroe == \"x\" };\n"})
	for _, path := range []string{dir, filepath.Join(dir, "b.cedar")} {
		for _, command := range []string{"check", "test"} {
			status, out, complaints := ran(t, []string{"OSGATE_POLICY=" + dir}, "policy", command, path)
			if status != exitFailed || out != "" || !strings.HasPrefix(complaints, filepath.Join(dir, "b.cedar")+":") || !strings.Contains(complaints, "stroe") {
				t.Errorf("%s %s: exit %d, %q, %q, want file:line:column", command, path, status, out, complaints)
			}
		}
	}
	if status, _, complaints := ran(t, []string{"OSGATE_POLICY=" + dir}, "policy", "check"); status != exitFailed || !strings.HasPrefix(complaints, filepath.Join(dir, "b.cedar")+":") {
		t.Errorf("of the configuration's: exit %d, %q", status, complaints)
	}
	status, out, _ := ran(t, []string{"OSGATE_POLICY=" + filepath.Join(dir, "a.cedar")}, "policy", "check")
	if status != exitOK || out != "valid: 1 rule in 1 file, 0 in shadow mode\n" {
		t.Errorf("of a good one: exit %d, %q", status, out)
	}
}

// TestFaultsOfAFileHaveItsNameOfAnyForm checks that policy check accepts
// each file name that OSGATE_POLICY accepts, and that a fault in the file is not a
// misuse.
func TestFaultsOfAFileHaveItsNameOfAnyForm(t *testing.T) {
	dir := folder(t, map[string]string{"rules.txt": "permit (everything);", "none.txt": "// none yet\n"})
	for name, says := range map[string]string{"rules.txt": "rules.txt:1:", "none.txt": "none.txt: the policy holds no rule"} {
		path := filepath.Join(dir, name)
		if status, _, complaints := ran(t, nil, "policy", "check", path); status != exitFailed || !strings.HasPrefix(complaints, filepath.Join(dir, says)) {
			t.Errorf("%s: exit %d, %q; want %d and %q", name, status, complaints, exitFailed, says)
		}
	}
}

// TestTheStarterRuleOnTheUnionListsItsRegions checks that the rule lists the regions in
// member states of the European Union, and no other of all regions. London is not in
// one.
func TestTheStarterRuleOnTheUnionListsItsRegions(t *testing.T) {
	type asked struct {
		Name, Client, Request, Expect string
	}
	var all []asked
	for _, end := range regionmap.Endpoints() {
		one := asked{end.Name, "app", "GET /" + end.String() + "/api/v1/organizations/o/environments/env-eu-prod/stores", "deny"}
		if end.Name == "Europe (Frankfurt)" || end.Name == "Europe (Ireland)" {
			one.Expect = "allow"
		}
		all = append(all, one)
	}
	cases, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := policy.Load(policy.Options{Path: "../../docs/policy"})
	if err != nil {
		t.Fatal(err)
	}
	report, err := policy.RunCases(rules.Rules(), folder(t, map[string]string{"a.cases.json": string(cases)}), located)
	if err != nil || report.Cases != len(all) || len(report.Failures) != 0 {
		t.Errorf("%v, %v; want none of %d", report.Failures, err, len(all))
	}
}

// TestExplainUsesTheGivenContentLength checks that explain reads the length of a body
// as a server does.
func TestExplainUsesTheGivenContentLength(t *testing.T) {
	environ := []string{"OSGATE_POLICY=../../docs/policy", "OSGATE_DEFAULT_REGION=us/us-east-1"}
	const key = "/api/v1/organizations/o/environments/e/stores/s/partitions/p/keys/k"
	for _, tt := range []struct {
		header string
		status int
		says   string
	}{
		{"Content-Length: 5000000", exitFailed, "rule         values-up-to-1-mib"}, {"Content-Length: 5", exitOK, "rule         everyone"},
		{"Transfer-Encoding: chunked", exitOK, "not known    valueBytes"}, {"X-Other: 1", exitOK, "not known    valueBytes"}, {"Content-Length: x", exitMisuse, ""},
	} {
		status, out, _ := ran(t, environ, "explain", "PUT", key, "-H", tt.header, "-token-client", "app")
		if status != tt.status || !strings.Contains(out, tt.says) || tt.header == "Content-Length: 5" && strings.Contains(out, "not known") {
			t.Errorf("%s: exit %d, want %d and %q:\n%s", tt.header, status, tt.status, tt.says, out)
		}
	}
}

func TestPolicySchemaNamesTheHeadersOfTheConfiguration(t *testing.T) {
	status, out, _ := ran(t, []string{"OSGATE_POLICY=" + folder(t, map[string]string{"a.cedar": permitAll}), "OSGATE_POLICY_HEADERS=X-Team"}, "policy", "schema")
	if status != exitOK || !strings.Contains(out, `"x-team"?: String`) || !strings.Contains(out, "action getKey in [read]") {
		t.Errorf("exit %d:\n%s", status, out)
	}
}

// accessLog contains one day: a delete in production, a read, a request of an unknown
// caller, and lines that are not exchanges.
const accessLog = `{"time":"2026-11-21T10:00:00Z","request_id":"first","operation":"deleteStore","plane":"us","region":"us-east-1","organization":"o","environment":"prod","store":"s","principal":"app","status":200}
{"time":"2026-11-21T10:00:01Z","request_id":"second","operation":"getKey","plane":"us","region":"us-east-1","organization":"o","environment":"prod","store":"s","principal":"app","status":200}
{"time":"2026-11-21T10:00:02Z","request_id":"third","operation":"deleteStore","plane":"us","region":"us-east-1","organization":"o","environment":"unheard-of","store":"s","principal":"app","status":404}
{"level":"INFO","msg":"ready"}
no JSON`

func TestPolicyReplayReportsWhatItWouldHaveRefused(t *testing.T) {
	dir := folder(t, map[string]string{"a.cedar": permitAll + noDeletes + noKeyShadow, "types.json": `{"prod": "production"}`, "access.log": accessLog})
	want := replayReport{Lines: 5, Skipped: 2, Permitted: 1, Denied: 1, Undecided: 1, Rules: []replayRule{
		{Rule: "no-deletes", Denied: 1, Refused: 1, Undecided: 1, Missing: []string{"resource.environmentType"}, First: "first", Last: "third"},
		{Rule: "no-key", Shadow: 1, First: "second", Last: "second"},
	}}
	types, log := filepath.Join(dir, "types.json"), filepath.Join(dir, "access.log")
	for _, from := range []string{log, "-"} {
		var out, complaints bytes.Buffer
		p := &program{environ: []string{"OSGATE_POLICY=" + dir}, in: strings.NewReader(accessLog), out: &out, err: &complaints}
		status := p.run(t.Context(), []string{"policy", "replay", "-format", "json", "-environment-types", types, from})
		var got replayReport
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || status != exitOK {
			t.Fatalf("from %s: exit %d, %v: %s%s", from, status, err, &out, &complaints)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("from %s (-want +got):\n%s", from, diff)
		}
	}
	status, out, _ := ran(t, nil, "policy", "replay", "-policy", dir, "-environment-types", types, log)
	for _, says := range []string{"5 lines: 1 permitted, 1 denied, 1 undecided; 2 skipped", "RULE ", "no-deletes ", "first", "third", "resource.environmentType", "no-key "} {
		if status != exitOK || !strings.Contains(out, says) {
			t.Errorf("exit %d, the output does not contain %q:\n%s", status, says, out)
		}
	}
}

// TestAReplayOfNothingFails checks that a replay of no exchange fails, as a test
// without cases does: it proves nothing about the rules.
func TestAReplayOfNothingFails(t *testing.T) {
	dir := folder(t, map[string]string{"a.cedar": permitAll})
	for name, log := range map[string]string{
		"empty": "", "text": "time=2026-11-21T10:00:00Z level=INFO msg=exchange operation=getKey\n", "compressed": "\x1f\x8b\x08\x00", "no exchange": `{"level":"INFO","msg":"ready"}`,
	} {
		for _, format := range []string{"text", "json"} {
			var out, complaints bytes.Buffer
			p := &program{in: strings.NewReader(log), out: &out, err: &complaints}
			status := p.run(t.Context(), []string{"policy", "replay", "-format", format, "-policy", dir, "-"})
			if status != exitFailed || !strings.Contains(complaints.String(), "nothing was replayed") || strings.Count(complaints.String(), "\n") != 1 || out.Len() == 0 {
				t.Errorf("%s, %s: exit %d, %q, %q; want %d and one line", name, format, status, &out, &complaints, exitFailed)
			}
		}
	}
}

// TestAReplayOfASampleIsReportedAsOne checks both formats.
func TestAReplayOfASampleIsReportedAsOne(t *testing.T) {
	dir := folder(t, map[string]string{"a.cedar": permitAll, "access.log": strings.Replace(accessLog, `"status":200`, `"status":200,"sample":10`, 1)})
	for format, says := range map[string]string{"text": "5 lines: 12 permitted, 0 denied, 0 undecided (of about 12 exchanges, estimated from a sample); 2 skipped", "json": `"sampled": true`} {
		if status, out, _ := ran(t, nil, "policy", "replay", "-format", format, "-policy", dir, filepath.Join(dir, "access.log")); status != exitOK || !strings.Contains(out, says) {
			t.Errorf("%s: exit %d, %q; want %q", format, status, out, says)
		}
	}
}

func TestReplayReadsLinesOfAnyLength(t *testing.T) {
	var lengths []int
	text := "a\n" + strings.Repeat("x", 3*maxLogLineBytes) + "\nbcd\n\n  \nlast"
	if err := eachLine(t.Context(), strings.NewReader(text), func(line []byte) { lengths = append(lengths, len(line)) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{2, 0, 4, 1, 3, 4}, lengths); diff != "" {
		t.Errorf("lengths of the lines (-want +got):\n%s", diff)
	}
}

func TestPolicyRefusesMisuse(t *testing.T) {
	dir := folder(t, map[string]string{"a.cedar": permitAll, "types.json": `{"e": "prod"}`, "none.json": "["})
	for _, args := range [][]string{
		{}, {"fly"}, {"check"}, {"test"}, {"test", dir, dir}, {"check", "-x"}, {"schema", dir}, {"replay"}, {"replay", "x"}, {"replay", "-format", "xml", "-policy", dir, "-"},
		{"replay", "-policy", dir, dir + "/none"}, {"replay", "-policy", dir, "-environment-types", dir + "/types.json", "-"}, {"replay", "-policy", dir, "-environment-types", dir + "/none.json", "-"},
		{"replay", "-policy", dir, "-environment-types", dir + "/none", "-"}, {"check", dir + "/none"},
	} {
		status, out, complaints := ran(t, nil, append([]string{"policy"}, args...)...)
		if status != exitMisuse || out != "" || strings.Count(complaints, "\n") != 1 {
			t.Errorf("%q: exit %d, %q, %q", args, status, out, complaints)
		}
	}
}
