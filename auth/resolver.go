package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"osgate/internal/retryafter"
)

// Resolver finds the principal of a token by a request to a control plane. *[Anypoint]
// and *[Introspection] implement it. It is safe for concurrent use.
type Resolver interface {
	// Lookup is called once for all callers that wait for the same answer, with a
	// deadline that it must keep. It returns an answer that names a principal, or an
	// error: [ErrBadToken], which is kept for a while and refuses the caller, or any
	// other error, which means that the principal is unknown. An *[UnavailableError]
	// that is Answered, and an answer without a principal, are kept for a while too.
	// The allowance in an answer is used even if there is an error.
	Lookup(ctx context.Context, plane string, token Token) (Answer, error)
	// Validator returns a name of the service that validates the tokens of plane: its
	// kind, address and the identity used with it, always in the same words and without
	// secrets. An answer of one validator is never used for another.
	Validator(plane string) string
}

// Answer is the answer of a control plane to a lookup.
type Answer struct {
	Principal *Principal
	Allowance Allowance
}

// Allowance is the number of requests that a control plane still accepts, by its
// headers X-RateLimit-Limit, -Remaining and -Reset (access-management-api 1.0.45). The
// zero Allowance means that an answer had no such headers.
type Allowance struct {
	Limit, Remaining int
	Reset            time.Time // when Remaining is Limit again, at most an hour from now
}

// UnavailableError reports that a control plane or an issuer of JWTs could not be
// reached, or that its answer does not name the principal of a token. It does not mean
// that the token is refused.
type UnavailableError struct {
	Plane      string        // the control plane; empty if it is an issuer
	Issuer     string        // the URL of the issuer; empty if it is a control plane
	RetryAfter time.Duration // 0: unknown
	Unreached  bool          // there was no answer at all
	Limited    bool          // the answer was 429
	Answered   bool          // the plane is up: its answer concerns this token alone, and does not name a principal
	Cause      error
}

// Error names the plane or the issuer, and the cause.
func (e *UnavailableError) Error() string {
	switch {
	case e.Issuer != "":
		return fmt.Sprintf("issuer %s is not available: %v", e.Issuer, e.Cause)
	case e.Answered:
		return fmt.Sprintf("control plane %s does not name the principal of the token: %v", e.Plane, e.Cause)
	default:
		return fmt.Sprintf("control plane %s is not available: %v", e.Plane, e.Cause)
	}
}

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Cause }

// maxDrain limits how many bytes of an answer are read only so that its connection can
// be reused.
const maxDrain = 64 << 10

// drain reads the rest of an answer, up to maxDrain bytes: a connection is reused only
// after its answer was read to the end.
func drain(body io.Reader) { _, _ = io.CopyN(io.Discard, body, maxDrain) }

// unavailable returns the error for an answer that contains no information about the
// token.
func unavailable(plane string, answer *http.Response, cause error) *UnavailableError {
	limited := answer.StatusCode == http.StatusTooManyRequests
	return &UnavailableError{Plane: plane, Cause: cause, RetryAfter: retryAfter(answer), Limited: limited}
}

// unreadable returns the error for an answer of host that readObject or its caller
// could not read. An [unclearError] concerns one token alone.
func unreadable(plane string, answer *http.Response, host string, cause error) *UnavailableError {
	failure := unavailable(plane, answer, fmt.Errorf("reading the answer of %s: %w", host, cause))
	_, failure.Answered = errors.AsType[unclearError](cause)
	return failure
}

// retryAfter returns how long an answer requests to send nothing. Access Management
// sends X-RateLimit-Reset, in epoch seconds, with every answer; it is a time to wait
// only where the answer is 429.
func retryAfter(answer *http.Response) time.Duration {
	if wait, ok := retryafter.Of(answer.Header, time.Now()); ok && wait > 0 {
		return wait
	}
	if wait, ok := untilReset(answer.Header); ok && answer.StatusCode == http.StatusTooManyRequests {
		return max(0, wait)
	}
	return 0
}

// untilReset reads X-RateLimit-Reset, in epoch seconds. It is negative if that is past.
func untilReset(h http.Header) (time.Duration, bool) {
	s, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
	if err != nil {
		return 0, false
	}
	return min(time.Until(time.Unix(s, 0)), retryafter.Longest), true
}

// allowance reads the X-RateLimit headers of an answer.
func allowance(h http.Header) Allowance {
	limit, errLimit := strconv.Atoi(h.Get("X-RateLimit-Limit"))
	remaining, errRemaining := strconv.Atoi(h.Get("X-RateLimit-Remaining"))
	wait, ok := untilReset(h)
	if errLimit != nil || errRemaining != nil || !ok || limit <= 0 || remaining < 0 || wait <= 0 {
		return Allowance{}
	}
	return Allowance{Limit: limit, Remaining: remaining, Reset: time.Now().Add(wait)}
}

// redact returns err, or an error without details if err quotes one of secrets. The
// transport's error quotes an answer that is not HTTP, which may repeat them.
func redact(err error, secrets ...string) error {
	result := err.Error()
	for _, text := range secrets {
		quoted := strconv.Quote(text)
		if text != "" && (strings.Contains(result, text) || strings.Contains(result, quoted[1:len(quoted)-1])) {
			return errors.New("an error that quotes a secret")
		}
	}
	return err
}
