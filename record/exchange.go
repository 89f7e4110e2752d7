// Package record defines the record of an exchange: one [Exchange] value, which the
// stages of the proxy fill in and pass on when the exchange is over. The access log, the
// statistics, the metrics and the operator's page receive it.
//
// The idea a reader needs: an exchange is recorded once, as a whole, after its
// answer was written; it is not logged or counted before that. An Exchange contains no token, no
// secret, no value and no object key, so its receivers cannot leak one. The package
// makes no decisions and imports no other package of the gateway.
package record

import "time"

// Surface is the API of the gateway that an exchange belongs to.
type Surface string

// The surfaces. SurfaceNone is for requests that belong to no API.
const (
	SurfaceNone        Surface = "none"
	SurfaceObjectStore Surface = "object-store"
	SurfaceStats       Surface = "stats"
	SurfaceAccounts    Surface = "accounts"
)

// Exchange is one request and its answer. A field is zero if the exchange ended before
// its value was known. One goroutine writes it; after it is passed to a [Keeper] it is
// read-only.
type Exchange struct {
	ID       string        // X-Request-Id
	CausedBy string        // ID of the client's exchange that caused this one; empty: a client made it
	Start    time.Time     // when the request's header was read
	Duration time.Duration // to the answer's last byte, including waiting and upstream

	Method     string
	Route      string // path with names in place of values; empty if the request is no operation
	Surface    Surface
	Operation  string // "getKey"; accounts calls have their own names
	RemoteAddr string // the connection's peer, without port
	ClientAddr string // address of the client as trusted proxies report it; RemoteAddr without a trusted proxy

	Plane        string
	Region       string
	Organization string
	Environment  string
	Store        string

	Principal string // the name for quotas and policy: client ID, or "user:" and the user's id
	Client    string // client ID; empty if the control plane returned none
	User      string

	IdentifiedBy   string // method that identified the client: "anypoint", "introspect", "jwt", "mtls"
	Issuer         string // of the client's JWT or certificate; empty with Anypoint's tokens
	UpstreamClient string // client ID of the gateway's own token, if upstream gets that; otherwise empty

	Status        int    // as the client received it; StatusClientLeft if it left before the answer
	Code          Code   // of an answer of the gateway; otherwise empty
	Violated      string // name of the quota policy that a refused exchange exceeded; empty: none
	Cause         string // error text for the operator; never sent to the client
	RequestBytes  int64  // body bytes read from the client
	ResponseBytes int64  // body bytes written to the client
	Aborted       bool   // the answer was cut off after its header was sent

	Cache             CacheResult   // zero if not cacheable
	Hit               bool          // answered from the cache
	UpstreamAttempts  int           // requests sent to upstream, including those repeated on a new connection
	UpstreamResent    int           // those of UpstreamAttempts sent because a kept connection was closed
	UpstreamStatus    int           // the last attempt's, 0 without an answer
	UpstreamRequestID string        // X-Request-Id of the last answer, if short and plain; the client receives ID
	UpstreamBytes     int64         // body bytes read of the last attempt's answer
	UpstreamDuration  time.Duration // of all attempts, to their answers' first byte
	UpstreamError     string        // kind of failure of the last attempt, see [Attempt]; empty if it was answered

	Charged  bool          // counted against the client quota
	Degraded bool          // the quota was checked in the process because Redis was unavailable
	Waited   time.Duration // time that it waited because of the quota
	Rule     string        // the policy rule that decided
	Denied   bool          // Rule denied the request; otherwise it permitted it

	Quota       int           // of the principal, in requests per QuotaPeriod; 0 if no quota was checked
	QuotaPeriod time.Duration // the period of Quota
	QuotaFull   int           // maximum of Remaining, reached after a while without exchanges: the burst
	Remaining   int           // of the quota, after this exchange was charged

	Shadow       []string // ids of the policy rules in shadow mode that would have denied the request
	PolicyErrors []string // ids of the policy rules whose evaluation failed

	Stages [stages]time.Duration // indexed by Stage

	Protocol string    // HTTP version of the client's request: "1.0", "1.1", "2"
	Trace    Trace     // zero: not traced
	Attempts []Attempt // the first 32
	Timeline Timeline  // when each stage began
}

// Derive returns the record of an exchange with this id and method that the gateway
// makes by itself for x at start: it has the same client and location.
func (x *Exchange) Derive(id, method string, start time.Time) Exchange {
	return Exchange{
		ID: id, CausedBy: x.ID, Start: start, Method: method, Protocol: x.Protocol,
		RemoteAddr: x.RemoteAddr, ClientAddr: x.ClientAddr, Plane: x.Plane, Region: x.Region,
		Principal: x.Principal, Client: x.Client, User: x.User, IdentifiedBy: x.IdentifiedBy, Issuer: x.Issuer,
	}
}

// AddRefresh adds to x, which was answered with a stale answer, what its refresh did
// upstream.
func (x *Exchange) AddRefresh(refresh *Exchange) {
	x.UpstreamAttempts, x.UpstreamStatus, x.UpstreamDuration =
		refresh.UpstreamAttempts, refresh.UpstreamStatus, refresh.UpstreamDuration
	x.UpstreamBytes, x.Attempts, x.UpstreamError = refresh.UpstreamBytes, refresh.Attempts, refresh.UpstreamError
	x.Charged, x.Degraded = x.Charged || refresh.Charged, x.Degraded || refresh.Degraded
}

// KeptConnectionClosed is the UpstreamError of a request without an answer because its
// connection, kept from an earlier request, was closed. Usually the server closed an
// idle connection.
const KeptConnectionClosed = "kept_connection_closed"

// Stage is a step of the pipeline whose duration is recorded.
type Stage uint8

// The stages in the order in which an exchange passes through them.
const (
	StageLocate Stage = iota
	StageIdentify
	StageAuthorize
	StageLimit
	StageCache
	StageForward
	stages
)

// String returns the stage's name as written in logs and in Server-Timing: "locate",
// "identify", …
func (s Stage) String() string {
	return [stages]string{"locate", "identify", "authorize", "limit", "cache", "forward"}[s]
}

// Keeper receives the records of exchanges. Keep is called once for each exchange,
// after its answer, on the goroutine that served it or on that of its refresh. It must
// not block and must not retain x. It is called by many goroutines at once.
type Keeper interface {
	Keep(x *Exchange)
}

// Keepers passes each exchange to all its elements, in order.
type Keepers []Keeper

// Keep implements [Keeper].
func (ks Keepers) Keep(x *Exchange) {
	for _, k := range ks {
		k.Keep(x)
	}
}
