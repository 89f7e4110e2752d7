package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"osgate/auth"
	"osgate/auth/oidc"
	"osgate/internal/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The settings of the tests' verifiers; the times are the defaults.
const (
	audience = "https://gateway.example"
	leeway   = 30 * time.Second
	refresh  = time.Hour
	interval = 10 * time.Second
	timeout  = 5 * time.Second
)

// object is a JSON object.
type object = map[string]any

// issuer is an OIDC issuer: a server in memory that publishes keys, and the keys that
// sign its tokens.
type issuer struct {
	URL       string
	transport *http.Transport

	mu       sync.Mutex
	keys     []any                                             // as published
	document object                                            // members of the discovery document that differ
	requests map[string]int                                    // by path
	answer   func(w http.ResponseWriter, r *http.Request) bool // replaces the answers if it returns true
}

const (
	discoveryPath = "/.well-known/openid-configuration"
	keysPath      = "/keys"
)

// newIssuer returns an issuer that publishes keys.
func newIssuer(t testing.TB, keys ...*signer) *issuer {
	t.Helper()
	listener := memnet.Listen()
	is := &issuer{
		URL: "http://localhost/realm", requests: map[string]int{},
		transport: &http.Transport{DialContext: listener.Dial},
	}
	is.publish(keys...)
	server := &http.Server{Handler: is, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() {
		is.transport.CloseIdleConnections()
		_ = server.Close()
	})
	return is
}

// publish replaces the keys that is publishes.
func (is *issuer) publish(keys ...*signer) {
	jwks := make([]any, 0, len(keys))
	for _, k := range keys {
		jwks = append(jwks, k.jwk())
	}
	is.publishRaw(jwks...)
}

// publishRaw replaces the JWKs that is publishes.
func (is *issuer) publishRaw(jwks ...any) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.keys = jwks
}

// become replaces the answers of is; nil: it works.
func (is *issuer) become(answer func(w http.ResponseWriter, r *http.Request) bool) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.answer = answer
}

// down answers 500.
func down(w http.ResponseWriter, _ *http.Request) bool {
	w.WriteHeader(http.StatusInternalServerError)
	return true
}

// fetches returns how often the keys were requested.
func (is *issuer) fetches() int {
	is.mu.Lock()
	defer is.mu.Unlock()
	return is.requests[keysPath]
}

// attempts returns how often anything was requested.
func (is *issuer) attempts() (n int) {
	is.mu.Lock()
	defer is.mu.Unlock()
	for _, requests := range is.requests {
		n += requests
	}
	return n
}

func (is *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	is.mu.Lock()
	base := strings.TrimPrefix(strings.TrimSuffix(is.URL, "/"), "http://localhost")
	path := strings.TrimPrefix(r.URL.Path, base)
	is.requests[path]++
	answer, keys := is.answer, slices.Clone(is.keys)
	document := object{"issuer": is.URL, "jwks_uri": is.URL + keysPath}
	maps.Copy(document, is.document)
	is.mu.Unlock()
	switch {
	case answer != nil && answer(w, r):
	case path == discoveryPath:
		_ = json.NewEncoder(w).Encode(document)
	case path == keysPath:
		_ = json.NewEncoder(w).Encode(object{"keys": keys})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// claims returns good claims with changes; a change to nil removes the claim.
func (is *issuer) claims(changes object) object {
	now := time.Now().Unix()
	c := object{
		"iss": is.URL, "aud": audience, "azp": "app", "sub": "user",
		"iat": now, "nbf": now, "exp": now + 600,
	}
	return change(c, changes)
}

// change applies changes to o; nil removes a member.
func change(o, changes object) object {
	maps.Copy(o, changes)
	maps.DeleteFunc(o, func(_ string, value any) bool { return value == nil })
	return o
}

// null is a JSON null, which change does not remove.
var null = json.RawMessage("null")

// newVerifier returns a verifier that trusts is, with changes to its options. It is
// closed when the test ends.
func newVerifier(t testing.TB, is *issuer, changes ...func(*oidc.Options)) *oidc.Verifier {
	t.Helper()
	o := oidc.Options{Issuers: []oidc.Issuer{{URL: is.URL}}, Audience: audience, Transport: is.transport}
	for _, change := range changes {
		change(&o)
	}
	v, err := oidc.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// signer is a private key of an issuer.
type signer struct {
	kid       string
	algorithm string
	private   crypto.Signer
}

// newKey returns a key for ES256, which is the cheapest to make.
func newKey(t testing.TB, kid string) *signer {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{kid, "ES256", private}
}

// rsaKey is expensive to make.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return private
})

// newKeyFor returns a key for an algorithm.
func newKeyFor(t testing.TB, kid, algorithm string) *signer {
	t.Helper()
	switch algorithm {
	case "ES256":
		return newKey(t, kid)
	case "EdDSA":
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return &signer{kid, algorithm, private}
	default:
		return &signer{kid, algorithm, rsaKey()}
	}
}

// jwk returns the public key, with kid, alg and use.
func (s *signer) jwk() object {
	o := object{"kid": s.kid, "alg": s.algorithm, "use": "sig"}
	if s.kid == "" {
		delete(o, "kid")
	}
	switch public := s.private.Public().(type) {
	case *rsa.PublicKey:
		o["kty"], o["n"] = "RSA", encode(public.N.Bytes())
		o["e"] = encode(big.NewInt(int64(public.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			panic(err)
		}
		size := len(point) / 2
		o["kty"], o["crv"] = "EC", public.Params().Name
		o["x"], o["y"] = encode(point[1:1+size]), encode(point[1+size:])
	case ed25519.PublicKey:
		o["kty"], o["crv"], o["x"] = "OKP", "Ed25519", encode(public)
	}
	return o
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// token returns a token with claims, signed by s, with changes to its header.
func (s *signer) token(t testing.TB, claims object, header ...object) auth.Token {
	t.Helper()
	h := object{"alg": s.algorithm, "kid": s.kid, "typ": "JWT"}
	if s.kid == "" {
		delete(h, "kid")
	}
	for _, changes := range header {
		change(h, changes)
	}
	return s.tokenOf(t, marshal(t, h), marshal(t, claims))
}

// tokenOf returns a token with the texts of header and payload, signed by s.
func (s *signer) tokenOf(t testing.TB, header, payload string) auth.Token {
	t.Helper()
	signed := encode([]byte(header)) + "." + encode([]byte(payload))
	return auth.NewToken(signed + "." + encode(s.sign(t, signed)))
}

// sign returns a signature by s, made by the standard library alone.
func (s *signer) sign(t testing.TB, text string) []byte {
	t.Helper()
	hash := sha256.Sum256([]byte(text))
	var signature []byte
	var err error
	switch private := s.private.(type) {
	case *ecdsa.PrivateKey:
		r, sv, errSign := ecdsa.Sign(rand.Reader, private, hash[:])
		if err = errSign; err == nil {
			size := (private.Params().BitSize + 7) / 8
			signature = append(r.FillBytes(make([]byte, size)), sv.FillBytes(make([]byte, size))...)
		}
	case ed25519.PrivateKey:
		signature = ed25519.Sign(private, []byte(text))
	case *rsa.PrivateKey:
		if s.algorithm == "PS256" {
			salt := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
			signature, err = rsa.SignPSS(rand.Reader, private, crypto.SHA256, hash[:], salt)
		} else {
			signature, err = rsa.SignPKCS1v15(nil, private, crypto.SHA256, hash[:])
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func marshal(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// wantCaller verifies a token that must be accepted.
func wantCaller(t testing.TB, v *oidc.Verifier, token auth.Token) auth.Caller {
	t.Helper()
	caller, err := v.Verify(t.Context(), token)
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	return caller
}

// wantRefused verifies a token that must be refused for a reason.
func wantRefused(t testing.TB, v *oidc.Verifier, token auth.Token, reason oidc.Reason) {
	t.Helper()
	caller, err := v.Verify(t.Context(), token)
	refusal, ok := errors.AsType[*oidc.RefusedError](err)
	if !ok || refusal.Reason != reason || !errors.Is(err, auth.ErrBadToken) || caller != (auth.Caller{}) {
		t.Errorf("Verify = %v, %v; want a refusal %q", caller.Name, err, reason)
	}
	if known, ok := v.Known(token); ok {
		t.Errorf("a refused token is known: %v", known.Name)
	}
}

// wantUnavailable verifies a token that can be neither accepted nor refused.
func wantUnavailable(t testing.TB, v *oidc.Verifier, token auth.Token, issuer string) *auth.UnavailableError {
	t.Helper()
	_, err := v.Verify(t.Context(), token)
	failure, ok := errors.AsType[*auth.UnavailableError](err)
	if !ok || errors.Is(err, auth.ErrBadToken) || failure.Issuer != issuer || !strings.Contains(err.Error(), issuer) {
		t.Fatalf("Verify: %v; want that issuer %s is unavailable", err, issuer)
	}
	return failure
}

// wantKnown reports whether a token is known.
func wantKnown(t testing.TB, v *oidc.Verifier, token auth.Token, want bool) {
	t.Helper()
	if caller, ok := v.Known(token); ok != want {
		t.Errorf("Known = %v, %v; want %v", caller.Name, ok, want)
	}
}

// wantFetches reports how often the keys were fetched.
func wantFetches(t testing.TB, is *issuer, want int) {
	t.Helper()
	if got := is.fetches(); got != want {
		t.Errorf("the keys were fetched %d times, want %d", got, want)
	}
}

// pass waits for d of the bubble's time.
func pass(d time.Duration) { <-time.After(d) }

// kids returns a new name for a key at each call.
func kids() func() string {
	n := 0
	return func() string { n++; return fmt.Sprint("kid-", n) }
}

// byHost sends a request to the transport of its host.
type byHost map[string]http.RoundTripper

func (b byHost) RoundTrip(r *http.Request) (*http.Response, error) { return b[r.URL.Host].RoundTrip(r) }
