package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// rule checks one variable beyond its syntax, usually together with others.
type rule struct {
	// reads names the variables that the rule reads, without prefix. The problem is
	// reported for the first one. If any of them already has a problem, the rule is not
	// applied.
	reads []string
	// broken returns the problem with the values that are valid, "" if there is none. It
	// contains no secret.
	broken func(c Config) string
}

// on returns a rule that is broken if condition holds.
func on(condition func(c Config) bool, detail string, variables ...string) rule {
	return rule{reads: variables, broken: func(c Config) string {
		if condition(c) {
			return detail
		}
		return ""
	}}
}

// applyRules adds the problems that the rules find in c.
func (l *loader) applyRules(c Config) {
	bad := map[string]bool{}
	for _, p := range l.problems {
		if i, known := l.byName[p.Variable]; known {
			bad[l.fields[i].Name] = true
		}
	}
	for _, r := range slices.Concat(
		listenerRules(), redisRules(), regionRules(), upstreamRules(), brokeringRules(), rateRules(), cacheRules(),
	) {
		if slices.ContainsFunc(r.reads, func(name string) bool { return bad[Prefix+name] }) {
			continue
		}
		if detail := r.broken(c); detail != "" {
			l.problems = append(l.problems, l.problem(&l.fields[l.byName[Prefix+r.reads[0]]], detail))
		}
	}
}

func listenerRules() []rule {
	return []rule{
		on(func(c Config) bool { return collide(c.Listen, c.Admin.Listen) },
			"uses the same port as OSGATE_LISTEN; want another port", "ADMIN_LISTEN", "LISTEN"),
		on(func(c Config) bool { return collide(c.Listen, c.Metrics) },
			"uses the same port as OSGATE_LISTEN; want another port", "METRICS_LISTEN", "LISTEN"),
		on(func(c Config) bool { return collide(c.Admin.Listen, c.Metrics) },
			"uses the same port as OSGATE_ADMIN_LISTEN; want another port", "METRICS_LISTEN", "ADMIN_LISTEN"),
		on(func(c Config) bool { return !c.Admin.Listen.Loopback() && c.Admin.Token.Reveal() == "" },
			"required because OSGATE_ADMIN_LISTEN is not on loopback; want a token here, or a listener on 127.0.0.1",
			"ADMIN_TOKEN", "ADMIN_LISTEN"),
		on(func(c Config) bool { return strings.ContainsFunc(c.Admin.Token.Reveal(), notVisible) },
			"contains characters that an Authorization header cannot carry; want visible ASCII without spaces",
			"ADMIN_TOKEN"),
		// The right token is never refused, however many wrong tokens arrive. Only its
		// length protects it from being guessed.
		on(func(c Config) bool {
			return !c.Admin.Listen.Loopback() && c.Admin.Token.Reveal() != "" && c.Admin.ShortToken()
		},
			fmt.Sprintf("shorter than %d characters: it can be guessed over the network, because OSGATE_ADMIN_LISTEN is not on loopback; "+
				"want a random token, such as openssl rand -hex 32 prints", MinAdminToken),
			"ADMIN_TOKEN", "ADMIN_LISTEN"),
		{reads: []string{"SECRET"}, broken: func(c Config) string {
			if _, err := decodeKey(c.Secret.Reveal()); err != nil && c.Secret.Reveal() != "" {
				return err.Error() + "; want exactly 32 random bytes in base64, such as openssl rand -base64 32 prints"
			}
			return ""
		}},
		on(func(c Config) bool { return c.TLS.Cert == "" && c.TLS.Key != "" },
			"missing although OSGATE_TLS_KEY is set; want both or neither", "TLS_CERT", "TLS_KEY"),
		on(func(c Config) bool { return c.TLS.Cert != "" && c.TLS.Key == "" },
			"missing although OSGATE_TLS_CERT is set; want both or neither", "TLS_KEY", "TLS_CERT"),
		on(func(c Config) bool {
			return c.TLS.ClientCA != "" && c.TLS.Cert == "" && c.TLS.Key == "" && c.Auth.MTLSHeader == ""
		},
			"needs HTTPS; set OSGATE_TLS_CERT and OSGATE_TLS_KEY too", "TLS_CLIENT_CA", "TLS_CERT", "TLS_KEY",
			"AUTH_MTLS_HEADER"),
		on(func(c Config) bool { return c.Admin.TLSCert == "" && c.Admin.TLSKey != "" },
			"missing although OSGATE_ADMIN_TLS_KEY is set; want both or neither", "ADMIN_TLS_CERT", "ADMIN_TLS_KEY"),
		on(func(c Config) bool { return c.Admin.TLSCert != "" && c.Admin.TLSKey == "" },
			"missing although OSGATE_ADMIN_TLS_CERT is set; want both or neither", "ADMIN_TLS_KEY", "ADMIN_TLS_CERT"),
	}
}

// notVisible reports whether r is not a visible ASCII character (RFC 5234, VCHAR).
func notVisible(r rune) bool { return r < 0x21 || r > 0x7e }

func redisRules() []rule {
	return []rule{
		{reads: []string{"REDIS_URL"}, broken: func(c Config) string {
			if c.Redis.URL.Reveal() == "" {
				return ""
			}
			if err := checkRedisURL(c.Redis.URL.Reveal()); err != nil {
				return err.Error() +
					"; want redis://user:password@host:6379/0 or rediss://…, with special characters percent-encoded"
			}
			return ""
		}},
		// Braces would move every key into one hash slot of a cluster, or out of the
		// slot it shares with others.
		on(func(c Config) bool { return !only(c.Redis.Prefix, "-._:") || len(c.Redis.Prefix) > 64 },
			"not usable in Redis keys; want up to 64 letters, digits and -._:", "REDIS_PREFIX"),
	}
}

// checkRedisURL checks the parts of a URL that go-redis's ParseURL, ParseClusterURL and
// ParseFailoverURL read in the same way. Its errors contain no part of the URL. The
// errors of net/url would contain all of it, with the password.
func checkRedisURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return errors.New("is not a URL")
	}
	if u.Scheme != "redis" && u.Scheme != "rediss" || !strings.Contains(text, "://") {
		return errors.New("does not begin with redis:// or rediss://")
	}
	if database := strings.Trim(u.Path, "/"); database != "" {
		if _, err := strconv.ParseUint(database, 10, 31); err != nil {
			return errors.New("has a path that is not a database number")
		}
	}
	// An @ here is most likely the end of a password that contains a ? or #.
	if _, err := url.ParseQuery(u.RawQuery); err != nil ||
		strings.ContainsAny(u.RawQuery, "@") || strings.Contains(text, "#") {
		return errors.New("has a query or fragment that cannot be read")
	}
	return nil
}

func regionRules() []rule {
	const reachable = "; want a location that may be reached"
	outside := func(c Config, l Location) string {
		switch {
		case l.Plane() != "" && !c.Regions.Planes.Has(l.Plane()):
			return quote(string(l)) + " is not in a plane of OSGATE_PLANES" + reachable
		case !c.Regions.Allowed.admits(l):
			return quote(string(l)) + " is not allowed by OSGATE_REGIONS" + reachable
		}
		return ""
	}
	return []rule{
		{reads: []string{"REGIONS", "PLANES"}, broken: func(c Config) string {
			for _, pattern := range c.Regions.Allowed {
				if plane := Location(pattern).Plane(); plane != "" && !c.Regions.Planes.Has(plane) {
					return quote(pattern) + " is not in a plane of OSGATE_PLANES" + reachable
				}
			}
			return ""
		}},
		{reads: []string{"DEFAULT_REGION", "PLANES", "REGIONS"}, broken: func(c Config) string {
			if c.Regions.Default == "" {
				return ""
			}
			return outside(c, c.Regions.Default)
		}},
		{reads: []string{"ROUTES", "PLANES", "REGIONS"}, broken: func(c Config) string {
			for _, route := range c.Regions.Routes {
				if detail := outside(c, route.Location); detail != "" {
					return detail
				}
			}
			return ""
		}},
	}
}

// admits reports whether a pattern may match l. If one of the two is a bare region id,
// its plane is unknown here and only the regions are compared.
func (p Patterns) admits(l Location) bool {
	return p == nil || slices.ContainsFunc(p, func(pattern string) bool {
		pl := Location(pattern)
		planes := pl.Plane() == "" || l.Plane() == "" || pl.Plane() == l.Plane()
		return planes && (pl.Region() == "*" || pl.Region() == l.Region())
	})
}

func upstreamRules() []rule {
	introspects := func(c Config) bool { return c.Auth.Methods.Has("introspect") }
	return []rule{
		on(func(c Config) bool {
			u := c.Upstream.Override.Reveal()
			return u != nil && u.Path != "" && u.Path != "/"
		},
			"has a path; want only scheme, host and port, such as http://127.0.0.1:8090", "UPSTREAM_OVERRIDE"),
		on(func(c Config) bool {
			u := c.Upstream.Override.Reveal()
			return u != nil && (u.RawQuery != "" || u.ForceQuery)
		},
			"has a query; want only scheme, host and port, such as http://127.0.0.1:8090", "UPSTREAM_OVERRIDE"),
		on(func(c Config) bool { return introspects(c) && c.Auth.ClientID == "" },
			"required by OSGATE_AUTH=introspect; want the ID of a connected app", "AUTH_CLIENT_ID", "AUTH"),
		on(func(c Config) bool { return introspects(c) && c.Auth.ClientSecret.Reveal() == "" },
			"required by OSGATE_AUTH=introspect; want the secret of the connected app", "AUTH_CLIENT_SECRET", "AUTH"),
		on(func(c Config) bool { return c.Policy.Shadow && c.Policy.Path == "" },
			"has no effect without a policy; set OSGATE_POLICY too", "POLICY_SHADOW", "POLICY"),
	}
}

// brokeringRules check the settings by which clients need no Anypoint credential.
func brokeringRules() []rule {
	jwt := func(c Config) bool { return c.Auth.Methods.Has(methodJWT) }
	mtls := func(c Config) bool { return c.Auth.Methods.Has(methodMTLS) }
	broker := func(c Config) bool { return c.Auth.Methods.Broker() }
	return []rule{
		on(func(c Config) bool { return jwt(c) && len(c.Auth.Issuers) == 0 },
			"required by the method jwt of OSGATE_AUTH; want the URLs of OIDC issuers", "AUTH_ISSUERS", "AUTH"),
		on(func(c Config) bool { return jwt(c) && c.Auth.Audience == "" },
			"required by the method jwt of OSGATE_AUTH: without it a token for any other service would be accepted; "+
				"want the audience of this gateway's tokens, such as osgate", "AUTH_AUDIENCE", "AUTH"),
		on(func(c Config) bool { return !jwt(c) && len(c.Auth.Issuers) > 0 },
			"has no effect without the method jwt; want OSGATE_AUTH=jwt or a list with it", "AUTH_ISSUERS", "AUTH"),
		on(func(c Config) bool { return mtls(c) && c.TLS.ClientCA == "" },
			"required by the method mtls of OSGATE_AUTH; want the file of the authority of client certificates",
			"TLS_CLIENT_CA", "AUTH"),
		on(func(c Config) bool { return c.Auth.MTLSHeader != "" && !mtls(c) },
			"has no effect without the method mtls; want OSGATE_AUTH=mtls or a list with it", "AUTH_MTLS_HEADER", "AUTH"),
		on(func(c Config) bool { return c.Auth.MTLSHeader != "" && len(c.Server.TrustedProxies) == 0 },
			"is trusted from OSGATE_TRUSTED_PROXIES only; set that too", "AUTH_MTLS_HEADER", "TRUSTED_PROXIES"),
		on(func(c Config) bool { return c.TLS.ClientCRL != "" && c.TLS.ClientCA == "" },
			"has no effect without OSGATE_TLS_CLIENT_CA; set that too", "TLS_CLIENT_CRL", "TLS_CLIENT_CA"),
		on(func(c Config) bool { return broker(c) && c.Upstream.ClientID == "" },
			"required by the methods jwt and mtls of OSGATE_AUTH; want the client ID of the gateway's own connected app",
			"UPSTREAM_CLIENT_ID", "AUTH"),
		on(func(c Config) bool { return broker(c) && c.Upstream.ClientSecret.Reveal() == "" },
			"required by the methods jwt and mtls of OSGATE_AUTH; want the secret of the gateway's own connected app",
			"UPSTREAM_CLIENT_SECRET", "AUTH"),
		on(func(c Config) bool { return !broker(c) && c.Upstream.ClientID != "" },
			"has no effect without the method jwt or mtls; want OSGATE_AUTH=jwt or a list with it",
			"UPSTREAM_CLIENT_ID", "AUTH"),
		on(func(c Config) bool { return broker(c) && c.Policy.Path == "" },
			"required by the methods jwt and mtls of OSGATE_AUTH: what no rule permits is denied; want a Cedar policy",
			"POLICY", "AUTH"),
		on(func(c Config) bool { return broker(c) && c.Policy.Shadow },
			"would let every client with a credential do everything with the gateway's own connected app; "+
				"want false with the methods jwt and mtls of OSGATE_AUTH", "POLICY_SHADOW", "AUTH"),
	}
}

// maxWindowRate bounds RATE if RATE_ALGORITHM is window, which stores the instant of
// every request of a period.
const maxWindowRate = 1000

func rateRules() []rule {
	highest := func(c Config) int {
		most := c.Rate.Limit
		for _, limit := range c.Rate.Overrides {
			most = max(most, limit)
		}
		return most
	}
	tooMany := func(limit int, c Config) bool { return c.Rate.Algorithm == "window" && limit > maxWindowRate }
	window := fmt.Sprintf(
		"too high for OSGATE_RATE_ALGORITHM=window, which stores every request of a period; want at most %d",
		maxWindowRate)
	return []rule{
		on(func(c Config) bool { return tooMany(c.Rate.Limit, c) }, window, "RATE", "RATE_ALGORITHM"),
		on(func(c Config) bool { return tooMany(highest(Config{Rate: Rate{Overrides: c.Rate.Overrides}}), c) },
			window, "RATE_OVERRIDES", "RATE_ALGORITHM"),
		on(func(c Config) bool { return tooMany(c.Budget.Limit, c) }, window, "BUDGET", "RATE_ALGORITHM"),
		// Redis's clock counts microseconds: more requests could not be distinguished.
		on(func(c Config) bool { return c.Rate.Period < time.Duration(highest(c))*time.Microsecond },
			"too short for so many requests; want at least one microsecond for each request of OSGATE_RATE and OSGATE_RATE_OVERRIDES",
			"RATE_PERIOD", "RATE", "RATE_OVERRIDES"),
	}
}

func cacheRules() []rule {
	const why = "longer than 1h: reads that reach OSv2 renew a rolling TTL, so a key served only " +
		"from the cache would expire upstream; want 0s to 1h"
	long := func(ttl func(Cache) time.Duration) func(Config) bool {
		return func(c Config) bool { return ttl(c.Cache) > time.Hour }
	}
	const staleWhy = "longer than 1h together with the freshness that it extends: reads that reach OSv2 renew a rolling " +
		"TTL, so a key served only from the cache would expire upstream; shorten one of the two"
	tooStale := func(stale func(Cache) time.Duration) func(Config) bool {
		return func(c Config) bool {
			s := stale(c.Cache)
			return s > 0 && s+max(c.Cache.KeyTTL, c.Cache.StoresTTL, c.Cache.KeysTTL) > time.Hour
		}
	}
	plain := func(c Config) bool { return c.Cache.Mode == "rfc9111" }
	return []rule{
		on(long(func(c Cache) time.Duration { return c.KeyTTL }), why, "CACHE_KEY_TTL"),
		on(long(func(c Cache) time.Duration { return c.StoresTTL }), why, "CACHE_STORES_TTL"),
		on(long(func(c Cache) time.Duration { return c.KeysTTL }), why, "CACHE_KEYS_TTL"),
		on(tooStale(func(c Cache) time.Duration { return c.StaleIfError }), staleWhy,
			"CACHE_STALE_IF_ERROR", "CACHE_KEY_TTL", "CACHE_STORES_TTL", "CACHE_KEYS_TTL"),
		on(tooStale(func(c Cache) time.Duration { return c.StaleWhileRevalidate }), staleWhy,
			"CACHE_STALE_WHILE_REVALIDATE", "CACHE_KEY_TTL", "CACHE_STORES_TTL", "CACHE_KEYS_TTL"),
		on(func(c Config) bool { return plain(c) && c.Upstream.Override.Reveal() == nil },
			"rfc9111 needs an origin; set OSGATE_UPSTREAM_OVERRIDE too", "CACHE_MODE", "UPSTREAM_OVERRIDE"),
		on(func(c Config) bool { return plain(c) && !c.Listen.Loopback() },
			"rfc9111 checks neither identity nor quota; want OSGATE_LISTEN on 127.0.0.1", "CACHE_MODE", "LISTEN"),
	}
}
