package config_test

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"osgate/config"

	"github.com/google/go-cmp/cmp"
)

// goodKey is a valid key: 32 bytes in base64.
func goodKey() string {
	return base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
}

// problemsOf loads environ, which must fail, and returns the problems.
func problemsOf(t *testing.T, environ ...string) []config.Problem {
	t.Helper()
	c, err := config.Load(environ)
	invalid, ok := errors.AsType[*config.InvalidError](err)
	if !ok {
		t.Fatalf("Load(%q) = error %v, want an InvalidError", environ, err)
	}
	if c.Listen != "" || c.Rate.Limit != 0 {
		t.Errorf("Load(%q) returned both a Config and an error", environ)
	}
	return invalid.Problems
}

// loaded loads environ, which must succeed.
func loaded(t *testing.T, environ ...string) config.Config {
	t.Helper()
	c, err := config.Load(environ)
	if err != nil {
		t.Fatalf("Load(%q): %v", environ, err)
	}
	return c
}

// row returns one row of c's table.
func row(t *testing.T, c config.Config, name string) config.Variable {
	t.Helper()
	for _, v := range c.Table() {
		if v.Name == name {
			return v
		}
	}
	t.Fatalf("no row %s in the table", name)
	return config.Variable{}
}

// secretFile writes content to a new file and returns its path.
func secretFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultsAreTheDocumentedOnes(t *testing.T) {
	want := map[string]string{
		"LISTEN": ":8080", "ADMIN_LISTEN": "127.0.0.1:8081", "ADMIN_TOKEN": "",
		"ADMIN_TLS_CERT": "", "ADMIN_TLS_KEY": "", "METRICS_LISTEN": "", "SECRET": "", "ACCOUNTS": "true", "ACCOUNTS_RATE": "10",
		"TLS_CERT": "", "TLS_KEY": "", "TLS_CLIENT_CA": "",
		"REDIS_URL": "", "REDIS_TIMEOUT": "50ms", "REDIS_PREFIX": "osgate", "STATE_DIR": "",
		"PLANES": "all", "REGIONS": "all", "DEFAULT_REGION": "", "ROUTES": "", "DISCOVER": "false",
		"UPSTREAM_OVERRIDE": "", "UPSTREAM_CA": "", "UPSTREAM_TIMEOUT": "30s", "UPSTREAM_IDLE_TIMEOUT": "30s",
		"AUTH": "anypoint", "AUTH_TTL": "60s", "AUTH_NEGATIVE_TTL": "5s", "AUTH_STALE": "10m",
		"AUTH_CLIENT_ID": "", "AUTH_CLIENT_SECRET": "", "AUTH_INTROSPECTION_URL": "", "AUTH_FAILURE_RATE": "10",
		"AUTH_ISSUERS": "", "AUTH_AUDIENCE": "", "AUTH_CLIENT_CLAIM": "azp,client_id,sub", "AUTH_MTLS_HEADER": "",
		"UPSTREAM_CLIENT_ID": "", "UPSTREAM_CLIENT_SECRET": "", "TLS_CLIENT_CRL": "", "AUDIT_FILE": "",
		"RATE": "10", "RATE_PERIOD": "1s", "RATE_ALGORITHM": "gcra", "RATE_BURST": "10", "RATE_MAX_WAIT": "5s",
		"RATE_COUNTS": "all", "RATE_OVERRIDES": "", "RATE_REDIS_DOWN": "local", "REPLICAS": "1",
		"BUDGET": "0", "BUDGET_BY": "egress",
		"CACHE_KEY_TTL": "10s", "CACHE_STORES_TTL": "60s", "CACHE_KEYS_TTL": "10s",
		"CACHE_BYTES": "256MiB", "CACHE_ENTRY_BYTES": "1MiB", "CACHE_SHARED": "true", "CACHE_SCOPE": "client",
		"CACHE_STALE_IF_ERROR": "0", "CACHE_STALE_WHILE_REVALIDATE": "0", "CACHE_STRICT": "false", "CACHE_RULES": "", "CACHE_CLIENT_CONTROL": "true", "CACHE_MODE": "gateway",
		"POLICY": "", "POLICY_SHADOW": "false", "POLICY_HEADERS": "", "LOG_SAMPLE": "", "TRACE_SLOW": "1s", "TRACE_NAMES": "false",
		"MAX_BODY": "11MiB", "MAX_CONNECTIONS": "0", "MAX_EXCHANGES": "10000", "TRUSTED_PROXIES": "", "CORS_ORIGINS": "", "SERVER_TIMING": "false", "DRAIN_DELAY": "5s", "DRAIN_TIMEOUT": "30s",
		"LOG_LEVEL": "info", "LOG_FORMAT": "json",
	}
	got := map[string]string{}
	for _, v := range loaded(t).Table() {
		got[strings.TrimPrefix(v.Name, config.Prefix)] = v.Value
		if v.Source != config.FromDefault || v.Value != v.Default {
			t.Errorf("%s of an empty environment is %q from %s, want its default %q", v.Name, v.Value, v.Source, v.Default)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults differ from the documented ones (-want +got):\n%s", diff)
	}
}

func TestEveryVariableIsDescribedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range config.Variables() {
		if seen[v.Name] {
			t.Errorf("%s is there twice", v.Name)
		}
		seen[v.Name] = true
		if len(v.Description) < 5 || strings.HasSuffix(v.Description, ".") || strings.ContainsAny(v.Description, "\n\t") {
			t.Errorf("%s: description %q is not one line without a full stop", v.Name, v.Description)
		}
		if v.Value != "" || v.Source != "" {
			t.Errorf("Variables() gives %s a value in force", v.Name)
		}
	}
}

func TestEmptyCountsAsUnset(t *testing.T) {
	c := loaded(t, "OSGATE_RATE=", "OSGATE_SECRET=", "OSGATE_SECRET_FILE=", "OSGATE_DISCOVER=", "OSGATE_PLANES=")
	if c.Rate.Limit != 10 || c.Key() != nil || c.Regions.Planes != nil {
		t.Errorf("empty variables gave rate %d, key %v, planes %v; want the defaults", c.Rate.Limit, c.Key(), c.Regions.Planes)
	}
	if got := row(t, c, "OSGATE_RATE"); got.Source != config.FromDefault || got.Value != "10" {
		t.Errorf("empty OSGATE_RATE is %q from %s, want 10 from default", got.Value, got.Source)
	}
}

func TestAllProblemsAreReportedAtOnceInOrder(t *testing.T) {
	got := problemsOf(t,
		"OSGATE_ZEBRA=1",
		"OSGATE_LOG_LEVEL=loud",
		"OSGATE_TLS_CERT=cert.pem",
		"OSGATE_RATE=ten",
		"OSGATE_ADMIN_LISTEN=:8081",
		"OSGATE_LISTEN=8080",
		"OSGATE_ANTELOPE=1",
		"OSGATE_SECRET_FILE="+filepath.Join(t.TempDir(), "none"),
	)
	var names []string
	for _, p := range got {
		names = append(names, strings.TrimPrefix(p.Variable, config.Prefix))
	}
	want := []string{"LISTEN", "ADMIN_TOKEN", "SECRET_FILE", "TLS_KEY", "RATE", "LOG_LEVEL", "ANTELOPE", "ZEBRA"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("variables with problems (-want +got):\n%s", diff)
	}
}

func TestErrorIsOneLineAProblem(t *testing.T) {
	_, err := config.Load([]string{"OSGATE_RATE=ten", "OSGATE_DRAIN_DELAY=soon", "OSGATE_\n=1"})
	want := `invalid configuration:
OSGATE_RATE: "ten" is not a whole number from 0 to 1000000, such as 10
OSGATE_DRAIN_DELAY: "soon" is not a duration from 0s to 1h, such as 5s
"OSGATE_\n": unknown; the nearest name is OSGATE_AUTH`
	if err == nil || err.Error() != want {
		t.Errorf("error is\n%v\nwant\n%s", err, want)
	}
}

func TestOneMistakeIsOneProblem(t *testing.T) {
	// Each environment would also break a rule if a variable that does not parse
	// counted as its zero value.
	for _, environ := range [][]string{
		{"OSGATE_ADMIN_LISTEN=nowhere"},
		{"OSGATE_RATE_PERIOD=soon"},
		{"OSGATE_PLANES=mars", "OSGATE_DEFAULT_REGION=us/us-east-1"},
		{"OSGATE_REDIS_PREFIX=\n"},
		{"OSGATE_UPSTREAM_OVERRIDE=nowhere"},
	} {
		if got := problemsOf(t, environ...); len(got) != 1 {
			t.Errorf("Load(%q) returns %v, want one problem", environ, got)
		}
	}
}

func TestUnknownVariableIsAnErrorWithTheNearestName(t *testing.T) {
	for name, want := range map[string]string{
		"OSGATE_RATE_BRUST":         "OSGATE_RATE_BURST",
		"OSGATE_RATES":              "OSGATE_RATE",
		"OSGATE_CACHE_KEY_TTLS":     "OSGATE_CACHE_KEY_TTL",
		"OSGATE_CACHE_TTL":          "OSGATE_CACHE_KEY_TTL",
		"OSGATE_LISTENER":           "OSGATE_LISTEN",
		"OSGATE_ADMIN_TOKEN_FILES":  "OSGATE_ADMIN_TOKEN_FILE",
		"OSGATE_REDISURL":           "OSGATE_REDIS_URL",
		"OSGATE_rate":               "OSGATE_RATE",
		"OSGATE_TLS_CERT_FILE":      "OSGATE_TLS_CERT",
		"OSGATE_TRUSTED_PROXY":      "OSGATE_TRUSTED_PROXIES",
		"OSGATE_UPSTREAM_TIMEOUT_S": "OSGATE_UPSTREAM_TIMEOUT",
	} {
		got := problemsOf(t, name+"=hidden-value")
		wantProblems := []config.Problem{{Variable: name, Detail: "unknown; the nearest name is " + want}}
		if diff := cmp.Diff(wantProblems, got); diff != "" {
			t.Errorf("problems of %s (-want +got):\n%s", name, diff)
		}
	}
	if got := problemsOf(t, "OSGATE_=1", "OSGATE_"+strings.Repeat("X", 1<<20)+"=1"); len(got) != 2 {
		t.Errorf("the bare prefix and a very long name gave %d problems, want 2", len(got))
	}
}

func TestNamesThatAreNotOursAreIgnored(t *testing.T) {
	loaded(t,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318", "OTEL_TRACES_EXPORTER=otlp",
		"OSGATE_SERVICE_HOST=10.0.0.1", "OSGATE_SERVICE_PORT=8080", "OSGATE_SERVICE_PORT_HTTP=8080",
		"OSGATE_PORT=tcp://10.0.0.1:8080", "OSGATE_PORT_8080_TCP_ADDR=10.0.0.1",
		// Kubernetes sets these variables for a Service named osgate-rate. Their names
		// begin like the name of a setting.
		"OSGATE_RATE_SERVICE_HOST=10.0.0.1", "OSGATE_RATE_SERVICE_PORT=8081", "OSGATE_RATE_SERVICE_PORT_HTTP_ADMIN=8081",
		"OSGATE_RATE_PORT=tcp://10.0.0.1:8081", "OSGATE_RATE_PORT_8081_TCP=tcp://10.0.0.1:8081", "OSGATE_RATE_PORT_8081_TCP_PROTO=tcp",
		"OSGATE_RATE_PORT_8081_TCP_PORT=8081", "OSGATE_RATE_PORT_8081_TCP_ADDR=10.0.0.1", "OSGATE_EU_DNS_PORT=udp://10.0.0.1:53",
		"OSGATE=1", "XOSGATE_RATE=ten", "osgate_rate=ten", "PATH=/bin", "=C:=C:\\", "",
	)
}

func TestASettingThatLooksLikeAServicesVariableIsRefused(t *testing.T) {
	for _, item := range []string{
		"OSGATE_LISTEN_PORT=8080", "OSGATE_ADMIN_PORT=:8081", "OSGATE_SERVICES=a", "OSGATE_RATE_SERVICE=10",
		"OSGATE_ADMIN_SERVICE_HOSTS=a", "OSGATE_ADMIN_PORT_HTTP=8081", "OSGATE_ADMIN_PORT_80_TCP_NAME=a", "OSGATE_LISTEN_PORT=",
	} {
		if got := problemsOf(t, item); len(got) != 1 || !strings.HasPrefix(got[0].Detail, "unknown; the nearest name is OSGATE_") {
			t.Errorf("problems of %s are %v, want one that it is unknown", item, got)
		}
	}
}

func TestSecretsComeFromFiles(t *testing.T) {
	c := loaded(t,
		"OSGATE_SECRET_FILE="+secretFile(t, goodKey()+"\n"),
		"OSGATE_ADMIN_TOKEN_FILE="+secretFile(t, "token-in-a-file\r\n"),
		"OSGATE_REDIS_URL_FILE="+secretFile(t, "redis://redis:6379/0"),
	)
	if got, want := string(c.Key()), "0123456789abcdef0123456789abcdef"; got != want {
		t.Errorf("key is %q, want %q", got, want)
	}
	if got, want := c.Admin.Token.Reveal(), "token-in-a-file"; got != want {
		t.Errorf("admin token is %q, want %q", got, want)
	}
	if got, want := c.Redis.URL.Reveal(), "redis://redis:6379/0"; got != want {
		t.Errorf("Redis URL is %q, want %q", got, want)
	}
	for _, name := range []string{"OSGATE_SECRET", "OSGATE_ADMIN_TOKEN", "OSGATE_REDIS_URL"} {
		if got := row(t, c, name); got.Source != config.FromFile || got.Value != "[redacted]" {
			t.Errorf("%s is %q from %s, want [redacted] from file", name, got.Value, got.Source)
		}
	}
}

func TestAFileOfTheLargestSizeIsRead(t *testing.T) {
	content := strings.Repeat("x", 64<<10)
	c := loaded(t, "OSGATE_ADMIN_TOKEN_FILE="+secretFile(t, content))
	if got := len(c.Admin.Token.Reveal()); got != len(content) {
		t.Errorf("a token of %d bytes was read as %d bytes", len(content), got)
	}
}

func TestOnlyOneNewlineIsTrimmedFromAFile(t *testing.T) {
	got := problemsOf(t, "OSGATE_ADMIN_TOKEN_FILE="+secretFile(t, "token\n\n"))
	if len(got) != 1 || got[0].Variable != "OSGATE_ADMIN_TOKEN_FILE" {
		t.Errorf("a token that still ends in a newline gave %v, want a problem of OSGATE_ADMIN_TOKEN_FILE", got)
	}
}

func TestTableShowsTheEffectiveValueAndItsSource(t *testing.T) {
	c := loaded(t, "OSGATE_RATE=25", "OSGATE_CACHE_BYTES=1048576", "OSGATE_ADMIN_TOKEN=top-secret")
	want := []config.Variable{
		{
			Name: "OSGATE_RATE", Default: "10", Value: "25", Source: config.FromEnvironment,
			Description: "client quota: requests per RATE_PERIOD and client ID; 0: none",
		},
		{
			Name: "OSGATE_CACHE_BYTES", Default: "256MiB", Value: "1048576", Source: config.FromEnvironment,
			Description: "maximum size of the cache in this process",
		},
		{
			Name: "OSGATE_ADMIN_TOKEN", Value: "[redacted]", Source: config.FromEnvironment, File: true,
			Description: "bearer token of the admin listener; required, with 16 characters or more, if that listener is not on loopback",
		},
		{
			Name: "OSGATE_SECRET", Source: config.FromDefault, File: true,
			Description: "32 bytes in base64, the same on every replica: the key that hashes tokens and seals data shared in Redis",
		},
		{
			Name: "OSGATE_POLICY", Source: config.FromDefault,
			Description: "Cedar policy file or folder of .cedar files; read again when they change",
		},
		{
			Name: "OSGATE_CACHE_SCOPE", Default: "client", Value: "client", Source: config.FromDefault,
			Description: "tokens that an entry serves: those of its own principal (client) or every granted token of the environment (environment)",
		},
	}
	for _, w := range want {
		if diff := cmp.Diff(w, row(t, c, w.Name)); diff != "" {
			t.Errorf("row %s (-want +got):\n%s", w.Name, diff)
		}
	}
}

func TestAVariableMayBeSetToItsDefault(t *testing.T) {
	loaded(t,
		"OSGATE_DISCOVER=false", "OSGATE_AUTH=anypoint", "OSGATE_AUTH_FAILURE_RATE=10", "OSGATE_RATE_ALGORITHM=gcra",
		"OSGATE_RATE_COUNTS=all", "OSGATE_BUDGET=0", "OSGATE_BUDGET_BY=egress", "OSGATE_CACHE_KEYS_TTL=10000ms",
		"OSGATE_CACHE_SHARED=TRUE", "OSGATE_CACHE_SCOPE=client", "OSGATE_CACHE_STALE_IF_ERROR=0s",
		"OSGATE_CACHE_STALE_WHILE_REVALIDATE=0", "OSGATE_CACHE_STRICT=0", "OSGATE_CACHE_MODE=gateway", "OSGATE_POLICY_SHADOW=false",
	)
}
