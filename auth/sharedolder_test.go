package auth_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
)

// fixedAge is a shared place that returns the same identity for every token and forgets
// nothing.
type fixedAge struct {
	unreachable

	lookups time.Time
	gets    *int
}

// before returns a fixedAge whose identity has this age.
func before(age time.Duration) fixedAge { return fixedAge{lookups: time.Now().Add(-age)} }

func (p fixedAge) Get(context.Context, [32]byte) auth.Found {
	if p.gets != nil {
		*p.gets++
	}
	return auth.Found{Principal: &auth.Principal{Plane: "us", Client: "app"}, Age: time.Since(p.lookups), Clock: time.Now()}
}

// TestOfTwoStaleYesesTheYoungerServes, whether it is the gateway's own or another's.
func TestOfTwoStaleYesesTheYoungerServes(t *testing.T) {
	for _, tt := range []struct{ own, others, want time.Duration }{
		{5 * time.Minute, 2 * time.Minute, 2 * time.Minute},
		{2 * time.Minute, 5 * time.Minute, 2 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			var plane changing
			plane.become(yes)
			p := &switchablePlace{}
			a := replica(t, plane.ask, p)
			expect(t, a, "us", token, "fresh")
			pass(tt.own)
			plane.become(failing)
			p.Shared = before(tt.others)
			id, err := a.Identify(t.Context(), "us", token, "")
			if err != nil || !id.Stale || id.Age != tt.want {
				t.Errorf("own of %v, another's of %v: %v, %v; want %v", tt.own, tt.others, id.Age, err, tt.want)
			}
		})
	}
}

// switchablePlace is a shared place that can be replaced.
type switchablePlace struct{ auth.Shared }

func (s *switchablePlace) Get(ctx context.Context, hash [32]byte) auth.Found {
	if s.Shared == nil {
		return auth.Found{}
	}
	return s.Shared.Get(ctx, hash)
}

func (s *switchablePlace) Put(context.Context, [32]byte, *auth.Principal, time.Time, time.Duration) {}

func (s *switchablePlace) Drop(context.Context, [32]byte) {}

// TestARefusalOutlivesWhatOthersStillShare: an older yes in a place that does not
// forget is not used again.
func TestARefusalOutlivesWhatOthersStillShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var plane changing
		plane.become(yes)
		p := keepsDropped{newPlace()}
		a := replica(t, plane.ask, p)
		expect(t, a, "us", token, "fresh")
		synctest.Wait()
		plane.become(no)
		pass(ttl - 1) // past its renewal
		expect(t, a, "us", token, "fresh")
		synctest.Wait()
		expect(t, a, "us", token, "refused")
		pass(negativeTTL)
		expect(t, a, "us", token, "refused")
		plane.become(failing)
		pass(negativeTTL)
		expect(t, a, "us", token, "unavailable")
	})
}

// TestOthersAreLookedAtNowAndThenWhileThePlaneIsDown, and not at each use: another
// gateway may reach it.
func TestOthersAreLookedAtNowAndThenWhileThePlaneIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var plane changing
		plane.become(yes)
		gets := 0
		p := &switchablePlace{}
		a := replica(t, plane.ask, p)
		expect(t, a, "us", token, "fresh")
		pass(2 * ttl)
		plane.become(failing)
		trip(t, a)
		p.Shared = fixedAge{lookups: time.Now().Add(-ttl), gets: &gets}
		for range 100 { // 1 s
			expect(t, a, "us", token, "stale")
			synctest.Wait()
			pass(10 * time.Millisecond)
		}
		if gets < 1 || gets > 3 {
			t.Errorf("looked %d times in a second, want once, and once for each probe", gets)
		}
		p.Shared = before(0)
		for range 3 {
			pass(time.Second)
			_, _ = a.Identify(t.Context(), "us", token, "")
			synctest.Wait()
		}
		expect(t, a, "us", token, "fresh")
	})
}

// TestAYesOfSeventyPercentIsNotYoung: it does not replace a lookup that renews.
func TestAYesOfSeventyPercentIsNotYoung(t *testing.T) {
	for age, want := range map[time.Duration]int64{ttl*70/100 - 1: 1, ttl * 70 / 100: 2} {
		synctest.Test(t, func(t *testing.T) {
			resolver, lookups := counted(yes)
			p := &switchablePlace{}
			a := replica(t, resolver, p)
			expect(t, a, "us", token, "fresh")
			pass(ttl*90/100 + 1)
			p.Shared = before(age)
			expect(t, a, "us", token, "fresh") // and is renewed in the background
			synctest.Wait()
			if lookups.Load() != want {
				t.Errorf("another's yes of %v: %d lookups, want %d", age, lookups.Load(), want)
			}
		})
	}
}

// TestATokenOfNanosecondsIsNoTrouble.
func TestATokenOfNanosecondsIsNoTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthenticator(t, ending(time.Now().Add(50)))
		expect(t, a, "us", token, "fresh")
		pass(50)
		expect(t, a, "us", token, "refused")
	})
}

// fixedPlace is a place that has one identity and forgets nothing.
type fixedPlace struct {
	unreachable

	found   *auth.Found
	lookups *time.Time
}

func (p fixedPlace) Get(context.Context, [32]byte) auth.Found {
	if p.found == nil {
		return auth.Found{Clock: time.Now()}
	}
	found := *p.found
	found.Age, found.Clock = time.Since(*p.lookups), time.Now()
	return found
}

// TestARefusalIsNotTakenBackByAYesFromBefore that appears in the shared place
// afterwards, as when another gateway shares it late.
func TestARefusalIsNotTakenBackByAYesFromBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &switchablePlace{Shared: fixedPlace{}}
		a := replica(t, after(time.Second, no), p)
		lookups := time.Now()
		expect(t, a, "us", token, "refused")
		p.Shared = fixedPlace{found: &auth.Found{Principal: &auth.Principal{Plane: "us", Client: "app"}}, lookups: &lookups}
		pass(negativeTTL)
		expect(t, a, "us", token, "refused")
		pass(time.Second)
		later := time.Now()
		p.Shared = fixedPlace{found: &auth.Found{Principal: &auth.Principal{Plane: "us", Client: "app"}}, lookups: &later}
		pass(negativeTTL)
		expect(t, a, "us", token, "fresh")
	})
}
