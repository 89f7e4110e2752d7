package proxy

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"osgate/record"
)

// keeper is a [Keeper] made of a function.
type keeper func(*record.Exchange)

func (k keeper) Keep(x *record.Exchange) { k(x) }

// TestAnExchangeIsUnderWayUntilItIsRecorded checks this because the process waits at
// its end for the exchanges under way, and must not lose their records.
func TestAnExchangeIsUnderWayUntilItIsRecorded(t *testing.T) {
	var g *rig
	var during []int64
	g = newRig(t, func(o *Options) { o.Keeper = keeper(func(*record.Exchange) { during = append(during, g.Exchanges()) }) })
	g.do(request(t, "GET /api/v1/organizations/o?period=1day", "Authorization: Bearer one"))
	if len(during) != 1 || during[0] != 1 || g.Exchanges() != 0 {
		t.Errorf("%v exchanges were under way as one was recorded, %d after it, want 1 and none", during, g.Exchanges())
	}
}

// TestExchangesUnderWayAreCountedByMethod checks that each of HTTP's own methods has
// its count, and that all others share one.
func TestExchangesUnderWayAreCountedByMethod(t *testing.T) {
	var g *rig
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "BREW", "get"} {
		var during map[string]int64
		count := func() map[string]int64 {
			found := map[string]int64{}
			g.ExchangesByMethod(func(method string, n int64) { found[method] += n })
			return found
		}
		g = newRig(t, func(o *Options) { o.Keeper = keeper(func(*record.Exchange) { during = count() }) })
		r := request(t, "GET "+keyPath)
		r.Method = method
		g.do(r)
		want := method
		if method == "BREW" || method == "get" {
			want = ""
		}
		for name, n := range during {
			if n != 0 != (name == want) {
				t.Errorf("%s: %d of %q are under way", method, n, name)
			}
		}
		if during[want] != 1 || len(during) != 10 || count()[want] != 0 {
			t.Errorf("%s: %v under way, want one of %q, and none after it", method, during, want)
		}
	}
}

// TestEachAttemptIsKept checks that each attempt is recorded with its answer and
// duration, without a trace too.
func TestEachAttemptIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, func(o *Options) { o.MaxWait = time.Minute })
		g.upstream = func(*http.Request) (*http.Response, error) {
			<-time.After(time.Duration(len(g.sent)) * time.Second)
			if len(g.sent) == 1 {
				return reply(429, `{}`), nil
			}
			return reply(200, `{}`), nil
		}
		g.get("one", keyPath)
		x := g.last()
		if a := x.Attempts; len(a) != 2 || a[0].Status != 429 || a[0].Duration != time.Second || a[1].Status != 200 || a[1].Duration != 2*time.Second ||
			a[0].Start != 0 || a[1].Start < time.Second || a[1].Resend != 1 || x.UpstreamDuration != 3*time.Second {
			t.Errorf("attempts %+v, %v together", a, x.UpstreamDuration)
		}
	})
}
