package oidc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"osgate/auth"
	"osgate/internal/flight"
	"osgate/internal/retryafter"
)

// IssuerState is whether an issuer answers, and how old its keys are.
type IssuerState struct {
	Issuer    string
	Reachable bool          // its last answer was good; true before the first fetch
	Since     time.Time     // when Reachable changed
	LastError string        // of the latest failure; kept after a recovery, empty before the first
	Keys      int           // that are in use
	Age       time.Duration // of the keys; 0 if there are none yet
}

// issuer is an issuer with the keys that it last published. Its edition is replaced as
// a whole.
type issuer struct {
	Issuer
	options *Options
	work    *workers
	edition atomic.Pointer[edition] // never nil

	mu      sync.Mutex
	flight  *flight.Flight[error] // the fetch under way; nil: none
	next    time.Time             // no fetch before this time
	failure *auth.UnavailableError
	state   IssuerState // without keys and age
}

// edition is a set of keys, with how long it is used.
type edition struct {
	set     *keySet   // nil: none was fetched yet
	fetched time.Time // when the fetch of set began
	renewal time.Time // from when a use starts a fetch in the background
	end     time.Time // from when a use waits for a fetch
}

// workers are the fetches under way, of all issuers.
type workers struct {
	mu     sync.Mutex
	group  sync.WaitGroup // grows only under mu and before closed
	closed bool
}

var errClosed = errors.New("the gateway is stopping")

// The part of the keys' life after which they are renewed, at random in between, so
// that gateways do not renew them together.
const (
	renewFrom = 70 // percent
	renewTo   = 90
)

// maxPause limits how long an issuer's Retry-After is obeyed, because new tokens of
// that issuer are not accepted meanwhile.
const maxPause = time.Minute

// usable reports whether the keys may be used at now without a fetch. It starts one in
// the background if they should be renewed. It does not wait.
func (is *issuer) usable(now time.Time) bool {
	e := is.edition.Load()
	if now.Before(e.end) && !now.Before(e.renewal) {
		is.warm(now)
	}
	return now.Before(e.end)
}

// warm starts a fetch in the background, unless there is one or it is too early.
func (is *issuer) warm(now time.Time) {
	is.mu.Lock()
	defer is.mu.Unlock()
	if is.flight == nil && !now.Before(is.next) {
		//nolint:forbidigo // no caller waits, so there is no context; the fetch has its own timeout
		is.start(context.Background())
	}
}

// keys returns the keys to use. It waits for a fetch if there are none, or if they are
// too old. Old keys stay in use if the fetch fails. Errors: *[auth.UnavailableError],
// the error of ctx.
func (is *issuer) keys(ctx context.Context) (*keySet, error) {
	if is.usable(time.Now()) {
		return is.edition.Load().set, nil
	}
	set, err := is.renew(ctx)
	if _, unreachable := errors.AsType[*auth.UnavailableError](err); unreachable && set != nil {
		return set, nil
	}
	return set, err
}

// renew returns the newest keys, after a fetch if one may be sent now. It returns the
// same set as before if the issuer still publishes that, or if it is too early. If the
// last fetch failed, it returns the keys in use, nil if there are none, and the error:
// *[auth.UnavailableError], or that of ctx.
func (is *issuer) renew(ctx context.Context) (*keySet, error) {
	is.mu.Lock()
	now, f := time.Now(), is.flight
	if f == nil && now.Before(is.next) {
		defer is.mu.Unlock()
		return is.edition.Load().set, is.early(now)
	}
	if f == nil {
		f = is.start(ctx)
	}
	is.mu.Unlock()
	failure, err := f.Wait(ctx)
	if err == nil {
		err = failure
	}
	return is.edition.Load().set, err
}

// early returns the error for a caller for which it is too early to fetch; nil if the
// last fetch succeeded. The caller holds mu.
func (is *issuer) early(now time.Time) error {
	if is.failure == nil {
		return nil
	}
	failure := *is.failure
	failure.RetryAfter = max(is.next.Sub(now), time.Second)
	return &failure
}

// start starts a fetch, which has its own deadline and continues after its caller's ctx
// ends. The caller holds mu.
func (is *issuer) start(ctx context.Context) *flight.Flight[error] {
	is.work.mu.Lock()
	defer is.work.mu.Unlock()
	if is.work.closed {
		return flight.Landed[error](is.unavailable(errClosed))
	}
	f := flight.New[error]()
	is.flight = f
	ctx = context.WithoutCancel(ctx)
	is.work.group.Go(func() { is.run(ctx, f) })
	return f
}

// run fetches the keys. Waiting callers get the result before OnChange is called, and
// the next fetch begins after that.
func (is *issuer) run(ctx context.Context, f *flight.Flight[error]) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, is.options.Timeout)
	defer cancel()
	set, err := is.fetchKeys(ctx, is.options.Transport)
	var changed bool
	if failure, ok := errors.AsType[*auth.UnavailableError](err); ok {
		changed = is.fail(failure, time.Now())
	} else {
		changed = is.succeed(set, began, time.Now())
	}
	f.Land(err)
	if changed && is.options.OnChange != nil {
		is.options.OnChange(is.snapshot(time.Now()))
	}
	is.mu.Lock()
	is.flight = nil
	is.mu.Unlock()
}

// succeed puts a set into use whose fetch began at the given time. It reports whether
// Reachable changed.
func (is *issuer) succeed(set *keySet, began, now time.Time) (changed bool) {
	is.mu.Lock()
	defer is.mu.Unlock()
	life := is.options.Refresh
	spread := life / 100 * (renewTo - renewFrom)
	is.edition.Store(&edition{
		set:     set.succeed(is.edition.Load().set),
		fetched: began,
		//nolint:gosec // spreads load, guards nothing
		renewal: began.Add(life/100*renewFrom + rand.N(spread+1)),
		end:     began.Add(life),
	})
	is.failure, is.next = nil, now.Add(is.options.UnknownKeyInterval)
	return is.become(true, now)
}

// fail prolongs the use of the keys, so that uses do not wait for an unreachable
// issuer. It reports whether Reachable changed.
func (is *issuer) fail(failure *auth.UnavailableError, now time.Time) (changed bool) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.next = now.Add(max(is.options.UnknownKeyInterval, min(failure.RetryAfter, maxPause)))
	failure.RetryAfter = is.next.Sub(now)
	is.failure, is.state.LastError = failure, failure.Cause.Error()
	if e := *is.edition.Load(); e.set != nil {
		e.renewal = is.next
		if end := now.Add(is.options.Refresh); e.end.Before(end) {
			e.end = end
		}
		is.edition.Store(&e)
	}
	return is.become(false, now)
}

// become records whether the last answer was good. The caller holds mu.
func (is *issuer) become(reachable bool, now time.Time) (changed bool) {
	changed = is.state.Reachable != reachable
	if changed {
		is.state.Reachable, is.state.Since = reachable, now
	}
	return changed
}

func (is *issuer) snapshot(now time.Time) IssuerState {
	is.mu.Lock()
	defer is.mu.Unlock()
	s := is.state
	if e := is.edition.Load(); e.set != nil {
		s.Keys, s.Age = len(e.set.keys), now.Sub(e.fetched)
	}
	return s
}

// The sizes of answers in bytes. A discovery document has some 5 KiB, a key with a
// certificate 4 KiB.
const (
	maxDocument = 256 << 10
	maxSet      = 1 << 20
	maxDrain    = 64 << 10 // read only so that the connection can be reused
)

// discoveryPath is where an issuer describes itself (OpenID Connect Discovery 1.0
// section 4).
const discoveryPath = "/.well-known/openid-configuration"

// fetchKeys fetches the keys of an issuer: its discovery document first, if no URL of
// its keys is set. It sends one or two requests and follows no redirect. Errors:
// *[auth.UnavailableError].
func (t Issuer) fetchKeys(ctx context.Context, transport http.RoundTripper) (*keySet, error) {
	from := t.JWKS
	if from == "" {
		var err error
		if from, err = t.discover(ctx, transport); err != nil {
			return nil, err
		}
	}
	text, err := t.get(ctx, transport, from, maxSet)
	if err != nil {
		return nil, err
	}
	set, err := readKeySet(text)
	if err != nil {
		return nil, t.unavailable(err)
	}
	return set, nil
}

// discover returns the URL of the issuer's keys by its discovery document. The document
// must name the issuer: otherwise it belongs to another one, whose keys would be used.
func (t Issuer) discover(ctx context.Context, transport http.RoundTripper) (string, error) {
	text, err := t.get(ctx, transport, strings.TrimSuffix(t.URL, "/")+discoveryPath, maxDocument)
	if err != nil {
		return "", err
	}
	var document struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if json.Unmarshal(text, &document) != nil {
		return "", t.unavailable(errors.New("its discovery document is no JSON object of the expected form"))
	}
	if document.Issuer != t.URL {
		return "", t.unavailable(errors.New("its discovery document names another issuer"))
	}
	keys, err := parseURL(document.Keys)
	switch {
	case err != nil:
		return "", t.unavailable(fmt.Errorf("the jwks_uri in its discovery document: %w", err))
	case keys.Scheme != "https" && strings.HasPrefix(t.URL, "https:"):
		return "", t.unavailable(errors.New("the jwks_uri in its discovery document is not https"))
	}
	return document.Keys, nil
}

// get returns the body of an answer 200 of at most limit bytes.
func (t Issuer) get(ctx context.Context, transport http.RoundTripper, from string, limit int64) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, t.unavailable(errors.New("the URL makes no request"))
	}
	r.Header = http.Header{"Accept": {"application/json"}, "User-Agent": {"osgate"}}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		failure := t.unavailable(fmt.Errorf("request to %s: %w", r.Host, err))
		failure.Unreached = true
		return nil, failure
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		_, _ = io.CopyN(io.Discard, answer.Body, maxDrain) // so that the connection can be reused
		return nil, t.status(r.URL, answer)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	switch {
	case err != nil:
		return nil, t.unavailable(fmt.Errorf("reading the answer of %s: %w", r.Host, err))
	case int64(len(text)) > limit:
		return nil, t.unavailable(fmt.Errorf("the answer of %s has more than %d bytes", r.Host, limit))
	}
	return text, nil
}

// status returns the error for an answer that is not 200.
func (t Issuer) status(from *url.URL, answer *http.Response) *auth.UnavailableError {
	failure := t.unavailable(fmt.Errorf("%s%s answered %d", from.Host, from.EscapedPath(), answer.StatusCode))
	failure.Limited = answer.StatusCode == http.StatusTooManyRequests
	failure.RetryAfter, _ = retryafter.Of(answer.Header, time.Now())
	return failure
}

func (t Issuer) unavailable(cause error) *auth.UnavailableError {
	return &auth.UnavailableError{Issuer: t.URL, Cause: cause}
}
