package oidc_test

import (
	"testing"
	"time"

	"osgate/auth"
	"osgate/auth/oidc"
)

// TestTheCallerIsTheClientOfTheToken for each algorithm, and it is known from then on.
func TestTheCallerIsTheClientOfTheToken(t *testing.T) {
	for _, algorithm := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		t.Run(algorithm, func(t *testing.T) {
			key := newKeyFor(t, "a", algorithm)
			is := newIssuer(t, key)
			v := newVerifier(t, is)
			claims := is.claims(nil)
			token := key.token(t, claims)
			wantKnown(t, v, token, false)
			caller := wantCaller(t, v, token)
			exp, _ := claims["exp"].(int64)
			want := auth.Caller{
				Name: "app", Method: auth.ByJWT, Issuer: is.URL,
				Expires: time.Unix(exp, 0).Add(leeway), Hash: caller.Hash,
			}
			if caller != want || caller.Hash == [32]byte{} {
				t.Errorf("Verify = %+v, want %+v", caller, want)
			}
			if known, ok := v.Known(token); !ok || known != want {
				t.Errorf("Known = %+v, %v; want %+v", known, ok, want)
			}
			if again := wantCaller(t, v, token); again != want {
				t.Errorf("Verify again = %+v, want %+v", again, want)
			}
			wantFetches(t, is, 1)
			forged := newKeyFor(t, "a", "ES256")
			forged.algorithm = algorithm
			wantRefused(t, v, forged.token(t, claims), oidc.ReasonSignature)
		})
	}
}
