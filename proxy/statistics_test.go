package proxy

import "testing"

func TestStatisticsGoOutInTheirMediaType(t *testing.T) {
	g := newRig(t)
	w := g.do(request(t, "GET /api/v1/organizations/o?period=1day", "Authorization: Bearer one"))
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json; of=statistics" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}
