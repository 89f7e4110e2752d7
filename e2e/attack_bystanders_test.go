package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// bystanderPause is how long a good client waits between two rounds.
	bystanderPause = 100 * time.Millisecond

	// newcomerPause is how long passes between two tokens that the gateway sees for the
	// first time.
	newcomerPause = 500 * time.Millisecond
)

// bystanders are the good clients: they read and write with valid tokens, over
// connections that they keep and over new ones.
type bystanders struct {
	clients      []caller // with tokens that the gateway knows
	newcomer     caller   // without a token
	emulator     *emulator
	veteransOnly bool
	admin        caller
}

// newBystanders mints a token, and uses it once over each connection that is kept.
func newBystanders(a *assault) *bystanders {
	a.Helper()
	kept := func(http2 bool) caller { return a.bystander(http2, false) }
	b := &bystanders{
		clients: []caller{kept(false), a.bystander(false, true)}, newcomer: a.bystander(false, true),
		emulator: a.stack.emulator, veteransOnly: a.veteransOnly, admin: caller{t: a.T, base: a.gateway.admin, client: fresh(nil)},
	}
	if a.tls {
		b.clients = append(b.clients, kept(true))
	}
	token := a.token("app-one")
	for i := range b.clients {
		b.clients[i].token = token
		b.clients[i].get(keyOne).is(http.StatusOK)
	}
	return b
}

// bystander returns a client of the gateway that has no token.
func (a *assault) bystander(http2, eachAnew bool) caller {
	c := a.gateway.caller()
	if c.client = fresh(a.roots); !eachAnew {
		transport := &http.Transport{ForceAttemptHTTP2: http2, TLSClientConfig: &tls.Config{RootCAs: a.roots}}
		a.Cleanup(transport.CloseIdleConnections)
		c.client = plainClient(transport)
	}
	return c
}

// fresh returns a client that opens a connection for each request.
func fresh(roots *x509.CertPool) *http.Client {
	return plainClient(&http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots}})
}

// token gets a token of a connected app from osemu itself, so that the gateway sees it
// for the first time when it is used.
func (a *assault) token(app string) string {
	a.Helper()
	token := a.stack.emulator.mintAt(a.T, app, "us")
	a.stack.conceal(token)
	return token
}

// view records the responses that good clients received. It is safe for concurrent use.
type view struct {
	mu       sync.Mutex
	byStatus map[int]int     // guarded by mu
	failures []string        // guarded by mu: requests without an answer, answers that are wrong
	lost     int             // guarded by mu: requests without an answer
	took     []time.Duration // guarded by mu; of each answer
	rounds   []int           // guarded by mu; of each loop of requests, those that are over
}

func (v *view) add(what string, a *answer, err error) *answer {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case err != nil:
		v.lost++
		v.failures = append(v.failures, fmt.Sprintf("%s: %v", what, err))
		return nil
	case a.status < 200 || a.status > 299:
		v.failures = append(v.failures, fmt.Sprintf("%s: %d %s", what, a.status, a.body))
	}
	v.byStatus[a.status]++
	v.took = append(v.took, a.took)
	return a
}

// fail notes an answer that is wrong in spite of its status.
func (v *view) fail(what string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.failures = append(v.failures, what)
}

// onlySuccesses fails the test unless there were answers, and all of them were good.
func (v *view) onlySuccesses(t *testing.T, when string) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.failures) > 0 {
		t.Errorf("%s, good clients were not served %d times, first: %s", when, len(v.failures), v.failures[0])
	}
	if len(v.took) == 0 {
		t.Errorf("%s, no good client got an answer", when)
	}
}

// progress returns how many rounds each loop of requests has been through.
func (v *view) progress() []int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.rounds)
}

// awaitProgress waits until each loop has been through two more rounds than before. A
// loop that has not within patience is noted as a failure. It returns early when the
// gateway has ended.
func (v *view) awaitProgress(before []int, ended <-chan struct{}) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	latest := time.After(patience)
	for {
		now := v.progress()
		for i := range now {
			now[i] -= before[i]
		}
		standing := slices.IndexFunc(now, func(n int) bool { return n < 2 })
		if standing < 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ended:
			return
		case <-latest:
			v.fail(fmt.Sprintf("client %d stood still for %v", standing, patience))
			return
		}
	}
}

// watch has the good clients send requests while run runs, and returns their view.
func (b *bystanders) watch(a *assault, run func(*view)) *view {
	v := &view{byStatus: map[int]int{}}
	rounds := []func(n int){func(int) { b.probe(v) }}
	if !b.veteransOnly {
		rounds = append(rounds, func(int) { b.arrive(v) })
	}
	rare := len(rounds)
	for i, c := range b.clients {
		rounds = append(rounds, func(n int) { c.work(v, fmt.Sprintf("of-client-%d", i), n) })
	}
	v.rounds = make([]int, len(rounds))
	stop := make(chan struct{})
	var all sync.WaitGroup
	for i, round := range rounds {
		pause := bystanderPause
		if i < rare {
			pause = newcomerPause
		}
		all.Go(func() { v.loop(i, pause, round, stop, a.gateway.ended) })
	}
	run(v)
	close(stop)
	all.Wait()
	return v
}

// loop is the i-th loop of requests: a round and a pause in turn, until it is stopped or
// the gateway has ended.
func (v *view) loop(i int, pause time.Duration, round func(n int), stop, ended <-chan struct{}) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for n := 0; ; n++ {
		round(n)
		v.mu.Lock()
		v.rounds[i]++
		v.mu.Unlock()
		select {
		case <-tick.C:
		case <-stop:
			return
		case <-ended:
			return
		}
	}
}

// probe requests /livez, as Kubernetes does.
func (b *bystanders) probe(v *view) {
	alive, err := b.admin.persist(http.MethodGet, "/livez", "")
	if err != nil || alive.status != http.StatusOK {
		v.fail(fmt.Sprintf("/livez of the operator: %v, %+v", err, alive))
	}
}

// work reads a cached key, writes a key of its own, and reads the value back.
func (c caller) work(v *view, key string, n int) {
	a, err := c.persist(http.MethodGet, keyOne, "")
	v.add("reading", a, err)
	if n%2 > 0 {
		return
	}
	value := fmt.Sprint("value-", n)
	a, err = c.persist(http.MethodPut, demoKeys+"/"+key, stringValue(key, value), "Content-Type: application/json")
	if a = v.add("writing", a, err); a == nil || a.status > 299 {
		return
	}
	a, err = c.persist(http.MethodGet, demoKeys+"/"+key, "")
	if a = v.add("reading back", a, err); a != nil && a.status == http.StatusOK && !strings.Contains(a.body, `"`+value+`"`) {
		v.fail(fmt.Sprintf("read %s, wrote %s", a.body, value))
	}
}

// stalled is a time within which a client on a machine that runs has sent its request. The
// gateway closes a connection on which a request's head takes 10 s.
const stalled = 5 * time.Second

// persist is try for a client that repeats a request which got no answer or 503, once,
// where this machine stood still for longer than a client may, or than the gateway waits
// for the control plane: the tests run many attacks at a time. What an attack brings about
// is refused at once.
func (c caller) persist(method, path, body string, headers ...string) (*answer, error) {
	sent := time.Now()
	a, err := c.try(method, path, body, headers...)
	if time.Since(sent) > stalled && (err != nil || a.status == http.StatusServiceUnavailable) {
		return c.try(method, path, body, headers...)
	}
	return a, err
}

// arrive uses a token that the gateway has not seen before.
func (b *bystanders) arrive(v *view) {
	c := b.newcomer
	minted, err := caller{t: c.t, base: b.emulator.url}.try(http.MethodPost, "/us/accounts/oauth2/token",
		"client_id=app-two&client_secret=secret-two&grant_type=client_credentials", "Content-Type: application/x-www-form-urlencoded")
	if err != nil || minted.status != http.StatusOK {
		v.fail(fmt.Sprintf("minting at osemu: %v, %+v", err, minted))
		return
	}
	var token struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(minted.body), &token); err != nil {
		v.fail(fmt.Sprintf("minting at osemu: %v", err))
		return
	}
	c.token = token.Access
	a, err := c.persist(http.MethodGet, keyOne, "")
	v.add("reading with a new token", a, err)
}
