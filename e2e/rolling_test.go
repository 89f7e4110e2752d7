//go:build deploy

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// rollingRequests is the number of requests that clients send while replicas are
// replaced, and longer if not all replicas have been replaced by then.
const rollingRequests = 20_000

// balancer spreads requests over the replicas that were ready when they were last
// polled, as a load balancer in front of gateways does. It sends no request a second
// time.
type balancer struct {
	mu       sync.Mutex
	replicas map[*gateway]bool // guarded by mu; whether the last poll found it ready
	turn     int               // guarded by mu
}

// add adds a replica, which gets requests after its first successful poll.
func (b *balancer) add(g *gateway) { b.set(g, false) }

func (b *balancer) set(g *gateway, ready bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.replicas == nil {
		b.replicas = map[*gateway]bool{}
	}
	b.replicas[g] = ready
}

func (b *balancer) remove(g *gateway) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.replicas, g)
}

// ready returns the replicas that are ready.
func (b *balancer) ready() (all []*gateway) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for g, ready := range b.replicas {
		if ready {
			all = append(all, g)
		}
	}
	return all
}

// next returns the base URL of the next replica that is ready, nil if there is none.
func (b *balancer) next() *url.URL {
	all := b.ready()
	if len(all) == 0 {
		return nil
	}
	b.mu.Lock()
	b.turn++
	g := all[b.turn%len(all)]
	b.mu.Unlock()
	base, _ := url.Parse(g.url) // was printed by the gateway, and used
	return base
}

// poll polls the readiness of each replica every 100 ms until ctx ends.
func (b *balancer) poll(ctx context.Context) {
	c := http.Client{Timeout: time.Second}
	for ticker := time.NewTicker(100 * time.Millisecond); ; {
		b.mu.Lock()
		var all []*gateway
		for g := range b.replicas {
			all = append(all, g)
		}
		b.mu.Unlock()
		for _, g := range all {
			a, err := c.Get(g.admin + "/readyz")
			if err == nil {
				_ = a.Body.Close()
			}
			b.polled(g, err == nil && a.StatusCode == http.StatusOK)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			ticker.Stop()
			return
		}
	}
}

// polled stores the result of a poll, unless the replica was removed meanwhile.
func (b *balancer) polled(g *gateway, ready bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.replicas[g]; ok {
		b.replicas[g] = ready
	}
}

// serve starts the balancer and returns its base URL. A request that it cannot pass on
// gets 599.
func (b *balancer) serve(t *testing.T) string {
	t.Helper()
	pool := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	proxy := &httputil.ReverseProxy{
		Transport: pool,
		Rewrite: func(r *httputil.ProxyRequest) {
			if base := b.next(); base != nil {
				r.SetURL(base)
			}
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			t.Logf("balancer: %s %s: %v", r.Method, r.URL, err)
			w.WriteHeader(599)
		},
	}
	server := httptest.NewServer(proxy)
	polling := make(chan struct{})
	go func() { // ends with the test
		defer close(polling)
		b.poll(t.Context())
	}()
	t.Cleanup(func() {
		server.Close()
		<-polling
		pool.CloseIdleConnections()
	})
	return server.URL
}

// TestRollingUpgradeOfThreeReplicasFailsNoRequest replaces three replicas of the version
// before one by one by this version, and then these by new processes, while clients read
// and write through a balancer that polls their readiness. Each request is answered with
// 2xx, each read returns the last write of its client, and each operation is counted.
func TestRollingUpgradeOfThreeReplicasFailsNoRequest(t *testing.T) {
	t.Parallel()
	s := newStack(t, true)
	settings := []string{"RATE=0", "DRAIN_DELAY=1s", sharedSecret}
	b, replicas := &balancer{}, make([]*gateway, 3)
	for i := range replicas {
		replicas[i] = s.gatewayOf(before(t), settings...)
		b.add(replicas[i])
	}
	one := replicas[0].as("app-one")
	one.base = b.serve(t)
	eventually(t, "the balancer to find three replicas ready", func() bool { return len(b.ready()) == 3 })

	var sent, replaced atomic.Int64
	var clients sync.WaitGroup
	failed := make(chan error, 8)
	for n := range cap(failed) {
		clients.Go(func() {
			for sent.Load() < rollingRequests || replaced.Load() < 2*int64(len(replicas)) {
				if err := readOwnWrite(one, n, &sent); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	for round := range 2 {
		for i, old := range replicas {
			replicas[i] = s.gateway(settings...)
			b.add(replicas[i])
			eventually(t, "the balancer to find the new replica ready", func() bool { return len(b.ready()) == len(replicas)+1 })
			if code := old.stop(syscall.SIGTERM); code != 0 {
				t.Errorf("round %d: replica %d: exit code %d, want 0", round+1, i+1, code)
			}
			b.remove(old)
			replaced.Add(1)
		}
	}
	clients.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	want := int(sent.Load())
	eventually(t, "each operation to be counted", func() bool {
		return total(one.counts("/api/v1/organizations/org-root"+lastDayQuery("1hour"))) >= want
	})
	if got := total(one.counts("/api/v1/organizations/org-root" + lastDayQuery("1hour"))); got != want {
		t.Errorf("%d operations are counted, want %d", got, want)
	}
	t.Logf("%d requests, %d replicas replaced", want, replaced.Load())
}

// readOwnWrite writes a value of its own and reads it nine times. It counts the requests
// that are answered with 2xx, and returns an error for any other one.
func readOwnWrite(c client, n int, sent *atomic.Int64) error {
	key, text := fmt.Sprintf("of-client-%d", n), fmt.Sprintf("value %d.", sent.Load())
	request := func(method, body string) (*answer, error) {
		a, err := c.try(method, demoKeys+"/"+key, body, "Content-Type: application/json")
		switch {
		case err != nil:
			return nil, err
		case a.status/100 != 2:
			return nil, fmt.Errorf("%s %s: %d %s", method, key, a.status, a.body)
		}
		sent.Add(1)
		return a, nil
	}
	if _, err := request(http.MethodPut, stringValue(key, text)); err != nil {
		return err
	}
	for range 9 {
		a, err := request(http.MethodGet, "")
		if err != nil {
			return err
		}
		if !strings.Contains(a.body, text) {
			return fmt.Errorf("GET %s: %s, want %s", key, a.body, text)
		}
	}
	return nil
}
