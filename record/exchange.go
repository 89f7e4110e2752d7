// Package record is what is kept of an exchange when it is over: one [Exchange] value, made by the proxy's last stage and handed to
// whoever keeps account (access log, statistics, metrics).
//
// The idea a reader needs: an exchange is told once, whole, after its last byte; nothing is logged or counted on the way. An Exchange holds
// no token, no secret, no value and no object key, so whoever keeps it cannot leak one. The package decides nothing and imports nothing
// of ours.
package record

import "time"

// Surface is which of the gateway's APIs an exchange belongs to.
type Surface string

// The surfaces. None is what could not be read as any of them.
const (
	SurfaceNone        Surface = "none"
	SurfaceObjectStore Surface = "object-store"
	SurfaceStats       Surface = "stats"
	SurfaceAccounts    Surface = "accounts"
)

// Exchange is one request and its answer. A field is empty (zero) where the exchange ended before it was known. It is written by one
// goroutine and read-only once handed to a [Keeper].
type Exchange struct {
	ID       string        // X-Request-Id
	CausedBy string        // ID of the client's exchange for which the gateway itself made this one; empty: a client made it
	Start    time.Time     // when the request's header was read
	Duration time.Duration // to the answer's last byte; waiting and upstream included

	Method     string
	Route      string // path with names in place of values; empty for what is no operation
	Surface    Surface
	Operation  string // "getKey"; accounts calls have their own names
	RemoteAddr string // the connection's peer, without port
	ClientAddr string // where the request came from, by the word of the proxies that are believed; the peer's own where none is

	Plane        string
	Region       string
	Organization string
	Environment  string
	Store        string

	Principal string // the name that quotas and policy know: client ID, or "user:" and the user's id
	Client    string // client ID, empty where the control plane named none
	User      string

	Status        int    // as the client got it; 499 when it left before it was answered
	Code          string // our problem code where the answer is ours ("over-quota"), else empty
	Cause         string // what went wrong, for the operator; never sent to the client
	RequestBytes  int64  // body bytes read from the client
	ResponseBytes int64  // body bytes written to the client
	Aborted       bool   // the answer was cut after its header was sent

	Cache             string        // Cache-Status without our name: "hit; ttl=8", "fwd=miss; stored"; empty where nothing is cacheable
	Hit               bool          // answered from the cache
	UpstreamAttempts  int           // requests sent to Object Store or Access Management for this exchange, replays on new connections included
	UpstreamResent    int           // those of UpstreamAttempts that followed because a kept connection was closed
	UpstreamStatus    int           // the last attempt's, 0 without an answer
	UpstreamRequestID string        // the X-Request-Id of the last attempt's answer, if it is short and plain; the client gets ours
	UpstreamBytes     int64         // body bytes read of the last attempt's answer
	UpstreamDuration  time.Duration // of all attempts, to their answers' first byte
	UpstreamError     string        // kind of failure of the last attempt, as [Attempt] has it; empty where it was answered

	Charged  bool          // counted against the client quota
	Degraded bool          // limited in process because Redis was away
	Waited   time.Duration // for its turn under the quota
	Rule     string        // the policy rule that decided
	Denied   bool          // Rule refused; else it permitted

	Quota       int           // of the principal, in requests per QuotaPeriod; 0 where none was asked
	QuotaPeriod time.Duration // what Quota is for
	QuotaFull   int           // what Remaining is after a while without exchanges: the burst
	Remaining   int           // of the quota, after this exchange was charged

	Shadow       []string // ids of the policy rules that would have refused, had they not been in shadow mode
	PolicyErrors []string // ids of the policy rules whose evaluation failed

	Stages [stages]time.Duration // indexed by Stage

	Protocol string    // HTTP version by which the client asked: "1.0", "1.1", "2"
	Trace    Trace     // zero: not traced
	Attempts []Attempt // the first 32
	Walk     Walk      // when each stage began
}

// KeptConnectionClosed is the UpstreamError of a request that got no answer because its
// connection, kept from a request before, was closed: as a rule by a server that closes
// idle connections.
const KeptConnectionClosed = "kept_connection_closed"

// Stage is a step of the pipeline whose time is kept.
type Stage uint8

// The stages in the order in which an exchange passes them.
const (
	StageLocate Stage = iota
	StageIdentify
	StageAuthorize
	StageLimit
	StageCache
	StageForward
	stages
)

// String returns the stage's name as logs and Server-Timing write it: "locate", "identify", …
func (s Stage) String() string {
	return [stages]string{"locate", "identify", "authorize", "limit", "cache", "forward"}[s]
}

// Keeper keeps account of exchanges. Keep is called once for each exchange, after its answer, on the goroutine that served it: it must not
// block and must not hold on to x. It is called by many goroutines at once.
type Keeper interface {
	Keep(x *Exchange)
}

// Keepers hands every exchange to each of them in order.
type Keepers []Keeper

// Keep implements [Keeper].
func (ks Keepers) Keep(x *Exchange) {
	for _, k := range ks {
		k.Keep(x)
	}
}
