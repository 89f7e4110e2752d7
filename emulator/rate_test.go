package emulator_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"osgate/emulator"
)

// passed sends n reads of a target and returns how many were admitted.
func (c client) passed(n int, target string, headers ...string) (in int) {
	c.t.Helper()
	for range n {
		switch got := c.do(http.MethodGet, target, "", headers...); got.status {
		case http.StatusOK:
			in++
		case http.StatusTooManyRequests:
		default:
			c.t.Fatalf("GET %s: the answer is %d %s", target, got.status, got.body)
		}
	}
	return in
}

func TestTenInAnySlidingSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := as(t, start(t, emulator.Options{Rate: 10}), "us", "one")
		if got := c.passed(4, demo); got != 4 {
			t.Errorf("at 0 ms %d of 4 passed", got)
		}
		c.advance(600 * time.Millisecond)
		if got := c.passed(9, demo); got != 6 {
			t.Errorf("at 600 ms %d of 9 passed, want the 6 remaining", got)
		}
		c.advance(399 * time.Millisecond)
		if got := c.passed(3, demo); got != 0 {
			t.Errorf("at 999 ms %d of 3 passed", got)
		}
		c.advance(time.Millisecond)
		if got := c.passed(9, demo); got != 4 {
			t.Errorf("at 1000 ms %d of 9 passed, want the 4 that are free again", got)
		}
	})
}

// In any order of requests, no second has more than the rate, and no request is refused
// if the second before it has fewer.
func TestSlidingSecondIsExact(t *testing.T) {
	gap := rapid.SampledFrom([]int{0, 0, 1, 99, 100, 200, 250, 500, 999, 1000})
	rapid.Check(t, func(rt *rapid.T) {
		gaps := rapid.SliceOfN(gap, 1, 60).Draw(rt, "gaps in ms")
		var wrong string
		synctest.Test(t, func(t *testing.T) { wrong = firstWrongAdmission(t, gaps) })
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

// firstWrongAdmission sends requests at the given intervals, in milliseconds, to an
// emulator that admits five a second, and describes the first one that was admitted or
// refused wrongly.
func firstWrongAdmission(t *testing.T, gaps []int) string {
	t.Helper()
	c := as(t, start(t, emulator.Options{Rate: 5}), "us", "one")
	var admitted []time.Duration
	var now time.Duration
	for _, milliseconds := range gaps {
		gap := time.Duration(milliseconds) * time.Millisecond
		c.advance(gap)
		now += gap
		recent := 0
		for _, at := range admitted {
			if now-at < time.Second {
				recent++
			}
		}
		in := c.passed(1, demo) == 1
		if in != (recent < 5) {
			return fmt.Sprintf("at %v, %d in the second before: admitted is %v", now, recent, in)
		}
		if in {
			admitted = append(admitted, now)
		}
	}
	return ""
}

func TestEachAddressHasARateOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := start(t, emulator.Options{Rate: 1, RateBy: "ip"})
		c := as(t, e, "us", "one")
		c.passed(1, demo)
		for address, want := range map[string]int{"192.0.2.1:1234": http.StatusTooManyRequests, "192.0.2.2:1234": http.StatusOK} {
			r := httptest.NewRequest(http.MethodGet, demo, nil)
			r.Host, r.RemoteAddr = "localhost", address
			r.Header.Set("Authorization", "Bearer "+c.token)
			w := httptest.NewRecorder()
			e.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("from %s: status %d, want %d", address, w.Code, want)
			}
		}
	})
}

func TestRefusalIsInTheVendorsBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for by, who := range map[string]string{"client": "client app-one", "location": "client app-one", "app": "app demo", "store": "store " + demoStore, "ip": "ip 192.0.2.1"} {
			c := as(t, start(t, emulator.Options{Rate: 1, RateBy: by}), "us", "one")
			c.passed(1, demo)
			got := c.must(http.StatusTooManyRequests, http.MethodGet, demo, "")
			want := `{"status":"failure","statusMessage":"` + who + ` can not perform more requests in this time window","stackTrace":null}`
			if got.body != want || got.header.Get("Retry-After") != "" {
				t.Errorf("by %s: the answer is %s, Retry-After %q; want %s", by, got.body, got.header.Get("Retry-After"), want)
			}
		}
		c := as(t, start(t, emulator.Options{Rate: 1, Choose: map[string]string{"retry-after": "on"}}), "us", "one")
		c.passed(1, demo)
		if got := c.get(demo).header.Get("Retry-After"); got != "1" {
			t.Errorf("retry-after=on: Retry-After is %q", got)
		}
	})
}

func TestRateIsSharedByTheSubjectOfTheOption(t *testing.T) {
	west := strings.Replace(demo, "us-east-1", "us-west-1", 1)
	sandbox := strings.Replace(demo, "env-prod", "env-sandbox", 1)
	for by, want := range map[string]map[string]int{ // how many of 3 pass after app-one used 3 of 4 at the demo store
		"client":   {"same": 1, "other client": 3, "other store": 1, "other region": 1, "other environment": 1, "list of stores": 1},
		"location": {"same": 1, "other client": 3, "other store": 1, "other region": 3, "other environment": 1, "list of stores": 1},
		"app":      {"same": 1, "other client": 1, "other store": 3, "other region": 3, "other environment": 3, "list of stores": 3},
		"store":    {"same": 1, "other client": 1, "other store": 3, "other region": 3, "other environment": 3, "list of stores": 3},
		"ip":       {"same": 1, "other client": 1, "other store": 1, "other region": 1, "other environment": 1, "list of stores": 1},
	} {
		for name, passed := range want {
			synctest.Test(t, func(t *testing.T) {
				e := start(t, emulator.Options{Rate: 4, RateBy: by})
				one, two := as(t, e, "us", "one"), as(t, e, "us", "two")
				one.must(http.StatusOK, http.MethodPut, newStore, "")
				one.advance(time.Second)
				one.passed(3, demo)
				c, target := one, demo
				switch name {
				case "other client":
					c = two
				case "other store":
					target = newStore
				case "other region":
					target = west
				case "other environment":
					target = sandbox
				case "list of stores":
					target = east + prod
				}
				if got := c.passed(3, target); got != passed {
					t.Errorf("by %s, %s: %d of 3 passed, want %d", by, name, got, passed)
				}
			})
		}
	}
}

// CloudHub's names of stores begin with that of their application.
func TestApplicationIsReadFromTheStoresName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := as(t, start(t, emulator.Options{Rate: 2, RateBy: "app"}), "us", "one")
		for _, store := range []string{"APP_shop__orders", "APP_shop__users", "APP_shop_cart"} {
			c.must(http.StatusOK, http.MethodPut, east+prod+"/"+store, "")
			c.advance(time.Second)
		}
		c.passed(1, east+prod+"/APP_shop__orders")
		c.passed(1, east+prod+"/APP_shop_cart")
		if got := c.passed(1, east+prod+"/APP_shop__users"); got != 0 {
			t.Error("a third request of one application in a second was admitted")
		}
	})
}

func TestOnlyObjectStoreOperationsUseUpTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := as(t, start(t, emulator.Options{Rate: 3}), "us", "one")
		for range 5 {
			c.must(http.StatusOK, http.MethodGet, "/us/accounts/api/me", "")
			c.must(http.StatusOK, http.MethodGet, "/us/api/v1/organizations/org-root"+anHour, "")
			c.must(http.StatusOK, http.MethodGet, "/_osemu/world", "")
			c.must(http.StatusNotFound, http.MethodGet, east+"/api/v1/none", "")
			client{t: t, e: c.e}.must(http.StatusUnauthorized, http.MethodGet, demo, "")
		}
		if got := c.passed(5, demo); got != 3 {
			t.Errorf("%d of 5 passed, want 3", got)
		}
	})
}

func TestFailuresCountAgainstTheRateUnlessChosenOtherwise(t *testing.T) {
	for choice, want := range map[string]int{"all": 1, "2xx": 3} {
		synctest.Test(t, func(t *testing.T) {
			c := as(t, start(t, emulator.Options{Rate: 3, Choose: map[string]string{"rate-counts": choice}}), "us", "one")
			c.must(http.StatusNotFound, http.MethodGet, demoKeys+"/none", "")
			c.must(http.StatusNotFound, http.MethodGet, demoKeys+"/none", "")
			if got := c.passed(5, demo); got != want {
				t.Errorf("rate-counts=%s: %d passed, want %d", choice, got, want)
			}
		})
	}
}

func TestPlanesCountApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := start(t, emulator.Options{Rate: 1})
		as(t, e, "us", "one").passed(1, demo)
		if got := as(t, e, "eu", "one").passed(1, "/eu/eu-west-1"+prod); got != 1 {
			t.Error("a request in one plane used the rate of another")
		}
	})
}
