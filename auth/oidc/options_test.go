package oidc_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"osgate/auth"
	"osgate/auth/oidc"
)

// TestOptionsThatCannotWorkAreRefused.
func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	good := func() oidc.Options {
		return oidc.Options{
			Issuers: []oidc.Issuer{{URL: "https://issuer.example"}}, Audience: audience, Transport: &http.Transport{},
		}
	}
	issuer := func(url string) func(*oidc.Options) {
		return func(o *oidc.Options) { o.Issuers[0].URL = url }
	}
	for name, c := range map[string]struct {
		change func(*oidc.Options)
		err    string // empty: accepted
	}{
		"good":                     {func(*oidc.Options) {}, ""},
		"http on loopback":         {issuer("http://localhost:8080"), ""},
		"http on 127.0.0.1":        {issuer("http://127.0.0.1:8080/a"), ""},
		"http on ::1":              {issuer("http://[::1]:8080"), ""},
		"no issuers":               {func(o *oidc.Options) { o.Issuers = nil }, "required"},
		"no audience":              {func(o *oidc.Options) { o.Audience = "" }, "required"},
		"no transport":             {func(o *oidc.Options) { o.Transport = nil }, "required"},
		"a leeway below zero":      {func(o *oidc.Options) { o.Leeway = -1 }, "negative"},
		"a refresh below zero":     {func(o *oidc.Options) { o.Refresh = -1 }, "negative"},
		"an interval below zero":   {func(o *oidc.Options) { o.UnknownKeyInterval = -1 }, "negative"},
		"a timeout below zero":     {func(o *oidc.Options) { o.Timeout = -1 }, "negative"},
		"a claim without a name":   {func(o *oidc.Options) { o.ClientClaims = []string{"azp", ""} }, "no name"},
		"an issuer twice":          {func(o *oidc.Options) { o.Issuers = append(o.Issuers, o.Issuers[0]) }, "twice"},
		"http":                     {issuer("http://issuer.example"), "https"},
		"http that looks local":    {issuer("http://localhost.example"), "https"},
		"no URL":                   {issuer("https://[::1"), "no URL"},
		"no scheme":                {issuer("issuer.example"), "no host"},
		"no host":                  {issuer("https:///path"), "no host"},
		"a query":                  {issuer("https://issuer.example?a=b"), "query"},
		"an empty query":           {issuer("https://issuer.example?"), "query"},
		"a fragment":               {issuer("https://issuer.example#"), "fragment"},
		"credentials":              {issuer("https://user@issuer.example"), "credentials"},
		"keys with http":           {func(o *oidc.Options) { o.Issuers[0].JWKS = "http://keys.example" }, "keys of issuer"},
		"keys with a query":        {func(o *oidc.Options) { o.Issuers[0].JWKS = "https://keys.example?p=sign" }, ""},
		"keys with http, loopback": {func(o *oidc.Options) { o.Issuers[0].JWKS = "http://localhost/keys" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := good()
			c.change(&o)
			v, err := oidc.New(o)
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("New: %v, want an error with %q", err, c.err)
			}
			if v != nil {
				v.Close()
			}
		})
	}
}

// TestOptionsDoNotPrintTheSecret.
func TestOptionsDoNotPrintTheSecret(t *testing.T) {
	o := oidc.Options{Secret: []byte("hush")}
	asJSON, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	bytes := fmt.Sprintf("%d", []byte("hush"))
	texts := []string{
		fmt.Sprintf("%v %+v %#v %s %d %x", o, o, o, o, o, o), o.String(), o.GoString(), o.LogValue().String(),
		string(asJSON),
	}
	for _, text := range texts {
		if strings.Contains(text, "hush") || strings.Contains(text, bytes) || strings.Contains(text, "aHVzaA") {
			t.Errorf("the options print as %s", text)
		}
	}
}

// TestHashesDependOnTokenSecretAndSettings: gateways that would not decide alike have
// different hashes of a token, gateways with the same settings the same.
func TestHashesDependOnTokenSecretAndSettings(t *testing.T) {
	key := newKey(t, "a")
	is := newIssuer(t, key)
	token := key.token(t, is.claims(object{"aud": []string{audience, "other"}, "exp": time.Now().Unix() + 99}))
	hash := func(token auth.Token, changes ...func(*oidc.Options)) [32]byte {
		t.Helper()
		secret := func(o *oidc.Options) { o.Secret = []byte("secret") }
		return wantCaller(t, newVerifier(t, is, append([]func(*oidc.Options){secret}, changes...)...), token).Hash
	}
	first := hash(token)
	if hash(token) != first {
		t.Error("the same settings give another hash")
	}
	if hash(key.token(t, is.claims(nil))) == first {
		t.Error("another token has the same hash")
	}
	for name, change := range map[string]func(*oidc.Options){
		"secret":   func(o *oidc.Options) { o.Secret = []byte("other") },
		"random":   func(o *oidc.Options) { o.Secret = nil },
		"audience": func(o *oidc.Options) { o.Audience = "other" },
		"claims":   func(o *oidc.Options) { o.ClientClaims = []string{"sub"} },
		"JWKS":     func(o *oidc.Options) { o.Issuers[0].JWKS = is.URL + keysPath },
		"issuers": func(o *oidc.Options) {
			o.Issuers = append(o.Issuers, oidc.Issuer{URL: "https://other.example"})
		},
	} {
		if hash(token, change) == first {
			t.Errorf("another %s gives the same hash", name)
		}
	}
}

// TestMemoryIsBounded: of more tokens than fit, some are forgotten, and verified again.
func TestMemoryIsBounded(t *testing.T) {
	key := newKeyFor(t, "a", "EdDSA")
	is := newIssuer(t, key)
	v := newVerifier(t, is, func(o *oidc.Options) { o.Bytes = 16 << 10 })
	tokens := make([]auth.Token, 300)
	for i := range tokens {
		tokens[i] = key.token(t, is.claims(object{"azp": fmt.Sprint("app ", i)}))
		wantCaller(t, v, tokens[i])
	}
	known := func() (n int) {
		for _, token := range tokens {
			if _, ok := v.Known(token); ok {
				n++
			}
		}
		return n
	}
	for deadline := time.Now().Add(10 * time.Second); known() > 40; { // 16 KiB hold 33 entries
		if time.Now().After(deadline) {
			t.Fatalf("%d tokens are known", known())
		}
		<-time.After(time.Millisecond)
	}
	if caller := wantCaller(t, v, tokens[0]); caller.Name != "app 0" {
		t.Errorf("the caller is %q", caller.Name)
	}
}
