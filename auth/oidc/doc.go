// Package oidc identifies a client by a JSON Web Token (JWT) of an OpenID Connect
// issuer: a Kubernetes cluster, Entra ID, Okta, Keycloak and the like.
//
// The idea a reader needs: a token proves the identity of its client because only the
// issuer can sign it, and the issuer publishes the keys that check its signatures. So
// the gateway sends no request about a token; it fetches keys, once an hour and issuer.
// [Verifier.Verify] reads a token strictly, checks all that needs no key (algorithm,
// issuer, audience, times), and then the signature. The result is kept under a keyed
// hash of the token, so that [Verifier.Known] finds it again without a signature. A
// token is never stored, printed or logged.
//
// A refusal ([RefusedError]) is final for the token as it is. If a key cannot be
// fetched, the token is neither accepted nor refused ([auth.UnavailableError]). Known
// keys stay in use while their issuer is unreachable.
//
// The work that a sender of tokens can cause is bounded. An unknown key causes a fetch
// at most once in an interval for each issuer, and all waiting callers share it; a bad
// signature with a known key causes none. A token's header can neither contain a key
// nor its address: jku, jwk, x5u and x5c are ignored.
//
// How long things are believed:
//
//   - A token until its exp and the leeway.
//   - A key, and each caller that a token with this key identified, until the first
//     fetch that does not find it. An issuer's keys are fetched again no later than
//     Options.Refresh after the last time, if they are used at all, and longer only if
//     the issuer does not answer.
//   - A new key as soon as a token needs it, but at most one interval late.
//
// Sources: RFC 7515 (JWS), RFC 7517 (JWK), RFC 7518 (algorithms), RFC 7519 (JWT), RFC
// 8037 (EdDSA), RFC 8725 (best practices), OpenID Connect Discovery 1.0.
package oidc
