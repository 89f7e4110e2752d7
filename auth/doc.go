// Package auth says whose token a request carries.
//
// The idea a reader needs: identity is what the control plane says of a token, never what a request says of itself. Anypoint tokens are opaque
// and belong to one control plane, so the plane is asked ([Asker]): its own GET /accounts/api/me ([Anypoint]), or introspection ([Introspection]). What it
// says ([Principal]) is kept for a short time under a keyed hash of the token ([Authenticator]), shared with other gateways under the same hash, sealed
// ([Shared], [Redis]), and asked again ahead of its end while the token is in use. A token is never stored, printed or logged.
//
// What cannot be decided is not decided, an answer that names no principal included: a refused token is [ErrBadToken], a control plane that
// does not answer is an [UnavailableError], never the one for the other. A plane that fails again and again is
// left alone ([PlaneState]), and known tokens do not wait for it. What a principal may do is
// not this package's business; nor is how many bad tokens are too many ([Guard]).
//
// A request's way through: [Authenticator.Identify] finds a fresh verdict, or joins the flight that finds out: among the shared identities first, then
// from the plane, if its breaker lets it. One mutex orders all but the first of these.
//
// The package also knows the few Access Management calls that the gateway passes on ([Call]). Sources: the vendor's page "Object Store v2 REST
// APIs" (bearer token, organization and environment ids) and its OpenAPI description access-management-api 1.0.45.
package auth
