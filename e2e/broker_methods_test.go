package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestBrokeringNeedsAPolicyToStart starts gateways for clients without an Anypoint
// credential, without a policy, and with one that is in shadow mode.
func TestBrokeringNeedsAPolicyToStart(t *testing.T) {
	t.Parallel()
	b := newStack(t, false).brokering(t)
	for _, methods := range []string{"jwt", "anypoint,jwt"} {
		settings := b.settings("AUTH=" + methods)
		none := slices.DeleteFunc(slices.Clone(settings), func(setting string) bool {
			return strings.HasPrefix(setting, "POLICY=")
		})
		for _, command := range []string{"serve", "check"} {
			runOsgate(t, none, command).checkOutput(t, 2, "OSGATE_POLICY")
			runOsgate(t, append(settings, "POLICY_SHADOW=true"), command).checkOutput(t, 2, "OSGATE_POLICY_SHADOW")
		}
	}
}

// TestAnypointTokensGoUpstreamUnchangedBesideBrokering serves a client with an Anypoint
// token and one with a JWT, both called app-two. The token goes upstream as it is, and
// neither client gets an answer that the other one's request fetched.
func TestAnypointTokensGoUpstreamUnchangedBesideBrokering(t *testing.T) {
	t.Parallel()
	for _, scope := range []string{"client", "environment"} {
		t.Run(scope, func(t *testing.T) {
			t.Parallel()
			withAndWithoutRedis(t, func(t *testing.T, s *stack) {
				checkKindsStayApart(t, s, scope)
			})
		})
	}
}

// checkKindsStayApart reads the same values as both kinds of clients.
func checkKindsStayApart(t *testing.T, s *stack, scope string) {
	t.Helper()
	b, w := s.brokering(t), s.wire()
	g := s.gateway(b.settings("AUTH=anypoint,jwt", "CACHE_SCOPE="+scope, "UPSTREAM_OVERRIDE="+w.url)...)
	// by the connected app that osemu sees
	clients := map[string]client{"app-two": g.as("app-two"), "app-one": b.client(g, "app-two")}
	for first, second := range map[string]string{"app-two": "app-one", "app-one": "app-two"} {
		path := demoKeys + "/first-" + first
		clients[second].put("first-"+first, "v").succeeded()
		eventually(t, "a hit of the first", func() bool { return isHit(clients[first].get(path).is(http.StatusOK)) })
		s.emulator.clearRequests()
		clients[second].get(path).is(http.StatusOK).checkHit(false)
		if n := len(s.emulator.requests(isRequestOf(second, path))); n != 1 {
			t.Errorf("a read after hits of %s sent %d requests as %s, want one", first, n, second)
		}
	}
	requests, _ := w.received()
	if token := clients["app-two"].token; !strings.Contains(requests, "Authorization: Bearer "+token+"\r\n") {
		t.Error("the Anypoint token did not go upstream unchanged")
	}
	if strings.Contains(requests, clients["app-one"].token) {
		t.Error("the JWT went upstream")
	}
}
