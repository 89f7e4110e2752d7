package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"osgate/internal/redisconn/redistest"
	"osgate/proxy"
	"osgate/record"
)

func TestClientsReadStatisticsTwoAtATimeAndWaitALittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		var under, most, read, busy atomic.Int64
		began := time.Now()
		var clients sync.WaitGroup
		for range 200 {
			clients.Go(func() {
				end, err := turns.takeSoon(t.Context())
				if errors.Is(err, proxy.ErrStatisticsBusy) {
					busy.Add(1)
					return
				}
				defer end()
				most.Store(max(most.Load(), under.Add(1)))
				<-time.After(300 * time.Millisecond)
				under.Add(-1)
				read.Add(1)
			})
		}
		synctest.Wait()
		if busy.Load() != 200-maxReadings-maxAsking {
			t.Errorf("%d of 200 are told at once that too many wait, want all but %d", busy.Load(), maxReadings+maxAsking)
		}
		clients.Wait()
		// Seven pairs get their turn within 2 s.
		if took := time.Since(began); most.Load() != 2 || read.Load() != 14 || took != 2100*time.Millisecond {
			t.Errorf("%d at a time, %d of 200 answered in %v; want 2, 14 and 2.1s", most.Load(), read.Load(), took)
		}
		if len(turns.readings) != 0 || len(turns.asking) != 0 {
			t.Errorf("%d and %d turns are not given back", len(turns.readings), len(turns.asking))
		}
	})
}

func TestClientThatLeavesWhileWaitingGetsNoTooManyReaders(t *testing.T) {
	turns := newTurns()
	for range maxReadings {
		if _, err := turns.takeSoon(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	left, leave := context.WithCancel(t.Context())
	leave()
	if _, err := turns.takeSoon(left); !errors.Is(err, context.Canceled) || len(turns.asking) != maxReadings {
		t.Errorf("%v with %d asking, want context.Canceled and %d", err, len(turns.asking), maxReadings)
	}
}

// crawl returns a URL of Redis at which answers to queries for counts, and only these,
// are slow: 300 bytes a millisecond.
func crawl(t *testing.T, redis *redistest.Server) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	t.Cleanup(func() { _ = listener.Close() })
	all.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", redis.Addr())
			if err != nil {
				_ = in.Close()
				return
			}
			all.Go(func() { _, _ = io.Copy(in, out); _ = in.Close() })
			all.Go(func() { crawlAcross(out, in); _ = out.Close() })
		}
	})
	return "redis://" + listener.Addr().String()
}

func crawlAcross(to io.Writer, from io.Reader) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		if bytes.Contains(buffer[:n], []byte("hmget")) {
			<-time.After(time.Duration(n) * time.Millisecond / 300)
		}
		if _, writing := to.Write(buffer[:n]); err != nil || writing != nil {
			return
		}
	}
}

// TestReadingStatisticsDoesNotDelayQuotaAndCache lets many clients request thousands of
// stores over a connection that is too slow for that, while another client reads a key.
func TestReadingStatisticsDoesNotDelayQuotaAndCache(t *testing.T) {
	s := upstream(t, func(*http.Request) {})
	g := start(t, configured(t, "OSGATE_UPSTREAM_OVERRIDE="+s.URL, "OSGATE_REDIS_URL="+crawl(t, redistest.Start(t)), "OSGATE_REDIS_TIMEOUT=100ms",
		"OSGATE_RATE=10000", "OSGATE_RATE_BURST=10000"))
	for i := range 2000 {
		g.stats.Keep(&record.Exchange{
			Start: time.Now(), Surface: record.SurfaceObjectStore, Operation: "getKey", Status: 200, Plane: "us",
			Organization: "org-root", Environment: "env-prod", Region: "us-east-1", Store: fmt.Sprint("store-with-a-long-name-", i),
		})
	}
	if err := g.stats.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	token := mint(t, http.DefaultClient, g.ClientsURL())
	get(t, http.DefaultClient, g.ClientsURL()+key, token)

	over := make(chan struct{})
	var askers, reader sync.WaitGroup
	var answered atomic.Int64
	for range 16 {
		askers.Go(func() {
			switch status, body := get(t, http.DefaultClient, g.ClientsURL()+storesToday(), token); {
			case status == 200 && strings.Count(body, "store-with-a-long-name-") == 2000:
				answered.Add(1)
			case status != 503 || !strings.Contains(body, `"too many requests for statistics are under way"`):
				t.Errorf("%d %.300s", status, body)
			}
		})
	}
	var all, hits int
	reader.Go(func() { all, hits = readKey(t, g, token, over) })
	askers.Wait()
	close(over)
	reader.Wait()
	if n := answered.Load(); n < 2 || n > 8 {
		t.Errorf("%d of 16 lists are answered; want those that got a turn within 2 s, two at a time, each of which takes one", n)
	}
	if skipped := g.redis.Counts().Skipped; skipped != 0 || hits*10 < all*9 {
		t.Errorf("meanwhile redis was not asked %d times and %d of %d reads were hits; want 0 and nearly all", skipped, hits, all)
	}
}

// storesToday returns the path of the list of today's stores.
func storesToday() string {
	day := time.Now().UTC().Format(time.DateOnly)
	return "/api/v1/organizations/org-root/environments/env-prod/regions/us-east-1/stores?period=1day&startDate=" + day + "T00:00:00Z&endDate=" + day + "T23:59:59Z"
}

// readKey reads a key until over is closed, and returns the number of reads and of
// answers from the cache.
func readKey(t *testing.T, g *started, token string, over <-chan struct{}) (all, hits int) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return all, hits
		case <-tick.C:
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.ClientsURL()+key, http.NoBody)
		if err != nil {
			t.Error(err)
			return all, hits
		}
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			return all, hits
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		all++
		if strings.HasPrefix(answer.Header.Get("Cache-Status"), "osgate; hit") {
			hits++
		}
	}
}

func TestStatisticsAreRefusedWithoutTheirStore(t *testing.T) {
	s := upstream(t, func(*http.Request) {})
	g := start(t, configured(t, "OSGATE_UPSTREAM_OVERRIDE="+s.URL, "OSGATE_REDIS_URL=redis://127.0.0.1:1"))
	token := mint(t, http.DefaultClient, g.ClientsURL())
	status, body := get(t, http.DefaultClient, g.ClientsURL()+storesToday(), token)
	if status != 503 || !strings.Contains(body, `"detail":"the statistics store does not answer"`) {
		t.Errorf("%d %s", status, body)
	}
}

func TestAnEndThatLosesCountsIsReportedByTheCaller(t *testing.T) {
	s := upstream(t, func(*http.Request) {})
	g := start(t, configured(t, "OSGATE_UPSTREAM_OVERRIDE="+s.URL, "OSGATE_REDIS_URL=redis://127.0.0.1:1", "OSGATE_AUTH_STALE=0s"))
	token := mint(t, http.DefaultClient, g.ClientsURL())
	for range 3 {
		get(t, http.DefaultClient, g.ClientsURL()+key, token)
	}
	err := g.stop()
	if err == nil || !strings.Contains(err.Error(), "lost at most: 3 operations, 1 series") {
		t.Errorf("Run: %v, want how much is lost", err)
	}
	if log := g.log.String(); strings.Contains(log, `"msg":"stopped"`) || strings.Contains(log, "lost at most") {
		t.Errorf("an end that failed is told of here too: %s", log)
	}
}
