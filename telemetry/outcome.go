package telemetry

import (
	"net/http"

	"osgate/record"
)

// Outcome is how an exchange ended, the first division of everything that is counted here. Each exchange has exactly one.
type Outcome uint8

// The outcomes.
const (
	OutcomeHit                 Outcome = iota // answered from the cache
	OutcomeUpstreamOK                         // upstream answered with less than 400
	OutcomeUpstreamClientError                // upstream answered 4xx, its own 429 included
	OutcomeUpstreamError                      // upstream answered 5xx, broke off, was late or could not be reached
	OutcomeRefused                            // we answered with a code of ours, without upstream having failed
	OutcomeLocal                              // we answered without cache and upstream: statistics
	OutcomeClientLeft                         // the client went away before it had its answer
	outcomes                                  // how many there are
)

// Outcomes returns all outcomes in the order of their declaration.
func Outcomes() []Outcome {
	all := make([]Outcome, outcomes)
	for i := range all {
		all[i] = Outcome(i)
	}
	return all
}

// String returns the outcome as metrics and the operator's page write it: "hit", "upstream_ok", …
func (o Outcome) String() string {
	return [outcomes]string{"hit", "upstream_ok", "upstream_client_error", "upstream_error", "refused", "local", "client_left"}[o]
}

// MarshalText returns [Outcome.String]; it never fails.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// The codes of the gateway's answers that count as something else than a refusal, and those that are the client quota's and policy's.
const (
	codeUpstreamUnreachable = "upstream-unreachable"
	codeUpstreamTimeout     = "upstream-timeout"
	codeOverQuota           = "over-quota"
	codeDenied              = "denied"
)

// statusLeft is recorded, never sent, where the client went away.
const statusLeft = 499

// OutcomeOf returns the outcome of x.
func OutcomeOf(x *record.Exchange) Outcome {
	switch {
	case x.Status == statusLeft:
		return OutcomeClientLeft
	case upstreamFailed(x):
		return OutcomeUpstreamError
	case x.Code != "":
		return OutcomeRefused
	case x.Hit:
		return OutcomeHit
	case x.UpstreamAttempts == 0:
		return OutcomeLocal
	case x.UpstreamStatus >= http.StatusBadRequest:
		return OutcomeUpstreamClientError
	}
	return OutcomeUpstreamOK
}

// upstreamTrouble reports whether upstream failed x, though the client may have got what is stale in its place.
func upstreamTrouble(x *record.Exchange) bool {
	return x.UpstreamStatus >= http.StatusInternalServerError || upstreamFailed(x) || x.Hit && x.UpstreamError != ""
}

// upstreamFailed reports whether x was sent upstream and did not get a whole answer below 500. One that was answered from the cache all the same is a
// hit; what upstream said to it is in osgate_upstream_requests_total. A code of upstream's that was given without asking
// (only-if-cached on an empty cache is answered 504) is a refusal like any other.
func upstreamFailed(x *record.Exchange) bool {
	if x.Hit {
		return x.Status >= http.StatusInternalServerError // another request's fetch, which failed
	}
	return x.UpstreamAttempts > 0 && (x.UpstreamStatus >= http.StatusInternalServerError || x.Aborted ||
		x.Code == codeUpstreamUnreachable || x.Code == codeUpstreamTimeout)
}
