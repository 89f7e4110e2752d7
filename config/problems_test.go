package config_test

import (
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"

	"osgate/config"

	"github.com/google/go-cmp/cmp"
)

// invalid is an environment with one mistake, and the only problem that Load must
// report for it.
type invalid struct {
	environ  string // variables without prefix, separated by spaces; %20 is a space in a value
	variable string
	detail   string
}

func (i invalid) check(t *testing.T) {
	t.Helper()
	var environ []string
	for item := range strings.FieldsSeq(i.environ) {
		environ = append(environ, config.Prefix+strings.ReplaceAll(item, "%20", " "))
	}
	want := []config.Problem{{Variable: config.Prefix + i.variable, Detail: i.detail}}
	if diff := cmp.Diff(want, problemsOf(t, environ...)); diff != "" {
		t.Errorf("problems of %q (-want +got):\n%s", i.environ, diff)
	}
}

func TestSyntaxIsChecked(t *testing.T) {
	const (
		address = " is not an address; want host:port or :port, such as 127.0.0.1:8080"
		place   = " is not a location; want plane/region such as us/us-east-1 (planes: us, gov, eu, ca, jp)"
		cidr    = " is not a CIDR; want a prefix such as 10.0.0.0/8 or 2001:db8::/32 (/32 or /128 for one address)"
	)
	for _, tt := range []invalid{
		{"LISTEN=8080", "LISTEN", `"8080"` + address},
		{"LISTEN=:http", "LISTEN", `":http"` + address},
		{"LISTEN=:65536", "LISTEN", `":65536"` + address},
		{"LISTEN=::1:8080", "LISTEN", `"::1:8080"` + address},
		{"LISTEN=a/b:8080", "LISTEN", `"a/b:8080"` + address},
		{"LISTEN=" + strings.Repeat("x", 80), "LISTEN", `"` + strings.Repeat("x", 80) + `"` + address},
		{"LISTEN=" + strings.Repeat("x", 254) + ":1", "LISTEN", `"` + strings.Repeat("x", 80) + `"…` + address},
		{"ADMIN_LISTEN=-x:8080", "ADMIN_LISTEN", `"-x:8080"` + address},

		{"ACCOUNTS=yes", "ACCOUNTS", `"yes" is not a boolean; want true or false`},
		{"SERVER_TIMING=on", "SERVER_TIMING", `"on" is not a boolean; want true or false`},
		{"STATE_DIR=\xff", "STATE_DIR", `contains bytes that are not plain UTF-8 text`},
		{"UPSTREAM_CA=a\x00b", "UPSTREAM_CA", `contains bytes that are not plain UTF-8 text`},

		{"RATE=ten", "RATE", `"ten" is not a whole number from 0 to 1000000, such as 10`},
		{"RATE=-1", "RATE", `"-1" is not a whole number from 0 to 1000000, such as 10`},
		{"RATE=1000001", "RATE", `"1000001" is not a whole number from 0 to 1000000, such as 10`},
		{"RATE=9.5", "RATE", `"9.5" is not a whole number from 0 to 1000000, such as 10`},
		{"RATE_BURST=0", "RATE_BURST", `"0" is not a whole number from 1 to 1000000, such as 10`},
		{"REPLICAS=0", "REPLICAS", `"0" is not a whole number from 1 to 10000, such as 1`},

		{"REDIS_TIMEOUT=50", "REDIS_TIMEOUT", `"50" is not a duration from 1ms to 1m, such as 50ms`},
		{"REDIS_TIMEOUT=0", "REDIS_TIMEOUT", `"0" is not a duration from 1ms to 1m, such as 50ms`},
		{"REDIS_TIMEOUT=-1s", "REDIS_TIMEOUT", `"-1s" is not a duration from 1ms to 1m, such as 50ms`},
		{"UPSTREAM_TIMEOUT=0s", "UPSTREAM_TIMEOUT", `"0s" is not a duration from 1ms to 1h, such as 30s`},
		{"AUTH_TTL=0", "AUTH_TTL", `"0" is not a duration from 1ms to 24h, such as 60s`},
		{"AUTH_NEGATIVE_TTL=-5s", "AUTH_NEGATIVE_TTL", `"-5s" is not a duration from 0s to 24h, such as 5s`},
		{"AUTH_STALE=25h", "AUTH_STALE", `"25h" is not a duration from 0s to 24h, such as 10m`},
		{"RATE_PERIOD=0", "RATE_PERIOD", `"0" is not a duration from 1ms to 1h, such as 1s`},
		{"RATE_MAX_WAIT=-1ms", "RATE_MAX_WAIT", `"-1ms" is not a duration from 0s to 5m, such as 5s`},
		{"DRAIN_DELAY=-1s", "DRAIN_DELAY", `"-1s" is not a duration from 0s to 1h, such as 5s`},
		{"DRAIN_TIMEOUT=forever", "DRAIN_TIMEOUT", `"forever" is not a duration from 0s to 1h, such as 30s`},
		{"CACHE_KEY_TTL=-1s", "CACHE_KEY_TTL", `"-1s" is not a duration of at least 0s, such as 10s`},
		{"CACHE_STORES_TTL=60", "CACHE_STORES_TTL", `"60" is not a duration of at least 0s, such as 60s`},

		{"MAX_BODY=0", "MAX_BODY", `"0" is not a size from 1 to 1GiB, such as 11MiB`},
		{"MAX_CONNECTIONS=-1", "MAX_CONNECTIONS", `"-1" is not a whole number from 0 to 1000000, such as 0`},
		{"MAX_EXCHANGES=15", "MAX_EXCHANGES", `"15" is not a whole number from 16 to 1000000, such as 10000`},
		{"MAX_EXCHANGES=many", "MAX_EXCHANGES", `"many" is not a whole number from 16 to 1000000, such as 10000`},
		{"MAX_BODY=11%20megabytes", "MAX_BODY", `"11 megabytes" is not a size from 1 to 1GiB, such as 11MiB`},
		{"CACHE_BYTES=0", "CACHE_BYTES", `"0" is not a size of at least 1, such as 256MiB`},
		{"CACHE_ENTRY_BYTES=2GiB", "CACHE_ENTRY_BYTES", `"2GiB" is not a size from 1 to 1GiB, such as 1MiB`},

		{"AUTH=none", "AUTH", `"none" is unknown; want some of anypoint, introspect, jwt, mtls`},
		{"RATE_ALGORITHM=bucket", "RATE_ALGORITHM", `"bucket" is unknown; want gcra, window`},
		{"RATE_COUNTS=some", "RATE_COUNTS", `"some" is unknown; want all, upstream`},
		{"RATE_REDIS_DOWN=shut", "RATE_REDIS_DOWN", `"shut" is unknown; want local, open, closed`},
		{"CACHE_SCOPE=all", "CACHE_SCOPE", `"all" is unknown; want client, environment`},
		{"CACHE_RULES=o/e/s", "CACHE_RULES", `"o/e/s" has no =; want org/env/store=off or org/env/store=2s`},
		{"CACHE_RULES=o/e/s=on", "CACHE_RULES", `"o/e/s=on" has an invalid freshness; want off or a duration from 0s to 1h, such as org/env/store=2s`},
		{"CACHE_RULES=o/e/s=2h", "CACHE_RULES", `"o/e/s=2h" has an invalid freshness; want off or a duration from 0s to 1h, such as org/env/store=2s`},
		{"CACHE_RULES=o/e/s=-1s", "CACHE_RULES", `"o/e/s=-1s" has an invalid freshness; want off or a duration from 0s to 1h, such as org/env/store=2s`},
		{"CACHE_RULES=o/e/s/k=off", "CACHE_RULES", `"o/e/s/k=off" has 4 segments; want org, org/env or org/env/store (write a / inside a name as %2F)`},
		{"CACHE_RULES=o/e*=off", "CACHE_RULES", `"o/e*=off" has a * that is not at the end of a store's name; want org/env/APP_billing*=off (write a * inside a name as %2A)`},
		{"CACHE_RULES=o/e/a*b=off", "CACHE_RULES", `"o/e/a*b=off" has a * that is not at the end of a store's name; want org/env/APP_billing*=off (write a * inside a name as %2A)`},
		{"CACHE_RULES=o//s=off", "CACHE_RULES", `"o//s=off" holds an empty segment; want org, org/env or org/env/store`},
		{"CACHE_RULES=o/e/s=off,o/e/s=2s", "CACHE_RULES", `"o/e/s=2s" repeats a place; want one rule for each place`},
		{"CACHE_MODE=off", "CACHE_MODE", `"off" is unknown; want gateway, rfc9111`},
		{"LOG_LEVEL=loud", "LOG_LEVEL", `"loud" is unknown; want debug, info, warn, error`},
		{"LOG_FORMAT=xml", "LOG_FORMAT", `"xml" is unknown; want json, text`},

		{"LOG_SAMPLE=hit", "LOG_SAMPLE", `"hit" is not CLASS=SHARE; want a share from 0 to 1, such as hit=0.01`},
		{"LOG_SAMPLE=hit=2", "LOG_SAMPLE", `"hit=2" is not CLASS=SHARE; want a share from 0 to 1, such as hit=0.01`},
		{"LOG_SAMPLE=hit=NaN", "LOG_SAMPLE", `"hit=NaN" is not CLASS=SHARE; want a share from 0 to 1, such as hit=0.01`},
		{"LOG_SAMPLE=error=0.1", "LOG_SAMPLE", `"error" is not a class; want one of hit, ok, client_error, refused`},
		{"LOG_SAMPLE=hit=0.1,hit=0.2", "LOG_SAMPLE", `"hit" is given twice; want it once`},

		{"POLICY_HEADERS=x:team", "POLICY_HEADERS", `"x:team" is not a header name; want a name such as x-app-name`},
		{"POLICY_HEADERS=x-a,,x-b", "POLICY_HEADERS", `item 2 is empty; want one comma between two items`},
		{"POLICY_HEADERS=X-Team,x-team", "POLICY_HEADERS", `"x-team" is given twice; want it once`},
		{"POLICY_HEADERS=Authorization", "POLICY_HEADERS",
			`"Authorization" contains a secret, so rules may not read it; want a header of your own, such as x-app-name`},

		{"PLANES=us,mars", "PLANES", `"mars" is not a plane; want all, or a list of planes from us,gov,eu,ca,jp`},
		{"PLANES=us,all", "PLANES", `"all" is not a plane; want all, or a list of planes from us,gov,eu,ca,jp`},
		{"PLANES=us,us", "PLANES", `"us" is given twice; want it once`},
		{"PLANES=,", "PLANES", `item 1 is empty; want one comma between two items`},
		{"REGIONS=us/*,", "REGIONS", `item 2 is empty; want one comma between two items`},
		{"REGIONS=us/*,*", "REGIONS", `"*"` + place + ", plane/* or all"},
		{"REGIONS=mars/*", "REGIONS", `"mars/*"` + place + ", plane/* or all"},
		{"REGIONS=us/us-*", "REGIONS", `"us/us-*"` + place + ", plane/* or all"},
		{"DEFAULT_REGION=US/us-east-1", "DEFAULT_REGION", `"US/us-east-1"` + place},
		{"DEFAULT_REGION=us/US-EAST-1", "DEFAULT_REGION", `"us/US-EAST-1"` + place},
		{"DEFAULT_REGION=us/", "DEFAULT_REGION", `"us/"` + place},
		{"DEFAULT_REGION=us/" + strings.Repeat("x", 65), "DEFAULT_REGION", `"us/` + strings.Repeat("x", 65) + `"` + place},
		{"DEFAULT_REGION=/us-east-1", "DEFAULT_REGION", `"/us-east-1"` + place},
		{"DEFAULT_REGION=us/us-east-1/x", "DEFAULT_REGION", `"us/us-east-1/x"` + place},

		{"ROUTES=org", "ROUTES", `"org" has no =; want org=plane/region, org/env=… or org/env/store=…`},
		{"ROUTES=org=mars/x", "ROUTES", `"mars/x"` + place},
		{"ROUTES==us/us-east-1", "ROUTES", `"=us/us-east-1" holds an empty segment; want org, org/env or org/env/store`},
		{"ROUTES=a//b=us/us-east-1", "ROUTES", `"a//b=us/us-east-1" holds an empty segment; want org, org/env or org/env/store`},
		{"ROUTES=a/%zz=us/us-east-1", "ROUTES",
			`"a/%zz=us/us-east-1" holds an invalid percent-encoding; want % and two hexadecimal digits`},
		{"ROUTES=a/%00=us/us-east-1", "ROUTES", `"a/%00=us/us-east-1" holds a segment that is not plain UTF-8 text`},
		{"ROUTES=a/%ff=us/us-east-1", "ROUTES", `"a/%ff=us/us-east-1" holds a segment that is not plain UTF-8 text`},
		{"ROUTES=a/b/c/d=us/us-east-1", "ROUTES",
			`"a/b/c/d=us/us-east-1" has 4 segments; want org, org/env or org/env/store (write a / inside a name as %2F)`},
		{"ROUTES=a=us/us-east-1,%61=eu/eu-west-1", "ROUTES",
			`"%61=eu/eu-west-1" repeats a place; want one route for each place`},

		{"RATE_OVERRIDES=100", "RATE_OVERRIDES", `"100" is not CLIENT_ID=QUOTA; want a pair such as clientId=100`},
		{"RATE_OVERRIDES==100", "RATE_OVERRIDES", `"=100" is not CLIENT_ID=QUOTA; want a pair such as clientId=100`},
		{"RATE_OVERRIDES=a", "RATE_OVERRIDES", `"a" is not CLIENT_ID=QUOTA; want a pair such as clientId=100`},
		{"RATE_OVERRIDES=a=", "RATE_OVERRIDES", `"a=" has no quota from 0 to 1000000; want a pair such as clientId=100`},
		{"RATE_OVERRIDES=a=-1", "RATE_OVERRIDES", `"a=-1" has no quota from 0 to 1000000; want a pair such as clientId=100`},
		{"RATE_OVERRIDES=a=1000001", "RATE_OVERRIDES", `"a=1000001" has no quota from 0 to 1000000; want a pair such as clientId=100`},
		{"RATE_OVERRIDES=a=1,a=2", "RATE_OVERRIDES", `"a=2" repeats a client; want one quota for each client`},
		{"RATE_OVERRIDES=a,,b", "RATE_OVERRIDES", `item 2 is empty; want one comma between two items`},
		{"RATE_OVERRIDES=a\x01=1", "RATE_OVERRIDES", `the client ID of "a\x01=1" contains bytes that are not plain UTF-8 text`},
	} {
		t.Run(tt.environ, tt.check)
	}
}

func TestURLsAreCheckedWithoutRepeatingThem(t *testing.T) {
	const alone = "want only scheme, host and port, such as http://127.0.0.1:8090"
	for _, tt := range []invalid{
		{"UPSTREAM_OVERRIDE=localhost:8090", "UPSTREAM_OVERRIDE", "is not an absolute URL; want http:// or https:// and a host"},
		{"UPSTREAM_OVERRIDE=http:x", "UPSTREAM_OVERRIDE", "is not an absolute URL; want http:// or https:// and a host"},
		{"UPSTREAM_OVERRIDE=ftp://h", "UPSTREAM_OVERRIDE", "is not an absolute URL; want http:// or https:// and a host"},
		{"UPSTREAM_OVERRIDE=http://a:pass%20word@h", "UPSTREAM_OVERRIDE",
			"is not an absolute URL; want http:// or https:// and a host"},
		{"UPSTREAM_OVERRIDE=http://a:password@h", "UPSTREAM_OVERRIDE", "contains a user or password; want a URL without them"},
		{"UPSTREAM_OVERRIDE=http://", "UPSTREAM_OVERRIDE", "has an invalid host or port; want a URL such as https://host:8443"},
		{"UPSTREAM_OVERRIDE=http://:8090", "UPSTREAM_OVERRIDE", "has an invalid host or port; want a URL such as https://host:8443"},
		{"UPSTREAM_OVERRIDE=http://h:", "UPSTREAM_OVERRIDE", "has an invalid host or port; want a URL such as https://host:8443"},
		{"UPSTREAM_OVERRIDE=http://h:70000", "UPSTREAM_OVERRIDE", "has an invalid host or port; want a URL such as https://host:8443"},
		{"UPSTREAM_OVERRIDE=http://h!", "UPSTREAM_OVERRIDE", "has an invalid host or port; want a URL such as https://host:8443"},
		{"UPSTREAM_OVERRIDE=http://h#", "UPSTREAM_OVERRIDE", "has a fragment; want a URL without #"},
		{"UPSTREAM_OVERRIDE=http://h/api/v1", "UPSTREAM_OVERRIDE", "has a path; " + alone},
		{"UPSTREAM_OVERRIDE=http://h/?", "UPSTREAM_OVERRIDE", "has a query; " + alone},
		{"UPSTREAM_OVERRIDE=http://h?a=b", "UPSTREAM_OVERRIDE", "has a query; " + alone},
	} {
		t.Run(tt.environ, tt.check)
	}
}

func TestVariablesThatContradictAreRefused(t *testing.T) {
	const (
		required = "required because OSGATE_ADMIN_LISTEN is not on loopback; want a token here, or a listener on 127.0.0.1"
		port     = "uses the same port as OSGATE_LISTEN; want another port"
		hour     = "longer than 1h: reads that reach OSv2 renew a rolling TTL, so a key served only " +
			"from the cache would expire upstream; want 0s to 1h"
		stale = "longer than 1h together with the freshness that it extends: reads that reach OSv2 renew a rolling " +
			"TTL, so a key served only from the cache would expire upstream; shorten one of the two"
		short = "too short for so many requests; want at least one microsecond for each request of OSGATE_RATE and " +
			"OSGATE_RATE_OVERRIDES"
		reach  = "; want a location that may be reached"
		prefix = "not usable in Redis keys; want up to 64 letters, digits and -._:"
		// guessed is the problem for a token that an attacker can guess.
		guessed = "shorter than 16 characters: it can be guessed over the network, because OSGATE_ADMIN_LISTEN is not on loopback; " +
			"want a random token, such as openssl rand -hex 32 prints"
	)
	for _, tt := range []invalid{
		{"ADMIN_LISTEN=:8081", "ADMIN_TOKEN", required},
		{"ADMIN_LISTEN=0.0.0.0:8081", "ADMIN_TOKEN", required},
		{"ADMIN_LISTEN=[::]:8081", "ADMIN_TOKEN", required},
		{"ADMIN_LISTEN=10.0.0.1:8081", "ADMIN_TOKEN", required},
		{"ADMIN_LISTEN=localhost.example:8081", "ADMIN_TOKEN", required},
		{"LISTEN=:8081", "ADMIN_LISTEN", port},
		{"LISTEN=0.0.0.0:8081", "ADMIN_LISTEN", port},
		{"LISTEN=127.0.0.1:9000 ADMIN_LISTEN=127.0.0.1:9000", "ADMIN_LISTEN", port},
		{"LISTEN=127.0.0.1:9000 ADMIN_LISTEN=[::]:9000 ADMIN_TOKEN=0123456789abcdef", "ADMIN_LISTEN", port},
		{"ADMIN_LISTEN=:8081 ADMIN_TOKEN=0123456789abcde", "ADMIN_TOKEN", guessed},
		{"ADMIN_LISTEN=10.0.0.1:8081 ADMIN_TOKEN=x", "ADMIN_TOKEN", guessed},

		{"METRICS_LISTEN=:8080", "METRICS_LISTEN", port},
		{"METRICS_LISTEN=0.0.0.0:8081", "METRICS_LISTEN",
			"uses the same port as OSGATE_ADMIN_LISTEN; want another port"},
		{"METRICS_LISTEN=9090", "METRICS_LISTEN",
			`"9090" is not an address; want host:port or :port, such as 127.0.0.1:8080`},
		{"ADMIN_TLS_CERT=c.pem", "ADMIN_TLS_KEY",
			"missing although OSGATE_ADMIN_TLS_CERT is set; want both or neither"},
		{"ADMIN_TLS_KEY=k.pem", "ADMIN_TLS_CERT",
			"missing although OSGATE_ADMIN_TLS_KEY is set; want both or neither"},

		{"TLS_CERT=c.pem", "TLS_KEY", "missing although OSGATE_TLS_CERT is set; want both or neither"},
		{"TLS_KEY=k.pem", "TLS_CERT", "missing although OSGATE_TLS_KEY is set; want both or neither"},
		{"TLS_CLIENT_CA=ca.pem", "TLS_CLIENT_CA", "needs HTTPS; set OSGATE_TLS_CERT and OSGATE_TLS_KEY too"},

		{"REDIS_PREFIX={osgate}", "REDIS_PREFIX", prefix},
		{"REDIS_PREFIX=a%20b", "REDIS_PREFIX", prefix},
		{"REDIS_PREFIX=" + strings.Repeat("x", 65), "REDIS_PREFIX", prefix},

		{"PLANES=us REGIONS=us/*,eu/*", "REGIONS", `"eu/*" is not in a plane of OSGATE_PLANES` + reach},
		{"PLANES=us REGIONS=eu/eu-west-1", "REGIONS", `"eu/eu-west-1" is not in a plane of OSGATE_PLANES` + reach},
		{"PLANES=eu DEFAULT_REGION=us/us-east-1", "DEFAULT_REGION", `"us/us-east-1" is not in a plane of OSGATE_PLANES` + reach},
		{"REGIONS=eu/*,us/us-east-2 DEFAULT_REGION=us/us-east-1", "DEFAULT_REGION",
			`"us/us-east-1" is not allowed by OSGATE_REGIONS` + reach},
		{"REGIONS=us/us-east-2 DEFAULT_REGION=us-east-1", "DEFAULT_REGION", `"us-east-1" is not allowed by OSGATE_REGIONS` + reach},
		{"PLANES=eu ROUTES=a=eu/eu-west-1,b=us/us-east-1", "ROUTES", `"us/us-east-1" is not in a plane of OSGATE_PLANES` + reach},
		{"REGIONS=eu/* ROUTES=a=eu/eu-west-1,b=us/us-east-1", "ROUTES", `"us/us-east-1" is not allowed by OSGATE_REGIONS` + reach},

		{"RATE=1001 RATE_PERIOD=1ms", "RATE_PERIOD", short},
		{"RATE_OVERRIDES=a=1001 RATE_PERIOD=1ms", "RATE_PERIOD", short},

		{"CACHE_KEY_TTL=1h1ns", "CACHE_KEY_TTL", hour},
		{"CACHE_STORES_TTL=2h", "CACHE_STORES_TTL", hour},
		{"CACHE_STALE_IF_ERROR=59m30s", "CACHE_STALE_IF_ERROR", stale},
		{"CACHE_KEY_TTL=1h CACHE_STALE_WHILE_REVALIDATE=1s", "CACHE_STALE_WHILE_REVALIDATE", stale},
	} {
		t.Run(tt.environ, tt.check)
	}
}

func TestSettingsAtTheirLimitsAreAccepted(t *testing.T) {
	for _, environ := range []string{
		"ADMIN_LISTEN=localhost:0 LISTEN=localhost:0",
		"ADMIN_LISTEN=[::1]:8081", "ADMIN_LISTEN=[::ffff:127.0.0.1]:8081", "ADMIN_LISTEN=127.9.9.9:1",
		"ADMIN_LISTEN=:8081 ADMIN_TOKEN=a-Z.0~!89abcdef0", "ADMIN_TOKEN=x", "LISTEN=127.0.0.2:8081", "LISTEN=gate_way.internal:8080",
		"TLS_CERT=c.pem TLS_KEY=k.pem TLS_CLIENT_CA=ca.pem", "ADMIN_TLS_CERT=c.pem ADMIN_TLS_KEY=k.pem",
		"METRICS_LISTEN=:9090", "METRICS_LISTEN=localhost:0 LISTEN=localhost:0",
		"LISTEN=azAZ09:8080", "LISTEN=" + strings.Repeat("x", 253) + ":8080", "DEFAULT_REGION=" + strings.Repeat("x", 64),
		"REDIS_PREFIX=osgate:prod-1.a_b", "REDIS_PREFIX=" + strings.Repeat("x", 64), "REDIS_TIMEOUT=1ms", "REDIS_TIMEOUT=1m",
		"RATE=0 RATE_MAX_WAIT=0", "RATE=1000 RATE_PERIOD=1ms", "RATE_BURST=1", "RATE_OVERRIDES=a=0,b=1000000", "REPLICAS=10000",
		"CACHE_KEY_TTL=1h CACHE_STORES_TTL=0", "CACHE_BYTES=1B CACHE_ENTRY_BYTES=1GiB", "MAX_BODY=1GiB", "MAX_EXCHANGES=16", "MAX_EXCHANGES=1000000",
		"PLANES=us,eu REGIONS=eu/*,us/us-east-1 DEFAULT_REGION=us/us-east-1 ROUTES=a=eu/eu-west-1,b=us-east-1",
		"REGIONS=us-east-1 DEFAULT_REGION=us/us-east-1", "REGIONS=us-east-1 DEFAULT_REGION=us-east-1", "PLANES=eu REGIONS=eu-west-1",
		"UPSTREAM_OVERRIDE=http://127.0.0.1:8090/", "UPSTREAM_OVERRIDE=https://osemu", "UPSTREAM_OVERRIDE=http://[::1]:8090",
		"LOG_LEVEL=DEBUG LOG_FORMAT=text", "DRAIN_DELAY=0 DRAIN_TIMEOUT=0", "AUTH_NEGATIVE_TTL=0 AUTH_STALE=0",
		"AUTH=introspect AUTH_CLIENT_ID=a AUTH_CLIENT_SECRET=s AUTH_INTROSPECTION_URL=https://h/x", "AUTH_FAILURE_RATE=0",
		"RATE_ALGORITHM=window RATE=1000 BUDGET=1000", "BUDGET=1000000 BUDGET_BY=store", "RATE_COUNTS=upstream", "DISCOVER=true",
		"TRUSTED_PROXIES=10.0.0.0/8,::1/128", "CACHE_SCOPE=environment CACHE_SHARED=false",
		"CACHE_STALE_IF_ERROR=59m CACHE_STALE_WHILE_REVALIDATE=59m", "CACHE_KEY_TTL=1h",
		"CACHE_MODE=rfc9111 LISTEN=127.0.0.1:8080 UPSTREAM_OVERRIDE=http://127.0.0.1:1",
	} {
		t.Run(environ, func(t *testing.T) {
			var items []string
			for item := range strings.FieldsSeq(environ) {
				items = append(items, config.Prefix+item)
			}
			loaded(t, items...)
		})
	}
}

func TestSecretsAreCheckedWithoutRepeatingThem(t *testing.T) {
	const (
		key       = "; want exactly 32 random bytes in base64, such as openssl rand -base64 32 prints"
		redis     = "; want redis://user:password@host:6379/0 or rediss://…, with special characters percent-encoded"
		header    = "contains characters that an Authorization header cannot carry; want visible ASCII without spaces"
		path      = "; want the path of a readable file that contains the value"
		unread    = "has a query or fragment that cannot be read"
		numberNot = "has a path that is not a database number"
	)
	empty, large := secretFile(t, "\n"), secretFile(t, strings.Repeat("x", 64<<10+1))
	none := filepath.Join(t.TempDir(), "none")
	for _, tt := range []invalid{
		{"SECRET=" + base64.StdEncoding.EncodeToString(make([]byte, 31)), "SECRET", "holds 31 bytes" + key},
		{"SECRET=" + base64.StdEncoding.EncodeToString(make([]byte, 33)), "SECRET", "holds 33 bytes" + key},
		{"SECRET=not*base64", "SECRET", "is not base64" + key},
		{"SECRET====", "SECRET", "holds 0 bytes" + key},
		{"SECRET_FILE=" + secretFile(t, "not*base64"), "SECRET_FILE", "is not base64" + key},
		{"ADMIN_TOKEN=with%20space", "ADMIN_TOKEN", header},
		{"ADMIN_TOKEN=ünïcode", "ADMIN_TOKEN", header},
		{"ADMIN_TOKEN=new\x7fline", "ADMIN_TOKEN", header},

		{"REDIS_URL=localhost:6379", "REDIS_URL", "does not begin with redis:// or rediss://" + redis},
		{"REDIS_URL=redis:localhost", "REDIS_URL", "does not begin with redis:// or rediss://" + redis},
		{"REDIS_URL=http://u:hunter2@h", "REDIS_URL", "does not begin with redis:// or rediss://" + redis},
		{"REDIS_URL=redis://u:hunter2@h:port", "REDIS_URL", "is not a URL" + redis},
		{"REDIS_URL=redis://u:hun%20ter2@h", "REDIS_URL", "is not a URL" + redis},
		{"REDIS_URL=redis://u:1/hunter2@h", "REDIS_URL", numberNot + redis},
		{"REDIS_URL=redis://h/hunter2", "REDIS_URL", numberNot + redis},
		{"REDIS_URL=redis://u:1?hunter2@h", "REDIS_URL", unread + redis},
		{"REDIS_URL=redis://u:1#hunter2@h", "REDIS_URL", unread + redis},
		{"REDIS_URL=redis://h?a;b", "REDIS_URL", unread + redis},

		{"ADMIN_TOKEN_FILE=" + none, "ADMIN_TOKEN_FILE", "the file cannot be opened: no such file or directory" + path},
		{"ADMIN_TOKEN_FILE=" + t.TempDir(), "ADMIN_TOKEN_FILE", "the file cannot be read: is a directory" + path},
		{"ADMIN_TOKEN_FILE=" + empty, "ADMIN_TOKEN_FILE", "the file is empty" + path},
		{"ADMIN_TOKEN_FILE=" + large, "ADMIN_TOKEN_FILE", "the file is larger than 65536 bytes" + path},
		{"ADMIN_TOKEN=x ADMIN_TOKEN_FILE=" + none, "ADMIN_TOKEN_FILE",
			"set together with OSGATE_ADMIN_TOKEN; want only one of the two"},
	} {
		t.Run(tt.variable+"_"+tt.detail, tt.check)
	}
}

func TestUsableSecretsAreAccepted(t *testing.T) {
	raw := []byte("\xff\xfe\xfd\xfc456789abcdef0123456789abcdef")
	for name, encoding := range map[string]*base64.Encoding{
		"standard": base64.StdEncoding, "raw": base64.RawStdEncoding, "URL": base64.URLEncoding, "raw URL": base64.RawURLEncoding,
	} {
		c := loaded(t, "OSGATE_SECRET="+encoding.EncodeToString(raw))
		if got := string(c.Key()); got != string(raw) {
			t.Errorf("key in %s base64 is %q, want %q", name, got, raw)
		}
	}
	for _, url := range []string{
		"redis://localhost", "redis://:p%40ss@h:6379/15", "rediss://u:p@h:6380", "redis://[::1]:6379/0?pool_size=5",
		"redis://u:p@a:7000?addr=b:7000&addr=c:7000", "redis://s:26379/1?master_name=mymaster&addr=t:26379",
	} {
		if got := loaded(t, "OSGATE_REDIS_URL="+url).Redis.URL.Reveal(); got != url {
			t.Errorf("Redis URL is %q, want %q", got, url)
		}
	}
}
