package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"osgate/auth"
)

// left returns the header of an answer that reports the rest of an allowance of 120
// until an instant.
func left(remaining int, reset time.Time) http.Header {
	return http.Header{
		"X-Ratelimit-Limit":     {"120"},
		"X-Ratelimit-Remaining": {strconv.Itoa(remaining)},
		"X-Ratelimit-Reset":     {strconv.FormatInt(reset.Unix(), 10)},
	}
}

// passes makes a call of a caller to plane us if it is permitted, and reports whether
// it was.
func passes(a *auth.Authenticator, caller string, answer http.Header) bool {
	if a.BeginCall("us", caller) > 0 {
		return false
	}
	a.EndCall("us", caller, answer)
	return true
}

func TestCallsLeaveAQuarterOfTheAllowance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthenticator(t, yes)
		reset := time.Now().Add(30 * time.Second)
		if !passes(a, "one", left(31, reset)) || !passes(a, "one", left(30, reset)) {
			t.Fatal("a call was refused with more than a quarter left")
		}
		if got := a.BeginCall("us", "one"); got != 30*time.Second {
			t.Errorf("with a quarter left it has to wait %v, want 30s", got)
		}
		if a.BeginCall("eu", "one") != 0 {
			t.Error("another plane's allowance was taken for this one's")
		}
		expect(t, a, "us", token, "fresh") // identification continues
		pass(30 * time.Second)
		if a.BeginCall("us", "one") != 0 {
			t.Error("a call was refused after the reset")
		}
	})
}

// If the plane counts the gateway as one, two callers get the same reports. If it
// counts each client, one client's use does not affect another.
func TestLowAllowanceOfOneCallerIsItsOwnAndOfTwoIsAllCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthenticator(t, yes)
		reset := time.Now().Add(30 * time.Second)
		passes(a, "one", left(3, reset))
		if !passes(a, "two", left(119, reset)) || passes(a, "one", nil) || !passes(a, "three", left(118, reset)) {
			t.Error("the plane counts each client, and one that has spent its own held up another")
		}
		passes(a, "one", left(2, reset))
		passes(a, "four", left(1, reset))
		for _, caller := range []string{"one", "four", "five"} {
			if passes(a, caller, nil) {
				t.Errorf("two callers received the report of a low allowance, and %s may still send calls", caller)
			}
		}
	})
}

func TestCallsUnderWayCountAsSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthenticator(t, yes)
		reset := time.Now().Add(30 * time.Second)
		passes(a, "one", left(40, reset))
		passes(a, "two", left(40, reset))
		let := 0
		for a.BeginCall("us", "three") == 0 {
			let++
		}
		if let != 10 {
			t.Errorf("%d calls at once with 10 above the reserve, want 10", let)
		}
		for range let {
			a.EndCall("us", "three", nil)
		}
		if a.BeginCall("us", "three") != 0 {
			t.Error("calls that are over and were not answered count as spent")
		}
	})
}

func TestLookupsAndListingsReportTheAllowanceToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plane := &limitedPlane{f: resolverFunc(yes)}
		reset := time.Now().Add(30 * time.Second)
		plane.allowance.Store(&auth.Allowance{Limit: 120, Remaining: 20, Reset: reset})
		a := newAuthenticator(t, nil, func(o *auth.Options) { o.Resolver = plane })
		expect(t, a, "us", token, "fresh")
		hash, known := a.Known("us", token)
		if !known || a.BeginCall("us", auth.CallerOf(hash)) == 0 {
			t.Error("a lookup received the report of a low allowance, and calls with its token were still passed on")
		}
		if a.BeginCall("us", "192.0.2.1") != 0 {
			t.Error("one low answer held for all")
		}
		a.NoteAllowance("us", auth.NewToken("of a listing"), left(19, reset))
		if a.BeginCall("us", "192.0.2.1") == 0 {
			t.Error("a listing of environments received the report too, and calls were still passed on")
		}
	})
}

func TestOnlyTokensThatThePlaneNamedAreKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthenticator(t, yes)
		if _, known := a.Known("us", token); known {
			t.Error("a token without a lookup is known")
		}
		expect(t, a, "us", token, "fresh")
		if _, known := a.Known("us", token); !known {
			t.Error("a token that the plane named is not known")
		}
		if _, known := a.Known("eu", token); known {
			t.Error("a token of one plane is known to another")
		}
		a.Forget("us", token)
		if _, known := a.Known("us", token); known {
			t.Error("a token that was revoked is known")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		a := newAuthenticator(t, no)
		expect(t, a, "us", token, "refused")
		if _, known := a.Known("us", token); known {
			t.Error("a token that the plane refused is known")
		}
	})
}

func TestPassedCallsAreNoLookups(t *testing.T) {
	a := newAuthenticator(t, yes)
	passes(a, "one", nil)
	if got := a.Planes(); len(got) != 0 {
		t.Errorf("a plane without a lookup has the state %+v", got)
	}
}

// sharedAllowance is a control plane that counts all of a gateway's requests together:
// 120 in 30 seconds, of which left remain.
type sharedAllowance struct {
	f     resolverFunc
	left  atomic.Int64
	reset time.Time
}

func (s *sharedAllowance) Lookup(ctx context.Context, plane string, token auth.Token) (auth.Answer, error) {
	left := s.left.Add(-1)
	if left < 0 {
		return auth.Answer{}, &auth.UnavailableError{Plane: plane, Limited: true, RetryAfter: time.Until(s.reset), Cause: errors.New("429")}
	}
	result, err := s.f.Lookup(ctx, plane, token)
	result.Allowance = auth.Allowance{Limit: 120, Remaining: int(left), Reset: s.reset}
	return result, err
}

func (*sharedAllowance) Validator(string) string { return "test" }

// TestGuessesLeaveAQuarterOfTheAllowanceToOtherAddresses: they do not prevent the
// identification of another client's new token. One request of that quarter is used for
// the guess whose answer shows that the plane counts all callers together.
func TestGuessesLeaveAQuarterOfTheAllowanceToOtherAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resolver, lookups := counted(func(ctx context.Context, plane string, token auth.Token) (*auth.Principal, error) {
			if strings.HasPrefix(token.Header(), "Bearer guess") {
				return no(ctx, plane, token)
			}
			return yes(ctx, plane, token)
		})
		plane := &sharedAllowance{f: resolver, reset: time.Now().Add(5 * time.Minute)}
		plane.left.Store(120)
		a := newAuthenticator(t, nil, func(o *auth.Options) { o.Resolver, o.Guard = plane, newTally() })
		identify := func(token, address string) error {
			_, err := a.Identify(t.Context(), "us", auth.NewToken(token), address)
			return err
		}
		for i := range 200 {
			err := identify(fmt.Sprint("guess ", i), here)
			if i < 91 && !errors.Is(err, auth.ErrBadToken) {
				t.Fatalf("guess %d: %v, want a refusal by the plane", i, err)
			}
			if _, withheld := errors.AsType[*auth.GuessingError](err); i >= 91 && !withheld {
				t.Fatalf("guess %d: %v, want one by the gateway", i, err)
			}
		}
		if lookups.Load() != 91 {
			t.Errorf("the plane got %d requests for guesses, want 91 of 120", lookups.Load())
		}
		if err := identify("new", there); err != nil {
			t.Errorf("a new token of another address: %v", err)
		}
		if err := identify("new", here); err != nil {
			t.Errorf("a known token of the guessing address: %v", err)
		}
		if err := identify("newer", here); err == nil {
			t.Error("a new token of the guessing address was identified out of the reserve")
		}
		pass(2 * time.Minute)
		if err := identify("newer", here); err != nil {
			t.Errorf("a new token of an address that has not guessed for two minutes: %v", err)
		}
	})
}

// TestGuessesAtOnceCountAsSpent before their answers report the allowance.
func TestGuessesAtOnceCountAsSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plane := &sharedAllowance{f: after(time.Second, no), reset: time.Now().Add(5 * time.Minute)}
		plane.left.Store(42)
		a := newAuthenticator(t, nil, func(o *auth.Options) { o.Resolver, o.Guard = plane, newTally() })
		for i := range 2 { // two callers get the report that 40 are left, 10 above the reserve
			_, _ = a.Identify(t.Context(), "us", auth.NewToken(fmt.Sprint("first ", i)), here)
		}
		for i := range 50 {
			go func() { _, _ = a.Identify(t.Context(), "us", auth.NewToken(fmt.Sprint("guess ", i)), here) }()
		}
		synctest.Wait()
		pass(time.Second)
		if left := plane.left.Load(); left != 29 {
			t.Errorf("%d of the allowance are left after 50 guesses at once, want the 30 that are reserved, less the one that showed it", left)
		}
	})
}
