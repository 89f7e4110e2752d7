package config

import (
	"net/netip"
	"time"
)

// Config holds the values that [Load] read from the environment, one section per
// concern. The desc tag of a field is its documentation; a field has a comment only if
// its Go value needs one. The zero value is not usable, because Load fills in the
// defaults. A Config is not changed after Load and is then safe for concurrent use;
// [Config.WithLines] returns a new one.
type Config struct {
	Listen   Address `env:"LISTEN" envDefault:":8080" desc:"address for clients"`
	Admin    Admin
	Metrics  Address `env:"METRICS_LISTEN" desc:"address of a listener of its own for /metrics, /livez and /readyz alone: plain HTTP without a token; empty: none"`
	Secret   Secret  `env:"SECRET" desc:"32 bytes in base64, the same on every replica: the key that hashes tokens and seals data shared in Redis"`
	Accounts bool    `env:"ACCOUNTS" envDefault:"true" desc:"forward Access Management calls"`

	AccountsRate int `env:"ACCOUNTS_RATE" envDefault:"10" min:"0" max:"1000000" desc:"Access Management calls per second before 429, for each known token and, without one, each client address; 0: no limit"`

	TLS      TLS
	Redis    Redis
	StateDir string `env:"STATE_DIR" desc:"folder in which embedded mode stores statistics; empty: memory only"`
	Regions  Regions
	Upstream Upstream
	Auth     Auth
	Rate     Rate
	Budget   Budget
	Cache    Cache
	Policy   Policy
	Server   Server
	Log      Log
	Trace    Trace

	settings map[string]setting // by full name: the values given, secrets masked
	given    map[string]Secret  // the same with the values unmasked
	files    map[string]string  // by the variable's own name: the file that it was read from
}

// Admin holds the settings of the admin listener, which speaks plain HTTP without
// TLSCert. Whether the files load is not checked here.
type Admin struct {
	Listen  Address `env:"ADMIN_LISTEN" envDefault:"127.0.0.1:8081" desc:"address for operators"`
	Token   Secret  `env:"ADMIN_TOKEN" desc:"bearer token of the admin listener; required, with 16 characters or more, if that listener is not on loopback"`
	TLSCert string  `env:"ADMIN_TLS_CERT" desc:"certificate chain file (PEM) of the admin listener: HTTPS; read again when it changes"`
	TLSKey  string  `env:"ADMIN_TLS_KEY" desc:"private key file (PEM) of that certificate"`
}

// MinAdminToken is the smallest length, in characters, of a token that only its length
// protects: with 16 hexadecimal digits there are 2^64 of them.
const MinAdminToken = 16

// ShortToken reports whether the token has fewer than MinAdminToken characters.
func (a Admin) ShortToken() bool { return len(a.Token.Reveal()) < MinAdminToken }

// TLS names the PEM files of the client listener, which speaks plain HTTP without Cert.
// Whether the files load is not checked here.
type TLS struct {
	Cert      string `env:"TLS_CERT" desc:"certificate chain file (PEM): HTTPS and HTTP/2; read again when it changes"`
	Key       string `env:"TLS_KEY" desc:"private key file (PEM) of the certificate"`
	ClientCA  string `env:"TLS_CLIENT_CA" desc:"CA file (PEM): clients must present a certificate issued by it; optional if AUTH lists mtls and another method, or behind a proxy with AUTH_MTLS_HEADER"`
	ClientCRL string `env:"TLS_CLIENT_CRL" desc:"certificate revocation list file (PEM or DER) for client certificates; read again when it changes"`
}

// Redis configures the state that replicas share. Without a URL the gateway is one
// process with embedded stores.
type Redis struct {
	URL     Secret        `env:"REDIS_URL" desc:"redis:// or rediss://, cluster and sentinel forms as go-redis parses them; empty: embedded, one process"`
	Timeout time.Duration `env:"REDIS_TIMEOUT" envDefault:"50ms" min:"1ms" max:"1m" desc:"upper bound for one round trip to Redis"`
	Prefix  string        `env:"REDIS_PREFIX" envDefault:"osgate" desc:"prefix of every key in Redis"`
}

// Regions configures the locations that may be reached, and the location of a request
// that does not name one itself.
type Regions struct {
	Planes  Planes   `env:"PLANES" envDefault:"all" desc:"control planes that may be reached, such as us,eu"`
	Allowed Patterns `env:"REGIONS" envDefault:"all" desc:"locations that may be reached (data residency), such as eu/*,us/us-east-1"`
	Default Location `env:"DEFAULT_REGION" desc:"location of requests that name none, such as us/us-east-1"`
	Routes  Routes   `env:"ROUTES" file:"lines" desc:"org=plane/region,org/env=plane/region,org/env/store=plane/region; the longest match wins"`

	Discover bool `env:"DISCOVER" envDefault:"false" desc:"search for a store in the allowed regions of one plane"`
}

// Upstream configures how Object Store v2 and the control planes are called. Override
// is the URL of a host without path and query, or no URL if unset.
type Upstream struct {
	Override URL           `env:"UPSTREAM_OVERRIDE" desc:"send every upstream and control-plane call to this base URL, Host header kept"`
	CA       string        `env:"UPSTREAM_CA" desc:"file of an extra trusted CA (PEM)"`
	Timeout  time.Duration `env:"UPSTREAM_TIMEOUT" envDefault:"30s" min:"1ms" max:"1h" desc:"longest time from a request's last byte to its answer's first byte, retries included"`
	Idle     time.Duration `env:"UPSTREAM_IDLE_TIMEOUT" envDefault:"30s" min:"1s" max:"1h" desc:"how long an idle upstream connection stays open; set it below the idle timeout of upstream's servers and load balancers"`

	ClientID     string `env:"UPSTREAM_CLIENT_ID" desc:"client ID of the gateway's own connected app, with whose token the requests of jwt and mtls clients go upstream"`
	ClientSecret Secret `env:"UPSTREAM_CLIENT_SECRET" desc:"its secret; the file is read again before each new token"`
}

// Auth configures how clients are identified. IntrospectionURL is no URL if unset.
type Auth struct {
	Methods          Methods       `env:"AUTH" envDefault:"anypoint" desc:"list of ways to identify clients, the first that recognizes the credential decides: anypoint (/accounts/api/me), introspect (RFC 7662), jwt (OIDC issuers), mtls (client certificate)"`
	TTL              time.Duration `env:"AUTH_TTL" envDefault:"60s" min:"1ms" max:"24h" desc:"how long the identity of a token is kept; a right revoked at Anypoint ends within this time"`
	NegativeTTL      time.Duration `env:"AUTH_NEGATIVE_TTL" envDefault:"5s" min:"0s" max:"24h" desc:"how long the refusal of a token is kept"`
	Stale            time.Duration `env:"AUTH_STALE" envDefault:"10m" min:"0s" max:"24h" desc:"how long a known token is still forwarded while the control plane is down"`
	ClientID         string        `env:"AUTH_CLIENT_ID" desc:"client ID for introspect"`
	ClientSecret     Secret        `env:"AUTH_CLIENT_SECRET" desc:"client secret for introspect"`
	IntrospectionURL URL           `env:"AUTH_INTROSPECTION_URL" desc:"endpoint for introspect; empty: the plane's own v2 introspection"`
	FailureRate      int           `env:"AUTH_FAILURE_RATE" envDefault:"10" min:"0" max:"1000000" desc:"failed identifications per second and client address before 429"`
	Issuers          Issuers       `env:"AUTH_ISSUERS" desc:"for jwt: OIDC issuers (https; http on loopback only), each ISSUER or ISSUER=JWKS_URL"`
	Audience         string        `env:"AUTH_AUDIENCE" desc:"for jwt: the audience that a token must name"`
	ClientClaim      Claims        `env:"AUTH_CLIENT_CLAIM" envDefault:"azp,client_id,sub" desc:"for jwt: the client is the first of these claims that is a string"`
	MTLSHeader       string        `env:"AUTH_MTLS_HEADER" desc:"for mtls behind a proxy that ends TLS: the header with the client certificate (RFC 9440: Client-Cert), trusted from TRUSTED_PROXIES only"`
}

// Rate is the client quota. Overrides maps client IDs to a Limit of their own; nil if
// there are none. A value of 0 exempts a client, as Limit 0 exempts all clients.
type Rate struct {
	Limit     int            `env:"RATE" envDefault:"10" min:"0" max:"1000000" desc:"client quota: requests per RATE_PERIOD and client ID; 0: none"`
	Period    time.Duration  `env:"RATE_PERIOD" envDefault:"1s" min:"1ms" max:"1h" desc:"period of RATE"`
	Algorithm string         `env:"RATE_ALGORITHM" envDefault:"gcra" oneof:"gcra,window" desc:"gcra: RATE_BURST at once, then evenly; window: at most RATE in any RATE_PERIOD, right where upstream has a flat limit as OSv2 has"`
	Burst     int            `env:"RATE_BURST" envDefault:"10" min:"1" max:"1000000" desc:"requests let through at once after a rest (gcra): with RATE 10 and 10 up to 19 in the first second; 1 spaces them evenly"`
	MaxWait   time.Duration  `env:"RATE_MAX_WAIT" envDefault:"5s" min:"0s" max:"5m" desc:"how long a request over quota waits its turn before 429; 0: refused at once"`
	Counts    string         `env:"RATE_COUNTS" envDefault:"all" oneof:"all,upstream" desc:"what is charged: all operations that passed policy, or upstream: only those that ask OSv2"`
	Overrides map[string]int `env:"RATE_OVERRIDES" file:"lines" desc:"quotas of single clients, such as clientId=100; 0: none"`
	RedisDown string         `env:"RATE_REDIS_DOWN" envDefault:"local" oneof:"local,open,closed" desc:"while Redis is gone: local (quota divided by REPLICAS), open or closed"`
	Replicas  int            `env:"REPLICAS" envDefault:"1" min:"1" max:"10000" desc:"gateway processes that share the quota while Redis is gone"`
}

// Budget is the second limit: on the requests of all clients to Object Store v2.
type Budget struct {
	Limit int    `env:"BUDGET" envDefault:"0" min:"0" max:"1000000" desc:"requests per second to OSv2 over all clients; 0: no limit"`
	By    string `env:"BUDGET_BY" envDefault:"egress" oneof:"egress,org,store" desc:"each of these has a budget of its own: egress, org or store"`
}

// Cache configures which requests may be answered without upstream. A TTL of 0 turns
// that kind off. If EntryBytes is larger than Bytes, Bytes bounds entries too.
type Cache struct {
	KeyTTL    time.Duration `env:"CACHE_KEY_TTL" envDefault:"10s" min:"0s" desc:"freshness of GET key; 0: off; at most 1h (rolling TTL)"`
	StoresTTL time.Duration `env:"CACHE_STORES_TTL" envDefault:"60s" min:"0s" desc:"freshness of store lists, stores and region lists; 0: off; at most 1h"`
	KeysTTL   time.Duration `env:"CACHE_KEYS_TTL" envDefault:"10s" min:"0s" desc:"freshness of key and partition lists; 0: off; at most 1h"`

	Bytes      Bytes `env:"CACHE_BYTES" envDefault:"256MiB" min:"1" desc:"maximum size of the cache in this process"`
	EntryBytes Bytes `env:"CACHE_ENTRY_BYTES" envDefault:"1MiB" min:"1" max:"1GiB" desc:"largest value that is cached; larger values are streamed"`

	Shared bool   `env:"CACHE_SHARED" envDefault:"true" desc:"with Redis and SECRET: share sealed bodies between replicas and across restarts"`
	Scope  string `env:"CACHE_SCOPE" envDefault:"client" oneof:"client,environment" desc:"tokens that an entry serves: those of its own principal (client) or every granted token of the environment (environment)"`

	StaleIfError         time.Duration `env:"CACHE_STALE_IF_ERROR" envDefault:"0" min:"0s" max:"1h" desc:"RFC 5861: how long a stale entry is served while upstream fails"`
	StaleWhileRevalidate time.Duration `env:"CACHE_STALE_WHILE_REVALIDATE" envDefault:"0" min:"0s" max:"1h" desc:"RFC 5861: how long a stale entry is served while it is fetched again"`

	Rules         CacheRules `env:"CACHE_RULES" file:"lines" desc:"freshness by place, at most that of the kind, such as org/env/store=off,org/env/APP_billing*=2s; the longest match wins; for stores that are also written without the gateway"`
	ClientControl bool       `env:"CACHE_CLIENT_CONTROL" envDefault:"true" desc:"by Cache-Control or Pragma, a client may send a read upstream or keep it out of the cache; false: of these only only-if-cached and max-stale count"`

	Strict bool   `env:"CACHE_STRICT" envDefault:"false" desc:"refuse (503) a write that cannot be marked in Redis"`
	Mode   string `env:"CACHE_MODE" envDefault:"gateway" oneof:"gateway,rfc9111" desc:"gateway, or rfc9111: a plain shared cache for public test suites, on loopback only"`
}

// Policy configures the organization's own rules. An empty Path permits everything.
// Headers is nil if rules see no headers.
type Policy struct {
	Path    string  `env:"POLICY" desc:"Cedar policy file or folder of .cedar files; read again when they change"`
	Shadow  bool    `env:"POLICY_SHADOW" envDefault:"false" desc:"evaluate rules and record decisions, but let requests pass"`
	Headers Headers `env:"POLICY_HEADERS" desc:"request headers that rules may read as context.headers, such as x-app-name,x-team"`
}

// Server holds the settings that apply to every exchange. TrustedProxies is nil if no
// proxy is trusted; its prefixes are masked. Origins is nil if no web page may call.
type Server struct {
	MaxBody        Bytes          `env:"MAX_BODY" envDefault:"11MiB" min:"1" max:"1GiB" desc:"largest request body"`
	MaxConnections int            `env:"MAX_CONNECTIONS" envDefault:"0" min:"0" max:"1000000" desc:"maximum number of client connections; beyond it a new one closes the connection that has been idle longest; 0: derived from the descriptor limit, at most 20000"`
	MaxExchanges   int            `env:"MAX_EXCHANGES" envDefault:"10000" min:"16" max:"1000000" desc:"maximum number of exchanges at once; a quarter is reserved for clients with a known token; without one, a client address may hold a sixteenth"`
	TrustedProxies []netip.Prefix `env:"TRUSTED_PROXIES" desc:"CIDRs of proxies whose X-Forwarded-For and trace sampling are trusted"`
	Origins        Origins        `env:"CORS_ORIGINS" desc:"origins whose web pages may call the gateway from a browser, such as https://app.example.com; *: any"`
	Timing         bool           `env:"SERVER_TIMING" envDefault:"false" desc:"add Server-Timing to answers: the milliseconds of each stage"`
	DrainDelay     time.Duration  `env:"DRAIN_DELAY" envDefault:"5s" min:"0s" max:"1h" desc:"after SIGTERM: time between not ready and the close of the listener"`
	DrainTimeout   time.Duration  `env:"DRAIN_TIMEOUT" envDefault:"30s" min:"0s" max:"1h" desc:"after that: longest wait for running exchanges"`
}

// Log configures the access log, the event log and the audit file. Sample is nil if
// every line is kept.
type Log struct {
	Level  string `env:"LOG_LEVEL" envDefault:"info" oneof:"debug,info,warn,error" desc:"lowest level that is logged: debug, info, warn or error"`
	Format string `env:"LOG_FORMAT" envDefault:"json" oneof:"json,text" desc:"json or text"`
	Sample Shares `env:"LOG_SAMPLE" desc:"share of access log lines kept by class (hit, ok, client_error, refused), such as hit=0.01; failures are always kept"`
	Audit  string `env:"AUDIT_FILE" desc:"file that gets a hash-chained line for each write, delete, refusal and action of an operator; empty: none"`
}

// Trace configures the content of traces beyond OpenTelemetry's own variables.
type Trace struct {
	Slow  time.Duration `env:"TRACE_SLOW" envDefault:"1s" min:"0s" max:"1h" desc:"unsampled exchanges that take longer than this are traced afterwards; 0: none"`
	Names bool          `env:"TRACE_NAMES" envDefault:"false" desc:"traces contain the names of stores and clients instead of their keyed hashes"`
}
