package proxy

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"osgate/record"
	"osgate/regionmap"
)

// titled returns the title of the answer to an error.
func titled(err error) string {
	r := refusalOf(err)
	_, title, _ := r.answer()
	return title
}

// TestATitleIsTrueOfItsRefusal checks each code, and each refusal to which the title of
// its code would not apply.
func TestATitleIsTrueOfItsRefusal(t *testing.T) {
	const statistics = "GET /api/v1/organizations/o?period=1day"
	bearer := func(who string) string { return "Authorization: Bearer " + who }
	do := func(head string, lines []string, change ...func(*Options)) string {
		t.Helper()
		r := request(t, head, lines...)
		if strings.Contains(head, "/accounts/") {
			r.Host = "gateway"
		}
		g := newRig(t, change...)
		g.upstream = func(*http.Request) (*http.Response, error) { return nil, errors.New("it broke off") }
		var p problem
		if err := json.Unmarshal(g.do(r).Body.Bytes(), &p); err != nil {
			t.Error(err)
		}
		return p.Title
	}
	own := func(why error) func(*Options) { return func(o *Options) { o.Statistics = mute{why} } }
	for want, title := range map[string]string{
		"Not an Object Store v2 operation": do("GET /api/v1/data", nil),
		"Bad path":                         do("GET "+keyPath+"/..", nil),
		"Bad request":                      do("TRACE "+keyPath, nil),
		"Loop detected":                    do("GET "+keyPath, []string{"Via: 1.1 osgate"}),
		"Region unknown":                   do("GET /eu/eu-west-1"+keyPath, nil),
		"Region not allowed":               do("GET /accounts/api/me", []string{"X-Osgate-Region: gov"}),
		"No bearer token":                  do("GET "+keyPath, nil),
		"Bearer token refused":             do("GET "+keyPath, []string{bearer("bad")}),
		"Identity unavailable":             do("GET "+keyPath, []string{bearer("down")}),
		"Over quota":                       titled(tooManyFailures(1)),
		"Over budget":                      titled(refusal{code: record.CodeOverBudget}),
		"Request body too large":           titled(tooLarge(1)),
		"No answer from Object Store":      do("GET "+keyPath, []string{bearer("one")}),
		"Object Store timeout":             titled(refusal{code: record.CodeUpstreamTimeout}),
		"Overloaded":                       do(statistics, []string{bearer("one")}, own(ErrStatisticsBusy)),
		"Shutting down":                    titled(refusal{code: record.CodeDraining}),

		"Not in the cache":                 do("GET "+keyPath, []string{bearer("one"), "Cache-Control: only-if-cached"}),
		"Not a member of the organization": do(statistics, []string{bearer("other")}),
		"Not an Anypoint token":            titled(errForeignCall),
		"Credential in a wrong place":      titled(errLeak),
		"Denied by policy":                 titled(refusal{code: record.CodeDenied, rule: "night"}),
		"Statistics unavailable":           do(statistics, []string{bearer("one")}, own(ErrStatisticsUnavailable)),
		"No answer":                        do(statistics, []string{bearer("one")}, own(errors.New("odd"))),
		"Origin not allowed":               do("OPTIONS "+keyPath, []string{"Origin: https://a.example", "Access-Control-Request-Method: PUT"}),
		"Precondition failed":              do("PUT "+keyPath, []string{bearer("one"), `If-Match: W/"osg-` + strings.Repeat("A", 22) + `"`, "", "{}"}),
		"Request body too late":            titled((&requestBody{}).lateRefusal(nil)),
		"Quotas cannot be counted":         do("GET "+keyPath, []string{bearer("one")}, func(o *Options) { o.Limiter = closedLimiter{} }),
		"Write not sent":                   titled((&exchange{}).unrenewed()),
		"Write broken off":                 titled(sentOnce().unrenewed()),
		"No answer from the control plane": do("GET /accounts/api/me", nil),
		"Region not discovered":            titled(&regionmap.UndiscoveredError{}),
	} {
		if title != want {
			t.Errorf("title %q, want %q", title, want)
		}
	}
}

// sentOnce returns an exchange of which upstream has received a part.
func sentOnce() *exchange {
	x := &exchange{}
	x.rec.UpstreamAttempts = 1
	return x
}

func TestOwnRefusalsAreNoFailuresOfUpstream(t *testing.T) {
	for _, lines := range [][]string{{"Authorization: Bearer one", "Cache-Control: only-if-cached"}} {
		w := newRig(t).do(request(t, "GET "+keyPath, lines...))
		if got := w.Header().Get("Proxy-Status"); w.Code != 504 || got != `osgate; error=proxy_internal_response; details="upstream-timeout"` {
			t.Errorf("%d, Proxy-Status %q", w.Code, got)
		}
	}
}
