package oidc_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"osgate/auth"
	"osgate/auth/oidc"
)

// TestAmbiguousTokenIsRefused, in header and payload.
func TestAmbiguousTokenIsRefused(t *testing.T) {
	key := newKey(t, "a")
	is := newIssuer(t, key)
	v := newVerifier(t, is)
	header := marshal(t, object{"alg": "ES256", "kid": "a"})
	payload := marshal(t, is.claims(nil))
	wantCaller(t, v, key.tokenOf(t, header, payload))
	insert := func(text, member string) string { return text[:len(text)-1] + "," + member + "}" }
	for _, odd := range []struct{ header, payload string }{
		{header, insert(payload, `"azp":"admin"`)},
		{header, insert(payload, `"sub":"admin"`)},
		{header, insert(payload, `"aud":"other"`)},
		{header, insert(payload, `"exp":99999999999`)},
		{header, insert(payload, `"realm":{"a":1,"a":2}`)},
		{header, insert(payload, `"\u0061zp":"admin"`)},
		{header, insert(payload, "\"x\":\"\xff\"")},
		{header, payload + "{}"},
		{header, payload + "\x00"},
		{header, "\ufeff" + payload},
		{header, "[" + payload + "]"},
		{header, "null"},
		{header, `"` + "text" + `"`},
		{header, payload[:len(payload)-1]},
		{insert(header, `"alg":"none"`), payload},
		{insert(header, `"kid":"b"`), payload},
		{insert(header, "\"x\":\"\xff\""), payload},
		{header + "{}", payload},
	} {
		wantRefused(t, v, key.tokenOf(t, odd.header, odd.payload), oidc.ReasonMalformed)
	}
	// Names in other case are other names.
	token := key.tokenOf(t, header, insert(payload, `"AZP":"admin","Exp":1,"AUD":"x"`))
	if caller := wantCaller(t, v, token); caller.Name != "app" {
		t.Errorf("the client is %q", caller.Name)
	}
}

// TestFormsOfATokenThatAreRefused.
func TestFormsOfATokenThatAreRefused(t *testing.T) {
	key := newKey(t, "a")
	is := newIssuer(t, key)
	v := newVerifier(t, is)
	good := key.token(t, is.claims(nil)).Text()
	parts := strings.Split(good, ".")
	last := good[len(good)-1]
	// Of the last character only some bits belong to the signature.
	other := strings.TrimSuffix(good, string(last)) + string(next(last))
	for name, text := range map[string]string{
		"empty": "", "a dot": ".", "two dots": "..", "an opaque token": "7f3c5b1e-0000-4000-8000-000000000000",
		"two parts": parts[0] + "." + parts[1], "no signature": parts[0] + "." + parts[1] + ".",
		"no payload": parts[0] + ".." + parts[2], "no header": "." + parts[1] + "." + parts[2],
		"four parts": good + ".", "five parts": good + ".a.b", "padding": good + "=",
		"a line break": good + "\n", "a space": " " + good, "base64 of another alphabet": good + "+/",
		"another form of the same signature": other,
	} {
		t.Run(name, func(t *testing.T) {
			wantRefused(t, v, auth.NewToken(text), oidc.ReasonMalformed)
		})
	}
	wantRefused(t, v, auth.Token{}, oidc.ReasonMalformed)
	long := strings.Repeat("x", 8<<10)
	wantRefused(t, v, key.token(t, is.claims(object{"groups": long})), oidc.ReasonTooLarge)
	fits := 4096 - len(good)
	wantCaller(t, v, key.token(t, is.claims(object{"x": strings.Repeat("x", fits*3/4-10)})))
	if n := is.fetches(); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

// next returns the character of base64url after c, with a bit more or less.
func next(c byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, c)^1]
}

// TestErrorsContainNoPartOfAToken.
func TestErrorsContainNoPartOfAToken(t *testing.T) {
	key := newKey(t, "secret-kid")
	is := newIssuer(t)
	v := newVerifier(t, is)
	for _, changes := range []object{
		nil, {"aud": "secret-aud"}, {"iss": "http://localhost/secret-iss"}, {"exp": 1}, {"azp": "secret\nname"},
		{"exp": "secret-exp"},
	} {
		claims := is.claims(object{"azp": "secret-azp", "sub": "secret-sub"})
		maps.Copy(claims, changes)
		token := key.token(t, claims)
		_, err := v.Verify(t.Context(), token)
		if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), token.Text()[:8]) {
			t.Errorf("Verify: %v", err)
		}
		refusal, ok := errors.AsType[*oidc.RefusedError](err)
		if !ok || !strings.Contains(err.Error(), string(refusal.Reason)) || refusal.Detail == "" {
			t.Errorf("Verify: %v; want the reason and a detail", err)
		}
	}
}
