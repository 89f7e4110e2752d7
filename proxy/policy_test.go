package proxy

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"osgate/auth"
	"osgate/policy"
	"osgate/record"
)

const storePUT = "PUT " + storePath

// ruled returns a change that puts a rig under rules, and a function that replaces
// them.
func ruled(t *testing.T, rules string, headers ...string) (change func(*Options), replace func(string)) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rules.cedar")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(rules)
	p, err := policy.Load(policy.Options{Path: file, Headers: headers})
	if err != nil {
		t.Fatal(err)
	}
	return func(o *Options) { o.Policy = p }, func(text string) {
		write(text)
		if err := p.Reload(); err != nil {
			t.Fatal(err)
		}
	}
}

const permitAll = `@id("all") permit(principal, action, resource);` + "\n"

// obey returns a rig with rules that permit all that they do not forbid.
func obey(t *testing.T, forbids string, headers ...string) *rig {
	t.Helper()
	change, _ := ruled(t, permitAll+forbids, headers...)
	return newRig(t, change)
}

// refused checks that w is the refusal of a rule, and that the client's answer and the
// record name the rule.
func (g *rig) refused(t *testing.T, w interface{ Result() *http.Response }, status int, code, rule, reason string) {
	t.Helper()
	answer := w.Result()
	body, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != status || !strings.Contains(string(body), `"rule":"`+rule+`"`) || !strings.Contains(string(body), reason) {
		t.Errorf("answered %d %s; want %d by rule %s, %q", answer.StatusCode, body, status, rule, reason)
	}
	if x := g.last(); x.Code != record.Code(code) || x.Rule != rule || x.Status != status {
		t.Errorf("recorded %d %s by rule %q, want %d %s by %q", x.Status, x.Code, x.Rule, status, code, rule)
	}
}

func TestDeniedRequestGetsTheRuleAndIsNotForwarded(t *testing.T) {
	g := obey(t, `@id("no-deletes") @reason("deletes are for the on-call team") forbid(principal == Client::"app-one", action in Action::"delete", resource);`)
	w := g.do(request(t, "DELETE "+keyPath, "Authorization: Bearer one"))
	g.refused(t, w, http.StatusForbidden, "denied", "no-deletes", "deletes are for the on-call team")
	if len(g.sent) != 0 || g.last().Charged {
		t.Errorf("%d requests reached upstream, charged %t; want none, not charged", len(g.sent), g.last().Charged)
	}
	if w := g.do(request(t, "DELETE "+keyPath, "Authorization: Bearer two")); w.Code != 200 || g.last().Rule != "all" {
		t.Errorf("another client: %d by rule %q, want 200 by all", w.Code, g.last().Rule)
	}
}

func TestNothingIsPermittedByDefault(t *testing.T) {
	change, _ := ruled(t, `permit(principal == Client::"app-two", action, resource);`)
	g := newRig(t, change)
	g.refused(t, g.get("one", keyPath), http.StatusForbidden, "denied", "default", "denied by policy")
	g.refused(t, g.get("one", "/api/v1/organizations/o?period=1day"), http.StatusForbidden, "denied", "default", "denied by policy")
}

func TestAHitIsJudgedByTheRulesOfItsMoment(t *testing.T) {
	change, replace := ruled(t, permitAll)
	g := newRig(t, change)
	for range 2 {
		if w := g.get("one", keyPath); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	if !g.last().Hit {
		t.Fatal("the second read was no hit")
	}
	replace(permitAll + `@id("closed") forbid(principal, action == Action::"getKey", resource);`)
	g.refused(t, g.get("one", keyPath), http.StatusForbidden, "denied", "closed", "denied by policy")
}

func TestShadowRuleOnlyReports(t *testing.T) {
	g := obey(t, `@id("soon") @mode("shadow") forbid(principal, action, resource);`)
	if w := g.get("one", keyPath); w.Code != 200 || !slices.Equal(g.last().Shadow, []string{"soon"}) || g.last().Rule != "all" {
		t.Errorf("%d by rule %q, shadow %v; want 200 by all, soon", w.Code, g.last().Rule, g.last().Shadow)
	}
}

func TestAForbidThatFailsDenies(t *testing.T) {
	g := obey(t, `@id("unsure") forbid(principal, action == Action::"putKey", resource) when { context.valueBytes * 9223372036854775807 < 0 };`)
	put := func(body string) *httptest.ResponseRecorder {
		return g.do(request(t, "PUT "+keyPath, "Authorization: Bearer one", "", body))
	}
	g.refused(t, put("{}"), http.StatusForbidden, "denied", "unsure", "could not be evaluated")
	if !slices.Equal(g.last().PolicyErrors, []string{"unsure"}) {
		t.Errorf("rules that failed: %v, want unsure", g.last().PolicyErrors)
	}
	if w := put("x"); w.Code != 200 {
		t.Errorf("a value that the rule can calculate with: %d, want 200", w.Code)
	}
}

func TestValuesAreJudgedByTheirSize(t *testing.T) {
	const rule = `@id("small") @reason("at most 9 bytes") forbid(principal, action in Action::"write", resource) when { context.valueBytes > 9 };`
	put := func(lines ...string) *http.Request {
		return request(t, "PUT "+keyPath, append([]string{"Authorization: Bearer one"}, lines...)...)
	}
	t.Run("told beforehand", func(t *testing.T) {
		g := obey(t, rule)
		g.refused(t, g.do(put("", "0123456789")), http.StatusForbidden, "denied", "small", "at most 9 bytes")
		if w := g.do(put("", "012345678")); w.Code != 200 {
			t.Errorf("9 bytes: %d, want 200", w.Code)
		}
	})
	t.Run("short and of unknown length", func(t *testing.T) {
		g := obey(t, rule)
		g.refused(t, g.do(put("Transfer-Encoding: chunked", "", "a\r\n0123456789\r\n0\r\n\r\n")), http.StatusRequestEntityTooLarge, "too-large", "small", "at most 9")
		if len(g.sent) != 0 {
			t.Errorf("%d requests reached upstream, want none", len(g.sent))
		}
		if w := g.do(put("Transfer-Encoding: chunked", "", "9\r\n012345678\r\n0\r\n\r\n")); w.Code != 200 {
			t.Errorf("9 bytes: %d, want 200", w.Code)
		}
	})
	t.Run("long and of unknown length", func(t *testing.T) {
		const limit = 100_000
		g := obey(t, strings.Replace(rule, "9 }", "100000 }", 1))
		var sent int64
		g.upstream = func(r *http.Request) (*http.Response, error) {
			n, err := io.Copy(io.Discard, r.Body)
			sent = n
			return nil, err
		}
		w := g.do(put("Transfer-Encoding: chunked", "", "30d40\r\n"+strings.Repeat("x", 200_000)+"\r\n0\r\n\r\n"))
		g.refused(t, w, http.StatusRequestEntityTooLarge, "too-large", "small", "at most 9")
		if sent == 0 || sent > limit {
			t.Errorf("upstream got %d bytes, want some and at most %d", sent, limit)
		}
	})
}

func TestATTLIsJudgedByTheStoresDefinition(t *testing.T) {
	const rule = `@id("brief") @reason("a day at most") forbid(principal, action, resource) when { context has ttlSeconds && context.ttlSeconds > 86400 };`
	g := obey(t, rule)
	var got string
	g.upstream = func(r *http.Request) (*http.Response, error) {
		body, _ := io.ReadAll(r.Body)
		got = string(body)
		return reply(200, "{}"), nil
	}
	put := func(body string, lines ...string) *http.Request {
		return request(t, storePUT, append(append([]string{"Authorization: Bearer one"}, lines...), "", body)...)
	}
	g.refused(t, g.do(put(`{"storeId":"s","defaultTtlSeconds":86401}`)), http.StatusForbidden, "denied", "brief", "a day at most")
	const fine = `{"storeId":"s","defaultTtlSeconds":86400}`
	if w := g.do(put(fine)); w.Code != 200 || got != fine {
		t.Errorf("%d, upstream got %q; want 200 and the body as it was sent", w.Code, got)
	}
	padded := `{"storeId":"` + strings.Repeat("s", judgedBody) + `","defaultTtlSeconds":86401}`
	for name, w := range map[string]*httptest.ResponseRecorder{
		"hidden behind the head": g.do(put(padded)), "compressed": g.do(put("\x1f\x8b", "Content-Encoding: gzip")),
	} {
		if w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(w.Body.String(), "whole") {
			t.Errorf("%s: %d %s, want 413", name, w.Code, w.Body)
		}
	}
}

// types returns the type "production" for every environment and counts its calls.
type types struct{ asked atomic.Int64 }

func (e *types) Type(context.Context, auth.Identity, auth.Token, string, string) string {
	e.asked.Add(1)
	return "production"
}

func TestFactsThatNoRuleReadsAreNotFetched(t *testing.T) {
	e := &types{}
	with := func(o *Options) { o.Environments = e }
	plain, _ := ruled(t, permitAll)
	if w := newRig(t, plain, with).get("one", keyPath); w.Code != 200 || e.asked.Load() != 0 {
		t.Errorf("no rule reads it: %d, asked %d times; want 200, 0", w.Code, e.asked.Load())
	}
	curious, _ := ruled(t, permitAll+`@id("prod") forbid(principal, action in Action::"delete", resource) when { resource.environmentType == "production" };`)
	g := newRig(t, curious, with)
	if w := g.get("one", keyPath); w.Code != 200 || e.asked.Load() != 0 {
		t.Errorf("a rule reads it of deletes alone: %d, asked %d times; want 200, 0", w.Code, e.asked.Load())
	}
	g.refused(t, g.do(request(t, "DELETE "+keyPath, "Authorization: Bearer one")), http.StatusForbidden, "denied", "prod", "denied by policy")
	if e.asked.Load() != 1 {
		t.Errorf("asked %d times, want 1", e.asked.Load())
	}
}

func TestAFoundRegionIsJudged(t *testing.T) {
	for found, want := range map[string]int{"us-east-2": 200, "us-west-1": 403} {
		var probes atomic.Int64
		change, _ := ruled(t, permitAll+`@id("east") forbid(principal, action, resource) unless { resource.region like "us-east-*" };`)
		g := newRig(t, discovering(t, ""), change)
		g.upstream = in(found, &probes)
		if status, _ := g.anywhere("GET", keyPath); status != want {
			t.Errorf("a store in %s: %d, want %d", found, status, want)
		}
	}
	change, _ := ruled(t, permitAll+`@id("eu") forbid(principal, action, resource) unless { resource.plane == "eu" };`)
	var probes atomic.Int64
	g := newRig(t, discovering(t, ""), change)
	g.upstream = in("us-east-2", &probes)
	if status, _ := g.anywhere("GET", keyPath); status != 403 || probes.Load() != 0 {
		t.Errorf("permitted nowhere: %d after %d probes, want 403 after none", status, probes.Load())
	}
}
