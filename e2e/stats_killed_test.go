package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"osgate/internal/redisconn/redistest"
)

// countStore is a storage for the counts of a gateway.
type countStore struct {
	settings    []string
	awaitFlush  func(t *testing.T) // returns when a flush is under way
	loseAnswers func() func()      // until it is called, the store's answers are lost; nil: the store is in the process
}

// interruptFlush returns in the middle of a flush.
func (k countStore) interruptFlush(t *testing.T) (heal func()) {
	t.Helper()
	if k.loseAnswers == nil {
		k.awaitFlush(t)
		return func() {}
	}
	heal = k.loseAnswers()
	pause(flushTime) // the store has the batch
	return heal
}

// countStores are a file and a Redis. Each is used by the gateways of one test, one
// after the other.
var countStores = map[string]func(t *testing.T) countStore{
	"embedded": func(t *testing.T) countStore {
		t.Helper()
		dir := t.TempDir()
		return countStore{settings: []string{"STATE_DIR=" + dir}, awaitFlush: func(t *testing.T) { t.Helper(); awaitFileWrite(t, filepath.Join(dir, "stats.db")) }}
	},
	"redis": func(t *testing.T) countStore {
		t.Helper()
		server := redistest.Start(t)
		w := newTCPProxy(t, "redis of the killed", server.Addr())
		return countStore{
			settings: []string{"REDIS_URL=redis://" + w.proxy.Listen + "/0", "REDIS_TIMEOUT=1s"},
			awaitFlush: func(t *testing.T) {
				t.Helper()
				before := evalStatistics(server)
				eventually(t, "a flush", func() bool { return evalStatistics(server) != before })
			},
			loseAnswers: func() func() { w.blackHole(toClient); return w.heal },
		}
	},
}

// evalStatistics returns the server's statistics about EVAL. Counts are written with
// EVAL; other scripts only if Redis does not know them yet.
func evalStatistics(server *redistest.Server) string {
	_, rest, _ := strings.Cut(server.Do("INFO", "commandstats"), "cmdstat_eval:")
	line, _, _ := strings.Cut(rest, "\r\n")
	return line
}

// awaitFileWrite returns as soon as the file is written.
func awaitFileWrite(t *testing.T, file string) {
	t.Helper()
	modified := func() time.Time {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatalf("reading the state of the statistics file: %v", err)
		}
		return info.ModTime()
	}
	before, look := modified(), time.NewTicker(200*time.Microsecond)
	defer look.Stop()
	for deadline := time.Now().Add(testTimeout); modified().Equal(before); <-look.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s is not written", file)
		}
	}
}

// checkLosses fails the test if the counts are lower than the answered operations,
// without those after the last flush of killed gateways, or higher than the operations
// that were or may have been answered. It compares the sum and each store.
func (d *loadClients) checkLosses(t *testing.T, counted placeCounts, most int) {
	t.Helper()
	lost := d.succeeded.total() - counted.total()
	t.Logf("%d answered 2xx, %d of them not counted, at most %d answered after the last flush; %d without an answer", d.succeeded.total(), lost, most, d.unanswered)
	if lost > most || lost < -d.unanswered {
		t.Errorf("%d of %d are not counted, want at most the %d after the last flush, and at least -%d", lost, d.succeeded.total(), most, d.unanswered)
	}
	for p, n := range counted {
		if n > d.succeeded[p]+d.unanswered {
			t.Errorf("%v: %d counted, %d answered and %d without an answer", p, n, d.succeeded[p], d.unanswered)
		}
	}
}

// flushWatch holds the instant up to which a gateway has reported all counts as
// written. It is safe for concurrent use.
type flushWatch struct {
	until   atomic.Pointer[time.Time]
	reading sync.WaitGroup
}

// watchFlushes reads the metric of the gateway again and again, until the gateway has
// ended.
func watchFlushes(g *gateway) *flushWatch {
	w := &flushWatch{}
	w.until.Store(&time.Time{})
	admin := client{t: g.t, base: g.admin}
	w.reading.Go(func() {
		for {
			select {
			case <-g.ended:
				return
			case <-time.After(100 * time.Millisecond):
			}
			now := time.Now()
			if a, err := admin.try(http.MethodGet, "/metrics", ""); err == nil {
				if until := now.Add(-flushLag(a.body)); until.After(*w.until.Load()) {
					w.until.Store(&until)
				}
			}
		}
	})
	return w
}

// flushLag returns the time since all counts were written, by the metrics of the
// gateway.
func flushLag(metrics string) time.Duration {
	const unknown = time.Hour
	_, rest, _ := strings.Cut(metrics, "\nosgate_stats_lag_seconds ")
	value, _, _ := strings.Cut(rest, "\n")
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return unknown
	}
	return time.Duration(seconds * float64(time.Second))
}

// TestKillLosesOnlyCountsSinceTheLastFlush kills five gateways in a row, every
// second one during a flush. No operation is counted twice, and none that is older than
// the last flush is missing.
func TestKillLosesOnlyCountsSinceTheLastFlush(t *testing.T) {
	t.Parallel()
	for name, keep := range countStores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, k := newStack(t, false, "-quiet"), keep(t)
			settings := append([]string{"RATE=0", "LOG_LEVEL=warn"}, k.settings...)
			g := s.gateway(settings...)
			d := newLoadClients(g)
			d.pause = 10 * time.Millisecond
			most := 0
			for round := range 5 {
				began, w := time.Now(), watchFlushes(g)
				const sending = 4
				wait := d.start(sending, requestLogCapacity, g)
				eventually(t, "a second to be written", func() bool { return w.until.Load().After(began.Add(time.Second)) })
				pause(time.Duration(rand.Int64N(int64(flushTime)))) // at any instant of the second
				healed := func() {}
				if round%2 == 1 {
					healed = k.interruptFlush(t)
				}
				g.stop(syscall.SIGKILL)
				wait()
				healed()
				w.reading.Wait()
				most += d.succeededAfter(*w.until.Load()) + sending // one answer of each that is not yet counted
				g = s.gateway(settings...)
			}
			d.checkLosses(t, g.readCounts(d.members, "client", d.succeeded), most)
			if most >= d.succeeded.total() {
				t.Errorf("%d of %d answers came after the last flush: the test proves little", most, d.succeeded.total())
			}
		})
	}
}

// TestSIGTERMUnderLoadLosesNoCount ends a gateway while many clients send requests.
func TestSIGTERMUnderLoadLosesNoCount(t *testing.T) {
	t.Parallel()
	for name, keep := range countStores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, k := newStack(t, false, "-quiet"), keep(t)
			settings := append([]string{"RATE=0", "LOG_LEVEL=warn"}, k.settings...)
			g := s.gateway(settings...)
			d := newLoadClients(g)
			wait := d.start(8, requestLogCapacity, g)
			k.awaitFlush(t)
			pause(flushTime)
			if code := g.stop(syscall.SIGTERM); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			wait()
			g = s.gateway(settings...)
			d.checkLosses(t, g.readCounts(d.members, "client", d.succeeded), 0)
			want := s.emulator.countAnswered()
			counted := g.readCounts(d.members, "upstream", want)
			if lost := want.total() - counted.total(); lost < 0 || lost > d.unanswered { // an unanswered one may have been given up
				t.Errorf("%d of %d that osemu answered are not counted as such; %d without an answer", lost, want.total(), d.unanswered)
			}
		})
	}
}

// TestADamagedStatisticsFileIsMovedAside starts gateways with files that are no
// statistics files, or are damaged.
func TestADamagedStatisticsFileIsMovedAside(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(whole []byte) []byte{
		"garbage": func([]byte) []byte { return bytes.Repeat([]byte("no statistics "), 1000) },
		"cut off": func(whole []byte) []byte { return whole[:len(whole)/2] },
		"emptied": func(whole []byte) []byte { clear(whole[2*os.Getpagesize():]); return whole }, // all but the part with its layout
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "stats.db")
			s := newStack(t, false)
			g := s.gateway("STATE_DIR=" + dir)
			g.as("app-one").get(keyOne).is(200)
			if code := g.stop(syscall.SIGTERM); code != 0 {
				t.Fatalf("exit code %d, want 0", code)
			}
			whole, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			damaged := damage(whole)
			if err := os.WriteFile(file, damaged, 0o600); err != nil {
				t.Fatal(err)
			}

			g = s.gateway("STATE_DIR="+dir, "RATE=0")
			one := g.as("app-one")
			for range 3 {
				one.get(keyOne).is(200)
			}
			eventually(t, "counts from the start", func() bool {
				return total(one.counts("/api/v1/organizations/org-root"+lastDayQuery("1hour"))) == 3
			})
			g.awaitDegraded(t, false)
			aside, err := filepath.Glob(file + ".damaged-*")
			if err != nil || len(aside) != 1 {
				t.Fatalf("moved: %v, %v; want one file", aside, err)
			}
			if kept, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(kept, damaged) {
				t.Errorf("%s does not have the %d bytes of the damaged file: %v", aside[0], len(damaged), err)
			}
			if said := fmt.Sprint(g.linesNotOfExchanges()); !strings.Contains(said, "damaged and was moved aside") || !strings.Contains(said, aside[0]) {
				t.Errorf("the log does not report that %s was moved to %s:\n%s", file, aside[0], said)
			}
		})
	}
}
