package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// The kinds of requests that the clients of an ordeal send.
const (
	kindRead       = "read"
	kindFreshRead  = "fresh read" // not from the cache
	kindWrite      = "write"
	kindNewToken   = "new token"  // a read with a token that the gateway has not seen
	kindMint       = "mint"       // a token through the gateway
	kindStatistics = "statistics" // the Stats API
)

// sendIntervals are the intervals between two requests of a kind, whether or not they
// are answered.
var sendIntervals = map[string]time.Duration{
	kindRead: 100 * time.Millisecond, kindFreshRead: 150 * time.Millisecond, kindWrite: 150 * time.Millisecond,
	kindNewToken: 400 * time.Millisecond, kindMint: 400 * time.Millisecond, kindStatistics: 400 * time.Millisecond,
}

// maxPending is the maximum number of requests of an ordeal that wait for a response.
const maxPending = 500

// requestResult is a request of a good client and its outcome.
type requestResult struct {
	kind   string
	sentAt time.Time
	took   time.Duration
	status int // 0: no answer
	hit    bool
	cause  string // the body of an answer other than 2xx
}

// String returns the result in the form of a test's message.
func (v requestResult) String() string {
	return fmt.Sprintf("%s: status %d after %v, %s", v.kind, v.status, v.took.Round(time.Millisecond), v.cause)
}

func (v requestResult) succeeded() bool { return v.status >= 200 && v.status < 300 }

// isCounted reports whether statistics count the request.
func (v requestResult) isCounted() bool { return v.kind != kindMint && v.kind != kindStatistics }

// allows reports whether a client may receive this outcome during the fault.
func (r *faultRun) allows(v requestResult) bool {
	if v.succeeded() {
		return true
	}
	return slices.Contains(map[string][]int{kindNewToken: r.newTokens, kindMint: r.mints, kindStatistics: r.statistics}[v.kind], v.status) ||
		v.isCounted() && v.kind != kindNewToken && slices.Contains(r.known, v.status)
}

// faultClients are the good clients of an ordeal. Each kind of request is sent at a
// steady rate.
type faultClients struct {
	run       *faultRun
	known     client // with a token that the gateway knows
	tokenless client // without a token
	stop      chan struct{}
	began     time.Time
	all       sync.WaitGroup

	mu      sync.Mutex
	pending int             // guarded by mu: requests that wait for an answer
	results []requestResult // guarded by mu: the results so far
}

func newFaultClients(r *faultRun) *faultClients {
	r.Helper()
	none := client{t: r, base: r.gateway.url, httpClient: newHTTPClientWithoutKeepAlive(nil)} // so that net/http does not repeat requests
	known := none
	known.token = r.gateway.mint("app-one", "")
	return &faultClients{run: r, known: known, tokenless: none}
}

// startSending lets the clients send requests until stopSending is called.
func (p *faultClients) startSending() {
	p.stop, p.began = make(chan struct{}), time.Now()
	for kind, pause := range sendIntervals {
		p.all.Go(func() {
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for {
				p.send(kind)
				select {
				case <-tick.C:
				case <-p.stop:
					return
				}
			}
		})
	}
}

// stopSending stops the sending, and returns when all requests have ended.
func (p *faultClients) stopSending() {
	close(p.stop)
	p.all.Wait()
}

// send sends a request of this kind without waiting for its response.
func (p *faultClients) send(kind string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending == maxPending {
		return
	}
	p.pending++
	p.all.Go(func() {
		v := requestResult{kind: kind, sentAt: time.Now()}
		a, err := p.try(kind)
		v.took = time.Since(v.sentAt)
		if err != nil {
			v.cause = err.Error()
		} else if v.status, v.hit = a.status, isHit(a); !v.succeeded() {
			v.cause = a.body
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.pending--
		p.results = append(p.results, v)
	})
}

func (p *faultClients) try(kind string) (*answer, error) {
	const form = "Content-Type: application/x-www-form-urlencoded"
	switch kind {
	case kindFreshRead:
		return p.known.try(http.MethodGet, keyOne, "", "Cache-Control: no-cache")
	case kindWrite:
		return p.known.try(http.MethodPut, demoKeys+"/of-the-ordeal", stringValue("of-the-ordeal", "x"), "Content-Type: application/json")
	case kindNewToken:
		newcomer := p.tokenless
		token, err := p.run.stack.emulator.mint("app-two")
		if err != nil {
			return nil, err
		}
		p.run.stack.addSecret(token)
		newcomer.token = token
		return p.tryAgainAfterStall(newcomer, http.MethodGet, keyOne, "")
	case kindMint:
		return p.tryAgainAfterStall(p.tokenless, http.MethodPost, "/accounts/oauth2/token", "client_id=app-two&client_secret=secret-two&grant_type=client_credentials", form)
	case kindStatistics:
		const turn = time.Second // a read that waited so long for its turn
		a, err := p.known.try(http.MethodGet, "/api/v1/organizations/org-root"+lastDayQuery("1hour"), "")
		if *faultsFlag == 0 && err == nil && a.status == http.StatusServiceUnavailable && a.took > turn {
			return p.known.try(http.MethodGet, "/api/v1/organizations/org-root"+lastDayQuery("1hour"), "")
		}
		return a, err
	}
	return p.known.try(http.MethodGet, keyOne, "")
}

// tryAgainAfterStall repeats a request in an ordinary run of the tests, where this
// machine may stall.
func (p *faultClients) tryAgainAfterStall(c client, method, path, body string, headers ...string) (*answer, error) {
	if *faultsFlag > 0 {
		return c.try(method, path, body, headers...)
	}
	return c.tryAgainAfterStall(method, path, body, headers...)
}

// mint mints a token at osemu directly. It may be called from any goroutine.
func (e *emulator) mint(app string) (string, error) {
	form := "client_id=" + app + "&client_secret=secret-two&grant_type=client_credentials"
	a, err := client{t: e.t, base: e.url}.try(http.MethodPost, "/us/accounts/oauth2/token", form, "Content-Type: application/x-www-form-urlencoded")
	if err != nil {
		return "", fmt.Errorf("minting at osemu: %w", err)
	}
	var minted struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(a.body), &minted); err != nil {
		return "", fmt.Errorf("minting at osemu: %w", err)
	}
	return minted.Access, nil
}

// awaitSuccesses waits for a period in which all requests were answered with 2xx, at
// least one of each kind. It returns the beginning of the period, which is not before
// from.
func (p *faultClients) awaitSuccesses(from time.Time) (since time.Time) {
	p.run.Helper()
	lasting := min(time.Second, faultLength()/2)
	eventually(p.run, "clients that receive only 2xx", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		since = from
		for _, v := range p.results {
			if !v.succeeded() && !v.sentAt.Before(since) {
				since = v.sentAt.Add(time.Nanosecond)
			}
		}
		served := map[string]bool{}
		for _, v := range p.results {
			served[v.kind] = served[v.kind] || !v.sentAt.Before(since)
		}
		for kind := range sendIntervals {
			if !served[kind] {
				return false
			}
		}
		return time.Since(since) >= lasting
	})
	return since
}

// firstHitAfter returns the time of the first hit whose request was sent after an
// instant.
func (p *faultClients) firstHitAfter(t time.Time) (at time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.results, func(v requestResult) bool { return v.hit && v.sentAt.After(t) })
	if i < 0 {
		return t, false
	}
	return p.results[i].sentAt.Add(p.results[i].took), true
}

// failedSince reports whether a client has received a response other than 2xx since an
// instant.
func (p *faultClients) failedSince(t time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.results, func(v requestResult) bool { return !v.succeeded() && v.sentAt.After(t) })
}

// lastRefusal returns the time from an instant to the sending of the last request with
// a response other than 2xx.
func lastRefusal(visits []requestResult, since time.Time) (after time.Duration) {
	for _, v := range visits {
		if !v.succeeded() {
			after = max(after, v.sentAt.Sub(since))
		}
	}
	return after
}

// phases returns the requests that ended before the fault began, those that were sent
// after its end, and the rest.
func (p *faultClients) phases(calm, began, ended time.Time) (before, during, after []requestResult) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range p.results {
		switch {
		case v.sentAt.Add(v.took).Before(began):
			if !v.sentAt.Before(calm) {
				before = append(before, v)
			}
		case v.sentAt.After(ended):
			after = append(after, v)
		default:
			during = append(during, v)
		}
	}
	return before, during, after
}

// countServed returns the number of operations that were answered with 2xx, and the
// number of those that may have been.
func (p *faultClients) countServed() (good, unsettled int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range p.results {
		if v.isCounted() && v.succeeded() {
			good++
		}
		if v.isCounted() && v.status == 0 {
			unsettled++
		}
	}
	return good, unsettled
}
