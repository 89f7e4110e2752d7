package redisconn

import (
	"cmp"
	"crypto/tls"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// defaultPoolSize is the pool size per server. go-redis's own default, ten per CPU,
	// makes requests wait on a small machine: measured 9,300 against 14,600 limiter
	// calls a second at 128 concurrent, with a round trip of 2.3 ms.
	defaultPoolSize = 128
	maxPoolSize     = 10_000
	// minDialTimeout is the minimum time limit of a new connection. The connection is
	// made in the background, and kept for the next caller if this one cannot wait, so
	// that a handshake slower than Options.Timeout still succeeds.
	minDialTimeout = time.Second
	// protocol is RESP2: osgate needs no feature of RESP3, and its push frames have
	// made replies go to the wrong caller.
	protocol = 2
	// noPipelinePool makes pipelines, the only form in which osgate sends commands, use
	// the common pool.
	noPipelinePool = -1
	// noRetry: a second attempt does not fit into Options.Timeout.
	noRetry = -1
	// A cluster client follows redirections by itself; it waits between attempts.
	minRedirectBackoff = time.Millisecond
	maxRedirectBackoff = 8 * time.Millisecond
)

// settings is the parsed URL: exactly one of the three pointers is set.
type settings struct {
	single   *redis.Options
	cluster  *redis.ClusterOptions
	failover *redis.FailoverOptions
	secrets  []string // texts that must never be printed
}

// parse parses the URL and sets every option of go-redis whose default could make a
// caller wait. Its errors do not quote the URL: a password with an unescaped character
// is parsed into unexpected parts of it.
func parse(rawURL string, timeout time.Duration) (settings, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Fragment != "" {
		return settings{}, errors.New("redis URL: not a URL (special characters of a password must be percent-encoded)")
	}
	if u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix" {
		return settings{}, errors.New("redis URL: must begin with redis://, rediss:// or unix://")
	}
	query := u.Query()
	s := settings{secrets: secretsOf(u, query)}
	switch {
	case query.Has("master_name"):
		s.failover, err = redis.ParseFailoverURL(rawURL)
	case query.Has("addr"):
		s.cluster, err = redis.ParseClusterURL(rawURL)
	default:
		s.single, err = redis.ParseURL(rawURL)
	}
	if err != nil {
		return settings{}, errors.New(
			"redis URL: its path must be a database number, and its query hold only parameters " +
				"that go-redis knows for this form, with valid values")
	}
	return s, s.secure(timeout)
}

// secretsOf returns the secret parts of the URL; if one contains another, the longer
// one comes first.
func secretsOf(u *url.URL, query url.Values) []string {
	password, _ := u.User.Password()
	var secrets []string
	for _, p := range append([]string{password}, query["password"]...) {
		if p != "" {
			secrets = append(secrets, p, url.QueryEscape(p), url.PathEscape(p))
		}
	}
	return secrets
}

// redact replaces every secret in text.
func (s settings) redact(text string) string {
	for _, secret := range s.secrets {
		text = strings.ReplaceAll(text, secret, redacted)
	}
	return text
}

// secure sets the options of the form that is used.
func (s settings) secure(timeout time.Duration) error {
	switch {
	case s.failover != nil:
		return secureFailover(s.failover, timeout)
	case s.cluster != nil:
		return secureCluster(s.cluster, timeout)
	}
	return secureSingle(s.single, timeout)
}

var (
	errReplicaReads = errors.New(
		"redis URL: reading from replicas is not possible, quotas and cache are decided on the primary")
	errPoolSize = errors.New("redis URL: a pool size is out of range")
)

func secureSingle(o *redis.Options, timeout time.Duration) error {
	o.ContextTimeoutEnabled = true // otherwise a deadline is ignored: 5 s without an answer
	o.Protocol = cmp.Or(o.Protocol, protocol)
	o.MaxRetries = noRetry
	o.DialerRetries = 1 // otherwise a refused connection takes 402 ms
	o.DialTimeout = shorter(o.DialTimeout, dialTimeout(timeout))
	o.ReadTimeout = shorter(o.ReadTimeout, timeout)
	o.WriteTimeout = shorter(o.WriteTimeout, timeout)
	o.PoolTimeout = shorter(o.PoolTimeout, timeout)
	o.PoolSize = cmp.Or(o.PoolSize, defaultPoolSize)
	o.PipelinePoolSize = cmp.Or(o.PipelinePoolSize, noPipelinePool)
	o.MinIdleConns = 0       // otherwise Open would dial
	o.DisableIdentity = true // one command less per connection; CVE-2025-29923 is about it
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	secureTLS(o.TLSConfig)
	return checkPool(o.PoolSize, o.PipelinePoolSize, o.MaxActiveConns, o.MaxIdleConns)
}

func secureCluster(o *redis.ClusterOptions, timeout time.Duration) error {
	if o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
		return errReplicaReads
	}
	o.ContextTimeoutEnabled = true
	o.Protocol = cmp.Or(o.Protocol, protocol)
	o.MaxRetries = noRetry
	o.MinRetryBackoff, o.MaxRetryBackoff = minRedirectBackoff, maxRedirectBackoff
	o.DialerRetries = 1
	o.DialTimeout = shorter(o.DialTimeout, dialTimeout(timeout))
	o.ReadTimeout = shorter(o.ReadTimeout, timeout)
	o.WriteTimeout = shorter(o.WriteTimeout, timeout)
	o.PoolTimeout = shorter(o.PoolTimeout, timeout)
	o.PoolSize = cmp.Or(o.PoolSize, defaultPoolSize)
	o.PipelinePoolSize = cmp.Or(o.PipelinePoolSize, noPipelinePool)
	o.MinIdleConns = 0
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	secureTLS(o.TLSConfig)
	return checkPool(o.PoolSize, o.PipelinePoolSize, o.MaxActiveConns, o.MaxIdleConns)
}

func secureFailover(o *redis.FailoverOptions, timeout time.Duration) error {
	if o.ReplicaOnly || o.RouteByLatency || o.RouteRandomly {
		return errReplicaReads // the last two also make NewFailoverClient panic
	}
	if o.MasterName == "" {
		return errors.New("redis URL: master_name is empty")
	}
	o.ContextTimeoutEnabled = true
	o.Protocol = cmp.Or(o.Protocol, protocol)
	o.MaxRetries = noRetry
	o.DialerRetries = 1
	o.DialTimeout = shorter(o.DialTimeout, dialTimeout(timeout))
	o.ReadTimeout = shorter(o.ReadTimeout, timeout)
	o.WriteTimeout = shorter(o.WriteTimeout, timeout)
	o.PoolTimeout = shorter(o.PoolTimeout, timeout)
	o.PoolSize = cmp.Or(o.PoolSize, defaultPoolSize)
	o.PipelinePoolSize = cmp.Or(o.PipelinePoolSize, noPipelinePool)
	o.MinIdleConns = 0
	o.DisableIdentity = true
	secureTLS(o.TLSConfig)
	return checkPool(o.PoolSize, o.PipelinePoolSize, o.MaxActiveConns, o.MaxIdleConns)
}

func dialTimeout(timeout time.Duration) time.Duration { return max(timeout, minDialTimeout) }

// shorter returns d if it is positive and shorter than limit, otherwise limit. In
// go-redis 0 means the default, and a negative value means no limit.
func shorter(d, limit time.Duration) time.Duration {
	if d > 0 && d < limit {
		return d
	}
	return limit
}

// secureTLS requires TLS 1.2: go-redis does so in only two of the three forms.
func secureTLS(c *tls.Config) {
	if c != nil {
		c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	}
}

// checkPool refuses sizes that make go-redis panic or open connections without limit.
func checkPool(poolSize, pipelinePoolSize, maxActive, maxIdle int) error {
	if poolSize < 1 || poolSize > maxPoolSize || pipelinePoolSize > maxPoolSize ||
		maxActive < 0 || maxActive > maxPoolSize || maxIdle < 0 || maxIdle > maxPoolSize {
		return errPoolSize
	}
	return nil
}

// open returns the client, which dials when it is first used.
func (s settings) open() redis.UniversalClient {
	switch {
	case s.failover != nil:
		return redis.NewFailoverClient(s.failover)
	case s.cluster != nil:
		return redis.NewClusterClient(s.cluster)
	}
	return redis.NewClient(s.single)
}

func (s settings) addr() string {
	switch {
	case s.failover != nil:
		return "sentinels " + strings.Join(s.failover.SentinelAddrs, ", ")
	case s.cluster != nil:
		return "cluster " + strings.Join(s.cluster.Addrs, ", ")
	}
	return s.single.Addr
}

func (s settings) poolSize() int {
	switch {
	case s.failover != nil:
		return s.failover.PoolSize
	case s.cluster != nil:
		return s.cluster.PoolSize
	}
	return s.single.PoolSize
}
