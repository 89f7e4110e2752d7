package broker_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"osgate/auth"
	"osgate/auth/broker"
	"osgate/emulator"
	"osgate/internal/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mintPath is the token endpoint of connected apps.
const mintPath = "/accounts/api/v2/oauth2/token"

// world is an emulator in memory, whose endpoint may be replaced.
type world struct {
	*emulator.Emulator

	transport *http.Transport
	instead   atomic.Pointer[http.HandlerFunc] // answers token requests; nil: the emulator
	mints     atomic.Int64                     // token requests received
	secret    atomic.Pointer[string]
	reads     atomic.Int64 // of the secret

	mu      sync.Mutex
	changes []broker.State
}

func newWorld(t testing.TB) *world {
	t.Helper()
	e, err := emulator.New(emulator.Options{Seed: 1, Rate: -1, AccountsRate: -1})
	if err != nil {
		t.Fatal(err)
	}
	l := memnet.Listen()
	w := &world{Emulator: e, transport: &http.Transport{DialContext: l.Dial}}
	w.use("secret-one")
	server := &http.Server{Handler: w}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() {
		w.transport.CloseIdleConnections()
		_ = server.Close()
		_ = e.Close()
	})
	return w
}

// ServeHTTP is the emulator, except for what replaces its token endpoint.
func (w *world) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	if r.URL.Path == mintPath {
		w.mints.Add(1)
		if instead := w.instead.Load(); instead != nil {
			(*instead)(out, r)
			return
		}
	}
	w.Emulator.ServeHTTP(out, r)
}

// roundTrip is a transport in one function, which prints as an address.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// use makes the secret file contain a secret.
func (w *world) use(secret string) { w.secret.Store(&secret) }

// answer makes the token endpoint send this answer; status 0: the emulator's own.
func (w *world) answer(status int, body string, header ...string) {
	if status == 0 {
		w.instead.Store(nil)
		return
	}
	f := http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			out.Header().Set(header[i], header[i+1])
		}
		out.WriteHeader(status)
		_, _ = out.Write([]byte(body))
	})
	w.instead.Store(&f)
}

// endpoint returns the address of a plane's Access Management, which is selected by
// Host.
func (w *world) endpoint(plane string) auth.Endpoint {
	hosts := map[string]string{"us": "anypoint.mulesoft.com", "eu": "eu1.anypoint.mulesoft.com"}
	return auth.Endpoint{URL: &url.URL{Scheme: "http", Host: "memory"}, Host: hosts[plane]}
}

func (w *world) options() broker.Options {
	return broker.Options{
		Endpoint: w.endpoint, ClientID: "app-one", Transport: roundTrip(w.transport.RoundTrip),
		Secret: func() (string, error) {
			w.reads.Add(1)
			return *w.secret.Load(), nil
		},
		OnChange: func(s broker.State) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.changes = append(w.changes, s)
		},
	}
}

// reported returns the changes that were reported so far, as words. It waits until those
// under way have been reported.
func (w *world) reported() []string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	var words []string
	for _, s := range w.changes {
		word := "down"
		if s.OK {
			word = "ok"
		}
		if s.Reason != "" {
			word += " " + string(s.Reason)
		}
		if len(s.Forbidden) > 0 {
			word += " in"
		}
		for _, at := range s.Forbidden {
			word += " " + at.Environment
		}
		words = append(words, s.Plane+" "+word)
	}
	return words
}

func (w *world) expectReported(t testing.TB, want ...string) {
	t.Helper()
	if got := w.reported(); !slices.Equal(got, want) {
		t.Errorf("reported %q, want %q", got, want)
	}
}

func (w *world) expectMints(t testing.TB, want int64) {
	t.Helper()
	if got := w.mints.Load(); got != want {
		t.Errorf("%d mints, want %d", got, want)
	}
}

// tokens returns the gateway's tokens, closed when the test ends.
func (w *world) tokens(t testing.TB, changes ...func(*broker.Options)) *broker.Tokens {
	t.Helper()
	o := w.options()
	for _, change := range changes {
		change(&o)
	}
	tokens, err := broker.NewTokens(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tokens.Close)
	return tokens
}

// rig runs a test in a bubble with a world and its tokens.
func rig(t *testing.T, f func(t *testing.T, w *world, tokens *broker.Tokens)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f(t, w, w.tokens(t))
	})
}

// must returns the token of plane us.
func must(t testing.TB, tokens *broker.Tokens) auth.Token {
	t.Helper()
	token, err := tokens.Token(t.Context(), "us")
	if err != nil || token.IsZero() {
		t.Errorf("no token: %v", err) // not Fatal: it runs in goroutines too
	}
	return token
}

// pass waits for d of the bubble's time, and then for everything to settle.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// ended returns a context that has ended.
func ended(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
