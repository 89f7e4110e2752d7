package redisconn

import (
	"log/slog"
	"time"
)

const (
	defaultTimeout = 50 * time.Millisecond
	defaultPrefix  = "osgate"
)

// Options define which Redis to use and how.
type Options struct {
	// URL is the address as go-redis parses it, credentials included:
	//
	//	redis://user:password@host:port/db            one server; rediss:// for TLS
	//	unix://user:password@/path/to.sock?db=0       one server on a socket
	//	redis://…@host:port?addr=host2:port           a cluster
	//	redis://…@host:port?master_name=mymaster      the master that sentinels know
	//
	// master_name selects the sentinel form, in which host and every addr are
	// sentinels, the user part contains the sentinels' credentials, and the parameters
	// username and password contain the master's. Otherwise addr selects the cluster
	// form; a cluster with one known address names it twice. Other parameters are
	// go-redis's. Timeouts among them can only shorten Timeout, max_retries is ignored
	// because a retry would not fit into it, and reading from replicas is refused.
	// Required.
	URL string
	// Timeout limits each round trip, including the wait for a connection. Zero means
	// 50 ms.
	Timeout time.Duration
	// Group sends the round trips of callers that wait at the same time together, over
	// one connection, if the URL is that of one server. It is for small commands and
	// replies, because a large one delays the others.
	Group bool
	// Prefix is the beginning of every key. Empty means "osgate". It must not contain
	// braces, which would choose the cluster slot, blanks or control characters.
	Prefix string
	// OnChange, if not nil, is called once for each change of State, in order, by the
	// goroutine that noticed it. It must return quickly and must not call Do or Ping.
	OnChange func(State)
	// OnTrip, if not nil, is called for each completed round trip, in the goroutine of
	// the caller that waited for it, so several goroutines may call it at once. It must
	// return quickly.
	OnTrip func(RoundTrip)
	// OnRights, if not nil, makes Run check the user's rights, and is called for each
	// change of State.Denied. It must return quickly.
	OnRights func(denied string)
}

const redacted = "[redacted]"

// String returns a fixed text: URL may hold a password.
func (o Options) String() string { return redacted }

// GoString returns the same text as String.
func (o Options) GoString() string { return redacted }

// LogValue returns the same text as String, for slog.
func (o Options) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns the same text as String, for JSON.
func (o Options) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
