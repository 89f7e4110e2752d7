package record

import "net/http"

// Outcome is how an exchange ended. Metrics and the operator's page divide their counts
// by it first. Each exchange has exactly one.
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

	NumOutcomes = iota // the number of outcomes
)

// Outcomes returns all outcomes in the order of their declaration.
func Outcomes() []Outcome {
	all := make([]Outcome, NumOutcomes)
	for i := range all {
		all[i] = Outcome(i)
	}
	return all
}

// String returns the outcome as in metrics and on the operator's page: "hit",
// "upstream_ok", …
func (o Outcome) String() string {
	return [NumOutcomes]string{
		"hit", "upstream_ok", "upstream_client_error", "upstream_error", "refused", "local", "client_left",
	}[o]
}

// MarshalText returns [Outcome.String]; it never fails.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText sets o to the outcome with that name. A name that it does not know, of
// another version of the gateway, becomes [NumOutcomes]; it never fails.
func (o *Outcome) UnmarshalText(name []byte) error {
	*o = NumOutcomes
	for _, known := range Outcomes() {
		if known.String() == string(name) {
			*o = known
		}
	}
	return nil
}

// StatusClientLeft is the recorded status if the client left before it had its answer
// (nginx's 499). It is never sent.
const StatusClientLeft = 499

// ClientLeft reports whether the client left before it had its answer.
func (x *Exchange) ClientLeft() bool { return x.Status == StatusClientLeft }

// Outcome returns the outcome of x.
func (x *Exchange) Outcome() Outcome {
	switch {
	case x.ClientLeft():
		return OutcomeClientLeft
	case x.upstreamFailed():
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

// UpstreamProblem reports whether upstream failed x, even if the client received a
// stale answer instead.
func (x *Exchange) UpstreamProblem() bool {
	return x.UpstreamStatus >= http.StatusInternalServerError || x.upstreamFailed() || x.Hit && x.UpstreamError != ""
}

// upstreamFailed reports whether x was sent upstream and received no complete answer
// below 500. An exchange that the cache answered anyway is a hit;
// osgate_upstream_requests_total has upstream's answer. An answer with a code of
// upstream's that was given without a request (only-if-cached without an entry is
// answered 504) is an ordinary refusal.
func (x *Exchange) upstreamFailed() bool {
	if x.Hit {
		return x.Status >= http.StatusInternalServerError // the fetch of another request, which failed
	}
	return x.UpstreamAttempts > 0 && (x.UpstreamStatus >= http.StatusInternalServerError || x.Aborted ||
		x.Code == CodeUpstreamUnreachable || x.Code == CodeUpstreamTimeout)
}
