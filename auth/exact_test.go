package auth

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestAnObjectMayHaveJustTheLimit of bytes, and not one more.
func TestAnObjectMayHaveJustTheLimit(t *testing.T) {
	const text = `{"a":1}`
	var v struct{}
	for limit, ok := range map[int64]bool{int64(len(text)): true, int64(len(text)) - 1: false} {
		if err := readObject(strings.NewReader(text), limit, &v); (err == nil) != ok {
			t.Errorf("%d bytes with a limit of %d: %v", len(text), limit, err)
		}
	}
}

// TestErrorNamesTheFaultOfAnAnswer by texts that quote no part of it.
func TestErrorNamesTheFaultOfAnAnswer(t *testing.T) {
	var v struct {
		A int `json:"a"`
	}
	for text, want := range map[string]string{
		`{"a":1,"a":2}`: "a member name occurs twice", `{"a":1,}`: "malformed JSON at byte 6", `{"a":"text"}`: "a member has the wrong type at byte 5",
		`[1]`: "it is no JSON object",
	} {
		if err := parse([]byte(text), &v); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestAnErrorStatesWhetherThePlaneOrTheTokenIsInTrouble(t *testing.T) {
	cause := errors.New("why")
	for want, e := range map[string]UnavailableError{
		"control plane us is not available: why":                         {Plane: "us", Cause: cause},
		"control plane us does not name the principal of the token: why": {Plane: "us", Cause: cause, Answered: true},
	} {
		if got := e.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestAnInstantIsInSecondsUpToTheYear5138, and in milliseconds above it.
func TestAnInstantIsInSecondsUpToTheYear5138(t *testing.T) {
	for text, want := range map[string]time.Time{"100000000000": time.Unix(100_000_000_000, 0), "100000000001": time.UnixMilli(100_000_000_001)} {
		if got, err := instant([]byte(text)); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
}

// TestAnswerWithoutAllowanceDoesNotChangeIt: neither a lookup nor a call.
func TestAnswerWithoutAllowanceDoesNotChangeIt(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	low := Allowance{Limit: 10, Remaining: 1, Reset: now.Add(time.Minute)}
	p := &plane{}
	p.noteLookup("a", low)
	p.noteLookup("a", Allowance{})
	if !p.busy(now) || p.reserved("a", now) != time.Minute {
		t.Error("an asking without an allowance makes room")
	}
	a := &Authenticator{planes: map[string]*plane{"us": p}}
	p.calls = 1
	a.EndCall("us", "a", nil)
	if p.reserved("a", now) != time.Minute {
		t.Error("a call without an allowance makes room")
	}
}

// TestAnAllowanceOfNothingIsOne, and one that is over is none.
func TestAnAllowanceOfNothingIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for wait, want := range map[time.Duration]Allowance{time.Minute: {Limit: 10, Reset: time.Now().Add(time.Minute)}, 0: {}, -time.Second: {}} {
			h := http.Header{}
			h.Set("X-RateLimit-Limit", "10")
			h.Set("X-RateLimit-Remaining", "0")
			h.Set("X-RateLimit-Reset", strconv.FormatInt(time.Now().Add(wait).Unix(), 10))
			if got := allowance(h); got.Limit != want.Limit || got.Remaining != 0 || !got.Reset.Equal(want.Reset) {
				t.Errorf("until in %v: %+v, want %+v", wait, got, want)
			}
		}
	})
}

// TestAnUnclearAnswerStatesWhenItEnds, at the earliest after a second.
func TestAnUnclearAnswerStatesWhenItEnds(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	v := &verdict{unclear: &UnavailableError{}, at: now, life: 5 * time.Second}
	for passed, want := range map[time.Duration]time.Duration{0: 5 * time.Second, 3 * time.Second: 2 * time.Second, 5 * time.Second: time.Second} {
		failure, ok := errors.AsType[*UnavailableError](v.err(now.Add(passed)))
		if !ok || failure.RetryAfter != want {
			t.Errorf("after %v: %+v, want to come back after %v", passed, failure, want)
		}
	}
	v.backoff = time.Second
	if !v.inBackoff(now.Add(time.Second-1)) || v.inBackoff(now.Add(time.Second)) {
		t.Error("it rests longer than it should, or less")
	}
}

// TestOrganizationsAndRestsAreBounded, by default too.
func TestOrganizationsAndRestsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := NewEnvironmentTypes(EnvironmentTypesOptions{Lister: &Anypoint{}})
		if err != nil || e.options.Max != maxOrganizations || e.options.TTL != environmentsTTL || e.options.Timeout != environmentsTimeout {
			t.Fatalf("%+v, %v", e, err)
		}
		var fails error
		for _, fails = range []error{nil, ErrBadToken} {
			for n := range maxBackoffs + 10 {
				key := listingKey{organizationKey: organizationKey{"us", string(rune('a' + n%20_000))}, token: numbered(n)}
				e.learn(key, map[string]string{"env": "design"}, fails)
			}
			if len(e.backoffs) > maxBackoffs || len(e.backoffs) < maxBackoffs-1 || len(e.known) != maxOrganizations {
				t.Errorf("%v: %d rests and %d organizations, want %d and %d", fails, len(e.backoffs), len(e.known), maxBackoffs, maxOrganizations)
			}
		}
	})
}
