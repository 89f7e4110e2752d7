package oidc_test

import (
	"strings"
	"testing"
	"time"

	"osgate/auth/oidc"
)

// TestTokensOfRealIssuers: the claims that their documents show, with the settings that
// each needs.
func TestTokensOfRealIssuers(t *testing.T) {
	now := time.Now().Unix()
	const entraClient, oktaClient = "6e74172b-be56-4843-9ff4-e66a39bb12e3", "0oabcd1234efGHIJ5678"
	for name, c := range map[string]struct {
		path, algorithm, audience string
		names                     []string
		header, claims            object
		want                      string
	}{
		// A service account token volume (kubernetes.io, "Managing Service Accounts"). Its
		// header has no typ.
		"Kubernetes": {
			path: "", algorithm: "RS256", audience: "osgate", header: object{"typ": nil},
			claims: object{
				"aud": []string{"osgate"}, "exp": now + 3600, "iat": now, "nbf": now, "jti": "ea28ed49",
				"kubernetes.io": object{
					"namespace": "orders", "node": object{"name": "127.0.0.1", "uid": "58456cb0"},
					"pod":            object{"name": "app-69dfdc6c9b-xk2vp", "uid": "5e0bd49b"},
					"serviceaccount": object{"name": "app", "uid": "14ee3fa4"}, "warnafter": now + 3607,
				},
				"sub": "system:serviceaccount:orders:app",
			},
			want: "system:serviceaccount:orders:app",
		},
		// Access token v2.0 of a daemon (learn.microsoft.com, "Access token claims
		// reference"). aud is the API's client ID.
		"Entra ID": {
			path: "/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0", algorithm: "RS256",
			audience: "ef1da9d4-ff77-4c3e-a005-840c3f830745",
			header:   object{"x5t": "nOo3ZDrODXEK1jKWhXslHR_KXEg"},
			claims: object{
				"aud": "ef1da9d4-ff77-4c3e-a005-840c3f830745", "exp": now + 3600, "iat": now, "nbf": now,
				"aio": "E2NgYJ", "azp": entraClient, "azpacr": "1", "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
				"rh": "I", "roles": []string{"Store.Read"}, "sub": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
				"tid": "9188040d-6c67-4c5b-b112-36a304b66dad", "uti": "abc", "ver": "2.0",
			},
			want: entraClient,
		},
		// Access token of a custom authorization server (developer.okta.com, "OpenID Connect
		// & OAuth 2.0 API"): the client is in cid.
		"Okta": {
			path: "/oauth2/default", algorithm: "RS256", audience: "api://default",
			names: []string{"cid", "sub"}, header: object{"typ": nil},
			claims: object{
				"ver": 1, "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE", "aud": "api://default",
				"iat": now, "exp": now + 3600, "cid": oktaClient, "scp": []string{"stores"}, "sub": oktaClient,
			},
			want: oktaClient,
		},
		// Access token of a service account (keycloak.org, "Server Administration"), with an
		// audience mapper.
		"Keycloak": {
			path: "/realms/shop", algorithm: "PS256", audience: "osgate",
			claims: object{
				"exp": now + 300, "iat": now, "jti": "trrtcc:5f6c", "aud": []string{"osgate", "account"},
				"sub": "0f5c1c5d-6b5e-4b0e-8a0b-0c2ac3f4b7f1", "typ": "Bearer", "azp": "orders-app", "acr": "1",
				"realm_access": object{"roles": []string{"offline_access"}}, "scope": "profile email",
				"client_id": "orders-app", "clientHost": "10.1.2.3", "preferred_username": "service-account-orders-app",
			},
			want: "orders-app",
		},
		// A JWT-SVID of SPIRE's OIDC discovery provider.
		"SPIFFE": {
			path: "", algorithm: "ES256", audience: "osgate",
			claims: object{
				"aud": []string{"osgate"}, "exp": now + 300, "iat": now, "sub": "spiffe://example.org/ns/orders/sa/app",
			},
			want: "spiffe://example.org/ns/orders/sa/app",
		},
	} {
		t.Run(name, func(t *testing.T) {
			key := newKeyFor(t, "key-1", c.algorithm)
			is := newIssuer(t, key)
			is.URL = "http://localhost/realm" + c.path
			is.document = object{"token_endpoint_auth_methods_supported": []string{"private_key_jwt"}}
			c.claims["iss"] = is.URL
			v := newVerifier(t, is, func(o *oidc.Options) { o.Audience, o.ClientClaims = c.audience, c.names })
			caller := wantCaller(t, v, key.token(t, c.claims, c.header))
			if caller.Name != c.want || caller.Issuer != is.URL {
				t.Errorf("the caller is %q of %q, want %q of %q", caller.Name, caller.Issuer, c.want, is.URL)
			}
			other := newVerifier(t, is, func(o *oidc.Options) { o.Audience = "other" })
			wantRefused(t, other, key.token(t, c.claims, c.header), oidc.ReasonAudience)
		})
	}
}

// TestDiscoveryIsBelowTheIssuer: a slash at the end of the issuer belongs to iss, and
// not to the path.
func TestDiscoveryIsBelowTheIssuer(t *testing.T) {
	key := newKey(t, "a")
	is := newIssuer(t, key)
	is.URL = "http://localhost/realm/"
	is.document = object{"jwks_uri": "http://localhost/realm/keys"}
	v := newVerifier(t, is)
	wantCaller(t, v, key.token(t, is.claims(nil)))
	wantRefused(t, v, key.token(t, is.claims(object{"iss": strings.TrimSuffix(is.URL, "/")})), oidc.ReasonIssuer)
}
