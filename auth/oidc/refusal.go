package oidc

import "osgate/auth"

// Reason is why a token is refused. Its text is a value in logs and metrics.
type Reason string

// The reasons, all of them.
const (
	ReasonMalformed   Reason = "malformed"     // it is no JWT, or two readers may read it differently
	ReasonTooLarge    Reason = "too-large"     // it has more than 4096 bytes
	ReasonAlgorithm   Reason = "algorithm"     // not RS256, PS256, ES256 or EdDSA, or not that of its key
	ReasonCritical    Reason = "critical"      // its header has extensions that must be understood
	ReasonType        Reason = "type"          // its typ is that of another kind of JWT
	ReasonIssuer      Reason = "issuer"        // its iss is none of the issuers
	ReasonAudience    Reason = "audience"      // its aud does not contain the gateway
	ReasonExpired     Reason = "expired"       // its exp has passed
	ReasonNotYetValid Reason = "not-yet-valid" // its nbf or iat is in the future
	ReasonNoClient    Reason = "no-client"     // no claim names a client
	ReasonUnknownKey  Reason = "unknown-key"   // its issuer does not publish its key
	ReasonSignature   Reason = "signature"     // its key did not sign it
)

// RefusedError reports that a token is refused. It wraps [auth.ErrBadToken]. It
// contains no part of the token.
type RefusedError struct {
	Reason Reason
	Detail string // a fixed text
}

// Error returns the reason and the detail.
func (e *RefusedError) Error() string {
	return auth.ErrBadToken.Error() + ": " + string(e.Reason) + ": " + e.Detail
}

// Unwrap returns [auth.ErrBadToken].
func (e *RefusedError) Unwrap() error { return auth.ErrBadToken }

func refused(reason Reason, detail string) *RefusedError { return &RefusedError{reason, detail} }

// Refusal returns the method and the reason, for counts of refusals.
func (e *RefusedError) Refusal() (auth.Method, string) { return auth.ByJWT, string(e.Reason) }
