package regionmap_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/regionmap"
)

// reachRig drives a Reach with its own clock.
type reachRig struct {
	*testing.T
	regionmap.Reach
	now time.Time
}

func newReachRig(t *testing.T) *reachRig {
	return &reachRig{T: t, now: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)}
}

// asks reports whether a request may be sent to l now, and whether it would be the
// probe.
func (r *reachRig) asks(l regionmap.Location) (may, probe bool) {
	a, may := r.Admit(l, r.now)
	defer a.Done(r.now)
	return may, a.Probes()
}

// swallows records n connections to l that time out.
func (r *reachRig) swallows(l regionmap.Location, n int) (changes int) {
	for range n {
		a, ok := r.Admit(l, r.now)
		if !ok {
			r.Fatalf("%s receives no request any more", l)
		}
		if _, changed := a.TimedOut("dial tcp: i/o timeout", r.now); changed {
			changes++
		}
		a.Done(r.now)
	}
	return changes
}

// reaches records one connection to l that is made.
func (r *reachRig) reaches(l regionmap.Location) (changed bool) {
	a, ok := r.Admit(l, r.now)
	if !ok {
		r.Fatalf("%s receives no request", l)
	}
	_, changed = a.Reached(r.now)
	a.Done(r.now)
	return changed
}

func TestALocationIsLeftAloneAfterFiveConnectionsInARowThatDidNotComeAbout(t *testing.T) {
	r := newReachRig(t)
	r.swallows(ohio, 4)
	r.reaches(ohio)
	r.swallows(ohio, 4)
	if may, _ := r.asks(ohio); !may {
		t.Error("left alone though an answer came between")
	}
	if n := r.swallows(ohio, 1); n != 1 {
		t.Errorf("%d changes by the fifth, want 1", n)
	}
	if may, _ := r.asks(ohio); may {
		t.Error("a request was admitted after five")
	}
	if may, _ := r.asks(east); !may {
		t.Error("another location is left alone too")
	}
	want := []regionmap.ReachState{
		{Location: east, OK: true, Breaker: "closed"},
		{Location: ohio, Since: r.now, LastError: "dial tcp: i/o timeout", Breaker: "open"},
	}
	if diff := cmp.Diff(want, r.States()); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}

func TestOneRequestFindsOutWhetherALocationIsBack(t *testing.T) {
	r := newReachRig(t)
	r.swallows(ohio, 5)
	for _, delay := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second} {
		r.now = r.now.Add(delay - time.Millisecond)
		if may, _ := r.asks(ohio); may {
			t.Fatalf("a request was admitted before %v were over", delay)
		}
		r.now = r.now.Add(time.Millisecond)
		probe, ok := r.Admit(ohio, r.now)
		if !ok || !probe.Probes() {
			t.Fatalf("not probed after %v", delay)
		}
		if may, _ := r.asks(ohio); may {
			t.Fatal("a request was admitted during a probe")
		}
		if _, changed := probe.TimedOut("again", r.now); changed {
			t.Fatal("a probe that fails is a change")
		}
		probe.Done(r.now) // has no effect
	}
	r.now = r.now.Add(5 * time.Second)
	if !r.reaches(ohio) {
		t.Error("a probe that comes back is no change")
	}
	if may, probe := r.asks(ohio); !may || probe {
		t.Errorf("admitted is %t, probed is %t after a probe returned", may, probe)
	}
}

func TestAProbeThatFindsNothingOutGivesWay(t *testing.T) {
	r := newReachRig(t)
	r.swallows(ohio, 5)
	r.now = r.now.Add(time.Second)
	probe, _ := r.Admit(ohio, r.now)
	probe.Done(r.now)
	if may, _ := r.asks(ohio); may {
		t.Error("a request was admitted at once after a probe without a result")
	}
	r.now = r.now.Add(2 * time.Second)
	if may, probe := r.asks(ohio); !may || !probe {
		t.Errorf("admitted is %t, probed is %t; want the next probe", may, probe)
	}
}

// A location that fails again soon after it was back is probed less often, as if the
// outage had gone on.
func TestAnOutageSoonAfterAnotherContinuesIt(t *testing.T) {
	for _, tt := range []struct{ rest, delay time.Duration }{
		{30*time.Second - time.Millisecond, 4 * time.Second},
		{30 * time.Second, time.Second},
	} {
		r := newReachRig(t)
		r.swallows(ohio, 5)
		r.now = r.now.Add(time.Second)
		if a, ok := r.Admit(ohio, r.now); ok {
			a.TimedOut("again", r.now) // the next probe is due in 2 s
		}
		r.now = r.now.Add(2 * time.Second)
		r.reaches(ohio)
		r.now = r.now.Add(tt.rest)
		r.swallows(ohio, 5)
		r.now = r.now.Add(tt.delay - time.Millisecond)
		if may, _ := r.asks(ohio); may {
			t.Errorf("%v after the outage: probed within %v of the next one", tt.rest, tt.delay)
		}
		r.now = r.now.Add(time.Millisecond)
		if may, probe := r.asks(ohio); !may || !probe {
			t.Errorf("%v after the outage: not probed %v after the beginning of the next one", tt.rest, tt.delay)
		}
	}
}

func TestAnEarlierRequestDoesNotChangeTheCurrentState(t *testing.T) {
	r := newReachRig(t)
	early, _ := r.Admit(ohio, r.now)
	late, _ := r.Admit(ohio, r.now)
	r.swallows(ohio, 5)
	if _, changed := early.Reached(r.now); changed {
		t.Error("an old answer closes it")
	}
	r.now = r.now.Add(time.Second)
	r.reaches(ohio)
	for range 5 {
		if _, changed := late.TimedOut("old", r.now); changed {
			t.Error("old connections open it again")
		}
	}
}

func TestTheZeroAdmissionHasNoEffect(t *testing.T) {
	var a regionmap.Admission
	a.Done(time.Now())
	if _, changed := a.Reached(time.Now()); changed || a.Probes() {
		t.Error("it does")
	}
}
