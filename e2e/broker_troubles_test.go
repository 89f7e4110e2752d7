package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestKnownKeysAreAcceptedWithoutTheirIssuer makes the issuer unreachable. Tokens of
// known keys are accepted, also new ones. A token of a key that is not known gets 503,
// and is accepted when the issuer is back.
func TestKnownKeysAreAcceptedWithoutTheirIssuer(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	b := s.brokering(t)
	g := s.gateway(b.settings("AUTH_FAILURE_RATE=1000")...)
	b.client(g, "orders").get(keyOne).is(http.StatusOK)
	b.issuer.setDown(true)
	b.client(g, "orders").get(keyOne).is(http.StatusOK)
	b.client(g, "billing").get(keyOne).is(http.StatusOK)
	k := newSigningKey(t, "key-2")
	unknown := g.client()
	unknown.token = k.token(t, b.issuer.claims("orders", nil))
	s.addSecret(unknown.token)
	// A fetch because of an unknown key is sent once in ten seconds: before it the key is
	// unknown for certain.
	eventually(t, "503 for the unknown key", func() bool {
		a := unknown.get(keyOne)
		if a.status == http.StatusUnauthorized {
			return false
		}
		a.checkRefusal(http.StatusServiceUnavailable, "identity-unavailable")
		return true
	})
	if reasons := g.readiness(); !strings.Contains(reasons, "issuer "+b.issuer.url) {
		t.Errorf("/readyz does not name the issuer: %s", reasons)
	}
	b.client(g, "orders").get(demoKeys + "/KeyTwo").is(http.StatusOK)
	b.issuer.rollover(k)
	b.issuer.setDown(false)
	eventually(t, "the new key to be accepted", func() bool { return unknown.get(keyOne).status == http.StatusOK })
	if reasons := g.readiness(); strings.Contains(reasons, "issuer ") {
		t.Errorf("/readyz names an issuer that is back: %s", reasons)
	}
}

// readiness returns the body of /readyz.
func (g *gateway) readiness() string {
	g.t.Helper()
	return client{t: g.t, base: g.admin}.get("/readyz").body
}

// TestBrokeredClientsAreServedWithoutTheControlPlane makes Access Management
// unreachable. The present token is used: hits, misses and new clients are served. A
// gateway that has just started has no token, and answers 503.
func TestBrokeredClientsAreServedWithoutTheControlPlane(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	b, f := s.brokering(t), s.controlPlaneProxy()
	g := s.gateway(b.settings("UPSTREAM_OVERRIDE=" + f.url)...)
	orders := b.client(g, "orders")
	eventually(t, "a hit", func() bool { return isHit(orders.get(keyOne).is(http.StatusOK)) })
	f.setFailure(resetConnection)
	orders.get(keyOne).is(http.StatusOK).checkHit(true)
	orders.get(demoKeys + "/KeyTwo").is(http.StatusOK).checkHit(false)
	b.client(g, "billing").get(keyOne).is(http.StatusOK)
	orders.put("written", "without the control plane").succeeded()
	later := b.client(s.gateway(b.settings("UPSTREAM_OVERRIDE="+f.url)...), "orders")
	later.get(keyOne).checkRefusal(http.StatusServiceUnavailable, "identity-unavailable")
	f.setFailure(nil)
	eventually(t, "the new gateway to get a token", func() bool { return later.get(keyOne).status == http.StatusOK })
}

// brokeredLoad are requests of several clients, each of which must succeed.
type brokeredLoad struct {
	succeeded atomic.Int64
	failures  sync.Map // of the texts of answers
	stop      chan struct{}
	clients   sync.WaitGroup
}

// startLoad lets clients write and read keys of their own, past the cache, until finish
// is called.
func (b *brokering) startLoad(g *gateway) *brokeredLoad {
	l := &brokeredLoad{stop: make(chan struct{})}
	for i := range 6 {
		c := b.client(g, fmt.Sprint("client-", i))
		l.clients.Go(func() {
			for n := 0; ; n++ {
				path := fmt.Sprintf("%s/load-%d-%d", demoKeys, i, n%10)
				l.add(c.try(http.MethodPut, path, `{"stringValue":"v"}`, "Content-Type: application/json"))
				l.add(c.try(http.MethodGet, path, "", "Cache-Control: no-cache"))
				select {
				case <-l.stop:
					return
				default:
				}
			}
		})
	}
	b.t.Cleanup(func() { l.finish() })
	return l
}

func (l *brokeredLoad) add(a *answer, err error) {
	if err == nil && a.status >= 200 && a.status <= 299 {
		l.succeeded.Add(1)
		return
	}
	text := fmt.Sprint(err)
	if err == nil {
		text = fmt.Sprint(a.request, ": ", a.status, " ", a.body)
	}
	l.failures.Store(text, true)
}

// await waits for n more requests that succeed.
func (l *brokeredLoad) await(t *testing.T, n int64) {
	t.Helper()
	before := l.succeeded.Load()
	eventually(t, fmt.Sprint(n, " more requests"), func() bool { return l.succeeded.Load() >= before+n })
}

// finish ends the load and returns the texts of the failures.
func (l *brokeredLoad) finish() (failures []string) {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.clients.Wait()
	l.failures.Range(func(text, _ any) bool { failures = append(failures, fmt.Sprint(text)); return true })
	return failures
}

// checkNone ends the load and fails the test if a request failed.
func (l *brokeredLoad) checkNone(t *testing.T) {
	t.Helper()
	if failures := l.finish(); len(failures) > 0 {
		t.Errorf("%d kinds of failed requests beside %d that succeeded; the first: %s",
			len(failures), l.succeeded.Load(), failures[0])
	}
}

// TestRotatedSecretFailsNoRequest gives the gateway's connected app a new secret under
// load. The former secret mints nothing any more, and the tokens that it minted are
// revoked after the file was replaced.
func TestRotatedSecretFailsNoRequest(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		b := s.brokering(t)
		g := s.gateway(b.settings()...)
		l := b.startLoad(g)
		l.await(t, 50)
		s.emulator.rotateSecret("app-one", "rotated-secret")
		l.await(t, 50)
		b.writeSecret("rotated-secret")
		minted := s.emulator.mints("app-one")
		s.emulator.revokeTokens("app-one")
		l.await(t, 200)
		l.checkNone(t)
		if n := s.emulator.mints("app-one") - minted; n != 1 {
			t.Errorf("%d tokens were minted with the new secret, want one", n)
		}
	})
}

// TestRevokedTokenOfTheGatewayFailsNoRequest revokes the gateway's own token twice
// under load. Each time one new token is minted, for all requests.
func TestRevokedTokenOfTheGatewayFailsNoRequest(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	b := s.brokering(t)
	g := s.gateway(b.settings()...)
	l := b.startLoad(g)
	for range 2 {
		l.await(t, 100)
		pause(3 * time.Second) // a token that is refused sooner after another is one of the failures of upstream
		minted := s.emulator.mints("app-one")
		s.emulator.revokeTokens("app-one")
		l.await(t, 200)
		if n := s.emulator.mints("app-one") - minted; n != 1 {
			t.Errorf("%d tokens were minted after the revocation, want one", n)
		}
	}
	l.checkNone(t)
}

// TestWrongSecretOfTheGatewayIsNeverTheClientsFault makes the secret of the gateway's
// connected app wrong. Hits go on, other requests get 502, and readiness names the
// credential. When the file has the right secret, requests are served without a
// restart.
func TestWrongSecretOfTheGatewayIsNeverTheClientsFault(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	b := s.brokering(t)
	g := s.gateway(b.settings()...)
	orders := b.client(g, "orders")
	eventually(t, "a hit", func() bool { return isHit(orders.get(keyOne).is(http.StatusOK)) })
	s.emulator.rotateSecret("app-one", "rotated-secret")
	s.emulator.revokeTokens("app-one")
	a := orders.get(demoKeys + "/KeyTwo")
	a.checkRefusal(http.StatusBadGateway, "upstream-credential")
	for _, text := range []string{"app-one", "secret", "401", "invalid_client"} {
		if strings.Contains(a.body, text) {
			t.Errorf("the client reads %q: %s", text, a.body)
		}
	}
	orders.get(keyOne).is(http.StatusOK).checkHit(true)
	b.client(g, "billing").get(keyOne).checkRefusal(http.StatusBadGateway, "upstream-credential")
	if reasons := g.readiness(); !strings.Contains(reasons, "own credential us") {
		t.Errorf("/readyz does not name the credential: %s", reasons)
	}
	later := s.gateway(b.settings()...)
	b.client(later, "orders").get(keyOne).checkRefusal(http.StatusBadGateway, "upstream-credential")
	b.writeSecret("rotated-secret")
	eventually(t, "the new secret to be used", func() bool {
		a := orders.get(demoKeys + "/KeyTwo")
		return a.status == http.StatusOK && !strings.Contains(g.readiness(), "own credential")
	})
}
