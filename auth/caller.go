package auth

import (
	"crypto/x509"
	"time"
)

// Method is a way to identify a client. Its text is a value of OSGATE_AUTH, of logs and
// of policies.
type Method string

// The methods. Anypoint and introspection send the token to its control plane; the
// other two need no Anypoint credential of the client.
const (
	ByAnypoint   Method = "anypoint"   // GET /accounts/api/me
	ByIntrospect Method = "introspect" // RFC 7662
	ByJWT        Method = "jwt"        // a JSON Web Token of an OIDC issuer
	ByMTLS       Method = "mtls"       // a client certificate
)

// Credential is the proof of identity in a request.
type Credential struct {
	// Token is the bearer token; the zero Token if there is none.
	Token Token
	// Certificate is the client certificate, verified by the listener or by a trusted
	// proxy; nil if there is none.
	Certificate *x509.Certificate
}

// Caller is a client without an Anypoint credential, as one method identified it. The
// gateway sends its requests upstream with a token of its own.
type Caller struct {
	Name    string    // in quotas, policy and logs
	Method  Method    // ByJWT or ByMTLS
	Issuer  string    // of the JWT or the certificate
	Expires time.Time // the end of the credential; the identity is not used beyond it
	Hash    [32]byte  // keyed hash of the credential, which may represent it in memory
}
