package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// closedRule forbids the requests of the reload tests.
const closedRule = "@id(\"closed\")\n@reason(\"closed for now\")\nforbid (principal, action == Action::\"getKey\", resource);\n"

// reloadCount returns the number of reloads in the log of the gateway.
func (g *gateway) reloadCount() int { return strings.Count(g.stderr.String(), `"msg":"policy"`) }

// awaitReload waits until the gateway has logged more than n reloads.
func (g *gateway) awaitReload(n int) {
	g.t.Helper()
	g.stderr.await(g.t, "the new rules to be logged", g.ended, func(text string) bool { return strings.Count(text, `"msg":"policy"`) > n })
}

// TestHitIsAuthorizedByTheReloadedPolicy: a response that was cached under one policy
// is refused under the next, and is still cached after it.
func TestHitIsAuthorizedByTheReloadedPolicy(t *testing.T) {
	t.Parallel()
	withAndWithoutRedis(t, func(t *testing.T, s *stack) {
		f := newRules(t, "")
		g := s.gateway(f.setting(), "CACHE_KEY_TTL=1m", "RATE=0")
		one := g.as("app-one")
		one.get(keyOne).is(http.StatusOK)
		tag := one.get(keyOne).is(http.StatusOK).header.Get("Etag")
		one.get(keyOne, "If-None-Match: "+tag).is(http.StatusNotModified)
		swap := func(rules string) {
			n := g.reloadCount()
			f.write(permitAll + rules)
			g.signal(syscall.SIGHUP)
			g.awaitReload(n)
		}
		swap(closedRule)
		a := one.get(keyOne)
		a.checkDenial("closed", "closed for now")
		if got := a.header.Get("Cache-Status") + a.header.Get("Age") + a.header.Get("Etag"); got != "" {
			t.Errorf("the refusal has a Cache-Status: %q", got)
		}
		one.get(keyOne, "If-None-Match: "+tag).checkDenial("closed", "closed for now")
		one.get(keyOne, "Cache-Control: only-if-cached").checkDenial("closed", "closed for now")
		one.send(http.MethodHead, keyOne, "").succeeded()
		swap("")
		one.get(keyOne).is(http.StatusOK)
		if n := s.emulator.countRequests(http.MethodGet, keyOne); n != 1 {
			t.Errorf("osemu received %d requests, want one", n)
		}
	})
}

// reloadAnswers counts the responses to many requests.
type reloadAnswers struct {
	mu              sync.Mutex
	passed, refused int     // guarded by mu
	unexpected      []error // guarded by mu: all other answers
}

// add counts a response: a value, or the refusal by the rule that the tests add and
// remove.
func (v *reloadAnswers) add(a *answer, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case err == nil && a.status == http.StatusOK && strings.Contains(a.body, "stringValue"):
		v.passed++
	case err == nil && a.status == http.StatusForbidden && strings.Contains(a.body, `"rule":"closed"`):
		v.refused++
	case err == nil:
		v.unexpected = append(v.unexpected, fmt.Errorf("the answer is %d %s", a.status, a.body))
	default:
		v.unexpected = append(v.unexpected, err)
	}
}

// count returns the number of responses so far.
func (v *reloadAnswers) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.passed + v.refused + len(v.unexpected)
}

// startReaders lets n readers send requests, each up to 50 per second and one after the
// other, until stop is closed.
func (v *reloadAnswers) startReaders(c client, n int, stop <-chan struct{}) *sync.WaitGroup {
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			tick := time.NewTicker(time.Second / 50)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
					v.add(c.try(http.MethodGet, keyOne, ""))
				}
			}
		})
	}
	return &all
}

// TestReloadUnderLoadDropsNothing sends up to 300 requests per second while the rules
// change, by SIGHUP and by a change of the file alone.
func TestReloadUnderLoadDropsNothing(t *testing.T) {
	t.Parallel()
	f := newRules(t, "")
	g := newStack(t, false).gateway(f.setting(), "RATE=0")
	one := g.as("app-one")
	one.get(keyOne).is(http.StatusOK)
	var v reloadAnswers
	stop, began := make(chan struct{}), time.Now()
	all := v.startReaders(one, 6, stop)
	for i := range 24 {
		n := g.reloadCount()
		want := []int{http.StatusForbidden, http.StatusOK}[i%2]
		f.write(permitAll + []string{closedRule, ""}[i%2])
		if i < 22 { // the last two are found by a check of the file
			g.signal(syscall.SIGHUP)
		}
		g.awaitReload(n)
		if a := one.get(keyOne); a.status != want {
			t.Errorf("after reload %d the answer is %d, want %d", i, a.status, want)
		}
		before := v.count()
		eventually(t, "more requests", func() bool { return v.count() >= before+15 })
	}
	close(stop)
	all.Wait()
	seconds := time.Since(began).Seconds()
	if len(v.unexpected) > 0 {
		t.Errorf("%d of %d requests received neither a value nor the refusal, the first: %v", len(v.unexpected), v.passed+v.refused+len(v.unexpected), v.unexpected[0])
	}
	t.Logf("%d values and %d refusals in %.1f s over 24 reloads", v.passed, v.refused, seconds)
	if v.passed == 0 || v.refused == 0 {
		t.Errorf("%d values and %d refusals: the load was too small", v.passed, v.refused)
	}
}

// TestABadFileLeavesTheRulesInForce: until the file is repaired, /readyz, a metric and
// one log line report it.
func TestABadFileLeavesTheRulesInForce(t *testing.T) {
	t.Parallel()
	f := newRules(t, closedRule)
	g := newStack(t, false).gateway(f.setting(), "RATE=0")
	one := g.as("app-one")
	ready := func() (status string, parts string) {
		var r struct {
			Status  string
			Reasons []struct{ Part, Detail string }
		}
		client{t: t, base: g.admin}.get("/readyz").is(http.StatusOK).decode(&r)
		for _, reason := range r.Reasons {
			parts += reason.Part + " "
		}
		return r.Status, parts
	}
	before, _ := ready()
	f.write(permitAll + "@id(\"odd\")\nforbid (principal, action, resource)\nwhen { resource.sstore == \"x\" };\n")
	g.signal(syscall.SIGHUP)
	eventually(t, "/readyz to report the policy", func() bool {
		status, parts := ready()
		return status == "degraded" && strings.Contains(parts, "policy ")
	})
	eventually(t, "osgate_policy_stale", func() bool { return g.hasMetricLine("osgate_policy_stale 1") })
	one.get(keyOne).checkDenial("closed", "closed for now")
	f.write(permitAll)
	g.awaitReload(0) // by itself
	one.get(keyOne).is(http.StatusOK)
	if status, parts := ready(); status != before || strings.Contains(parts, "policy") {
		t.Errorf("after the repair: %s because of %q, want %s", status, parts, before)
	}
	eventually(t, "osgate_policy_stale", func() bool { return g.hasMetricLine("osgate_policy_stale 0") })
	g.checkErrorIsLoggedOnce(regexp.MustCompile(regexp.QuoteMeta(filepath.Base(f.path)) + `:3:\d+`))
}

// TestPipeInThePolicyFolderBlocksNothing: it is reported like any other unusable file,
// the other files are used after its removal, and SIGTERM ends the gateway.
func TestPipeInThePolicyFolderBlocksNothing(t *testing.T) {
	t.Parallel()
	f := newRules(t, "")
	pipe := filepath.Join(filepath.Dir(f.path), "z.cedar")
	g := newStack(t, false).gateway(f.setting(), "RATE=0")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	runOsgate(t, []string{f.setting()}, "policy", "check").checkOutput(t, 2, "z.cedar is no regular file")
	f.write(permitAll + closedRule)
	g.signal(syscall.SIGHUP)
	eventually(t, "osgate_policy_stale", func() bool { return g.hasMetricLine("osgate_policy_stale 1") })
	g.as("app-one").get(keyOne).is(http.StatusOK)
	if err := os.Remove(pipe); err != nil {
		t.Fatal(err)
	}
	g.awaitReload(0) // by itself
	g.as("app-one").get(keyOne).checkDenial("closed", "closed for now")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "osgate_policy_stale", func() bool { return g.hasMetricLine("osgate_policy_stale 1") })
	if status := g.stop(syscall.SIGTERM); status != 0 {
		t.Errorf("SIGTERM: exit code %d, want 0", status)
	}
}

// checkErrorIsLoggedOnce checks that the log has one line about unusable rules, and
// that its cause names the position of the error.
func (g *gateway) checkErrorIsLoggedOnce(where *regexp.Regexp) {
	g.t.Helper()
	n := 0
	for line := range strings.Lines(g.stderr.String()) {
		var l struct{ Level, Msg, Cause string }
		if json.Unmarshal([]byte(line), &l) != nil || !strings.HasPrefix(l.Msg, "the policy cannot be read") {
			continue
		}
		if n++; l.Level != "ERROR" || !where.MatchString(l.Cause) {
			g.t.Errorf("the log has %s, want an error at %v", line, where)
		}
	}
	if n != 1 {
		g.t.Errorf("%d lines about rules that cannot be read, want one", n)
	}
}
