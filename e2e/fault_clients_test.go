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
	aRead      = "read"
	aFreshRead = "fresh read" // past the cache
	aWrite     = "write"
	aNewToken  = "new token"  // a read with a token that the gateway has not seen
	aMint      = "mint"       // a token through the gateway
	aQuery     = "statistics" // the Stats API
)

// pauses are the intervals between two requests of a kind, whether or not they are
// answered.
var pauses = map[string]time.Duration{
	aRead: 100 * time.Millisecond, aFreshRead: 150 * time.Millisecond, aWrite: 150 * time.Millisecond,
	aNewToken: 400 * time.Millisecond, aMint: 400 * time.Millisecond, aQuery: 400 * time.Millisecond,
}

// mostOpen is the maximum number of requests of an ordeal that wait for a response.
const mostOpen = 500

// visit is a request of a good client and its outcome.
type visit struct {
	kind   string
	at     time.Time
	took   time.Duration
	status int // 0: no answer
	hit    bool
	why    string // of what is no 2xx
}

// String returns a visit as a test reports it.
func (v visit) String() string {
	return fmt.Sprintf("%s: status %d after %v, %s", v.kind, v.status, v.took.Round(time.Millisecond), v.why)
}

func (v visit) good() bool { return v.status >= 200 && v.status < 300 }

// counts reports whether statistics count it.
func (v visit) counts() bool { return v.kind != aMint && v.kind != aQuery }

// allows reports whether a client may see this outcome during the fault.
func (r *ordeal) allows(v visit) bool {
	if v.good() {
		return true
	}
	return slices.Contains(map[string][]int{aNewToken: r.newcomers, aMint: r.mints, aQuery: r.statistics}[v.kind], v.status) ||
		v.counts() && v.kind != aNewToken && slices.Contains(r.known, v.status)
}

// patrons are the good clients of an ordeal. Each kind of request is sent at a steady rate.
type patrons struct {
	ordeal *ordeal
	known  caller // with a token that the gateway knows
	none   caller // without one
	stop   chan struct{}
	began  time.Time
	all    sync.WaitGroup

	mu     sync.Mutex
	open   int     // guarded by mu: requests that wait for an answer
	visits []visit // guarded by mu: those that are over
}

func newPatrons(r *ordeal) *patrons {
	r.Helper()
	none := caller{t: r, base: r.gateway.url, client: fresh(nil)} // so that net/http repeats no request
	known := none
	known.token = r.gateway.mint("app-one", "")
	return &patrons{ordeal: r, known: known, none: none}
}

// come has the clients send requests until leave is called.
func (p *patrons) come() {
	p.stop, p.began = make(chan struct{}), time.Now()
	for kind, pause := range pauses {
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

// leave stops the sending, and returns when all requests have ended.
func (p *patrons) leave() {
	close(p.stop)
	p.all.Wait()
}

// send sends a request of this kind without waiting for its response.
func (p *patrons) send(kind string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == mostOpen {
		return
	}
	p.open++
	p.all.Go(func() {
		v := visit{kind: kind, at: time.Now()}
		a, err := p.ask(kind)
		v.took = time.Since(v.at)
		if err != nil {
			v.why = err.Error()
		} else if v.status, v.hit = a.status, hit(a); !v.good() {
			v.why = a.body
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.open--
		p.visits = append(p.visits, v)
	})
}

func (p *patrons) ask(kind string) (*answer, error) {
	const form = "Content-Type: application/x-www-form-urlencoded"
	switch kind {
	case aFreshRead:
		return p.known.try(http.MethodGet, keyOne, "", "Cache-Control: no-cache")
	case aWrite:
		return p.known.try(http.MethodPut, demoKeys+"/of-the-ordeal", stringValue("of-the-ordeal", "x"), "Content-Type: application/json")
	case aNewToken:
		newcomer := p.none
		token, err := p.ordeal.stack.emulator.token("app-two")
		if err != nil {
			return nil, err
		}
		p.ordeal.stack.conceal(token)
		newcomer.token = token
		return p.patiently(newcomer, http.MethodGet, keyOne, "")
	case aMint:
		return p.patiently(p.none, http.MethodPost, "/accounts/oauth2/token", "client_id=app-two&client_secret=secret-two&grant_type=client_credentials", form)
	case aQuery:
		const turn = time.Second // a reading that waited so long for its turn
		a, err := p.known.try(http.MethodGet, "/api/v1/organizations/org-root"+today("1hour"), "")
		if *faultsFlag == 0 && err == nil && a.status == http.StatusServiceUnavailable && a.took > turn {
			return p.known.try(http.MethodGet, "/api/v1/organizations/org-root"+today("1hour"), "")
		}
		return a, err
	}
	return p.known.try(http.MethodGet, keyOne, "")
}

// patiently is persist in an ordinary run of the tests, where this machine may stand still.
func (p *patrons) patiently(c caller, method, path, body string, headers ...string) (*answer, error) {
	if *faultsFlag > 0 {
		return c.try(method, path, body, headers...)
	}
	return c.persist(method, path, body, headers...)
}

// token mints a token at osemu itself. It may be called from any goroutine.
func (e *emulator) token(app string) (string, error) {
	form := "client_id=" + app + "&client_secret=secret-two&grant_type=client_credentials"
	a, err := caller{t: e.t, base: e.url}.try(http.MethodPost, "/us/accounts/oauth2/token", form, "Content-Type: application/x-www-form-urlencoded")
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

// calms waits for a period in which all requests were answered with 2xx, at least one
// of each kind, and returns the beginning of the period, which is not before from.
func (p *patrons) calms(from time.Time) (since time.Time) {
	p.ordeal.Helper()
	lasting := min(time.Second, length()/2)
	eventually(p.ordeal, "clients that see nothing but 2xx", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		since = from
		for _, v := range p.visits {
			if !v.good() && !v.at.Before(since) {
				since = v.at.Add(time.Nanosecond)
			}
		}
		served := map[string]bool{}
		for _, v := range p.visits {
			served[v.kind] = served[v.kind] || !v.at.Before(since)
		}
		for kind := range pauses {
			if !served[kind] {
				return false
			}
		}
		return time.Since(since) >= lasting
	})
	return since
}

// hitSince returns the time of the first hit whose request was sent after an instant.
func (p *patrons) hitSince(t time.Time) (at time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.visits, func(v visit) bool { return v.hit && v.at.After(t) })
	if i < 0 {
		return t, false
	}
	return p.visits[i].at.Add(p.visits[i].took), true
}

// refusedSince reports whether a client has received a response other than 2xx since an
// instant.
func (p *patrons) refusedSince(t time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.visits, func(v visit) bool { return !v.good() && v.at.After(t) })
}

// lastRefusal returns the time from an instant to the sending of the last request with
// a response other than 2xx.
func lastRefusal(visits []visit, since time.Time) (after time.Duration) {
	for _, v := range visits {
		if !v.good() {
			after = max(after, v.at.Sub(since))
		}
	}
	return after
}

// phases returns the requests that ended before the fault began, those that were sent
// after its end, and the rest.
func (p *patrons) phases(calm, began, ended time.Time) (before, during, after []visit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range p.visits {
		switch {
		case v.at.Add(v.took).Before(began):
			if !v.at.Before(calm) {
				before = append(before, v)
			}
		case v.at.After(ended):
			after = append(after, v)
		default:
			during = append(during, v)
		}
	}
	return before, during, after
}

// served returns the number of operations that were answered with 2xx, and the number
// of those that the gateway may have answered so.
func (p *patrons) served() (good, unsettled int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range p.visits {
		if v.counts() && v.good() {
			good++
		}
		if v.counts() && v.status == 0 {
			unsettled++
		}
	}
	return good, unsettled
}
