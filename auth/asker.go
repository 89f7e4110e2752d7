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

// Asker asks a control plane whose a token is. *[Anypoint] and *[Introspection] are two. It is safe for concurrent use.
type Resolver interface {
	// Ask is called once for all that wait for the same answer, with a deadline that it must keep. Its answer names a principal, or its error is
	// either [ErrBadToken], which is kept for a while and refuses the caller, or anything else, which means that nobody knows; an *[UnavailableError]
	// that is Answered, or no principal, is kept for a while too. What the answer says of the allowance counts beside an error too.
	Lookup(ctx context.Context, plane string, token Token) (Answer, error)
	// Validator names who is asked for plane, where and as whom, always in the same words and without secrets. What one validator said of a token
	// counts for no other.
	Validator(plane string) string
}

// Answer is what a control plane said.
type Answer struct {
	Principal *Principal
	Allowance Allowance
}

// Allowance is how often a control plane may still be asked, as its headers X-RateLimit-Limit, -Remaining and -Reset say (access-management-api
// 1.0.45). The zero Allowance is none: it did not say.
type Allowance struct {
	Limit, Remaining int
	Reset            time.Time // when Remaining is Limit again, at most an hour away
}

// UnavailableError says that a control plane could not be asked, or did not state whose a token is. It does not mean that the token is refused.
type UnavailableError struct {
	Plane      string
	RetryAfter time.Duration // 0: unknown
	Unreached  bool          // it gave no answer at all
	Limited    bool          // it answered 429
	Answered   bool          // it answered about this token alone, and does not state whose it is: it is not down
	Cause      error
}

// Error names the plane and the cause.
func (e *UnavailableError) Error() string {
	if e.Answered {
		return fmt.Sprintf("control plane %s does not state whose the token is: %v", e.Plane, e.Cause)
	}
	return fmt.Sprintf("control plane %s is not available: %v", e.Plane, e.Cause)
}

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Cause }

// maxRest bounds in bytes what is read of an answer only so that its connection can be used again.
const maxDrain = 64 << 10

// drain reads what is left of an answer, bounded: a connection is used again only once its answer was read to the end.
func drain(body io.Reader) { _, _ = io.CopyN(io.Discard, body, maxDrain) }

// unhelpful is the error of an answer that tells nothing of the token.
func unavailable(plane string, answer *http.Response, cause error) *UnavailableError {
	limited := answer.StatusCode == http.StatusTooManyRequests
	return &UnavailableError{Plane: plane, Cause: cause, RetryAfter: retryAfter(answer), Limited: limited}
}

// unread is the error of an answer of host that readObject or its caller could not take. An [unclearError] concerns one token alone.
func unreadable(plane string, answer *http.Response, host string, cause error) *UnavailableError {
	failure := unavailable(plane, answer, fmt.Errorf("reading the answer of %s: %w", host, cause))
	_, failure.Answered = errors.AsType[unclearError](cause)
	return failure
}

// retryAfter returns how long an answer requests to send nothing. Access Management sends
// X-RateLimit-Reset, in epoch seconds, with every answer; it is a time to wait only where
// the answer is 429.
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

// hide returns err, or an error that quotes nothing where err quotes one of secrets, as the transport's does of an answer that is not HTTP.
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
