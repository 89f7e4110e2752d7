package proxy

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"osgate/auth"
	"osgate/cache"
	"osgate/objectstore"
	"osgate/policy"
	"osgate/ratelimit"
	"osgate/record"
	"osgate/regionmap"
)

const (
	storePath = "/api/v1/organizations/o/environments/e/stores/s"
	keyPath   = storePath + "/partitions/p/keys/k"
	host      = "object-store-us-east-1.anypoint.mulesoft.com"
)

// rig is a proxy with real regions, cache and quota, and with an identity, an upstream
// and statistics that a test can change.
type rig struct {
	*Proxy
	t        *testing.T
	upstream func(*http.Request) (*http.Response, error) // answers requests that are forwarded

	unreached bool // no connection to upstream is made, and no request reaches it

	recalled map[string]auth.TokenState // by token; not changed while requests are served
	waits    func(token auth.Token)     // called by Identify before it returns; nil: it returns at once

	mu        sync.Mutex
	readable  []string     // organizations of the last statistics
	fresh     int          // requests that got a new connection
	asked     []auth.Token // identifications
	addresses []string     // client addresses of the identifications
	doubted   int          // tokens doubted
	forgotten []string     // planes and tokens forgotten
	warmed    []string     // planes of tokens warmed
	exchanges []record.Exchange
	sent      []*http.Request // requests that upstream received
}

// who contains the tokens of the tests. "stale" is known, but its control plane is
// down.
var who = map[string]auth.Principal{
	"one":   {Client: "app-one", Organizations: []string{"o"}},
	"again": {Client: "app-one", Organizations: []string{"o"}}, // a second token of the same client
	"ann":   {Client: "app-one", User: "ann", Organizations: []string{"o"}},
	"two":   {Client: "app-two", Organizations: []string{"o"}},
	"login": {User: "ann", Organizations: []string{"o"}},
	"root":  {Client: "app-root", Organizations: []string{"o", "sub-one", "sub-two"}},
	"other": {Client: "app-other", Organizations: []string{"x"}},
	"stale": {Client: "app-one", Organizations: []string{"o"}},
}

// Recall knows the tokens in recalled and no others: the proxy must identify those, as
// after a start.
func (g *rig) Recall(ctx context.Context, plane string, token auth.Token, address string) (auth.Identity, auth.TokenState) {
	standing := g.recalled[strings.TrimPrefix(token.Header(), "Bearer ")]
	if standing != auth.Fresh {
		return auth.Identity{}, standing
	}
	id, _ := g.Identify(ctx, plane, token, address) // it is known
	return id, standing
}

func (g *rig) Identify(_ context.Context, plane string, token auth.Token, address string) (auth.Identity, error) {
	if g.waits != nil {
		g.waits(token)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, token)
	g.addresses = append(g.addresses, address)
	name := strings.TrimPrefix(token.Header(), "Bearer ")
	id := auth.Identity{}
	copy(id.Hash[:], plane+name)
	if name == "down" {
		return id, &auth.UnavailableError{Plane: plane, RetryAfter: 7 * time.Second, Cause: errors.New("no answer")}
	}
	p, ok := who[name]
	if !ok {
		return id, auth.ErrBadToken
	}
	p.Plane = plane
	id.Principal, id.Stale = &p, name == "stale"
	return id, nil
}

func (g *rig) Doubt([32]byte) { g.mu.Lock(); g.doubted++; g.mu.Unlock() }

func (g *rig) Warm(plane string, token auth.Token) {
	g.mu.Lock()
	g.warmed = append(g.warmed, plane+" "+token.Header())
	g.mu.Unlock()
}

func (g *rig) Forget(plane string, token auth.Token) (hash [32]byte) {
	g.mu.Lock()
	g.forgotten = append(g.forgotten, plane+" "+token.Header())
	g.mu.Unlock()
	copy(hash[:], plane+strings.TrimPrefix(token.Header(), "Bearer "))
	return hash
}

// Known reports all tokens of the tests as known.
func (g *rig) Known(plane string, token auth.Token) (hash [32]byte, ok bool) {
	name := strings.TrimPrefix(token.Header(), "Bearer ")
	copy(hash[:], plane+name)
	_, ok = who[name]
	return hash, ok
}

func (g *rig) Answer(_ context.Context, plane string, op objectstore.Operation, organizations []string, _ time.Time) ([]byte, string, error) {
	g.readable = organizations
	if op.RawQuery() == "" {
		return nil, "", &objectstore.QueryError{Parameter: "period", Reason: "is missing"}
	}
	return []byte(`["` + plane + " " + op.Ref.Organization + `"]`), "application/json; of=statistics", nil
}

func (g *rig) Keep(x *record.Exchange) {
	g.mu.Lock()
	g.exchanges = append(g.exchanges, *x)
	g.mu.Unlock()
}

// way is an http.RoundTripper to the rig's upstream.
type way func(*http.Request) (*http.Response, error)

func (w way) RoundTrip(r *http.Request) (*http.Response, error) { return w(r) }

func (g *rig) send(r *http.Request) (*http.Response, error) {
	if s := sendingOf(r.Context()); s != nil && !g.unreached {
		s.gotConn(httptrace.GotConnInfo{Reused: true})
	}
	copied := *r
	copied.Header = maps.Clone(r.Header)
	g.mu.Lock()
	g.sent = append(g.sent, &copied)
	g.mu.Unlock()
	answer, err := g.upstream(r)
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return answer, err
}

// newRig returns a rig whose upstream answers every request with 200 and a count of the
// requests, and whose quota is large.
func newRig(t *testing.T, change ...func(*Options)) *rig {
	t.Helper()
	g := &rig{t: t}
	g.upstream = func(*http.Request) (*http.Response, error) {
		return reply(http.StatusOK, "v"+string(rune('0'+len(g.sent)))), nil
	}
	regions, err := regionmap.New(regionmap.Options{Default: "us/us-east-1", Planes: []string{"us", "eu", "jp"}})
	if err != nil {
		t.Fatal(err)
	}
	store, err := cache.New(cache.Options{
		KeyTTL: 10 * time.Second, StoresTTL: time.Minute, Bytes: 1 << 20, EntryBytes: 1 << 16, GrantTTL: time.Minute, WriteLease: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Regions: regions, Identity: g, Policy: &policy.Policy{}, Cache: store, Statistics: g, Keeper: g, Accounts: true,
		Limiter: ratelimit.NewTurns(ratelimit.TurnsOptions{Limiter: ratelimit.NewLocal(ratelimit.LocalOptions{})}),
		Pauses:  ratelimit.NewPauses(ratelimit.PausesOptions{}),
		Guesses: ratelimit.NewFailures(ratelimit.NewLocal(ratelimit.LocalOptions{}), ratelimit.Quota{}),
		Quota:   func(string) ratelimit.Quota { return ratelimit.Quota{Rate: 1000, Period: time.Second, Burst: 1000} },
		Transport: Transport{
			Shared: way(g.send),
			Fresh: way(func(r *http.Request) (*http.Response, error) {
				g.mu.Lock()
				g.fresh++
				g.mu.Unlock()
				return g.send(r)
			}),
		},
	}
	for _, c := range change {
		c(&o)
	}
	if g.Proxy, err = New(o); err != nil {
		t.Fatal(err)
	}
	return g
}

// quota changes a rig's quota.
func quota(rate, burst int) func(*Options) {
	return func(o *Options) {
		o.Quota = func(string) ratelimit.Quota { return ratelimit.Quota{Rate: rate, Period: time.Second, Burst: burst} }
	}
}

// reply returns an answer of upstream as a transport returns it.
func reply(status int, body string, header ...string) *http.Response {
	h := http.Header{"Content-Type": {"application/json"}, "Server": {"upstream/1"}}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// request returns a request as a server reads it: head is its first line without the
// protocol; header lines follow, then an empty line and the body.
func request(t *testing.T, head string, lines ...string) *http.Request {
	t.Helper()
	text := head + " HTTP/1.1\r\nHost: " + host + "\r\n"
	body := ""
	for i, line := range lines {
		if line == "" {
			body = strings.Join(lines[i+1:], "\r\n")
			break
		}
		text += line + "\r\n"
	}
	if body != "" && !strings.Contains(text, "Transfer-Encoding") {
		text += "Content-Length: " + itoa(len(body)) + "\r\n"
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text + "\r\n" + body)))
	if err != nil {
		t.Fatalf("%s: %v", head, err)
	}
	r.RemoteAddr = "192.0.2.7:4711"
	return r.WithContext(t.Context())
}

func itoa(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

// do serves r with g and returns the answer.
func (g *rig) do(r *http.Request) (w *httptest.ResponseRecorder) {
	w = httptest.NewRecorder()
	defer func() { // as net/http does when it must close the connection
		v := recover()
		if err, ok := v.(error); v != nil && !(ok && errors.Is(err, http.ErrAbortHandler)) {
			panic(v)
		}
	}()
	g.ServeHTTP(w, r)
	return w
}

// get requests target with a token.
func (g *rig) get(token, target string, lines ...string) *httptest.ResponseRecorder {
	g.t.Helper()
	return g.do(request(g.t, "GET "+target, append([]string{"Authorization: Bearer " + token}, lines...)...))
}

// last returns the latest record.
func (g *rig) last() record.Exchange {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.exchanges) == 0 {
		g.t.Fatal("nothing was recorded")
	}
	return g.exchanges[len(g.exchanges)-1]
}

// codeOf returns the code in a problem.
func codeOf(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var p problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		return ""
	}
	return strings.TrimPrefix(p.Type, "urn:osgate:")
}

// known identifies one token and keeps no record of its calls.
type known struct{}

var one = &auth.Principal{Plane: "us", Client: "app-one", Organizations: []string{"o"}}

func (known) Recall(context.Context, string, auth.Token, string) (auth.Identity, auth.TokenState) {
	return auth.Identity{Principal: one, Hash: [32]byte{1}}, auth.Fresh
}
func (known) Identify(context.Context, string, auth.Token, string) (auth.Identity, error) {
	return auth.Identity{Principal: one, Hash: [32]byte{1}}, nil
}
func (known) Known(string, auth.Token) ([32]byte, bool) { return [32]byte{1}, true }
func (known) Doubt([32]byte)                            {}
func (known) Warm(string, auth.Token)                   {}
func (known) Forget(string, auth.Token) [32]byte        { return [32]byte{} }
