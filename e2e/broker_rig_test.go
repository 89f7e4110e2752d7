package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// gatewayAudience is the audience that tokens for the gateway name.
const gatewayAudience = "https://osgate.example"

// signingKey is a private key of an issuer, for ES256.
type signingKey struct {
	id      string
	private *ecdsa.PrivateKey
}

func newSigningKey(t testing.TB, id string) *signingKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &signingKey{id, private}
}

// jwk returns the public key as a JSON Web Key.
func (k *signingKey) jwk() map[string]any {
	point, err := k.private.PublicKey.Bytes()
	if err != nil {
		panic(err) // no key on P-256
	}
	encode := base64.RawURLEncoding.EncodeToString
	return map[string]any{
		"kty": "EC", "crv": "P-256", "kid": k.id, "alg": "ES256", "use": "sig",
		"x": encode(point[1:33]), "y": encode(point[33:]),
	}
}

// oidcIssuer is a real OIDC issuer on loopback: it serves a discovery document and its
// keys, and signs tokens with its first key.
type oidcIssuer struct {
	t   testing.TB
	url string

	mu       sync.Mutex
	keys     []*signingKey // guarded by mu
	down     bool          // guarded by mu: each connection is cut
	silent   bool          // guarded by mu: no request is answered
	requests int           // guarded by mu: that it received
}

func newIssuer(t testing.TB) *oidcIssuer {
	t.Helper()
	is := &oidcIssuer{t: t, keys: []*signingKey{newSigningKey(t, "key-1")}}
	server := httptest.NewServer(is)
	t.Cleanup(server.Close)
	is.url = server.URL
	return is
}

// ServeHTTP implements [http.Handler].
func (is *oidcIssuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	is.mu.Lock()
	is.requests++
	down, silent, keys := is.down, is.silent, slices.Clone(is.keys)
	is.mu.Unlock()
	if silent {
		<-r.Context().Done()
	}
	if down || silent {
		panic(http.ErrAbortHandler)
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": is.url, "jwks_uri": is.url + "/keys"})
	case "/keys":
		var jwks []any
		for _, k := range keys {
			jwks = append(jwks, k.jwk())
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": jwks})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// setDown makes the issuer cut each connection, or serve again.
func (is *oidcIssuer) setDown(down bool) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.down = down
}

// setSilent makes the issuer answer no request, or serve again.
func (is *oidcIssuer) setSilent(silent bool) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.silent = silent
}

// received returns the number of requests that the issuer has received.
func (is *oidcIssuer) received() int {
	is.mu.Lock()
	defer is.mu.Unlock()
	return is.requests
}

// publish adds a key, which does not sign yet.
func (is *oidcIssuer) publish(k *signingKey) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.keys = append(is.keys, k)
}

// rollover adds a key, which signs from now on. The former keys stay published.
func (is *oidcIssuer) rollover(k *signingKey) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.keys = append([]*signingKey{k}, is.keys...)
}

// claims returns the claims of a good token of a client, with changes.
func (is *oidcIssuer) claims(client string, changes jwt.MapClaims) jwt.MapClaims {
	now := time.Now()
	c := jwt.MapClaims{
		"iss": is.url, "aud": gatewayAudience, "azp": client, "sub": "subject",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	maps.Copy(c, changes)
	return c
}

// token returns a good token of a client.
func (is *oidcIssuer) token(client string) string {
	is.t.Helper()
	is.mu.Lock()
	k := is.keys[0]
	is.mu.Unlock()
	return k.token(is.t, is.claims(client, nil))
}

// token returns a token with these claims, signed by k.
func (k *signingKey) token(t testing.TB, claims jwt.MapClaims) string {
	t.Helper()
	return signedToken(t, jwt.SigningMethodES256, k.id, k.private, claims)
}

func signedToken(t testing.TB, method jwt.SigningMethod, kid string, key any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	token.Header["kid"] = kid
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// brokering are the parts of a deployment that serves clients without an Anypoint
// credential.
type brokering struct {
	t      testing.TB
	stack  *stack
	issuer *oidcIssuer
	secret string // the file with the gateway's own client secret
	policy string // the setting
}

// brokering returns an issuer, and the gateway's own connected app app-one. The policy
// permits everything.
func (s *stack) brokering(t *testing.T) *brokering {
	t.Helper()
	b := &brokering{t: t, stack: s, issuer: newIssuer(t), policy: newRules(t, "").setting()}
	b.secret = filepath.Join(t.TempDir(), "client-secret")
	b.writeSecret("secret-one")
	return b
}

// settings returns the settings of a gateway with these further ones.
func (b *brokering) settings(more ...string) []string {
	return append([]string{
		"AUTH=jwt", "AUTH_ISSUERS=" + b.issuer.url, "AUTH_AUDIENCE=" + gatewayAudience,
		"UPSTREAM_CLIENT_ID=app-one", "UPSTREAM_CLIENT_SECRET_FILE=" + b.secret, b.policy,
		"RATE=0", "BUDGET=0", "CACHE_KEY_TTL=1h", sharedSecret,
	}, more...)
}

// writeSecret replaces the file of the secret as a whole.
func (b *brokering) writeSecret(secret string) {
	b.t.Helper()
	b.stack.addSecret(secret)
	next := b.secret + ".new"
	if err := errors.Join(os.WriteFile(next, []byte(secret+"\n"), 0o600), os.Rename(next, b.secret)); err != nil {
		b.t.Fatal(err)
	}
}

// client returns a client of the gateway with a new token of the issuer.
func (b *brokering) client(g *gateway, name string) client {
	b.t.Helper()
	c := g.client()
	c.token = b.issuer.token(name)
	b.stack.addSecret(c.token)
	return c
}

// rotateSecret replaces the secret of a connected app. The former secret mints no token
// any more.
func (e *emulator) rotateSecret(app, secret string) {
	e.t.Helper()
	body, _ := json.Marshal(map[string]any{"secret": secret}) // strings cannot fail to marshal
	e.backDoor(http.MethodPatch, "clients/"+app, string(body))
}

// revokeTokens revokes all tokens of a connected app.
func (e *emulator) revokeTokens(app string) {
	e.t.Helper()
	e.backDoor(http.MethodDelete, "clients/"+app+"/tokens", "")
}

// mints returns the number of tokens that a connected app has minted.
func (e *emulator) mints(app string) int {
	e.t.Helper()
	var all []struct {
		ID    string
		Mints int
	}
	client{t: e.t, base: e.url}.get("/_osemu/clients").is(http.StatusOK).decode(&all)
	for _, c := range all {
		if c.ID == app {
			return c.Mints
		}
	}
	e.t.Fatalf("osemu has no client %q", app)
	return 0
}

// isRequestOf matches requests for a target with a token of a connected app.
func isRequestOf(app, target string) func(receivedRequest) bool {
	return func(r receivedRequest) bool { return r.Client == app && r.Target == target }
}

// wire is a proxy between the gateways and osemu that keeps all bytes of requests, and
// the tokens that Access Management issues.
type wire struct {
	url string

	mu       sync.Mutex
	requests bytes.Buffer // guarded by mu: all requests, with their bodies
	tokens   []string     // guarded by mu: issued by Access Management
}

func (s *stack) wire() *wire {
	s.t.Helper()
	target, err := url.Parse(s.emulator.url)
	if err != nil {
		s.t.Fatal(err)
	}
	w := &wire{}
	pass := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		ModifyResponse: func(answer *http.Response) error { return w.keepToken(s, answer) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		text, err := httputil.DumpRequest(r, true)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.mu.Lock()
		w.requests.Write(text)
		w.mu.Unlock()
		pass.ServeHTTP(rw, r)
	}))
	s.t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

// keepToken keeps the token in the answer to a token request.
func (w *wire) keepToken(s *stack, answer *http.Response) error {
	if !strings.HasSuffix(answer.Request.URL.Path, "/token") || answer.StatusCode != http.StatusOK {
		return nil
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	var minted struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &minted); err != nil {
		return err
	}
	s.addSecret(minted.Token)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tokens = append(w.tokens, minted.Token)
	return nil
}

// received returns all requests as one text, and the tokens that were issued.
func (w *wire) received() (requests string, tokens []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests.String(), slices.Clone(w.tokens)
}
