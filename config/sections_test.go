package config

import (
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestEveryVariableReachesItsField(t *testing.T) {
	environ := []string{
		"LISTEN=127.0.0.1:9000", "ADMIN_LISTEN=[::1]:9001", "ADMIN_TOKEN=token", "ADMIN_TLS_CERT=ac.pem", "ADMIN_TLS_KEY=ak.pem",
		"METRICS_LISTEN=127.0.0.1:9002", "SECRET=" + strings.Repeat("A", 43),
		"ACCOUNTS=false", "ACCOUNTS_RATE=7", "TLS_CERT=c.pem", "TLS_KEY=k.pem", "TLS_CLIENT_CA=ca.pem", "TLS_CLIENT_CRL=crl.pem",
		"REDIS_URL=redis://h", "REDIS_TIMEOUT=20ms", "REDIS_PREFIX=p", "STATE_DIR=/var/lib/osgate",
		"PLANES=us, eu", "REGIONS=eu/*,us/us-east-1", "DEFAULT_REGION=us/us-east-1",
		"ROUTES=o=us/us-east-1, o/e%2C1=eu/eu-west-1,o/e=1/s%2Ft%3D+%2525 = us-east-1", "DISCOVER=true",
		"UPSTREAM_OVERRIDE=http://osemu:8090", "UPSTREAM_CA=up.pem", "UPSTREAM_TIMEOUT=7s", "UPSTREAM_IDLE_TIMEOUT=8s",
		"UPSTREAM_CLIENT_ID=own", "UPSTREAM_CLIENT_SECRET=own-secret", "AUDIT_FILE=audit.jsonl",
		"AUTH_ISSUERS=https://a/t, http://127.0.0.1:1=http://127.0.0.1:1/keys", "AUTH_AUDIENCE=osgate", "AUTH_CLIENT_CLAIM=cid, sub",
		"AUTH_MTLS_HEADER=Client-Cert",
		"AUTH=introspect, JWT, mtls", "AUTH_TTL=1m", "AUTH_NEGATIVE_TTL=2s", "AUTH_STALE=3m", "AUTH_CLIENT_ID=app",
		"AUTH_CLIENT_SECRET=app-secret", "AUTH_INTROSPECTION_URL=https://am/introspect?x=y", "AUTH_FAILURE_RATE=4",
		"RATE=20", "RATE_PERIOD=2s", "RATE_ALGORITHM=window", "RATE_BURST=5", "RATE_MAX_WAIT=3s", "RATE_COUNTS=upstream",
		"RATE_OVERRIDES=a=100, b=c = 0", "RATE_REDIS_DOWN=closed", "REPLICAS=3", "BUDGET=50", "BUDGET_BY=store",
		"CACHE_KEY_TTL=1s", "CACHE_STORES_TTL=2s", "CACHE_KEYS_TTL=3s", "CACHE_BYTES=1GB", "CACHE_ENTRY_BYTES=64KiB",
		"CACHE_SHARED=false", "CACHE_SCOPE=environment", "CACHE_STALE_IF_ERROR=4s", "CACHE_STALE_WHILE_REVALIDATE=5s",
		"CACHE_STRICT=true", "CACHE_RULES=o=off, o/e=30s,o/e/APP_billing*=2s,o/e/s%2Ft%2A=0", "CACHE_CLIENT_CONTROL=false", "CACHE_MODE=rfc9111", "POLICY=rules", "POLICY_SHADOW=false", "POLICY_HEADERS=X-App-Name, x-team",
		"MAX_BODY=1MB", "MAX_CONNECTIONS=5000", "MAX_EXCHANGES=500", "TRUSTED_PROXIES=10.1.2.3/8,2001:db8::/32", "CORS_ORIGINS=https://App.example.com,http://127.0.0.1:3000", "SERVER_TIMING=true", "DRAIN_DELAY=1s", "DRAIN_TIMEOUT=2s",
		"LOG_LEVEL=Warn", "LOG_FORMAT=text", "LOG_SAMPLE=hit=0.01, ok = 0.5", "TRACE_SLOW=2s", "TRACE_NAMES=true",
	}
	for _, f := range fields() {
		if !slices.ContainsFunc(environ, func(item string) bool { return strings.HasPrefix(Prefix+item, f.Name+"=") }) {
			t.Errorf("%s is not tried here", f.Name)
		}
	}
	for i := range environ {
		environ[i] = Prefix + environ[i]
	}
	got, err := Load(environ)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Listen: "127.0.0.1:9000", Metrics: "127.0.0.1:9002",
		Admin:  Admin{Listen: "[::1]:9001", Token: NewSecret("token"), TLSCert: "ac.pem", TLSKey: "ak.pem"},
		Secret: NewSecret(strings.Repeat("A", 43)), Accounts: false, AccountsRate: 7,
		TLS:      TLS{Cert: "c.pem", Key: "k.pem", ClientCA: "ca.pem", ClientCRL: "crl.pem"},
		Redis:    Redis{URL: NewSecret("redis://h"), Timeout: 20 * time.Millisecond, Prefix: "p"},
		StateDir: "/var/lib/osgate",
		Regions: Regions{
			Planes: Planes{"us", "eu"}, Allowed: Patterns{"eu/*", "us/us-east-1"}, Default: "us/us-east-1", Discover: true,
			Routes: Routes{
				{Organization: "o", Location: "us/us-east-1"},
				{Organization: "o", Environment: "e,1", Location: "eu/eu-west-1"},
				{Organization: "o", Environment: "e=1", Store: "s/t=+%25", Location: "us-east-1"},
			},
		},
		Upstream: Upstream{Override: NewURL(&url.URL{Scheme: "http", Host: "osemu:8090"}), CA: "up.pem", Timeout: 7 * time.Second, Idle: 8 * time.Second,
			ClientID: "own", ClientSecret: NewSecret("own-secret")},
		Auth: Auth{
			Methods: Methods{"introspect", "jwt", "mtls"}, TTL: time.Minute, NegativeTTL: 2 * time.Second, Stale: 3 * time.Minute,
			ClientID: "app", ClientSecret: NewSecret("app-secret"), FailureRate: 4,
			Issuers:  Issuers{{URL: "https://a/t"}, {URL: "http://127.0.0.1:1", Keys: "http://127.0.0.1:1/keys"}},
			Audience: "osgate", ClientClaim: Claims{"cid", "sub"}, MTLSHeader: "Client-Cert",
			IntrospectionURL: NewURL(&url.URL{Scheme: "https", Host: "am", Path: "/introspect", RawQuery: "x=y"}),
		},
		Rate: Rate{
			Limit: 20, Period: 2 * time.Second, Algorithm: "window", Burst: 5, MaxWait: 3 * time.Second, Counts: "upstream",
			Overrides: map[string]int{"a": 100, "b=c": 0}, RedisDown: "closed", Replicas: 3,
		},
		Budget: Budget{Limit: 50, By: "store"},
		Cache: Cache{
			KeyTTL: time.Second, StoresTTL: 2 * time.Second, KeysTTL: 3 * time.Second, Bytes: 1e9, EntryBytes: 64 << 10,
			Shared: false, Scope: "environment", StaleIfError: 4 * time.Second, StaleWhileRevalidate: 5 * time.Second,
			Strict: true, Mode: "rfc9111", ClientControl: false,
			Rules: CacheRules{
				{Organization: "o"}, {Organization: "o", Environment: "e", TTL: 30 * time.Second},
				{Organization: "o", Environment: "e", Store: "APP_billing", Prefix: true, TTL: 2 * time.Second},
				{Organization: "o", Environment: "e", Store: "s/t*"},
			},
		},
		Policy: Policy{Path: "rules", Headers: Headers{"x-app-name", "x-team"}},
		Server: Server{
			MaxBody: 1e6, MaxConnections: 5000, MaxExchanges: 500, Timing: true, DrainDelay: time.Second, DrainTimeout: 2 * time.Second,
			TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")},
			Origins:        Origins{"https://app.example.com", "http://127.0.0.1:3000"},
		},
		Log:   Log{Level: "warn", Format: "text", Sample: Shares{"hit": 0.01, "ok": 0.5}, Audit: "audit.jsonl"},
		Trace: Trace{Slow: 2 * time.Second, Names: true},
	}
	diff := cmp.Diff(want, got,
		cmpopts.IgnoreUnexported(Config{}),
		cmp.Comparer(func(a, b Secret) bool { return a.Reveal() == b.Reveal() }),
		cmp.Comparer(func(a, b URL) bool { return cmp.Equal(a.Reveal(), b.Reveal()) }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }))
	if diff != "" {
		t.Errorf("Config (-want +got):\n%s", diff)
	}
}

func TestDefaultsLeaveUnsetFieldsNil(t *testing.T) {
	c, err := Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Upstream.Override.Reveal() != nil || c.Auth.IntrospectionURL.Reveal() != nil {
		t.Errorf("unset URLs are %v and %v, want nil", c.Upstream.Override, c.Auth.IntrospectionURL)
	}
	if c.Regions.Planes != nil || c.Regions.Allowed != nil || c.Regions.Routes != nil || c.Rate.Overrides != nil {
		t.Errorf("unset lists are %v, %v, %v, %v, want nil",
			c.Regions.Planes, c.Regions.Allowed, c.Regions.Routes, c.Rate.Overrides)
	}
	if !c.Regions.Planes.Has("jp") || (Planes{"us"}).Has("jp") {
		t.Error("Planes.Has: want all planes for nil, otherwise only those listed")
	}
}

func TestRulesOfWhatDependsOnEachOther(t *testing.T) {
	const (
		window = "too high for OSGATE_RATE_ALGORITHM=window, which stores every request of a period; want at most 1000"
		hour   = "longer than 1h: reads that reach OSv2 renew a rolling TTL, so a key served only " +
			"from the cache would expire upstream; want 0s to 1h"
		cidr   = " is not a CIDR; want a prefix such as 10.0.0.0/8 or 2001:db8::/32 (/32 or /128 for one address)"
		origin = " is not an origin; want one such as https://app.example.com, without a path, or * alone"
		url    = "is not an absolute URL; want http:// or https:// and a host"
	)
	for _, tt := range []struct{ environ, variable, detail string }{
		{"AUTH=introspect AUTH_CLIENT_SECRET=s", "AUTH_CLIENT_ID",
			"required by OSGATE_AUTH=introspect; want the ID of a connected app"},
		{"AUTH=introspect AUTH_CLIENT_ID=a", "AUTH_CLIENT_SECRET",
			"required by OSGATE_AUTH=introspect; want the secret of the connected app"},
		{"AUTH_INTROSPECTION_URL=/introspect", "AUTH_INTROSPECTION_URL", url},
		{"RATE_ALGORITHM=window RATE=1001", "RATE", window},
		{"RATE_ALGORITHM=window RATE_OVERRIDES=a=1001,b=1", "RATE_OVERRIDES", window},
		{"CACHE_KEYS_TTL=61m", "CACHE_KEYS_TTL", hour},
		{"POLICY_SHADOW=true", "POLICY_SHADOW", "has no effect without a policy; set OSGATE_POLICY too"},
		{"TRUSTED_PROXIES=10.0.0.1", "TRUSTED_PROXIES", `"10.0.0.1"` + cidr},
		{"TRUSTED_PROXIES=10.0.0.0/33", "TRUSTED_PROXIES", `"10.0.0.0/33"` + cidr},
		{"TRUSTED_PROXIES=::ffff:10.0.0.0/104", "TRUSTED_PROXIES",
			`"::ffff:10.0.0.0/104" would match no IPv4 address; want the IPv4 form, such as 10.0.0.0/8`},
		{"CORS_ORIGINS=https://app.example.com/", "CORS_ORIGINS", `"https://app.example.com/"` + origin},
		{"CORS_ORIGINS=app.example.com", "CORS_ORIGINS", `"app.example.com"` + origin},
		{"CORS_ORIGINS=null", "CORS_ORIGINS", `"null"` + origin},
		{"CORS_ORIGINS=https://a.example,*", "CORS_ORIGINS", `"*"` + origin},
		{"CORS_ORIGINS=https://a.example,https://A.example", "CORS_ORIGINS", `"https://a.example" is given twice; want it once`},
		{"TRUSTED_PROXIES=10.0.0.0/8,", "TRUSTED_PROXIES", "item 2 is empty; want one comma between two items"},
		{"CACHE_MODE=rfc9111 LISTEN=127.0.0.1:8080", "CACHE_MODE",
			"rfc9111 needs an origin; set OSGATE_UPSTREAM_OVERRIDE too"},
		{"CACHE_MODE=rfc9111 UPSTREAM_OVERRIDE=http://h", "CACHE_MODE",
			"rfc9111 checks neither identity nor quota; want OSGATE_LISTEN on 127.0.0.1"},
	} {
		t.Run(tt.environ, func(t *testing.T) {
			var environ []string
			for item := range strings.FieldsSeq(tt.environ) {
				environ = append(environ, Prefix+item)
			}
			_, err := Load(environ)
			want := &InvalidError{Problems: []Problem{{Variable: Prefix + tt.variable, Detail: tt.detail}}}
			if diff := cmp.Diff(error(want), err); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := Load([]string{"OSGATE_RATE_ALGORITHM=window", "OSGATE_RATE=1000", "OSGATE_RATE_OVERRIDES=a=1000"}); err != nil {
		t.Errorf("a window of 1000 requests is refused: %v", err)
	}
}

// TestBoundsAdmitTheirOwnDefaults fails if a bound does not parse, which would panic,
// or excludes the default, which would refuse every environment.
func TestBoundsAdmitTheirOwnDefaults(t *testing.T) {
	var environ []string
	for _, f := range fields() {
		if f.Default == "" {
			continue
		}
		environ = append(environ, f.Name+"="+f.Default)
	}
	if _, err := Load(environ); err != nil {
		t.Errorf("the defaults, given, are refused: %v", err)
	}
}

func TestLogLevelsAreSlogs(t *testing.T) {
	for text, want := range map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError, "": slog.LevelInfo,
	} {
		if got := (Log{Level: text}).Minimum(); got != want {
			t.Errorf("level %q is %v, want %v", text, got, want)
		}
	}
}
