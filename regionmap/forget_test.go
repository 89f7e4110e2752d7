package regionmap_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"osgate/objectstore"
	"osgate/regionmap"
)

func TestLocationIsRememberedForHalfAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{})
		p := newProber(has(ohio))
		find(t, d, p, ohio)
		p.set(has(west))
		<-time.After(27*time.Minute - time.Second)
		find(t, d, p, ohio)
		if n := p.searches(t); n != 1 {
			t.Errorf("%d searches within 27 minutes, want 1", n)
		}
		<-time.After(3*time.Minute + time.Second)
		find(t, d, p, west)
	})
}

func TestDefaultAmongSeveralIsRememberedLikeAFinding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := threeRegions
		options.Default = ohio.String()
		d := newDiscovery(t, options, regionmap.DiscoveryOptions{})
		p := newProber(has(east, ohio))
		find(t, d, p, ohio)
		<-time.After(20 * time.Minute)
		find(t, d, p, ohio)
		if n := p.searches(t); n != 1 {
			t.Errorf("%d searches within 20 minutes, want 1", n)
		}
	})
}

func TestStoresLearnedAtOnceAreNotLostAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{TTL: 10 * time.Minute})
		p := newProber(has(ohio))
		again := func() int {
			for i := range 200 {
				if _, err := d.Find(t.Context(), "us", objectstore.Ref{Store: fmt.Sprint(i)}, "one", p.probe); err != nil {
					t.Fatal(err)
				}
			}
			return p.searches(t)
		}
		again()
		<-time.After(9*time.Minute + 30*time.Second)
		if n := again(); n < 60 || n > 140 {
			t.Errorf("%d of 200 stores were lost within the half of the last tenth, want about 100", n)
		}
	})
}

func TestLocationFoundAmidSilenceIsRememberedForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{})
		p := newProber(answers{ohio: {finding: regionmap.Found}, east: {err: errSilent}})
		find(t, d, p, ohio)
		<-time.After(time.Minute - time.Second)
		find(t, d, p, ohio)
		if n := p.searches(t); n != 1 {
			t.Errorf("%d searches within a minute, want 1", n)
		}
		<-time.After(time.Second)
		find(t, d, p, ohio)
		if n := p.searches(t); n != 1 {
			t.Errorf("%d searches after a minute, want 1", n)
		}
	})
}

func TestFailureIsRememberedBrieflyAndForItsCallerAlone(t *testing.T) {
	for _, tt := range []struct {
		name    string
		answers answers
		life    time.Duration
	}{
		{name: "nowhere", life: 5 * time.Second},
		{name: "ambiguous", answers: has(east, west), life: 5 * time.Second},
		{name: "silence", answers: answers{east: {err: errSilent}}, life: time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{})
				p := newProber(tt.answers)
				ask := func(principal string) (regionmap.Location, error) {
					return d.Find(t.Context(), "us", store, principal, p.probe)
				}
				_, first := ask("one")
				<-time.After(tt.life - time.Millisecond)
				if _, err := ask("one"); err == nil || err.Error() != first.Error() || p.searches(t) != 1 {
					t.Errorf("within %v: error %v, or a second search; want %v", tt.life, err, first)
				}
				if _, err := ask("two"); err == nil || p.searches(t) != 1 {
					t.Errorf("another caller: error %v, or no search of its own", err)
				}
				<-time.After(time.Millisecond)
				p.set(has(ohio))
				if l, err := ask("one"); l != ohio || err != nil || p.searches(t) != 1 {
					t.Errorf("after %v: %v, error %v; want a search that finds %v", tt.life, l, err, ohio)
				}
				if l, err := ask("two"); l != ohio || err != nil || p.searches(t) != 0 {
					t.Errorf("another caller that found nothing: %v, error %v; want what is known by now", l, err)
				}
			})
		})
	}
}

func TestForgottenStoreIsSearchedAgain(t *testing.T) {
	for _, tt := range []struct {
		name     string
		evidence regionmap.Evidence
		pause    time.Duration
		proof    time.Duration // how long evidence against the found location is ignored
	}{
		{name: "missing keys: at most once a minute", evidence: regionmap.Weak, pause: time.Minute, proof: time.Minute},
		{name: "missing store: at most once in 5 s", evidence: regionmap.Strong, pause: 5 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{})
				p := newProber(has(east))
				find(t, d, p, east)
				p.set(has(ohio))
				if tt.proof > 0 {
					<-time.After(tt.proof - time.Millisecond)
					d.Forget(east, store, tt.evidence)
					find(t, d, p, east)
					<-time.After(time.Millisecond)
				}
				d.Forget(east, store, tt.evidence)
				find(t, d, p, ohio)

				p.set(has(west))
				<-time.After(tt.pause - time.Millisecond)
				d.Forget(ohio, store, tt.evidence)
				find(t, d, p, ohio)
				<-time.After(time.Millisecond)
				d.Forget(ohio, store, tt.evidence)
				find(t, d, p, west)
				if n := p.searches(t); n != 3 {
					t.Errorf("%d searches, want 3", n)
				}
			})
		})
	}
}

func TestNotFoundElsewhereForgetsNothing(t *testing.T) {
	d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{})
	p := newProber(has(east))
	d.Forget(east, store, regionmap.Strong) // no location is known yet
	find(t, d, p, east)
	p.set(has(ohio))
	d.Forget(ohio, store, regionmap.Strong)
	other := store
	other.Store = "other"
	d.Forget(east, other, regionmap.Strong)
	find(t, d, p, east)
	d.Forget(east, store, regionmap.Strong)
	find(t, d, p, ohio)
}

func TestForgettingDuringASearchWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{})
		before, after := newProber(has(east)), newProber(has(ohio))
		before.delay = 2 * time.Second
		var first sync.WaitGroup
		first.Go(func() { find(t, d, before, east) }) // the caller that waits already gets the result
		synctest.Wait()
		d.Forget(east, store, regionmap.Strong)
		find(t, d, after, ohio) // a caller after the 404 does not wait for the old search
		first.Wait()
		find(t, d, after, ohio) // and the result of the old search is not kept, although it ended last
		if n, m := before.searches(t), after.searches(t); n != 1 || m != 1 {
			t.Errorf("searches before %d, after %d; want 1 and 1", n, m)
		}
	})
}

func TestKnownLocationStandsAgainstNotFoundElsewhereDuringASearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{})
		none, slow, p := newProber(nil), newProber(has(ohio)), newProber(has(ohio))
		none.delay, slow.delay = time.Second, 5*time.Second
		var callers sync.WaitGroup
		callers.Go(func() {
			askAll(t, d, []string{"one", "slow", "quick"}, func(principal string) regionmap.Probe {
				return map[string]regionmap.Probe{"one": none.probe, "slow": slow.probe, "quick": p.probe}[principal]
			})
		})
		<-time.After(2 * time.Second) // the quick search has found the store while the slow one runs
		p.searches(t)
		d.Forget(east, store, regionmap.Strong)
		find(t, d, p, ohio)
		if n := p.searches(t); n != 0 {
			t.Errorf("%d searches, want none: the store is known to be elsewhere", n)
		}
		callers.Wait()
	})
}

func TestForgettingWipesTheFailuresBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{})
		none, p := newProber(nil), newProber(has(east))
		if l, err := d.Find(t.Context(), "us", store, "two", none.probe); err == nil {
			t.Fatalf("a store that this caller does not see was found in %v", l)
		}
		<-time.After(time.Second)
		find(t, d, p, east)
		<-time.After(time.Second)
		d.Forget(east, store, regionmap.Strong)
		p.set(has(ohio))
		if l, err := d.Find(t.Context(), "us", store, "two", p.probe); l != ohio || err != nil {
			t.Errorf("a search after the store moved: %v, error %v; want %v", l, err, ohio)
		}
	})
}

// A client that requests a missing store in a loop must cost about as much as without
// discovery, for any operation.
func TestMissingStoreDoesNotMultiplyAClientsQuota(t *testing.T) {
	for _, tt := range []struct {
		name     string
		answers  answers
		evidence regionmap.Evidence
		most     int // searches in a minute
	}{
		{name: "store nowhere", evidence: regionmap.Strong, most: 12},
		{name: "store there, partition missing", answers: has(ohio), evidence: regionmap.Strong, most: 13},
		{name: "store there, key missing", answers: has(ohio), evidence: regionmap.Weak, most: 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				options := threeRegions
				options.Default = east.String()
				d := newDiscovery(t, options, regionmap.DiscoveryOptions{})
				p := newProber(tt.answers)
				for range 600 { // 10 a second
					l, err := d.Find(t.Context(), "us", store, "one", p.probe)
					if err != nil {
						t.Fatal(err)
					}
					d.Forget(l, store, tt.evidence) // each request is answered 404
					<-time.After(100 * time.Millisecond)
				}
				if n := p.searches(t); n > tt.most {
					t.Errorf("%d searches for 600 requests in a minute, want at most %d", n, tt.most)
				}
			})
		})
	}
}
