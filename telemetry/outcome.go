package telemetry

import (
	"net/http"

	"osgate/record"
)

// Outcome is how an exchange ended. Counts in this package are divided by it first.
// Each exchange has exactly one.
type Outcome uint8

// The outcomes.
const (
	OutcomeHit                 Outcome = iota // answered from the cache
	OutcomeUpstreamOK                         // upstream answered with a status below 400
	OutcomeUpstreamClientError                // upstream answered 4xx, its own 429 included
	OutcomeUpstreamError                      // upstream answered 5xx, broke off, timed out or was unreachable
	OutcomeRefused                            // the gateway answered with a problem, and upstream had not failed
	OutcomeLocal                              // the gateway answered without cache and upstream: statistics
	OutcomeClientLeft                         // the client left before it received its answer
	outcomes                                  // the number of outcomes
)

// Outcomes returns all outcomes in the order of their declaration.
func Outcomes() []Outcome {
	all := make([]Outcome, outcomes)
	for i := range all {
		all[i] = Outcome(i)
	}
	return all
}

// String returns the outcome as in metrics and on the operator's page: "hit",
// "upstream_ok", …
func (o Outcome) String() string {
	return [outcomes]string{"hit", "upstream_ok", "upstream_client_error", "upstream_error", "refused", "local", "client_left"}[o]
}

// MarshalText returns [Outcome.String]; it never fails.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Problem codes that do not count as a refusal, and those of the client quota and of
// policy.
const (
	codeUpstreamUnreachable = "upstream-unreachable"
	codeUpstreamTimeout     = "upstream-timeout"
	codeOverQuota           = "over-quota"
	codeDenied              = "denied"
)

// statusLeft is recorded if the client left. It is never sent.
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

// upstreamProblem reports whether upstream failed x, even if the client received a
// stale answer instead.
func upstreamProblem(x *record.Exchange) bool {
	return x.UpstreamStatus >= http.StatusInternalServerError || upstreamFailed(x) || x.Hit && x.UpstreamError != ""
}

// upstreamFailed reports whether x was sent upstream and received no complete answer
// below 500. An exchange that the cache answered anyway is a hit;
// osgate_upstream_requests_total has upstream's answer. An answer with a code of
// upstream's that was given without a request (only-if-cached without an entry is
// answered 504) is an ordinary refusal.
func upstreamFailed(x *record.Exchange) bool {
	if x.Hit {
		return x.Status >= http.StatusInternalServerError // the fetch of another request, which failed
	}
	return x.UpstreamAttempts > 0 && (x.UpstreamStatus >= http.StatusInternalServerError || x.Aborted ||
		x.Code == codeUpstreamUnreachable || x.Code == codeUpstreamTimeout)
}
