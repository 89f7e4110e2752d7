// Package auth says whose token a request carries.
//
// The idea a reader needs: identity is what the control plane says of a token, never what a request says of itself. Anypoint tokens are opaque
// and belong to one control plane, so the plane's own GET /accounts/api/me is asked ([Anypoint]) and what it says ([Principal]) is kept for a
// short time under a keyed hash of the token ([Authenticator]). A token is never stored, printed or logged.
//
// What cannot be decided is not decided: a refused token is [ErrBadToken], a control plane that does not answer is an [UnavailableError], never
// the one for the other. What a principal may do is not this package's business.
//
// The package also knows the few Access Management calls that the gateway passes on ([Call]). Sources: the vendor's page "Object Store v2 REST
// APIs" (bearer token, organization and environment ids) and its OpenAPI description access-management-api 1.0.45.
package auth
