package oidc_test

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
	"osgate/auth/oidc"
)

// TestClaimsThatAreRefused by each rule, with a good signature. None of them needs a key
// of the issuer, so no request is sent.
func TestClaimsThatAreRefused(t *testing.T) {
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	cases := map[string]struct {
		claims object
		reason oidc.Reason
	}{
		"another audience":           {object{"aud": "https://other.example"}, oidc.ReasonAudience},
		"no audience":                {object{"aud": nil}, oidc.ReasonAudience},
		"an empty list of audiences": {object{"aud": []string{}}, oidc.ReasonAudience},
		"a list of other audiences":  {object{"aud": []string{"a", audience + "/"}}, oidc.ReasonAudience},
		"an audience in other case":  {object{"aud": strings.ToUpper(audience)}, oidc.ReasonAudience},
		"an audience that is null":   {object{"aud": null}, oidc.ReasonMalformed},
		"a list with a number":       {object{"aud": []any{audience, 1}}, oidc.ReasonMalformed},
		"a list with null":           {object{"aud": []any{audience, null}}, oidc.ReasonMalformed},
		"a nested list":              {object{"aud": []any{[]string{audience}}}, oidc.ReasonMalformed},
		"another issuer":             {object{"iss": "http://localhost/other"}, oidc.ReasonIssuer},
		"an issuer with a slash":     {object{"iss": "http://localhost/realm/"}, oidc.ReasonIssuer},
		"an issuer in other case":    {object{"iss": "http://LOCALHOST/realm"}, oidc.ReasonIssuer},
		"no issuer":                  {object{"iss": nil}, oidc.ReasonIssuer},
		"a list of issuers":          {object{"iss": []string{"http://localhost/realm"}}, oidc.ReasonMalformed},
		"no exp":                     {object{"exp": nil}, oidc.ReasonMalformed},
		"an exp that is null":        {object{"exp": null}, oidc.ReasonMalformed},
		"an exp that is a string":    {object{"exp": "99999999999"}, oidc.ReasonMalformed},
		"an exp beyond all years":    {object{"exp": 1e300}, oidc.ReasonMalformed},
		"an exp below zero":          {object{"exp": -1}, oidc.ReasonMalformed},
		"an exp of zero":             {object{"exp": 0}, oidc.ReasonExpired},
		"an exp that has passed":     {object{"exp": at(-31 * time.Second)}, oidc.ReasonExpired},
		"an nbf in the future":       {object{"nbf": at(40 * time.Second)}, oidc.ReasonNotYetValid},
		"an iat in the future":       {object{"iat": at(40 * time.Second)}, oidc.ReasonNotYetValid},
		"an nbf that is a string":    {object{"nbf": "0"}, oidc.ReasonMalformed},
		"an iat that is a string":    {object{"iat": "0"}, oidc.ReasonMalformed},
		"no claim of a client":       {object{"azp": nil, "sub": nil}, oidc.ReasonNoClient},
		"clients that are no texts": {
			object{"azp": []string{"app"}, "client_id": object{"id": "app"}, "sub": 7}, oidc.ReasonNoClient,
		},
		"clients that are empty":      {object{"azp": "", "sub": ""}, oidc.ReasonNoClient},
		"a client with a line break":  {object{"azp": "app\nadmin"}, oidc.ReasonNoClient},
		"a client of 513 bytes":       {object{"azp": strings.Repeat("a", 513)}, oidc.ReasonNoClient},
		"a client that turns writing": {object{"azp": "app\u202e"}, oidc.ReasonNoClient},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			key := newKey(t, "a")
			is := newIssuer(t, key)
			v := newVerifier(t, is)
			token := key.token(t, is.claims(c.claims))
			if !v.Recognizes(token) {
				t.Error("the token is not recognized")
			}
			wantRefused(t, v, token, c.reason)
			if n := is.attempts(); n != 0 {
				t.Errorf("the issuer received %d requests", n)
			}
		})
	}
}

// TestTheClientIsTheFirstClaimThatIsAString and not empty.
func TestTheClientIsTheFirstClaimThatIsAString(t *testing.T) {
	cases := map[string]struct {
		claims object
		want   string
	}{
		"the first":             {object{"azp": "a", "client_id": "b", "sub": "c"}, "a"},
		"the first there is":    {object{"azp": nil, "client_id": "b", "sub": "c"}, "b"},
		"a list is none":        {object{"azp": []string{"a"}, "client_id": "b"}, "b"},
		"null is none":          {object{"azp": null, "client_id": object{"azp": "a"}, "sub": "c"}, "c"},
		"empty is none":         {object{"azp": "", "sub": "c"}, "c"},
		"512 bytes":             {object{"azp": strings.Repeat("a", 512)}, strings.Repeat("a", 512)},
		"letters of all people": {object{"azp": "Bestellung für 株式会社"}, "Bestellung für 株式会社"},
	}
	key := newKey(t, "a")
	is := newIssuer(t, key)
	v := newVerifier(t, is)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if caller := wantCaller(t, v, key.token(t, is.claims(c.claims))); caller.Name != c.want {
				t.Errorf("the client is %q, want %q", caller.Name, c.want)
			}
		})
	}
}

// TestClocksMayDifferByTheLeeway and no more, in both directions.
func TestClocksMayDifferByTheLeeway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newKey(t, "a")
		is := newIssuer(t, key)
		v := newVerifier(t, is)
		now := time.Now()
		fractional := func(d time.Duration) float64 { return float64(now.Add(d).UnixMilli()) / 1000 }
		for _, c := range []struct {
			claims object
			reason oidc.Reason // empty: accepted
		}{
			{object{"exp": fractional(-leeway + time.Second)}, ""},
			{object{"exp": fractional(-leeway)}, oidc.ReasonExpired},
			{object{"nbf": fractional(leeway)}, ""},
			{object{"nbf": fractional(leeway + 500*time.Millisecond)}, oidc.ReasonNotYetValid},
			{object{"iat": fractional(leeway)}, ""},
			{object{"iat": fractional(leeway + time.Second)}, oidc.ReasonNotYetValid},
			{object{"nbf": nil, "iat": nil}, ""},
		} {
			token := key.token(t, is.claims(c.claims))
			if c.reason != "" {
				wantRefused(t, v, token, c.reason)
				continue
			}
			wantCaller(t, v, token)
		}
		wide := newVerifier(t, is, func(o *oidc.Options) { o.Leeway = time.Minute })
		wantCaller(t, wide, key.token(t, is.claims(object{"exp": fractional(-59 * time.Second)})))
	})
}

// TestACallerIsKnownUntilItsTokenEnds with the leeway.
func TestACallerIsKnownUntilItsTokenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newKey(t, "a")
		is := newIssuer(t, key)
		v := newVerifier(t, is)
		token := key.token(t, is.claims(object{"exp": time.Now().Add(time.Minute).Unix()}))
		wantCaller(t, v, token)
		pass(time.Minute + leeway - time.Millisecond)
		wantKnown(t, v, token, true)
		pass(time.Millisecond)
		wantRefused(t, v, token, oidc.ReasonExpired)
	})
}

// TestHeadersThatAreRefused by each rule, before a key is looked for.
func TestHeadersThatAreRefused(t *testing.T) {
	cases := map[string]struct {
		header object
		reason oidc.Reason
	}{
		"crit":                      {object{"crit": []string{"exp"}}, oidc.ReasonCritical},
		"an empty crit":             {object{"crit": []string{}}, oidc.ReasonCritical},
		"crit that is null":         {object{"crit": null}, oidc.ReasonCritical},
		"b64":                       {object{"b64": false, "crit": []string{"b64"}}, oidc.ReasonCritical},
		"a logout token":            {object{"typ": "logout+jwt"}, oidc.ReasonType},
		"a typ of another kind":     {object{"typ": "application/dpop+jwt"}, oidc.ReasonType},
		"a typ that is a number":    {object{"typ": 1}, oidc.ReasonMalformed},
		"a kid that is a number":    {object{"kid": 1}, oidc.ReasonMalformed},
		"a kid that is null":        {object{"kid": null}, oidc.ReasonMalformed},
		"an algorithm that is null": {object{"alg": null}, oidc.ReasonMalformed},
		"a list of algorithms":      {object{"alg": []string{"ES256"}}, oidc.ReasonMalformed},
	}
	for _, algorithm := range []string{
		"none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "RS384", "RS512", "PS384", "PS512", "ES384",
		"ES512", "ES256K", "Ed25519", "Ed448", "es256", "RSA1_5", "ES256 ",
	} {
		cases["algorithm "+algorithm] = struct {
			header object
			reason oidc.Reason
		}{object{"alg": algorithm}, oidc.ReasonAlgorithm}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			key := newKey(t, "a")
			is := newIssuer(t, key)
			v := newVerifier(t, is)
			token := key.token(t, is.claims(nil), c.header)
			if !v.Recognizes(token) {
				t.Error("the token is not recognized")
			}
			wantRefused(t, v, token, c.reason)
			if n := is.attempts(); n != 0 {
				t.Errorf("the issuer received %d requests", n)
			}
		})
	}
}

// TestTypesOfTokensThatIdentify in their forms.
func TestTypesOfTokensThatIdentify(t *testing.T) {
	key := newKey(t, "a")
	is := newIssuer(t, key)
	v := newVerifier(t, is)
	for _, kind := range []any{
		nil, "JWT", "jwt", "JOSE", "at+jwt", "application/at+JWT", "application/okta-internal-at+jwt",
	} {
		wantCaller(t, v, key.token(t, is.claims(nil), object{"typ": kind}))
	}
}

// TestThePublicKeyIsNoSecret: HMAC with the published key as its secret, in the forms
// that libraries have taken it.
func TestThePublicKeyIsNoSecret(t *testing.T) {
	key := newKeyFor(t, "a", "RS256")
	is := newIssuer(t, key)
	v := newVerifier(t, is)
	public, _ := key.private.Public().(*rsa.PublicKey)
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	for _, secret := range [][]byte{der, block, public.N.Bytes(), []byte(marshal(t, key.jwk()))} {
		for _, algorithm := range []string{"HS256", "RS256"} {
			text, _ := cutSignature(key.token(t, is.claims(nil), object{"alg": algorithm}))
			m := hmac.New(sha256.New, secret)
			m.Write([]byte(text))
			reason := oidc.ReasonAlgorithm
			if algorithm == "RS256" {
				reason = oidc.ReasonSignature
			}
			wantRefused(t, v, auth.NewToken(text+"."+encode(m.Sum(nil))), reason)
		}
	}
}

// cutSignature returns a token's header with its payload, and its signature.
func cutSignature(token auth.Token) (signed, signature string) {
	at := strings.LastIndex(token.Text(), ".")
	return token.Text()[:at], token.Text()[at+1:]
}

// TestKeysInTheTokenAreIgnored, and places of keys: an attacker writes them.
func TestKeysInTheTokenAreIgnored(t *testing.T) {
	key, foreign := newKey(t, "a"), newKey(t, "a")
	is, evil := newIssuer(t, key), newIssuer(t, foreign)
	v := newVerifier(t, is)
	header := object{
		"jwk": foreign.jwk(), "jku": evil.URL + keysPath, "x5u": evil.URL + keysPath, "x5c": []string{"MIIB"},
		"x5t": "abc",
	}
	wantRefused(t, v, foreign.token(t, is.claims(nil), header), oidc.ReasonSignature)
	wantCaller(t, v, key.token(t, is.claims(nil), header))
	header["kid"] = "b"
	wantRefused(t, v, foreign.token(t, is.claims(nil), header), oidc.ReasonUnknownKey)
	if n := evil.attempts(); n != 0 {
		t.Errorf("the place in the token received %d requests", n)
	}
}

// TestTokensOfTwoIssuersAreTwoThings: each issuer signs for itself alone.
func TestTokensOfTwoIssuersAreTwoThings(t *testing.T) {
	one, two := newKey(t, "a"), newKey(t, "a")
	first, second := newIssuer(t, one), newIssuer(t, two)
	v := newVerifier(t, first, func(o *oidc.Options) {
		o.Issuers = append(o.Issuers, oidc.Issuer{URL: "http://localhost/second", JWKS: "http://[::1]/realm/keys"})
		o.Transport = byHost{"localhost": first.transport, "[::1]": second.transport}
	})
	wantCaller(t, v, one.token(t, first.claims(nil)))
	other := object{"iss": "http://localhost/second"}
	if c := wantCaller(t, v, two.token(t, first.claims(other))); c.Issuer != other["iss"] {
		t.Errorf("the issuer is %q", c.Issuer)
	}
	wantRefused(t, v, one.token(t, first.claims(other)), oidc.ReasonSignature)
	wantRefused(t, v, two.token(t, first.claims(nil)), oidc.ReasonSignature)
	if second.attempts() != second.fetches() {
		t.Error("the URL of the keys is set, and another one was requested")
	}
}
