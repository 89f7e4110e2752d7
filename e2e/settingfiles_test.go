package e2e

import (
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// settingFile is a file of entries of a test.
type settingFile struct {
	t    *testing.T
	path string
}

func newSettingFile(t *testing.T, entries string) settingFile {
	t.Helper()
	f := settingFile{t, filepath.Join(t.TempDir(), "entries")}
	f.write(entries)
	return f
}

func (f settingFile) write(entries string) {
	f.t.Helper()
	if err := os.WriteFile(f.path, []byte(entries), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// TestRoutesAndOverridesChangeWithoutARestart, by a check of the file and by SIGHUP. A
// wrong file has no effect: /readyz and /config report it, the container stays healthy,
// and a start is refused.
func TestRoutesAndOverridesChangeWithoutARestart(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	routes := newSettingFile(t, "# ours\norg-root=us/us-east-2\n")
	overrides := newSettingFile(t, "app-two=50\n")
	files := []string{"ROUTES_FILE=" + routes.path, "RATE_OVERRIDES_FILE=" + overrides.path}
	g := s.gateway(append(files, "RATE=20")...)
	one, operator := g.as("app-one"), client{t: t, base: g.admin}
	leads := func(region string) func() bool {
		return func() bool { return one.get(prodStores).is(http.StatusOK).header.Get("X-Osgate-Region") == region }
	}
	allows := func(quota string) func() bool {
		return func() bool { return one.get(prodStores).header.Get("X-Ratelimit-Limit") == quota }
	}
	if !leads("us/us-east-2")() || !allows("20")() {
		t.Errorf("the files of the start are not in force: %v", one.get(prodStores).header)
	}

	overrides.write("app-one=40\n") // found by a check of the file
	routes.write("org-root=us/us-west-2\norg-root/env-sandbox=eu/eu-west-1\n")
	g.signal(syscall.SIGHUP)
	eventually(t, "the new route", leads("us/us-west-2"))
	eventually(t, "the new quota", allows("40"))

	routes.write("org-root=us/us-west-2\norg-root/env-prod=us/atlantis\n")
	g.signal(syscall.SIGHUP)
	eventually(t, "readiness to name the file", func() bool {
		return strings.Contains(operator.get("/readyz").is(http.StatusOK).body, "OSGATE_ROUTES_FILE as of")
	})
	if shown := operator.get("/config").is(http.StatusOK).body; !strings.Contains(shown, "atlantis") || !strings.Contains(shown, "org-root=us/us-west-2,") {
		t.Errorf("/config does not have the error and the effective values: %s", shown)
	}
	if !leads("us/us-west-2")() {
		t.Error("a bad file changed the routes")
	}
	runOsgate(t, append(files, "ADMIN_LISTEN="+strings.TrimPrefix(g.admin, "http://")), "healthcheck").checkOutput(t, 0)
	runOsgate(t, files, "explain", "GET", prodStores).checkOutput(t, 2, "OSGATE_ROUTES_FILE", "atlantis")

	routes.write("org-root=us/us-west-1\n")
	eventually(t, "the route of the corrected file", leads("us/us-west-1"))
	g.awaitDegraded(t, false)
}

// TestCacheRulesChangeWithoutARestart: a store that another program writes without the
// gateway is excluded from the cache, and included again.
func TestCacheRulesChangeWithoutARestart(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	rules := newSettingFile(t, "# none yet\n")
	g := s.gateway("CACHE_RULES_FILE="+rules.path, "RATE=0", "CACHE_KEY_TTL=1m")
	one := g.as("app-one")
	cached := func(want bool) func() bool {
		return func() bool {
			one.get(keyOne).is(http.StatusOK)
			return isHit(one.get(keyOne).is(http.StatusOK)) == want
		}
	}
	eventually(t, "hits", cached(true)) // as soon as the TTL of the store's values is known
	rules.write("org-root/env-prod=off\n")
	g.signal(syscall.SIGHUP)
	eventually(t, "no hits by the new rule", cached(false))
	rules.write("org-root/env-prod=soon\n")
	g.signal(syscall.SIGHUP)
	g.awaitDegraded(t, true)
	if !cached(false)() {
		t.Error("a bad file changed the rules")
	}
	rules.write("# none again\n")
	eventually(t, "hits without a rule", cached(true))
	g.awaitDegraded(t, false)
}

// TestSIGHUPReadsCertificatesAgainAtOnce although only the signal shows that they have
// changed.
func TestSIGHUPReadsCertificatesAgainAtOnce(t *testing.T) {
	t.Parallel()
	cert, key, _ := certificate(t)
	g := newStack(t, false).gateway("TLS_CERT="+cert, "TLS_KEY="+key)
	reload := func(times int) {
		t.Helper()
		g.signal(syscall.SIGHUP)
		g.stderr.await(t, "the certificates to be read", g.ended, func(text string) bool {
			return strings.Count(text, `"msg":"certificates reloaded"`) >= times
		})
	}
	reload(1)
	newCert, newKey, roots := certificate(t)
	for from, to := range map[string]string{newCert: cert, newKey: key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	reload(2)
	c := g.client()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	c.httpClient = newHTTPClient(transport)
	c.get(keyOne).is(http.StatusUnauthorized) // over a connection that trusts only the new certificate
}
