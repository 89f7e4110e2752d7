package broker

import (
	"errors"
	"fmt"
	"time"

	"osgate/auth"
)

// CredentialError reports that the gateway's own credential does not work: the token
// endpoint refuses the connected app, or upstream refuses its new tokens. It is never
// the fault of the caller.
type CredentialError struct {
	Plane      string
	Cause      error
	RetryAfter time.Duration // until the next mint
}

// Error names the plane and the cause.
func (e *CredentialError) Error() string {
	return fmt.Sprintf("the gateway's own credential does not work on plane %s: %v", e.Plane, e.Cause)
}

// Unwrap returns the cause.
func (e *CredentialError) Unwrap() error { return e.Cause }

var (
	errClosed  = errors.New("the gateway is stopping")
	errRefused = errors.New("upstream refuses new tokens")
)

// retryIn returns a copy of err, an error of this package's mints, with the time until
// the next mint.
func retryIn(err error, wait time.Duration) error {
	if refused, ok := errors.AsType[*CredentialError](err); ok {
		return &CredentialError{Plane: refused.Plane, Cause: refused.Cause, RetryAfter: wait}
	}
	if failure, ok := errors.AsType[*auth.UnavailableError](err); ok {
		later := *failure
		later.RetryAfter = wait
		return &later
	}
	return err
}
