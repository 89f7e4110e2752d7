package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestARequestMakesLittleGarbage bounds the allocations of the pipeline, without net/http's
// server and transport: allocations decide what a request costs. A change that needs
// more raises the bound, and gives the reason.
func TestARequestMakesLittleGarbage(t *testing.T) {
	answer := way(func(*http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(strings.NewReader(`{"stringValue":"x"}`)), ContentLength: 19,
		}, nil
	})
	g := newRig(t, func(o *Options) {
		o.Transport, o.Keeper, o.Identity = Transport{answer, answer}, idle{}, known{}
	}, quota(1_000_000, 1_000_000))
	for _, tt := range []struct {
		name, control string
		most          float64
	}{
		{"a hit", "", 20}, {"a miss that is not stored", "no-store", 54},
	} {
		r := httptest.NewRequest(http.MethodGet, keyPath, nil)
		r.Header.Set("Authorization", "Bearer one")
		if tt.control != "" {
			r.Header.Set("Cache-Control", tt.control)
		}
		if n := testing.AllocsPerRun(200, func() { g.Proxy.ServeHTTP(&quick{http.Header{}}, r) }); n > tt.most {
			t.Errorf("%s: %v allocations, want at most %v", tt.name, n, tt.most)
		}
	}
}
