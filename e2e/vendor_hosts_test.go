package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// TestURLsOfTheRegionListWork for writing and reading: a client that follows the
// vendor's own list reaches only that region. osemu answers them too.
func TestURLsOfTheRegionListWork(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("RATE=0", "CACHE_KEY_TTL=0", "DEFAULT_REGION=us/us-east-1")
	tokens := g.tokensByPlane()
	for _, l := range locations {
		authorization := "Authorization: Bearer " + tokens[l.plane]
		var regions []struct{ ID, URL string }
		sendRaw(t, g.addr(), rawGET(l.host, "/api/v1/organizations/org-root/regions", authorization)).is(http.StatusOK).decode(&regions)
		url := ""
		for _, r := range regions {
			if r.ID == l.region {
				url = r.URL
			}
		}
		host, ok := strings.CutPrefix(url, "http://object-store.")
		if !ok {
			t.Fatalf("%s: the list has the URL %q", l, url)
		}
		host = "object-store." + host
		s.emulator.clearRequests()
		a := sendRaw(t, g.addr(), rawGET(host, keyOne, authorization)).is(http.StatusOK)
		if seen := s.emulator.receivedTargets(); len(seen) != 1 || seen[0].Host != l.host || a.header.Get("X-Osgate-Region") != l.String() {
			t.Errorf("%s by %s: osemu received %v, X-Osgate-Region %q; want the request in its own region", l, host, seen, a.header.Get("X-Osgate-Region"))
		}
		sendRaw(t, strings.TrimPrefix(s.emulator.url, "http://"), rawGET(host, keyOne, authorization)).is(http.StatusOK)
	}
	s.emulator.clearRequests()
	a := sendRaw(t, g.addr(), rawGET("object-store.eu-central-3.anypoint.mulesoft.com", keyOne, "Authorization: Bearer "+tokens["us"]))
	a.checkRefusal(http.StatusBadRequest, "region-unknown")
	if !strings.Contains(a.body, "object-store-eu-central-1.anypoint.mulesoft.com") {
		t.Errorf("the refusal is %s, want it to name the nearest host", a.body)
	}
	sendRaw(t, g.addr(), "GET http://object-store-us-east-9.anypoint.mulesoft.com"+keyOne+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").
		checkRefusal(http.StatusBadRequest, "region-unknown")
	if seen := s.emulator.receivedTargets(); len(seen) > 0 {
		t.Errorf("osemu received %v, want no request", seen)
	}
}
