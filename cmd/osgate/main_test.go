package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ran runs the command and returns its exit status and its output.
func ran(t *testing.T, environ []string, args ...string) (status int, out, complaints string) {
	t.Helper()
	var o, e bytes.Buffer
	p := &program{environ: environ, out: &o, err: &e}
	status = p.run(t.Context(), args)
	return status, o.String(), e.String()
}

// The page is updated with: osgate env -markdown, between its markers.
func TestTheConfigurationPageIsTheProgramsOwnTable(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "<!-- osgate env -markdown -->\n")
	table, _, ok := strings.Cut(rest, "<!-- end -->")
	status, out, _ := ran(t, nil, "env", "-markdown")
	if !ok || status != exitOK {
		t.Fatalf("markers found: %v, exit %d", ok, status)
	}
	if diff := cmp.Diff(strings.TrimSpace(out), strings.TrimSpace(table)); diff != "" {
		t.Errorf("docs/configuration.md differs from osgate env -markdown (-program +page):\n%s", diff)
	}
}

func TestExplainShowsTheHandlingOfARequest(t *testing.T) {
	const store = "/api/v1/organizations/o/environments/e/stores/s"
	for _, tt := range []struct {
		name    string
		environ []string
		args    []string
		status  int
		says    []string
	}{
		{
			name: "by host", args: []string{"GET", "https://object-store-eu-west-1.eu1.anypoint.mulesoft.com" + store + "/partitions/p/keys/a%20b"},
			says: []string{"operation    getKey", "location     eu/eu-west-1", "upstream     https://object-store-eu-west-1.eu1.anypoint.mulesoft.com" + store + "/partitions/p/keys/a%20b", "key          a+b", "quota        10 in 1s, burst 10", "quota key ", "cache        10s", "cache key "},
		},
		{name: "by -H Host", args: []string{"-H", "Host: object-store-us-east-2.anypoint.mulesoft.com", "PUT", store}, says: []string{"operation    putStore", "location     us/us-east-2", "cache        never"}},
		{name: "by header", args: []string{"GET", "http://gateway" + store, "-H", "X-Osgate-Region: jp/ap-northeast-1"}, says: []string{"location     jp/ap-northeast-1", "cache        1m0s"}},
		{name: "by prefix", args: []string{"GET", "http://gateway/us/us-west-1" + store + "?x=1"}, says: []string{"us-west-1.anypoint.mulesoft.com" + store + "?x=1", "cache        never"}},
		{
			name: "a client's own quota", environ: []string{"OSGATE_RATE_OVERRIDES=app=100", "OSGATE_DEFAULT_REGION=us-east-1"},
			args: []string{"GET", store, "-token-client", "app"}, says: []string{"quota        100 in 1s"},
		},
		{name: "accounts", args: []string{"POST", "https://eu1.anypoint.mulesoft.com/accounts/login"}, says: []string{"operation    login", "location     eu", "upstream     https://eu1.anypoint.mulesoft.com/accounts/login"}},
		{name: "nowhere", args: []string{"GET", store}, status: exitFailed, says: []string{"refused      400 region-unknown"}},
		{name: "no operation", args: []string{"GET", "/x"}, status: exitFailed, says: []string{"refused      404 not-object-store"}},
		{name: "ambiguous", args: []string{"DELETE", store + "/.."}, status: exitFailed, says: []string{"refused      400 bad-path"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, out, complaints := ran(t, tt.environ, append([]string{"explain"}, tt.args...)...)
			if status != tt.status {
				t.Errorf("exit %d, want %d: %s", status, tt.status, complaints)
			}
			for _, says := range tt.says {
				if !strings.Contains(out, says) {
					t.Errorf("does not contain %q:\n%s", says, out)
				}
			}
		})
	}
}

func TestMisuseIsReportedInOneLineAndExits2(t *testing.T) {
	for _, args := range [][]string{
		{"fly"}, {"-fly"}, {"serve", "now"}, {"serve", "-x"}, {"check", "x"}, {"env", "-x"}, {"healthcheck", "x"}, {"explain"}, {"explain", "GET"}, {"explain", "GET", "/x", "-H"}, {"explain", "GET", "/x", "-H", "nothing"},
		{"explain", "GET", "/a b"}, {"explain", "G T", "/x"},
	} {
		status, out, complaints := ran(t, nil, args...)
		if status != exitMisuse || out != "" || strings.Count(complaints, "\n") != 1 || !strings.HasPrefix(complaints, "osgate: ") {
			t.Errorf("%q: exit %d, %q, %q", args, status, out, complaints)
		}
	}
}

// TestUnknownFlagsAreNamed checks every command.
func TestUnknownFlagsAreNamed(t *testing.T) {
	for _, args := range [][]string{
		{"-flyy"}, {"serve", "-flyy"}, {"check", "-flyy"}, {"env", "-flyy"}, {"healthcheck", "-flyy"}, {"explain", "-flyy", "GET", "/x"},
		{"stats", "reconcile", "-flyy"}, {"policy", "replay", "-flyy"}, {"top", "-flyy"}, {"version", "-flyy"},
	} {
		if status, _, complaints := ran(t, nil, args...); status != exitMisuse || !strings.Contains(complaints, "flyy") {
			t.Errorf("%q: exit %d, %q; want %d and the flag's name", args, status, complaints, exitMisuse)
		}
	}
}

func TestHelpAndVersionAreFlagsToo(t *testing.T) {
	for _, args := range [][]string{
		{"help"}, {"-h"}, {"--help"}, {"serve", "-h"}, {"check", "--help"}, {"env", "-h"}, {"stats", "reconcile", "-help"}, {"policy", "-h"}, {"top", "-h"},
		{"explain", "-h"},
	} {
		if status, out, _ := ran(t, []string{"OSGATE_RATE=-1"}, args...); status != exitOK || out != usage() {
			t.Errorf("%q: exit %d, %q; want the usage", args, status, out)
		}
	}
	for _, word := range []string{"version", "-v", "-version", "--version"} {
		if status, out, _ := ran(t, []string{"OSGATE_RATE=-1"}, word); status != exitOK || !strings.HasPrefix(out, "osgate ") {
			t.Errorf("%s: exit %d, %q; want the version", word, status, out)
		}
	}
	if status, out, _ := ran(t, []string{"OSGATE_DEFAULT_REGION=us-east-2"}, "explain", "GET", "/x", "-H", "-h"); status == exitOK || out == usage() {
		t.Errorf("a header's text is taken for a flag: exit %d", status)
	}
}

func TestAConfigurationThatCannotBeUsedStopsEveryCommand(t *testing.T) {
	environ := []string{"OSGATE_RATE=-1", "OSGATE_DEFAULT_REGION=us/nowhere", "OSGATE_REGOINS=us/*"}
	for _, args := range [][]string{nil, {"serve"}, {"check"}, {"env"}, {"explain", "GET", "/x"}, {"healthcheck"}} {
		status, _, complaints := ran(t, environ, args...)
		if status != exitMisuse {
			t.Errorf("%q: exit %d", args, status)
		}
		for _, variable := range []string{"OSGATE_RATE", "OSGATE_DEFAULT_REGION", "OSGATE_REGOINS", "OSGATE_REGIONS"} {
			if !strings.Contains(complaints, variable) {
				t.Errorf("%q does not name %s: %s", args, variable, complaints)
			}
		}
	}
}

// TestABadPolicyFileDoesNotMakeARunningGatewayUnhealthy checks that healthcheck works
// while the policy file is invalid, because the gateway serves by the rules in force.
func TestABadPolicyFileDoesNotMakeARunningGatewayUnhealthy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rules.cedar")
	if err := os.WriteFile(file, []byte("permit(everything);"), 0o600); err != nil {
		t.Fatal(err)
	}
	ready := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer ready.Close()
	environ := []string{"OSGATE_POLICY=" + file, "OSGATE_ADMIN_LISTEN=" + ready.Listener.Addr().String()}
	if status, _, said := ran(t, environ, "healthcheck"); status != exitOK {
		t.Errorf("healthcheck: exit %d, %s; want 0", status, said)
	}
	if status, _, said := ran(t, environ, "check"); status != exitMisuse || !strings.Contains(said, "OSGATE_POLICY: rules.cedar:1:") {
		t.Errorf("check: exit %d, %s; want 2 and the fault's place", status, said)
	}
}

// TestExplainNamesTheRule checks that explain prints the rule that decides and the
// unknown facts.
func TestExplainNamesTheRule(t *testing.T) {
	environ := []string{"OSGATE_POLICY=../../docs/policy", "OSGATE_DEFAULT_REGION=us/us-east-1"}
	const key = "/api/v1/organizations/o/environments/e/stores/s/partitions/p/keys/k"
	status, out, _ := ran(t, environ, "explain", "GET", key, "-token-client", "app")
	if status != exitOK || !strings.Contains(out, "rule         everyone") {
		t.Errorf("a read: exit %d\n%s", status, out)
	}
	status, out, _ = ran(t, environ, "explain", "DELETE", key, "-token-client", "app")
	if status != exitFailed || !strings.Contains(out, "rule         no-deletes-in-production") || !strings.Contains(out, "not known    environmentType") {
		t.Errorf("a delete: exit %d\n%s", status, out)
	}
}
