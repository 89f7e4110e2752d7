package regionmap_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"osgate/objectstore"
	"osgate/regionmap"
)

// asked is the result of one call of Find.
type asked struct {
	location regionmap.Location
	err      error
	after    time.Duration
}

// askAll calls Find for all principals at once, the first of them first, and returns
// each result.
func askAll(t *testing.T, d *regionmap.Discovery, principals []string, probe func(principal string) regionmap.Probe) []asked {
	t.Helper()
	told := make([]asked, len(principals))
	began := time.Now()
	var callers sync.WaitGroup
	for i, principal := range principals {
		callers.Go(func() {
			l, err := d.Find(t.Context(), "us", store, principal, probe(principal))
			told[i] = asked{l, err, time.Since(began)}
		})
		if i == 0 {
			synctest.Wait()
		}
	}
	callers.Wait()
	return told
}

func TestConcurrentAskersShareOneSearch(t *testing.T) {
	for _, tt := range []struct {
		name      string
		principal func(i int) string
		answers   answers
		want      regionmap.Location
	}{
		{name: "one caller finds", principal: func(int) string { return "one" }, answers: has(ohio), want: ohio},
		{name: "one caller finds nothing", principal: func(int) string { return "one" }},
		{name: "one caller hears nothing", principal: func(int) string { return "one" }, answers: answers{east: {err: errSilent}}},
		{name: "many callers, the first finds", principal: func(i int) string { return fmt.Sprint(i) }, answers: has(ohio), want: ohio},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{})
				p := newProber(tt.answers)
				p.delay = time.Second
				principals := make([]string, 100)
				for i := range principals {
					principals[i] = tt.principal(i)
				}
				for i, a := range askAll(t, d, principals, func(string) regionmap.Probe { return p.probe }) {
					if a.location != tt.want || (a.err == nil) != (tt.want != regionmap.Location{}) || a.after != time.Second {
						t.Fatalf("caller %d: %v, error %v after %v; want %v after 1s", i, a.location, a.err, a.after, tt.want)
					}
				}
				if n := p.searches(t); n != 1 {
					t.Errorf("%d searches, want 1", n)
				}
			})
		})
	}
}

func TestCallerSearchesItselfIfAnotherFindsNothing(t *testing.T) {
	for name, firsts := range map[string]answers{
		"nothing":   nil,
		"hidden":    {east: {finding: regionmap.Hidden}, ohio: {finding: regionmap.Hidden}, west: {finding: regionmap.Hidden}},
		"silence":   {ohio: {err: errSilent}},
		"ambiguous": has(east, west),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{})
				first, others := newProber(firsts), newProber(has(ohio))
				first.delay, others.delay = time.Second, time.Second
				told := askAll(t, d, []string{"one", "two", "three", "one", "two"}, func(principal string) regionmap.Probe {
					if principal == "one" {
						return first.probe
					}
					return others.probe
				})
				for i, mine := range []bool{true, false, false, true, false} {
					if a := told[i]; mine != (a.err != nil) || !mine && a.location != ohio {
						t.Errorf("caller %d: %v, error %v", i, a.location, a.err)
					}
					if told[i].after > 2*time.Second {
						t.Errorf("caller %d waited %v: for more than one search of others", i, told[i].after)
					}
				}
				if n, m := first.searches(t), others.searches(t); n != 1 || m != 2 {
					t.Errorf("the first caller searched %d times, the others %d; want 1 and each once", n, m)
				}
			})
		})
	}
}

func TestLatecomersWaitForTheRemainingSearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{})
		none, p := newProber(nil), newProber(has(ohio))
		none.delay, p.delay = time.Second, time.Second
		var callers sync.WaitGroup
		callers.Go(func() {
			askAll(t, d, []string{"one", "two"}, func(principal string) regionmap.Probe {
				return map[string]regionmap.Probe{"one": none.probe, "two": p.probe}[principal]
			})
		})
		<-time.After(1500 * time.Millisecond) // the first has not found the store, and the second searches
		began := time.Now()
		if l, err := d.Find(t.Context(), "us", store, "three", p.probe); l != ohio || err != nil || time.Since(began) != 500*time.Millisecond {
			t.Errorf("%v, error %v after %v; want the result of the second search 500ms later", l, err, time.Since(began))
		}
		callers.Wait()
		if n := p.searches(t); n != 1 {
			t.Errorf("%d searches of the second and third caller, want 1", n)
		}
	})
}

func TestCallersOwnSearchGoesBeforeAnothers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{})
		first, slow, p := newProber(nil), newProber(nil), newProber(has(ohio))
		first.delay, slow.delay, p.delay = time.Second, 5*time.Second, time.Second
		principals := []string{"one", "quick"}
		for i := range 20 {
			principals = append(principals, fmt.Sprint("slow ", i))
		}
		var callers sync.WaitGroup
		callers.Go(func() {
			askAll(t, d, principals, func(principal string) regionmap.Probe {
				switch principal {
				case "one":
					return first.probe
				case "quick":
					return p.probe
				}
				return slow.probe
			})
		})
		<-time.After(1500 * time.Millisecond) // all except the first search for themselves now
		began := time.Now()
		l, err := d.Find(t.Context(), "us", store, "quick", p.probe)
		if took := time.Since(began); l != ohio || err != nil || took != 500*time.Millisecond {
			t.Errorf("%v, error %v after %v; want its own finding after 500ms", l, err, took)
		}
		callers.Wait()
	})
}

func TestSearchOutlivesItsFirstCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{})
		p := newProber(has(ohio))
		p.delay = time.Second
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := d.Find(ctx, "us", store, "one", p.probe)
			left <- err
		}()
		synctest.Wait()
		began := time.Now()
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) || time.Since(began) > 0 {
			t.Errorf("the caller left after %v with %v", time.Since(began), err)
		}
		find(t, d, p, ohio)
		if n := p.searches(t); n != 1 {
			t.Errorf("%d searches, want the first caller's alone", n)
		}
	})
}

func TestWaitersLeaveWhenTheirOwnContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{})
		p := newProber(has(ohio))
		p.delay = 3 * time.Second
		var first sync.WaitGroup
		first.Go(func() { find(t, d, p, ohio) })
		synctest.Wait()
		for _, principal := range []string{"one", "two"} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := d.Find(ctx, "us", store, principal, p.probe); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: error %v", principal, err)
			}
			cancel()
		}
		first.Wait()
		if n := p.searches(t); n != 1 {
			t.Errorf("%d searches, want 1", n)
		}
	})
}

func TestSearchHasABoundOfItsOwn(t *testing.T) {
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		want    time.Duration
	}{
		{name: "given", timeout: 2 * time.Second, want: 2 * time.Second},
		{name: "default", want: 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{Timeout: tt.timeout})
				p := newProber(has(ohio))
				p.delay = time.Hour
				began := time.Now()
				_, err := d.Find(t.Context(), "us", store, "one", p.probe)
				silence, ok := errors.AsType[*regionmap.UndiscoveredError](err)
				if !ok || !silence.Late || len(silence.Silent) != 3 || time.Since(began) != tt.want {
					t.Errorf("error %v after %v; want three late regions after %v", err, time.Since(began), tt.want)
				}
			})
		})
	}
}

func TestSearchesAtOnceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{MaxFlights: 2})
		p := newProber(has(ohio))
		p.delay = time.Second
		ask := func(name string) error {
			_, err := d.Find(t.Context(), "us", objectstore.Ref{Store: name}, "one", p.probe)
			return err
		}
		var callers sync.WaitGroup
		for _, name := range []string{"a", "b"} {
			callers.Go(func() {
				if err := ask(name); err != nil {
					t.Errorf("store %s: %v", name, err)
				}
			})
		}
		synctest.Wait()
		d.Forget(ohio, objectstore.Ref{Store: "a"}, regionmap.Strong) // forgotten searches are still under way
		if err := ask("c"); !errors.Is(err, regionmap.ErrBusy) {
			t.Errorf("a third search at once: error %v, want ErrBusy", err)
		}
		callers.Wait()
		if err := ask("c"); err != nil {
			t.Errorf("when the others are over: %v", err)
		}
	})
}

func TestCloseWaitsForSearchesAndStartsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{})
		p := newProber(has(ohio))
		p.delay = time.Second
		began := time.Now()
		var first sync.WaitGroup
		first.Go(func() { find(t, d, p, ohio) })
		synctest.Wait()
		d.Close()
		if took := time.Since(began); took != time.Second {
			t.Errorf("closed after %v, want when the search is over", took)
		}
		first.Wait()
		find(t, d, p, ohio)
		if _, err := d.Find(t.Context(), "us", objectstore.Ref{Store: "other"}, "one", p.probe); !errors.Is(err, regionmap.ErrBusy) {
			t.Errorf("a search after Close: error %v, want ErrBusy", err)
		}
	})
}

func TestStoresWithNamesThatRunTogetherAreApart(t *testing.T) {
	d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{})
	for i, ref := range []objectstore.Ref{
		{Organization: "a", Environment: "b", Store: "cd"}, {Organization: "a", Environment: "bc", Store: "d"},
		{Organization: "ab", Environment: "c", Store: "d"}, {Organization: "", Environment: "abc", Store: "d"},
	} {
		p := newProber(has([]regionmap.Location{east, ohio, west}[i%3]))
		if _, err := d.Find(t.Context(), "us", ref, "one", p.probe); err != nil || p.searches(t) != 1 {
			t.Errorf("%+v: error %v, or the location of another store", ref, err)
		}
	}
	p := newProber(has(west))
	ref := objectstore.Ref{Organization: "a", Environment: "b", Store: "cd", Partition: "p", Key: "k"}
	if got, err := d.Find(t.Context(), "us", ref, "two", p.probe); got != east || err != nil || len(p.probed) > 0 {
		t.Errorf("a key of a known store: %v, error %v after probing %v; want %v at once", got, err, p.probed, east)
	}
}

func TestMemoryOfStoresIsBounded(t *testing.T) {
	d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{MaxStores: 100})
	p := newProber(has(ohio))
	for range 2 {
		for i := range 1000 {
			if _, err := d.Find(t.Context(), "us", objectstore.Ref{Store: fmt.Sprint(i)}, "one", p.probe); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := p.searches(t); n < 1900 {
		t.Errorf("%d searches for twice 1000 stores: more than 100 are remembered", n)
	}
}

func TestMemoryOfFailuresIsBoundedByBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no second passes
		d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{})
		p := newProber(answers{ohio: {err: errors.New(strings.Repeat("x", 1<<20))}})
		for range 2 {
			for i := range 20 {
				_, err := d.Find(t.Context(), "us", objectstore.Ref{Store: fmt.Sprint(i)}, "one", p.probe)
				if _, silent := errors.AsType[*regionmap.UndiscoveredError](err); !silent {
					t.Fatal(err)
				}
			}
		}
		if n := p.searches(t); n < 30 || n > 40 {
			t.Errorf("%d searches for twice 20 stores, want at most 40, and at least 30: no more than 10 errors of 1 MiB are remembered", n)
		}
	})
}
