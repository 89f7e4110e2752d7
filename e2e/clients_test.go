//go:build clients

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// step is one line that a client program of e2e/clients prints: its action and the
// result.
type step struct {
	name, status, body string
}

// is a step that expects a status and a body that contains text.
func (s step) is(status, text string) bool {
	return s.status == status && strings.Contains(s.body, text)
}

// expectedStep is the expected result of a step.
type expectedStep struct{ name, status, text string }

// The journeys of the client programs.
var (
	basicJourney = []expectedStep{
		{"write", "201", ""}, {"read", "200", `"stringValue":"one"`}, {"list", "200", `"values":`},
		{"delete", "204", ""}, {"read what was deleted", "404", "statusMessage"},
	}
	apacheJourney = []expectedStep{
		{"write", "201", ""}, {"read", "200", `"stringValue":"one"`}, {"read again", "200", `"stringValue":"one"`}, {"look", "204", ""},
		{"write, expectContinueEnabled", "200", ""}, {"read what was written", "200", `"stringValue":"two"`}, {"list", "200", `"values":`},
		{"delete", "204", ""}, {"read what was deleted", "404", "statusMessage"},
	}
	jdkJourney = slices.Concat([]expectedStep{
		{"write", "201", ""}, {"read", "200", `"stringValue":"one"`}, {"read again", "200", `"stringValue":"one"`},
		{"write, expectContinue", "200", ""}, {"read what was written", "200", `"stringValue":"two"`},
		{"write of unknown length", "200", ""}, {"list", "200", `"values":`},
	}, slices.Repeat([]expectedStep{{"20 writes at once", "201", ""}}, 20), []expectedStep{
		{"delete", "204", ""}, {"read what was deleted", "404", "statusMessage"},
	})
	urlConnectionJourney = []expectedStep{
		{"write", "201", ""}, {"read", "200", `"stringValue":"one"`}, {"read without caches", "200", `"stringValue":"one"`}, {"list", "200", `"values":`},
		{"delete", "204", ""}, {"read what was deleted", "404", "statusMessage"},
	}
	postmanJourney = []expectedStep{
		{"GET /accounts/api/me", "200", `"client_id":"app-one"`},
		{"GET /accounts/api/organizations/:organizationId/environments", "200", `"env-prod"`},
		{"GET /api/v1/organizations/:organizationId/regions", "200", `"us-east-1"`},
		{"GET …/stores", "200", `"values":`}, {"GET …/stores/:storeId", "200", `"storeId":`},
		{"PUT …/keys/:keyId", "201", ""}, {"GET …/keys/:keyId", "200", `"stringValue":"one"`}, {"HEAD …/keys/:keyId", "204", ""},
		{"GET …/partitions/:partitionId/keys", "200", `"postman"`}, {"GET …/stores/:storeId/partitions", "200", "DEFAULT_PARTITION"},
		{"GET …/partitions/:partitionId", "200", `"postman"`}, {"GET /api/v1/organizations/:organizationId", "200", "objectStoreRequestCount"},
		{"DELETE …/keys/:keyId", "204", ""}, {"GET …/keys/:keyId", "404", "statusMessage"},
	}
)

// TestRealClients runs client programs with their default settings through osgate to
// osemu, and compares docs/compatibility.md with their results. `make clients` installs
// them.
func TestRealClients(t *testing.T) {
	s := newStack(t, false, "-quiet")
	g := s.gateway("RATE=0")
	token := g.mint("app-one", "")
	prefix := g.url + "/us/us-east-1"
	tried := &compatibility{}
	t.Run("clients", func(t *testing.T) {
		for i, c := range []struct {
			client  string
			program []string
			base    string
			want    []expectedStep
			what    string // the steps, in docs/compatibility.md
		}{
			{"JDK HttpClient", java("JDKClient.java"), prefix, jdkJourney, "`h2c` offered with every request, `expectContinue`, 20 requests at once"},
			{"HttpURLConnection", java("URLConnectionClient.java"), prefix, urlConnectionJourney, "with and without caches"},
			{"Apache HttpClient", apache("5.4.1"), prefix, apacheJourney, "`TLS/1.2` offered with every read, `expectContinueEnabled`"},
			{"Apache HttpClient", apache("5.5.1"), prefix, apacheJourney, "`expectContinueEnabled`"},
			{"JDK HttpClient", java("JDKClient.java"), prefix + "/", jdkJourney, "the same with a base URL that ends in `/`"},
			{"fetch of Node", []string{"node", "fetch.mjs"}, prefix, basicJourney, "nothing"},
		} {
			t.Run(c.client, func(t *testing.T) {
				t.Parallel()
				keys := fmt.Sprintf("%s/partitions/client-%d/keys", demoStore, i) // a partition of its own
				version, steps := runClient(t, c.program, c.base, keys, token)
				tried.compare(t, clientRow{c.client, version, c.what, "base URL"}, steps, c.want)
			})
		}
		t.Run("newman", func(t *testing.T) {
			t.Parallel()
			description, err := filepath.Abs("../emulator/openapi.yaml")
			if err != nil {
				t.Fatal(err)
			}
			version, steps := runClient(t, []string{"node", "postman.js"}, description, g.url, token)
			tried.compare(t, clientRow{"newman (Postman)", version, "a collection made of osemu's OpenAPI description", "`baseUrl`"}, steps, postmanJourney)
		})
		t.Run("curl", func(t *testing.T) { t.Parallel(); curlOffersHTTP2(t, tried, prefix, token) })
		t.Run("anypoint-cli-v4", func(t *testing.T) { t.Parallel(); anypointCLI(t, tried, s) })
	})
	tried.checkPage(t, "../docs/compatibility.md")
}

func java(file string) []string { return []string{"java", file} }

// apache runs the Apache HttpClient of a version. WireMock's jar contains it.
func apache(version string) []string {
	return []string{"java", "-cp", clientFile("node_modules/httpclient-" + version + "/build/*.jar"), "ApacheClient.java"}
}

// clientFile returns the one file of e2e/clients that matches, or the pattern itself.
func clientFile(pattern string) string {
	found, _ := filepath.Glob(filepath.Join("clients", pattern)) // the pattern is well-formed
	if len(found) != 1 {
		return pattern
	}
	path, err := filepath.Abs(found[0])
	if err != nil {
		return pattern
	}
	return path
}

// runClient runs a client program to its end, and returns its version and its steps.
func runClient(t *testing.T, program []string, arguments ...string) (version string, steps []step) {
	t.Helper()
	requireProgram(t, program[0])
	program = slices.Clone(program)
	for i, word := range program[1:] {
		program[i+1] = clientFile(word)
	}
	got := runToEnd(t, program[0], nil, slices.Concat(program[1:], arguments)...)
	if got.code != 0 {
		t.Fatalf("%v: exit %d\n%s%s", program, got.code, got.stdout, got.stderr)
	}
	return readSteps(got.stdout)
}

// clientTimeout is the time limit of a client, including the start of a Java machine,
// on a busy machine.
const clientTimeout = 5 * testTimeout

// runToEnd runs a client to its end.
func runToEnd(t *testing.T, program string, environment []string, arguments ...string) programResult {
	t.Helper()
	p := startProgram(t, program, environment, arguments...)
	select {
	case <-p.ended:
	case <-time.After(clientTimeout):
		t.Fatalf("%s is still running after %v", p.name, clientTimeout)
	}
	return programResult{code: p.cmd.ProcessState.ExitCode(), stdout: p.stdout.String(), stderr: p.stderr.String()}
}

func readSteps(text string) (version string, steps []step) {
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if v, ok := strings.CutPrefix(line, "version "); ok {
			version = v
			continue
		}
		fields := append(strings.SplitN(line, "\t", 3), "", "")
		steps = append(steps, step{fields[0], fields[1], fields[2]})
	}
	return version, steps
}

// curlOffersHTTP2 runs curl with an offer of an upgrade to HTTP/2 over plain HTTP: once
// with a body that is so long that curl waits for "100 Continue", and once without a
// body.
func curlOffersHTTP2(t *testing.T, tried *compatibility, base, token string) {
	requireProgram(t, "curl")
	value := filepath.Join(t.TempDir(), "value.json")
	if err := os.WriteFile(value, []byte(stringValue("curl", strings.Repeat("one", 1<<20))), 0o600); err != nil {
		t.Fatal(err)
	}
	key := base + demoKeys + "/curl"
	curl := func(arguments ...string) string {
		t.Helper()
		common := []string{"--silent", "--show-error", "--http2", "--output", os.DevNull, "--write-out", "%{http_code} %{size_download}", "--header", "Authorization: Bearer " + token}
		got := runToEnd(t, "curl", nil, append(common, arguments...)...)
		if got.code != 0 {
			t.Fatalf("curl: exit %d\n%s", got.code, got.stderr)
		}
		return got.stdout
	}
	var steps []step
	for _, call := range []struct {
		what      string
		arguments []string
	}{
		{"write", []string{"--upload-file", value, "--header", "Content-Type: application/json", key}},
		{"read", []string{key}},
		{"delete", []string{"--request", "DELETE", key}},
	} {
		status, size, _ := strings.Cut(curl(call.arguments...), " ")
		steps = append(steps, step{call.what, status, size})
	}
	version := strings.Fields(runToEnd(t, "curl", nil, "--version").stdout)[1]
	tried.compare(t, clientRow{"curl", version, "`--http2`: `h2c` offered with every request, 3 MiB with `Expect`", "URL"}, steps,
		[]expectedStep{{"write", "201", ""}, {"read", "200", "31457"}, {"delete", "204", ""}})
}

// anypointCLI runs the vendor's command-line program as its users do. The name service
// resolves the vendor's names to osgate, and to osemu.
func anypointCLI(t *testing.T, tried *compatibility, s *stack) {
	requireProgram(t, "node")
	const controlPlane = "anypoint.mulesoft.com"
	cert, key, _ := certificate(t, controlPlane)
	through := s.gateway("TLS_CERT="+cert, "TLS_KEY="+key)
	direct := startProgram(t, programs.osemu, nil, "-listen", "127.0.0.1:0", "-tls-cert", cert, "-tls-key", key)
	_, port, _ := strings.Cut(direct.stdoutLine(0), "https://127.0.0.1:")
	_, throughPort, _ := strings.Cut(through.addr(), ":")
	program := clientFile("node_modules/anypoint-cli-v4/bin/run")
	for where, port := range map[string]string{"osgate": throughPort, "osemu": strings.TrimRight(port, "/ \n")} {
		environment := []string{
			"NODE_OPTIONS=--require " + clientFile("resolve.js"), "NODE_EXTRA_CA_CERTS=" + cert,
			"ANYPOINT_HOST=" + controlPlane + ":" + port, "ANYPOINT_CLIENT_ID=app-one", "ANYPOINT_CLIENT_SECRET=secret-one",
		}
		var steps []step
		for _, command := range [][]string{
			{"account:environment:list", "--output", "json"}, {"account:environment:describe", "Sandbox"}, {"account:user:describe"},
			{"account:business-group:list"}, {"account:business-group:describe", "Acme"},
		} {
			got := runToEnd(t, "node", environment, append([]string{program}, command...)...)
			result := "works"
			if got.code != 0 {
				result = got.stderr
			}
			steps = append(steps, step{command[0], result, strings.Join(strings.Fields(got.stdout), " ")})
		}
		version, _, _ := strings.Cut(strings.TrimPrefix(runToEnd(t, "node", environment, program, "--version").stdout, "anypoint-cli-v4/"), " ")
		tried.compare(t, clientRow{"anypoint-cli-v4", version, "to " + where + " over HTTPS: environments, user, business groups", "name service, or `ANYPOINT_HOST` with a name that holds `anypoint.mulesoft`"}, steps, []expectedStep{
			{"account:environment:list", "works", `"env-sandbox"`}, {"account:environment:describe", "works", "env-sandbox"},
			{"account:user:describe", "works", "Ada Admin"}, {"account:business-group:list", "works", "org-root"},
			{"account:business-group:describe", "works", "Acme"},
		})
	}
}
