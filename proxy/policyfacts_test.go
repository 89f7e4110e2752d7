package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"osgate/auth"
	"osgate/record"
)

func TestHostIsAHeaderThatRulesMayRead(t *testing.T) {
	g := obey(t, `@id("other") forbid(principal, action, resource) unless { context.headers has "host" && context.headers["host"] == "`+host+`" };`, "Host")
	if w := g.get("one", keyPath); w.Code != http.StatusOK {
		t.Errorf("the host that the rule wants: %d %s, want 200", w.Code, w.Body)
	}
}

// TestShadowRulesDecideOnTheWholeBody uses bodies in chunks: at
// first no byte of them is known.
func TestShadowRulesDecideOnTheWholeBody(t *testing.T) {
	g := obey(t, `@id("large") @mode("shadow") forbid(principal, action, resource) when { context.valueBytes > 9 };
		@id("empty") @mode("shadow") forbid(principal, action, resource) when { context.valueBytes < 3 };
		@id("unsure") @mode("shadow") forbid(principal, action, resource) when { context.valueBytes * 4611686018427387904 < 0 };`)
	for body, want := range map[string][]string{
		"a\r\n0123456789\r\n0\r\n\r\n": {"large", "unsure"}, "9\r\n012345678\r\n0\r\n\r\n": {"unsure"}, "0\r\n\r\n": {"empty"},
	} {
		w := g.do(request(t, "PUT "+keyPath, "Authorization: Bearer one", "Transfer-Encoding: chunked", "", body))
		errs := slices.DeleteFunc(slices.Clone(want), func(rule string) bool { return rule != "unsure" })
		if x := g.last(); w.Code != http.StatusOK || !slices.Equal(x.Shadow, want) || !slices.Equal(x.PolicyErrors, errs) {
			t.Errorf("%q: %d, shadow %v, errors %v; want 200, %v, %v", body, w.Code, x.Shadow, x.PolicyErrors, want, errs)
		}
	}
}

// TestADefinitionThatCannotBeReadIsRefusedForRulesInForceAlone checks that rules in
// shadow mode refuse no request, and use the longest TTL for such a definition.
func TestADefinitionThatCannotBeReadIsRefusedForRulesInForceAlone(t *testing.T) {
	const rule = `forbid(principal, action, resource) when { context has ttlSeconds && context.ttlSeconds > 86400 };`
	for name, lines := range map[string][]string{
		"long": {"", `{"storeId":"` + strings.Repeat("s", judgedBody) + `"}`}, "compressed": {"Content-Encoding: gzip", "", "\x1f\x8b"},
	} {
		put := func() *http.Request {
			return request(t, storePUT, append([]string{"Authorization: Bearer one"}, lines...)...)
		}
		g := obey(t, `@id("brief") @mode("shadow") `+rule)
		if w := g.do(put()); w.Code != http.StatusOK || !slices.Equal(g.last().Shadow, []string{"brief"}) {
			t.Errorf("%s, in shadow mode: %d, shadow %v; want 200, brief", name, w.Code, g.last().Shadow)
		}
		if w := obey(t, `@id("brief") `+rule).do(put()); w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s, in force: %d, want 413", name, w.Code)
		}
	}
}

func TestGarbledBodyIsTheClientsFaultForEveryReader(t *testing.T) {
	g := obey(t, `@id("typed") forbid(principal, action, resource) when { context.valueType == "NUMBER" || context has ttlSeconds && context.ttlSeconds > 5 };`)
	for _, head := range []string{"PUT " + keyPath, storePUT} {
		w := g.do(request(t, head, "Authorization: Bearer one", "Transfer-Encoding: chunked", "", "5\r\n{\"a\":\r\nnonsense\r\n"))
		if w.Code != http.StatusBadRequest || g.last().Code != "bad-request" || len(g.sent) != 0 {
			t.Errorf("%s: %d %s, %d requests upstream; want 400 bad-request, none", head, w.Code, w.Body, len(g.sent))
		}
	}
}

// TestARefusalIsRecordedUnderTheRuleThatRefused also checks that it is never recorded
// under a rule that permitted.
func TestARefusalIsRecordedUnderTheRuleThatRefused(t *testing.T) {
	g := obey(t, `@id("small") forbid(principal, action in Action::"write", resource) when { context.valueBytes > 9 };`)
	for _, tt := range []struct {
		code, rule string
		denied     bool
		r          *http.Request
	}{
		{"too-large", "small", true, request(t, "PUT "+keyPath, "Authorization: Bearer one", "Transfer-Encoding: chunked", "", "a\r\n0123456789\r\n0\r\n\r\n")},
		{"denied", "small", true, request(t, "PUT "+keyPath, "Authorization: Bearer one", "", "0123456789")},
		{"denied", "", true, request(t, "GET /api/v1/organizations/a-strangers?period=1day", "Authorization: Bearer one")},
		{"", "all", false, request(t, "GET "+keyPath, "Authorization: Bearer one")},
	} {
		g.do(tt.r)
		if x := g.last(); x.Code != record.Code(tt.code) || x.Rule != tt.rule || x.Denied != tt.denied {
			t.Errorf("%s %s: %q by rule %q, denied %t; want %q, %q, %t", tt.r.Method, tt.r.URL, x.Code, x.Rule, x.Denied, tt.code, tt.rule, tt.denied)
		}
	}
}

// TestAWriteThatIsCutBeforeItIsSentHoldsUpNoReads checks that reads go on, because no
// part of such a write can take effect later.
func TestAWriteThatIsCutBeforeItIsSentHoldsUpNoReads(t *testing.T) {
	g := obey(t, `@id("small") forbid(principal, action in Action::"write", resource) when { context.valueBytes > 9 };`)
	g.get("one", keyPath)
	cut := request(t, "PUT "+keyPath, "Authorization: Bearer one", "Transfer-Encoding: chunked", "", "a\r\n0123456789\r\n0\r\n\r\n")
	if w := g.do(cut); w.Code != http.StatusRequestEntityTooLarge {
		t.Fatalf("a value over the limit: %d, want 413", w.Code)
	}
	for range 2 {
		if w := g.get("one", keyPath); w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	if !g.last().Hit {
		t.Errorf("the second read after it: Cache-Status %q, want a hit", g.last().Cache)
	}
}

// TestExplainTellsThatTheAddressMayDecide checks that Explain names the address as a
// fact that it does not know.
func TestExplainTellsThatTheAddressMayDecide(t *testing.T) {
	g := obey(t, `@id("inside") forbid(principal, action, resource) unless { context.sourceIP.isInRange(ip("10.0.0.0/8")) };`)
	if e := g.Explain(request(t, "GET "+keyPath), auth.Caller{Name: "app-one"}); e.Rule != "inside" || e.Facts != "sourceIP" {
		t.Errorf("rule %q, not known %q; want inside, sourceIP", e.Rule, e.Facts)
	}
}

// asked is a body that counts the reads before its request was answered. On such a
// read, net/http sends 100 (Continue) to a client that waits for it.
type asked struct {
	io.ReadCloser
	answer *httptest.ResponseRecorder // nil: the test has no recorder
	times  int
}

func (a *asked) Read(p []byte) (int, error) {
	if a.answer == nil || !a.answer.Flushed {
		a.times++
	}
	return a.ReadCloser.Read(p)
}

// TestBodyOfARequestDeniedByItsSizeIsNotRead has bodies that are refused
// because of their size, with a known region and without, although other rules depend
// on their type.
func TestBodyOfARequestDeniedByItsSizeIsNotRead(t *testing.T) {
	const rules = `@id("typed") forbid(principal, action == Action::"putKey", resource) when { context.valueType == "BINARY" };
		@id("small") @reason("at most 9 bytes") forbid(principal, action == Action::"putKey", resource) when { context.valueBytes > 9 };
		@id("west") forbid(principal, action, resource) when { resource.region == "us-west-1" && context.valueBytes > 5 };`
	change, _ := ruled(t, permitAll+rules)
	for _, tt := range []struct {
		name, value, gateway string
		rule                 string
		asked                bool
	}{
		{"too large", `"12345678"`, "", "small", false},
		{"too large, in a region that is to be found", `"12345678"`, "gateway", "small", false},
		{"too large in one of its regions", `"12345"`, "gateway", "", true},
		{"of the wrong type", `{"valueType":"BINARY"}`, "", "small", false},
		{"small enough", `{}`, "", "", true},
	} {
		var probes atomic.Int64
		g := newRig(t, discovering(t, ""), change)
		g.upstream = in("us-east-2", &probes)
		r := request(t, "PUT "+keyPath, "Authorization: Bearer one", "Expect: 100-continue", "", tt.value)
		if tt.gateway != "" {
			r.Host = tt.gateway
		}
		w := httptest.NewRecorder()
		body := &asked{ReadCloser: r.Body, answer: w}
		r.Body = body
		g.ServeHTTP(w, r)
		if tt.rule != "" {
			g.refused(t, w, http.StatusForbidden, "denied", tt.rule, "at most 9 bytes")
		} else if w.Code == http.StatusForbidden {
			t.Errorf("%s: %d %s", tt.name, w.Code, w.Body)
		}
		if (body.times > 0) != tt.asked {
			t.Errorf("%s: read %d times, want %t", tt.name, body.times, tt.asked)
		}
	}
}

// TestExplainTellsWhatMayDecideOfThisClientsRequest checks that Explain names no fact
// that only rules for other clients read.
func TestExplainTellsWhatMayDecideOfThisClientsRequest(t *testing.T) {
	change, _ := ruled(t, permitAll+`
		forbid(principal == Client::"ops", action, resource) unless { context.sourceIP.isInRange(ip("10.0.0.0/8")) };
		@id("small") forbid(principal, action == Action::"putKey", resource) when { context.valueBytes > 9 };
		@id("east") forbid(principal, action in Action::"read", resource) when { resource.region == "us-west-1" };`)
	g := newRig(t, discovering(t, ""), change)
	for _, tt := range []struct {
		client, head, gateway string
		lines                 []string
		rule, facts           string
	}{
		{"app-one", "GET ", "", nil, "all", ""},
		{"ops", "GET ", "", nil, "rules.cedar:2", "sourceIP"},
		{"app-one", "GET ", "gateway", nil, "all", "region"},
		{"app-one", "DELETE ", "gateway", nil, "all", ""},
		{"app-one", "PUT ", "", nil, "all", "valueBytes"},
		{"app-one", "PUT ", "", []string{"", "0123456789"}, "small", ""},
		{"app-one", "PUT ", "", []string{"", "012345678"}, "all", ""},
		{"app-one", "PUT ", "", []string{"Transfer-Encoding: chunked", "", "0\r\n\r\n"}, "all", "valueBytes"},
	} {
		r := request(t, tt.head+keyPath, tt.lines...)
		if tt.gateway != "" {
			r.Host = tt.gateway
		}
		e := g.Explain(r, auth.Caller{Name: tt.client})
		if e.Rule != tt.rule || e.Facts != tt.facts {
			t.Errorf("%s %s%v: rule %q, not known %q; want %q, %q", tt.client, tt.head, tt.lines, e.Rule, e.Facts, tt.rule, tt.facts)
		}
	}
}
