package admin_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// from sends a request with a bearer token from an address.
func from(h http.Handler, address, bearer string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, "/config", nil)
	r.RemoteAddr = address
	r.Header.Set("Authorization", "Bearer "+bearer)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestWrongTokensAreSlowedDownByAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(t, public())
		const attacker = "192.0.2.1:1000"
		for i := range 5 {
			if got := from(h, attacker, fmt.Sprint("guess-", i)).StatusCode; got != http.StatusUnauthorized {
				t.Errorf("guess %d: %d, want 401", i, got)
			}
		}
		slowed := from(h, "192.0.2.1:2000", "guess") // same address, another port
		readProblem(t, slowed, http.StatusTooManyRequests)
		if got := slowed.Header.Get("Retry-After"); got != "5" {
			t.Errorf("Retry-After %q, want 5", got)
		}
		if got := login(t, h, "guess", "Host: x").StatusCode; got != http.StatusTooManyRequests { // httptest uses 192.0.2.1 too
			t.Errorf("the form does not share the address's tries: %d, want 429", got)
		}
		if got := from(h, "192.0.2.2:1000", "guess").StatusCode; got != http.StatusUnauthorized {
			t.Errorf("a wrong token of another address: %d, want 401", got)
		}
		<-time.After(5 * time.Second) // allows one more try
		if got := from(h, attacker, "guess").StatusCode; got != http.StatusUnauthorized {
			t.Errorf("five seconds later: %d, want 401", got)
		}
		if got := from(h, attacker, "guess").StatusCode; got != http.StatusTooManyRequests {
			t.Errorf("and once more: %d, want 429", got)
		}
	})
}

// Behind a proxy, strangers and operators share one address.
func TestWrongTokensNeverRefuseTheRightOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(t, public())
		const proxy = "192.0.2.1:1000" // httptest uses it too
		session := login(t, h, token).Cookies()[0]
		for i := range 600 { // two wrong tokens a second for five minutes
			from(h, proxy, fmt.Sprint("guess-", i))
			if i%50 == 0 {
				if got := from(h, proxy, token).StatusCode; got != http.StatusOK {
					t.Fatalf("the right bearer after %d wrong ones: %d, want 200", i+1, got)
				}
				if got := login(t, h, token).StatusCode; got != http.StatusSeeOther {
					t.Fatalf("the right login after %d wrong bearers: %d, want 303", i+1, got)
				}
				if got := send(t, h, http.MethodGet, "/config", "", "Cookie: "+session.Name+"="+session.Value).StatusCode; got != http.StatusOK {
					t.Fatalf("a session after %d wrong bearers: %d, want 200", i+1, got)
				}
			}
			<-time.After(time.Second / 2)
		}
	})
}

func TestRightTokenCostsNoTries(t *testing.T) {
	h := newHandler(t, public())
	for range 50 {
		if got := from(h, "192.0.2.1:1000", token).StatusCode; got != http.StatusOK {
			t.Fatalf("the right token, again: %d, want 200", got)
		}
	}
	if got := from(h, "192.0.2.1:1000", "guess").StatusCode; got != http.StatusUnauthorized {
		t.Errorf("the first wrong token: %d, want 401", got)
	}
}

func TestNeighborsInOneIPv6NetworkShareTheirTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(t, public())
		for i := range 5 {
			from(h, fmt.Sprintf("[2001:db8:0:1::%d]:1000", i+1), "guess")
		}
		if got := from(h, "[2001:db8:0:1:ffff::]:1000", "guess").StatusCode; got != http.StatusTooManyRequests {
			t.Errorf("the same /64: %d, want 429", got)
		}
		if got := from(h, "[2001:db8:0:2::1]:1000", "guess").StatusCode; got != http.StatusUnauthorized {
			t.Errorf("the next /64: %d, want 401", got)
		}
	})
}

func TestManyAddressesShareTheirTriesBeyondTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(t, public())
		address := func(i int) string { return fmt.Sprintf("10.%d.%d.%d:1000", i>>16, i>>8&255, i&255) }
		for i := range 1024 + 5 {
			if got := from(h, address(i), "guess").StatusCode; got != http.StatusUnauthorized {
				t.Fatalf("address %d: %d, want 401", i, got)
			}
		}
		if got := from(h, address(5000), "guess").StatusCode; got != http.StatusTooManyRequests {
			t.Errorf("an address beyond the bound after five such guesses: %d, want 429", got)
		}
		if got := from(h, address(0), "guess").StatusCode; got != http.StatusUnauthorized {
			t.Errorf("an address that is kept apart: %d, want 401", got)
		}
		<-time.After(time.Minute) // all addresses are dropped
		for range 5 {
			from(h, address(5000), "guess")
		}
		if got := from(h, address(5000), "guess").StatusCode; got != http.StatusTooManyRequests {
			t.Errorf("a minute and five guesses later: %d, want 429", got)
		}
		if got := from(h, address(6000), "guess").StatusCode; got != http.StatusUnauthorized {
			t.Errorf("another address then: %d, want 401, since there is room again to keep it apart", got)
		}
	})
}

// counted returns the counts of the log's lines about wrong tokens.
func counted(t *testing.T, log string) (counts []int) {
	t.Helper()
	for line := range strings.Lines(log) {
		var fields struct {
			Msg   string `json:"msg"`
			Count int    `json:"count"`
		}
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		if fields.Msg == "admin token refused" {
			counts = append(counts, fields.Count)
		}
	}
	return counts
}

func TestWrongTokensAreLoggedOnceAMinuteWithTheirNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged strings.Builder
		var wrong, tooMany int
		o := public()
		o.Logger = slog.New(slog.NewJSONHandler(&logged, nil))
		o.Refused = func(more bool) {
			if wrong++; more {
				tooMany++
			}
		}
		h := newHandler(t, o)
		for range 300 { // five a second
			from(h, "192.0.2.1:1000", "guess")
			<-time.After(time.Second / 5)
		}
		from(h, "192.0.2.1:1000", "guess") // a minute after the first line
		from(h, "192.0.2.1:1000", "guess")
		<-time.After(time.Minute)
		from(h, "192.0.2.2:1000", token) // any request writes the remaining count
		if got, want := counted(t, logged.String()), []int{1, 299, 2}; !slices.Equal(got, want) {
			t.Errorf("lines with counts %v, want %v", got, want)
		}
		if wrong != 302 || tooMany < 280 || tooMany > 290 {
			t.Errorf("%d wrong tokens, %d of them too many; want 302, and all but 5 and one each 5 s", wrong, tooMany)
		}
	})
}
