package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"osgate/record"
)

// idle is a [Keeper] that does not keep records.
type idle struct{}

func (idle) Keep(*record.Exchange) {}

// quick is a client that discards the answer.
type quick struct{ header http.Header }

func (q *quick) Header() http.Header         { return q.header }
func (q *quick) Write(p []byte) (int, error) { return len(p), nil }
func (q *quick) WriteHeader(int)             {}

// BenchmarkServe compares, without sockets, the cost of a bare ReverseProxy with that
// of the whole pipeline: for a request that goes upstream, and for a hit.
func BenchmarkServe(b *testing.B) {
	answer := func(*http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(strings.NewReader(`{"stringValue":"x"}`)), ContentLength: 19,
		}, nil
	}
	ask := func() *http.Request {
		r := httptest.NewRequest(http.MethodGet, keyPath, nil)
		r.Header.Set("Authorization", "Bearer one")
		return r
	}
	target, _ := url.Parse("https://" + host)
	bare := &httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(target) }, Transport: way(answer), BufferPool: &buffers{}}
	newBench := func(change ...func(*Options)) http.Handler {
		g := newRig(&testing.T{}, append([]func(*Options){func(o *Options) {
			o.Transport, o.Keeper = Transport{way(answer), way(answer)}, idle{}
			o.Identity = known{}
		}, quota(1_000_000, 1_000_000)}, change...)...)
		return g.Proxy
	}
	hit := newBench()
	hit.ServeHTTP(&quick{http.Header{}}, ask())
	miss := newBench()
	placed := func(o *Options) {
		o.Trace = func(parent record.Trace, _ bool) record.Trace {
			parent.ID, parent.Span = [16]byte(append(make([]byte, 8), 1, 2, 3, 4, 5, 6, 7, 8)), newSpan()
			return parent
		}
	}
	tracedHit, tracedMiss := newBench(placed), newBench(placed)
	tracedHit.ServeHTTP(&quick{http.Header{}}, ask())
	for _, c := range []struct {
		name    string
		handler http.Handler
		header  string
	}{
		{"bare ReverseProxy", bare, ""}, {"osgate pass-through", miss, "no-store"}, {"osgate pass-through, with a trace", tracedMiss, "no-store"},
		{"osgate hit", hit, ""}, {"osgate hit, with a trace", tracedHit, ""},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			r := ask()
			if c.header != "" {
				r.Header.Set("Cache-Control", c.header)
			}
			for b.Loop() {
				c.handler.ServeHTTP(&quick{http.Header{}}, r)
			}
		})
	}
}
