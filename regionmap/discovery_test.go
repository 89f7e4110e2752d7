package regionmap_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/objectstore"
	"osgate/regionmap"
)

var (
	east  = regionmap.Location{Plane: "us", Region: "us-east-1"}
	ohio  = regionmap.Location{Plane: "us", Region: "us-east-2"}
	west  = regionmap.Location{Plane: "us", Region: "us-west-1"}
	store = objectstore.Ref{Organization: "org", Environment: "env", Store: "s"}
)

// threeRegions is a plane small enough to list every answer.
var threeRegions = regionmap.Options{Regions: []string{"us/us-east-1", "us/us-east-2", "us/us-west-1", "eu/*"}, Discover: true}

var errSilent = errors.New("no answer")

// result is the answer of one region.
type result struct {
	finding regionmap.Finding
	err     error
}

// answers holds the answers of regions; a region that is missing does not have the
// store.
type answers map[regionmap.Location]result

func has(locations ...regionmap.Location) answers {
	a := answers{}
	for _, l := range locations {
		a[l] = result{finding: regionmap.Found}
	}
	return a
}

// prober counts the probes of each location and answers after delay.
type prober struct {
	delay time.Duration

	mu      sync.Mutex // guards the fields below
	answers answers
	probed  map[regionmap.Location]int
}

func newProber(a answers) *prober {
	return &prober{answers: a, probed: map[regionmap.Location]int{}}
}

func (p *prober) probe(ctx context.Context, at regionmap.Location) (regionmap.Finding, error) {
	p.mu.Lock()
	p.probed[at]++
	a := p.answers[at]
	p.mu.Unlock()
	if p.delay > 0 {
		select {
		case <-time.After(p.delay):
		case <-ctx.Done():
			return regionmap.Absent, ctx.Err()
		}
	}
	return a.finding, a.err
}

func (p *prober) set(a answers) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers = a
}

// searches returns the number of searches of threeRegions since its last call.
func (p *prober) searches(t *testing.T) int {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.probed[east]
	if p.probed[ohio] != n || p.probed[west] != n || len(p.probed) > 3 {
		t.Errorf("the requests to the regions differ: %v", p.probed)
	}
	p.probed = map[regionmap.Location]int{}
	return n
}

// newDiscovery returns a Discovery over the regions of m that is closed at the end of
// the test.
func newDiscovery(t *testing.T, m regionmap.Options, o regionmap.DiscoveryOptions) *regionmap.Discovery {
	t.Helper()
	o.Map = newMap(t, m)
	d, err := regionmap.NewDiscovery(o)
	if err != nil {
		t.Fatalf("NewDiscovery: %v", err)
	}
	t.Cleanup(d.Close)
	return d
}

// find calls Find as principal "one" and fails the test unless the result is want.
func find(t *testing.T, d *regionmap.Discovery, p *prober, want regionmap.Location) {
	t.Helper()
	if got, err := d.Find(t.Context(), "us", store, "one", p.probe); got != want || err != nil {
		t.Fatalf("Find: %v, error %v; want %v", got, err, want)
	}
}

func TestStoreIsWhereExactlyOneRegionHasIt(t *testing.T) {
	late := &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}
	for _, tt := range []struct {
		name     string
		answers  answers
		fallback string
		want     regionmap.Location
		says     string
	}{
		{name: "one", answers: has(ohio), want: ohio},
		{name: "one, and a default", answers: has(ohio), fallback: "us/us-east-1", want: ohio},
		{name: "one, hidden elsewhere", answers: answers{east: {finding: regionmap.Hidden}, west: {finding: regionmap.Found}}, want: west},
		{name: "one, silence elsewhere", answers: answers{east: {err: errSilent}, west: {finding: regionmap.Found}}, want: west},
		{name: "two", answers: has(west, east), says: "this store exists in us/us-east-1, us/us-west-1; use the Host"},
		{name: "two, and a default that is one", answers: has(west, east), fallback: "us/us-east-1", want: east},
		{name: "two, and a default that is none", answers: has(west, east), fallback: "us/us-east-2", says: "this store exists in us/us-east-1, us/us-west-1"},
		{
			name: "two and silence", answers: answers{east: {err: errSilent}, ohio: {finding: regionmap.Found}, west: {finding: regionmap.Found}},
			says: "this store exists in us/us-east-2, us/us-west-1",
		},
		{name: "none", says: "no region of control plane us that this gateway may reach has this store for this token; use " + regionmap.Ways},
		{name: "none, and a default", fallback: "us/us-east-2", want: ohio},
		{name: "none, and a default in another plane", fallback: "eu/eu-west-1", says: "no region of control plane us"},
		{name: "hidden everywhere", answers: answers{east: {finding: regionmap.Hidden}, ohio: {finding: regionmap.Hidden}}, says: "no region of control plane us"},
		{name: "silence", answers: answers{west: {err: errSilent}}, fallback: "us/us-east-2", says: "no answer came from us/us-west-1; try again"},
		{name: "a finding beside an error is none", answers: answers{west: {finding: regionmap.Found, err: errSilent}}, says: "no answer came from us/us-west-1"},
		{name: "all late", answers: answers{west: {err: late}, east: {err: context.DeadlineExceeded}}, says: "no answer came from us/us-east-1, us/us-west-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			options := threeRegions
			options.Default = tt.fallback
			d := newDiscovery(t, options, regionmap.DiscoveryOptions{})
			got, err := d.Find(t.Context(), "us", store, "one", newProber(tt.answers).probe)
			if got != tt.want || (err == nil) != (tt.says == "") {
				t.Fatalf("got %v, error %v; want %v", got, err, tt.want)
			}
			if err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %q does not contain %q", err, tt.says)
			}
		})
	}
}

func TestAmbiguousStoreIsAnUnknownRegionThatListsThem(t *testing.T) {
	d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{})
	_, err := d.Find(t.Context(), "us", store, "one", newProber(has(west, ohio)).probe)
	ambiguous, ok := errors.AsType[*regionmap.AmbiguousError](err)
	if !ok {
		t.Fatalf("error %v, want an AmbiguousError", err)
	}
	if diff := cmp.Diff([]regionmap.Location{ohio, west}, ambiguous.Locations); diff != "" {
		t.Errorf("locations (-want +got):\n%s", diff)
	}
	unknown, ok := errors.AsType[*regionmap.UnknownError](err)
	if !ok || unknown.Error() != err.Error() {
		t.Fatalf("as an UnknownError: %v; want the text %q", unknown, err)
	}
}

func TestSilentRegionsAreNamedWithTheirProbesErrors(t *testing.T) {
	for _, tt := range []struct {
		name    string
		answers answers
		silent  []regionmap.Location
		late    bool
	}{
		{name: "unreachable", answers: answers{west: {err: errSilent}}, silent: []regionmap.Location{west}},
		{ // it has a method Timeout, which returns false
			name: "refused", answers: answers{west: {err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}}, silent: []regionmap.Location{west},
		},
		{
			name: "unreachable and late", answers: answers{west: {err: errSilent}, east: {err: context.DeadlineExceeded}},
			silent: []regionmap.Location{east, west},
		},
		{
			name: "late and unreachable", answers: answers{east: {err: errSilent}, west: {err: context.DeadlineExceeded}},
			silent: []regionmap.Location{east, west},
		},
		{name: "out of time", answers: answers{west: {err: context.DeadlineExceeded}}, silent: []regionmap.Location{west}, late: true},
		{
			name: "late", late: true, silent: []regionmap.Location{east, west},
			answers: answers{west: {err: fmt.Errorf("asking: %w", os.ErrDeadlineExceeded)}, east: {err: context.DeadlineExceeded}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{})
			_, err := d.Find(t.Context(), "us", store, "one", newProber(tt.answers).probe)
			silence, ok := errors.AsType[*regionmap.UndiscoveredError](err)
			if !ok {
				t.Fatalf("error %v, want an UndiscoveredError", err)
			}
			if diff := cmp.Diff(tt.silent, silence.Silent); diff != "" || silence.Late != tt.late {
				t.Errorf("late %v, want %v; silent (-want +got):\n%s", silence.Late, tt.late, diff)
			}
			for l, a := range tt.answers {
				if !errors.Is(err, a.err) {
					t.Errorf("what the probe of %s result is not among the causes", l)
				}
			}
		})
	}
}

func TestAllowedRegionsOfOnePlaneAreProbedAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name, plane string
		options     regionmap.Options
		want        int
	}{
		{name: "whole plane", plane: "us", want: 12},
		{name: "allowed regions", plane: "us", options: regionmap.Options{Regions: []string{"us/us-east-1", "us/us-west-2", "eu/*"}}, want: 2},
		{name: "other plane", plane: "eu", want: 2},
		{name: "one region needs no asking", plane: "jp", want: 0},
		{name: "one allowed region needs no asking", plane: "eu", options: regionmap.Options{Regions: []string{"us/*", "eu/eu-west-1"}}, want: 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDiscovery(t, tt.options, regionmap.DiscoveryOptions{})
				var want regionmap.Location
				for _, e := range newMap(t, tt.options).Allowed() {
					if e.Plane == tt.plane {
						want = e.Location
					}
				}
				p := newProber(has(want))
				p.delay = time.Second
				began := time.Now()
				got, err := d.Find(t.Context(), tt.plane, store, "one", p.probe)
				if got != want || err != nil || len(p.probed) != tt.want {
					t.Fatalf("got %v, error %v after probing %v; want %v after %d", got, err, p.probed, want, tt.want)
				}
				for l, n := range p.probed {
					if n != 1 || l.Plane != tt.plane {
						t.Errorf("%s was probed %d times", l, n)
					}
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("took %v: the probes did not run at once", took)
				}
			})
		})
	}
}

func TestPlaneThatIsNotAllowedIsNotProbed(t *testing.T) {
	d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{})
	p := newProber(nil)
	_, err := d.Find(t.Context(), "jp", store, "one", p.probe)
	if _, refused := errors.AsType[*regionmap.NotAllowedError](err); !refused || len(p.probed) > 0 {
		t.Errorf("error %v after probing %v, want a NotAllowedError and none", err, p.probed)
	}
}

func TestDiscoveryOptionsThatCannotWorkAreRefused(t *testing.T) {
	m := newMap(t, threeRegions)
	for _, o := range []regionmap.DiscoveryOptions{
		{}, {Map: m, TTL: -1}, {Map: m, AbsentTTL: -1}, {Map: m, Timeout: -1}, {Map: m, MaxStores: -1}, {Map: m, MaxFlights: -1},
	} {
		if _, err := regionmap.NewDiscovery(o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

func TestAKnownRegionNeedsNoSearch(t *testing.T) {
	d := newDiscovery(t, regionmap.Options{Regions: []string{"us/us-east-1", "us/us-east-2", "us/us-west-1", "jp/*"}}, regionmap.DiscoveryOptions{})
	only := regionmap.Location{Plane: "jp", Region: "ap-northeast-1"}
	if got := d.Known("jp", store); got != only {
		t.Errorf("the only region of a plane: %v, want %v", got, only)
	}
	if got := d.Known("us", store); got != (regionmap.Location{Plane: "us"}) {
		t.Errorf("before the search: %v, want the plane alone", got)
	}
	p := newProber(has(ohio))
	find(t, d, p, ohio)
	if got := d.Known("us", store); got != ohio || p.searches(t) != 1 {
		t.Errorf("after the search: %v, want %v without another", got, ohio)
	}
	d.Forget(ohio, store, regionmap.Strong)
	if got := d.Known("us", store); got != (regionmap.Location{Plane: "us"}) {
		t.Errorf("after it was forgotten: %v, want the plane alone", got)
	}
}

// The property: the outcome depends only on the answers of the regions.
func FuzzOutcomeDoesNotDependOnTheOrderOfAnswers(f *testing.F) {
	f.Add([]byte{0, 0, 2, 0}, []byte{1, 2, 3, 4})
	f.Add([]byte{2, 0, 2}, []byte{9, 0, 1})
	f.Add([]byte{3, 1, 0, 2, 3}, []byte{5, 4, 3, 2, 1})
	f.Add([]byte{3, 0, 4}, []byte{0, 7, 0})
	f.Fuzz(func(t *testing.T, findings, delays []byte) {
		at := func(b []byte, i int) int {
			if i < len(b) {
				return int(b[i])
			}
			return 0
		}
		outcome := func(t *testing.T, delay func(i int) time.Duration) (text string) {
			synctest.Test(t, func(t *testing.T) {
				d := newDiscovery(t, regionmap.Options{Planes: []string{"us"}}, regionmap.DiscoveryOptions{})
				index := map[regionmap.Location]int{}
				for i, e := range newMap(t, regionmap.Options{Planes: []string{"us"}}).Allowed() {
					index[e.Location] = i
				}
				l, err := d.Find(t.Context(), "us", store, "one", func(_ context.Context, l regionmap.Location) (regionmap.Finding, error) {
					i := index[l]
					<-time.After(delay(i))
					switch kind := at(findings, i) % 5; kind {
					case 3:
						return regionmap.Absent, errSilent
					case 4:
						return regionmap.Absent, context.DeadlineExceeded
					default:
						return regionmap.Finding(kind), nil
					}
				})
				silence, _ := errors.AsType[*regionmap.UndiscoveredError](err)
				text = fmt.Sprint(l, err, silence != nil && silence.Late)
			})
			return text
		}
		got := outcome(t, func(i int) time.Duration { return time.Duration(at(delays, i)) * time.Millisecond })
		want := outcome(t, func(i int) time.Duration { return time.Duration(i) * time.Millisecond })
		if got != want {
			t.Errorf("findings %v: %q when answered in the order %v, %q in the table's", findings, got, delays, want)
		}
	})
}

func BenchmarkFindKnownStore(b *testing.B) {
	m, err := regionmap.New(threeRegions)
	if err != nil {
		b.Fatal(err)
	}
	d, err := regionmap.NewDiscovery(regionmap.DiscoveryOptions{Map: m})
	if err != nil {
		b.Fatal(err)
	}
	p := newProber(has(ohio))
	b.ReportAllocs()
	for b.Loop() {
		if l, err := d.Find(b.Context(), "us", store, "one", p.probe); l != ohio || err != nil {
			b.Fatal(l, err)
		}
	}
}

func TestKnownSendsNoRequest(t *testing.T) {
	d := newDiscovery(t, threeRegions, regionmap.DiscoveryOptions{})
	if got := d.Known("us", store); got != (regionmap.Location{Plane: "us"}) {
		t.Errorf("before anything is known: %v", got)
	}
	if _, err := d.Find(t.Context(), "us", store, "one", newProber(has(ohio)).probe); err != nil {
		t.Fatal(err)
	}
	if got := d.Known("us", store); got != ohio {
		t.Errorf("after it was found: %v, want %v", got, ohio)
	}
	single := newDiscovery(t, regionmap.Options{Regions: []string{"us/us-east-2"}, Discover: true}, regionmap.DiscoveryOptions{})
	if got := single.Known("us", store); got != ohio {
		t.Errorf("where there is one region alone: %v", got)
	}
}
