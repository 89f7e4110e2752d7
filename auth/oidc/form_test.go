package oidc_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"osgate/auth"
	"osgate/auth/oidc"
)

// TestOnlyJWTsAreRecognized by their form; other tokens are left to other methods.
func TestOnlyJWTsAreRecognized(t *testing.T) {
	key := newKey(t, "a")
	is := newIssuer(t, key)
	v := newVerifier(t, is)
	header := func(text string) string { return encode([]byte(text)) + ".e30.c2ln" }
	for text, want := range map[string]bool{
		key.token(t, is.claims(nil)).Text():    true,
		header(`{"alg":"none"}`):               true,
		header(`{"alg":null}`):                 true,
		header(`{"alg":"a","alg":"b"}`):        true, // refused later: it must not go to another method
		header(`{"typ":"JWT"}`):                false,
		header(`{"ALG":"RS256"}`):              false,
		header(`["alg"]`):                      false,
		header(`null`):                         false,
		header(`{"alg":"RS256"`):               false,
		encode([]byte(`{"alg":"RS256"}`)):      false,
		"7f3c5b1e-0000-4000-8000-000000000000": false,
		"7f3c5b1e.0000.4000":                   false,
		"":                                     false,
		".":                                    false,
		"a.b.c":                                false,
	} {
		if got := v.Recognizes(auth.NewToken(text)); got != want {
			t.Errorf("Recognizes(%q) = %v, want %v", text, got, want)
		}
	}
	if v.Recognizes(auth.Token{}) {
		t.Error("no token is recognized")
	}
}

// TestADamagedJWTIsRefusedAsOne: no other method gets it, and no control plane.
func TestADamagedJWTIsRefusedAsOne(t *testing.T) {
	key := newKey(t, "a")
	is := newIssuer(t, key)
	v := newVerifier(t, is)
	good := key.token(t, is.claims(nil)).Text()
	parts := strings.Split(good, ".")
	padded := base64.StdEncoding.EncodeToString([]byte(`{"alg": "ES256", "kid":"~~~~~~>??"}`))
	for name, tt := range map[string]struct {
		text string
		want oidc.Reason
	}{
		"algorithm none":             {encode([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".", oidc.ReasonMalformed},
		"algorithm none, signed":     {encode([]byte(`{"alg":"none"}`)) + "." + parts[1] + "." + parts[2], oidc.ReasonAlgorithm},
		"without a signature":        {parts[0] + "." + parts[1], oidc.ReasonMalformed},
		"with an empty signature":    {parts[0] + "." + parts[1] + ".", oidc.ReasonMalformed},
		"without claims":             {parts[0] + ".." + parts[2], oidc.ReasonMalformed},
		"encrypted":                  {parts[0] + ".a.b.c.d", oidc.ReasonMalformed},
		"with padding":               {good + "=", oidc.ReasonMalformed},
		"base64, not base64url":      {padded + "." + parts[1] + "." + parts[2], oidc.ReasonMalformed},
		"in quotation marks":         {`"` + good + `"`, oidc.ReasonMalformed},
		"after a name":               {"token=" + good, oidc.ReasonMalformed},
		"with a foreign character":   {good + "/", oidc.ReasonMalformed},
		"with text beyond ASCII":     {parts[0] + ".\u00e9." + parts[2], oidc.ReasonMalformed},
		"with two algorithms":        {encode([]byte(`{"alg":"none","alg":"ES256"}`)) + "." + parts[1] + "." + parts[2], oidc.ReasonMalformed},
		"with spaces in its header":  {encode([]byte(" {\"alg\" : \"HS256\"}")) + "." + parts[1] + "." + parts[2], oidc.ReasonAlgorithm},
		"an algorithm with a secret": {encode([]byte(`{"alg":"HS256"}`)) + "." + parts[1] + "." + parts[2], oidc.ReasonAlgorithm},
	} {
		t.Run(name, func(t *testing.T) {
			if !v.Recognizes(auth.NewToken(tt.text)) {
				t.Error("it is left to another method")
			}
			wantRefused(t, v, auth.NewToken(tt.text), tt.want)
		})
	}
}

// TestAJWTOfAnIssuerIsFoundInAText, those of others are not: they are no credentials
// for this gateway.
func TestAJWTOfAnIssuerIsFoundInAText(t *testing.T) {
	key := newKey(t, "a")
	is := newIssuer(t, key)
	v := newVerifier(t, is)
	good := key.token(t, is.claims(nil)).Text()
	other := key.token(t, is.claims(object{"iss": "https://other.example"})).Text()
	for text, want := range map[string]bool{
		good:                                 true,
		"access_token=" + good:               true,
		"a=1.5&token=" + good + "&hint=x":    true,
		`{"a.b":"c","token":"` + good + `"}`: true,
		other + " " + good:                   true,
		good[:len(good)-4]:                   true, // it is damaged
		other:                                false,
		strings.ToUpper(good):                false,
		strings.Split(good, ".")[1]:          false,
		"client_id=e.e.e":                    false,
		"":                                   false,
	} {
		if got := v.Contains(text); got != want {
			t.Errorf("Contains(%q) = %v, want %v", text, got, want)
		}
	}
}
