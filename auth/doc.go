// Package auth identifies the client and user of the token in a request.
//
// The idea a reader needs: identity is the control plane's answer about a token, never
// a claim in a request. Anypoint tokens are opaque and belong to one control plane, so
// a lookup sends each new token to its plane ([Resolver]): to GET /accounts/api/me
// ([Anypoint]) or to introspection ([Introspection]). The resulting [Principal] is kept
// for a short time under a keyed hash of the token ([Authenticator]), is shared with
// other gateways under the same hash, sealed ([Shared], [Redis]), and is renewed ahead
// of its end while the token is in use. A token is never stored, printed or logged.
//
// A failed lookup decides nothing, and neither does an answer without a principal: a
// refused token is [ErrBadToken], a control plane that does not answer is an
// [UnavailableError], and one is never reported as the other. A plane that fails again
// and again receives no requests for a while ([PlaneState]), and known tokens do not
// wait for it. This package does not decide what a principal may do, nor how many bad
// tokens are too many ([Guard]).
//
// How a request is identified: [Authenticator.Identify] finds a fresh verdict, or joins
// the flight for its token, which looks for a shared identity first and then sends a
// lookup to the plane, if its breaker allows that. One mutex orders all of this but the
// first step.
//
// The package also defines the few Access Management calls that the gateway passes on
// ([Call]). Sources: the vendor's page "Object Store v2 REST APIs" (bearer token,
// organization and environment ids) and its OpenAPI description access-management-api
// 1.0.45.
package auth
