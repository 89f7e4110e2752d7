package e2e

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// runOsgate runs a command of osgate until it ends, with these settings ("RATE=0") as
// its environment.
func runOsgate(t *testing.T, settings []string, arguments ...string) programResult {
	t.Helper()
	var environment []string
	for _, s := range settings {
		environment = append(environment, "OSGATE_"+s)
	}
	return runProgram(t, programs.osgate, environment, arguments...)
}

// checkOutput checks the exit code, and that the output contains all of the texts.
func (f programResult) checkOutput(t *testing.T, code int, texts ...string) {
	t.Helper()
	if f.code != code {
		t.Errorf("exit code %d, want %d\n%s%s", f.code, code, f.stdout, f.stderr)
	}
	for _, text := range texts {
		if !strings.Contains(f.stdout+f.stderr, text) {
			t.Errorf("the output lacks %q:\n%s%s", text, f.stdout, f.stderr)
		}
	}
}

// TestVersionAndUsageArePrinted runs osgate version, and unknown commands, which print
// the usage.
func TestVersionAndUsageArePrinted(t *testing.T) {
	t.Parallel()
	run := runOsgate(t, nil, "version")
	run.checkOutput(t, 0, "osgate")
	for _, arguments := range [][]string{{"no-such-command"}, {"explain"}, {"serve", "-no-such-flag"}} {
		if run := runOsgate(t, nil, arguments...); run.code != 2 || run.stdout+run.stderr == "" {
			t.Errorf("osgate %v: exit code %d, %q, want 2 and a text", arguments, run.code, run.stdout+run.stderr)
		}
	}
}

// TestEachProgramPrintsItsVersionAndUsage runs each program with the flags for its
// version and its usage, and with an unknown flag. The message names the unknown flag.
// No program begins to serve.
func TestEachProgramPrintsItsVersionAndUsage(t *testing.T) {
	t.Parallel()
	for name, program := range map[string]string{"osgate": programs.osgate, "osemu": programs.osemu, "osdemo": programs.osdemo} {
		for _, flag := range []string{"-v", "-version", "--version"} {
			if run := runProgram(t, program, nil, flag); run.code != 0 || !strings.HasPrefix(run.stdout, name+" ") || strings.Count(run.stdout, "\n") != 1 {
				t.Errorf("%s %s: exit code %d, %q%q, want 0 and its version", name, flag, run.code, run.stdout, run.stderr)
			}
		}
		for _, flag := range []string{"-h", "-help", "--help"} {
			if run := runProgram(t, program, nil, flag); run.code != 0 || !strings.HasPrefix(run.stdout, name+" is ") {
				t.Errorf("%s %s: exit code %d, %q%q, want 0 and its usage", name, flag, run.code, run.stdout, run.stderr)
			}
		}
		runProgram(t, program, nil, "-no-such-flag").checkOutput(t, 2, name, "-no-such-flag")
	}
}

// TestServicesOfKubernetesDoNotStopTheStart sets variables that Kubernetes derives from
// services, and whose names begin like settings. A misspelled setting stops the start.
func TestServicesOfKubernetesDoNotStopTheStart(t *testing.T) {
	t.Parallel()
	var injected []string
	for _, service := range []string{"", "ADMIN_", "RATE_", "STATE_DIR_"} { // osgate, osgate-admin, osgate-rate, osgate-state-dir
		for _, form := range []string{
			"SERVICE_HOST=10.0.0.1", "SERVICE_PORT=8080", "SERVICE_PORT_HTTP=8080", "PORT=tcp://10.0.0.1:8080", "PORT_8080_TCP=tcp://10.0.0.1:8080",
			"PORT_8080_TCP_PROTO=tcp", "PORT_8080_TCP_PORT=8080", "PORT_8080_TCP_ADDR=10.0.0.1",
		} {
			injected = append(injected, service+form)
		}
	}
	runOsgate(t, injected, "explain", "GET", "http://localhost:8080/us/us-east-1"+demoKeys+"/k").checkOutput(t, 0, "us/us-east-1")
	runOsgate(t, append(injected, "LISTEN_PORT=8080"), "serve").checkOutput(t, 2, "OSGATE_LISTEN_PORT", "the nearest name is OSGATE_LISTEN")
}

// documentedSettings returns the names of the settings in docs/configuration.md, sorted.
func documentedSettings(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	return namesOf(regexp.MustCompile("(?m)^\\| `(OSGATE_[A-Z_]+)` \\|"), string(page))
}

// namesOf returns the first group of each match, sorted.
func namesOf(pattern *regexp.Regexp, text string) []string {
	var names []string
	for _, match := range pattern.FindAllStringSubmatch(text, -1) {
		names = append(names, match[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// TestEnvListsEveryVariableAndMasksSecrets prints the table of variables with their
// values: those that docs/configuration.md describes, and no other.
func TestEnvListsEveryVariableAndMasksSecrets(t *testing.T) {
	t.Parallel()
	run := runOsgate(t, []string{
		"RATE=37", "SECRET=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "ADMIN_TOKEN=not-to-be-shown", "REDIS_URL=redis://user:not-to-be-shown@127.0.0.1:1/0",
		"AUTH_INTROSPECTION_URL=https://idp.example/introspect?key=not-to-be-shown",
	}, "env")
	run.checkOutput(t, 0)
	listed := namesOf(regexp.MustCompile(`(?m)^\W*(OSGATE_[A-Z_]+)\b`), run.stdout)
	if diff := cmp.Diff(documentedSettings(t), listed); diff != "" || len(listed) < 50 {
		t.Errorf("settings in osgate env (-documented +listed):\n%s", diff)
	}
	if !regexp.MustCompile(`(?m)^OSGATE_RATE\b.*\b37\b`).MatchString(run.stdout) {
		t.Errorf("osgate env does not show the effective value of OSGATE_RATE")
	}
	for _, secret := range []string{"not-to-be-shown", "MDEyMzQ1"} {
		if strings.Contains(run.stdout+run.stderr, secret) {
			t.Errorf("osgate env shows a secret")
		}
	}
}

// TestCheckReportsRedisAndTheControlPlane runs osgate check without a problem, without
// Redis, with Redis unavailable, and with the control plane unavailable.
func TestCheckReportsRedisAndTheControlPlane(t *testing.T) {
	t.Parallel()
	s := newStack(t, true)
	override := "UPSTREAM_OVERRIDE=" + s.emulator.url
	runOsgate(t, []string{override, "REDIS_URL=" + s.redis.url(), "REDIS_TIMEOUT=" + longRedisTimeout}, "check").checkOutput(t, 0, "redis")
	runOsgate(t, []string{override}, "check").checkOutput(t, 0, "redis")
	s.redis.kill()
	runOsgate(t, []string{override, "REDIS_URL=" + s.redis.url()}, "check").checkOutput(t, 1, "redis")
	s.emulator.kill()
	runOsgate(t, []string{override}, "check").checkOutput(t, 1, "cannot be reached")
	for _, command := range []string{"check", "serve"} {
		runOsgate(t, []string{override, "TLS_CERT=/absent", "TLS_KEY=/absent"}, command).checkOutput(t, 2, "OSGATE_TLS_CERT", "/absent")
	}
}

// TestEveryProblemOfTheConfigurationIsNamedAtOnce: each command that reads the
// configuration names all problems, and prints no secret.
func TestEveryProblemOfTheConfigurationIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	wrong := []string{
		"RATE=ten", "CACHE_KEY_TTL=2h", "RATEE=1", "DEFAULT_REGION=us/mars-1", "ROUTES=org-root", "UPSTREAM_OVERRIDE=not a url", "MAX_BODY=much", "LOG_LEVEL=loud",
		"REDIS_URL=redis://user:not-to-be-shown@%%", "SECRET=not-to-be-shown", "ADMIN_LISTEN=0.0.0.0:0", "PLANES=mars", "POLICY=/etc/policy",
	}
	for _, command := range []string{"check", "serve"} {
		run := runOsgate(t, wrong, command)
		var names []string
		for _, w := range wrong {
			name, _, _ := strings.Cut(w, "=")
			names = append(names, "OSGATE_"+name)
		}
		names[slices.Index(names, "OSGATE_ADMIN_LISTEN")] = "OSGATE_ADMIN_TOKEN" // the text of the problem that is missing then
		run.checkOutput(t, 2, append(names, "the nearest name is OSGATE_RATE")...)
		if strings.Contains(run.stdout+run.stderr, "not-to-be-shown") {
			t.Errorf("osgate %s shows a secret:\n%s%s", command, run.stdout, run.stderr)
		}
	}
}

// TestExplainShowsHowARequestIsHandled checks each value that decides how a request is
// handled.
func TestExplainShowsHowARequestIsHandled(t *testing.T) {
	t.Parallel()
	settings := []string{"DEFAULT_REGION=us/us-east-1", "ROUTES=org-root/env-prod/routed=eu/eu-west-1"}
	const upstream = "https://object-store-eu-west-1.eu1.anypoint.mulesoft.com"
	host := "Host: object-store-eu-west-1.eu1.anypoint.mulesoft.com"
	odd := demoKeys + "/a%2Fb+c"
	byHost := runOsgate(t, settings, "explain", "GET", odd, "-H", host)
	byHost.checkOutput(t, 0, "getKey", "org-root", "env-prod", "APP_demo__defaultPersistentObjectStore", "DEFAULT_PARTITION", "eu/eu-west-1", upstream+odd, "quota key", "cache key")
	byPrefix := runOsgate(t, settings, "explain", "GET", "http://localhost:8080/eu/eu-west-1"+odd)
	if byPrefix.code != 0 || byPrefix.stdout != byHost.stdout {
		t.Errorf("the output differs for a prefix and for a Host:\n%s\n%s", byPrefix.stdout, byHost.stdout)
	}
	runOsgate(t, settings, "explain", "PUT", prodStores+"/routed").checkOutput(t, 0, "eu/eu-west-1", upstream+prodStores+"/routed")
	runOsgate(t, settings, "explain", "GET", demoKeys+"/..").checkOutput(t, 1, "bad-path")
	runOsgate(t, settings, "explain", "GET", "/nothing").checkOutput(t, 1, "not-object-store")
	runOsgate(t, nil, "explain", "GET", odd).checkOutput(t, 1, "region-unknown", "X-Osgate-Region")
}
