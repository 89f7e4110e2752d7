package load

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// One answer holds up all that is sent after it: with one connection the requests that
// were planned meanwhile wait, and their latencies must contain that wait.
func TestOpenLoopChargesAStallToTheRequestsThatWaited(t *testing.T) {
	t.Parallel()
	const stall = 300 * time.Millisecond
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if n.Add(1) == 10 {
			<-time.After(stall)
		}
	}))
	defer s.Close()
	o := Open{Rate: 200, Duration: time.Second, Connections: 1}
	r, err := o.Run(t.Context(), s.Listener.Addr().String(), Plan{Clients: 1, Each: 1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if r.Requests != 200 {
		t.Errorf("%d requests were answered, want 200", r.Requests)
	}
	// 60 requests are planned in 300 ms: a closed loop would have one slow one.
	if least := float64((stall / 2).Microseconds()); r.P90 < least {
		t.Errorf("p90 is %.0f µs, want at least %.0f", r.P90, least)
	}
}

func TestOpenLoopFailsOnAnAnswerThatIsNot2xx(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	o := Open{Rate: 200, Duration: 100 * time.Millisecond, Connections: 2}
	_, err := o.Run(t.Context(), s.Listener.Addr().String(), Plan{Clients: 1, Each: 1}, 1)
	if err == nil {
		t.Error("404 is accepted")
	}
}

func TestNoTwoRequestsOfALoadAreTheSame(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]bool{}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		id := r.Header.Get("X-Correlation-ID")
		if seen[id] {
			t.Errorf("the correlation id %s comes twice", id)
		}
		seen[id] = true
	}))
	defer s.Close()
	address, plan := s.Listener.Addr().String(), Plan{Clients: 3, Each: 2}
	o := Open{Rate: 500, Duration: 200 * time.Millisecond, Connections: 4}
	if _, err := o.Run(t.Context(), address, plan, 1); err != nil {
		t.Fatal(err)
	}
	b := Bulk{Connections: 2, Duration: 100 * time.Millisecond}
	if _, err := b.Run(t.Context(), address, plan); err != nil {
		t.Fatal(err)
	}
	if len(seen) < 100 {
		t.Errorf("%d requests were seen, want more than the 100 of the open loop", len(seen))
	}
}
