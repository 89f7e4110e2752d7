package clientcert

import "osgate/auth"

// Reason is why a certificate was refused, for logs and metrics.
type Reason string

// The complete list of reasons.
const (
	ReasonMalformed   Reason = "malformed"     // the header or the certificate in it cannot be read
	ReasonExpired     Reason = "expired"       // the certificate, or all chains to a CA
	ReasonNotYetValid Reason = "not-yet-valid" // its validity begins later
	ReasonRevoked     Reason = "revoked"       // listed in a CRL, or its intermediate CA is
	ReasonUntrusted   Reason = "untrusted"     // no chain leads to a CA of the CA file
	ReasonUsage       Reason = "wrong-usage"   // not for client authentication, or a CA's own certificate
	ReasonNoName      Reason = "no-name"       // it contains no name that identifies a client
)

// RefusedError reports a certificate that identifies no client. It wraps
// [auth.ErrBadToken].
type RefusedError struct {
	Reason Reason
	Cause  error // details; nil: Reason is all
}

// refuse returns a *RefusedError.
func refuse(reason Reason, cause error) error { return &RefusedError{reason, cause} }

// Error implements error.
func (e *RefusedError) Error() string {
	text := "client certificate refused: " + string(e.Reason)
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Is reports whether target is [auth.ErrBadToken].
func (e *RefusedError) Is(target error) bool { return target == auth.ErrBadToken }

// Unwrap returns the cause.
func (e *RefusedError) Unwrap() error { return e.Cause }

// Refusal returns the method and the reason, for counts of refusals.
func (e *RefusedError) Refusal() (auth.Method, string) { return auth.ByMTLS, string(e.Reason) }
