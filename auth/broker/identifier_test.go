package broker_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"osgate/auth"
	"osgate/auth/broker"
)

// method is a method in memory. A token "name.of.jwt" is of the JWS form.
type method struct {
	kind  auth.Method
	life  time.Duration
	known sync.Map // of good credentials
	calls atomic.Int64
	err   atomic.Pointer[error] // of the next Identify; nil: none
}

func (m *method) Recognizes(c auth.Credential) bool {
	if m.kind == auth.ByMTLS {
		return c.Certificate != nil
	}
	return strings.Count(c.Token.Header(), ".") == 2
}

func (m *method) text(c auth.Credential) string {
	if m.kind == auth.ByMTLS {
		return string(c.Certificate.Raw)
	}
	return strings.TrimPrefix(c.Token.Header(), "Bearer ")
}

func (m *method) Known(c auth.Credential) (auth.Caller, bool) {
	caller, ok := m.known.Load(m.text(c))
	if !ok {
		return auth.Caller{}, false
	}
	known, ok := caller.(*auth.Caller)
	return *known, ok
}

func (m *method) Identify(_ context.Context, c auth.Credential) (auth.Caller, error) {
	m.calls.Add(1)
	if err := m.err.Load(); err != nil {
		return auth.Caller{}, *err
	}
	text := m.text(c)
	if strings.HasPrefix(text, "bad") {
		return auth.Caller{}, fmt.Errorf("wrong audience: %w", auth.ErrBadToken)
	}
	caller := &auth.Caller{
		Name: text, Method: m.kind, Issuer: "issuer", Expires: time.Now().Add(m.life), Hash: [32]byte{1, 2, 3},
	}
	m.known.Store(text, caller)
	return *caller, nil
}

func newMethod(kind auth.Method) *method { return &method{kind: kind, life: time.Hour} }

func bearer(text string) auth.Credential { return auth.Credential{Token: auth.NewToken(text)} }

func certificate(name string) auth.Credential {
	return auth.Credential{Certificate: &x509.Certificate{Raw: []byte(name)}}
}

// identifier returns an Identifier over the world's control plane, closed when the test
// ends.
func (w *world) identifier(t testing.TB, tokens *broker.Tokens, guard auth.Guard, methods ...broker.Method) *broker.Identifier {
	t.Helper()
	a, err := auth.New(auth.Options{
		Resolver: &auth.Anypoint{Transport: roundTrip(w.transport.RoundTrip), Endpoint: w.endpoint},
		TTL:      time.Minute, NegativeTTL: 5 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	i, err := broker.NewIdentifier(broker.IdentifierOptions{Methods: methods, Tokens: tokens, Directory: a, Guard: guard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	t.Cleanup(i.Close)
	return i
}

// TestACallerHasTheOrganizationsOfTheGateway, and its own name, method and end.
func TestACallerHasTheOrganizationsOfTheGateway(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		jwt := newMethod(auth.ByJWT)
		i := w.identifier(t, tokens, nil, jwt)
		c := bearer("app.of.team")
		if _, state, handled := i.Recall(t.Context(), "us", c, ""); state != auth.Unknown || !handled {
			t.Errorf("before: %v, %v", state, handled)
		}
		id, err := i.Identify(t.Context(), "us", c, "")
		if err != nil {
			t.Fatal(err)
		}
		if id.Name() != "app.of.team" || id.Plane != "us" || !id.Member("org-root") || !id.Member("org-sub") ||
			id.Member("org-other") || len(id.Trees) != 1 || !id.Brokered() || id.Method != auth.ByJWT ||
			id.Issuer != "issuer" || id.Hash != [32]byte{1, 2, 3} || id.User != "" || time.Until(id.Expires) != time.Hour {
			t.Errorf("identity %+v of %+v", id, id.Principal)
		}
		again, state, _ := i.Recall(t.Context(), "us", c, "")
		if state != auth.Fresh || again.Client != id.Client || !again.Member("org-root") {
			t.Errorf("recalled %+v, %v", again, state)
		}
		if _, state, _ := i.Recall(t.Context(), "eu", c, ""); state == auth.Fresh {
			t.Error("the organizations of another plane are used")
		}
		pass(time.Hour)
		if _, state, _ := i.Recall(t.Context(), "us", c, ""); state != auth.Unknown {
			t.Errorf("after its end: %v", state)
		}
	})
}

// TestTheFirstMethodThatRecognizesDecides by the order of the list, and Anypoint leaves
// tokens of the JWS form to a method that is configured for them.
func TestTheFirstMethodThatRecognizesDecides(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		jwt, mtls := newMethod(auth.ByJWT), newMethod(auth.ByMTLS)
		both := certificate("cert")
		both.Token = auth.NewToken("a.b.c")
		opaque := certificate("cert")
		opaque.Token = auth.NewToken("opaque")
		for name, tt := range map[string]struct {
			methods    []broker.Method
			credential auth.Credential
			want       auth.Method // empty: Anypoint's
		}{
			"a JWT with anypoint first":           {[]broker.Method{nil, jwt}, bearer("a.b.c"), auth.ByJWT},
			"an opaque token with jwt first":      {[]broker.Method{jwt, nil}, bearer("opaque"), ""},
			"a JWT without a method for it":       {[]broker.Method{nil, mtls}, bearer("a.b.c"), ""},
			"both with mtls first":                {[]broker.Method{mtls, nil}, opaque, auth.ByMTLS},
			"both with anypoint first":            {[]broker.Method{nil, mtls}, opaque, ""},
			"a certificate with anypoint first":   {[]broker.Method{nil, mtls}, certificate("cert"), auth.ByMTLS},
			"a certificate and a JWT":             {[]broker.Method{jwt, mtls}, both, auth.ByJWT},
			"a JWT and a certificate":             {[]broker.Method{nil, mtls, jwt}, both, auth.ByMTLS},
			"nothing, with anypoint":              {[]broker.Method{jwt, nil}, auth.Credential{}, ""},
			"a certificate that no method claims": {[]broker.Method{jwt, nil}, certificate("cert"), ""},
		} {
			i := w.identifier(t, tokens, nil, tt.methods...)
			_, _, handled := i.Recall(t.Context(), "us", tt.credential, "")
			if handled != (tt.want != "") {
				t.Errorf("%s: handled %v", name, handled)
			}
			if !handled {
				continue
			}
			if id, err := i.Identify(t.Context(), "us", tt.credential, ""); err != nil || id.Method != tt.want {
				t.Errorf("%s: %v, %v", name, id.Principal, err)
			}
		}
	})
}

// TestWithoutAMethodForIt a credential is refused where Anypoint's tokens are not
// accepted.
func TestWithoutAMethodForIt(t *testing.T) {
	rig(t, func(t *testing.T, w *world, tokens *broker.Tokens) {
		i := w.identifier(t, tokens, nil, newMethod(auth.ByJWT))
		for want, c := range map[error]auth.Credential{
			auth.ErrNoToken: certificate("cert"), auth.ErrBadToken: bearer("opaque"),
		} {
			if _, state, handled := i.Recall(t.Context(), "us", c, ""); state != auth.Unknown || !handled {
				t.Errorf("%v, %v", state, handled)
			}
			if _, err := i.Identify(t.Context(), "us", c, ""); !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		}
		w.expectMints(t, 0)
	})
}
