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
	// roundPause is the pause of a good client between two rounds.
	roundPause = 100 * time.Millisecond

	// newTokenPause is the pause between two tokens that the gateway has not seen
	// before.
	newTokenPause = 500 * time.Millisecond
)

// legitimateClients are the good clients: they read and write with valid tokens, over
// kept connections and over new ones.
type legitimateClients struct {
	clients         []client // their tokens are known to the gateway
	tokenless       client   // without a token
	mint            func() (token string, err error)
	knownTokensOnly bool
	admin           client
}

// newLegitimateClients mints a token, and uses it once over each kept connection.
func newLegitimateClients(a *attackRun) *legitimateClients {
	a.Helper()
	kept := func(http2 bool) client { return a.newClient(http2, false) }
	b := &legitimateClients{
		clients: []client{kept(false), a.newClient(false, true)}, tokenless: a.newClient(false, true),
		mint: a.mint, knownTokensOnly: a.knownTokensOnly, admin: client{t: a.T, base: a.gateway.admin, httpClient: newHTTPClientWithoutKeepAlive(nil)},
	}
	if a.tls {
		b.clients = append(b.clients, kept(true))
	}
	token := a.unknownToken("app-one")
	for i := range b.clients {
		b.clients[i].token = token
		b.clients[i].get(keyOne).is(http.StatusOK)
	}
	return b
}

// newClient returns a client of the gateway that has no token.
func (a *attackRun) newClient(http2, eachAnew bool) client {
	c := a.gateway.client()
	if c.httpClient = newHTTPClientWithoutKeepAlive(a.roots); !eachAnew {
		transport := &http.Transport{ForceAttemptHTTP2: http2, TLSClientConfig: &tls.Config{RootCAs: a.roots}}
		a.Cleanup(transport.CloseIdleConnections)
		c.httpClient = newHTTPClient(transport)
	}
	return c
}

// newHTTPClientWithoutKeepAlive returns a client that opens a connection for each
// request.
func newHTTPClientWithoutKeepAlive(roots *x509.CertPool) *http.Client {
	return newHTTPClient(&http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots}})
}

// unknownToken requests a token of a client from osemu directly, or from the issuer of
// JWTs. The gateway sees the token for the first time when it is used.
func (a *attackRun) unknownToken(app string) string {
	a.Helper()
	var token string
	if a.brokering != nil {
		token = a.brokering.issuer.token(app)
	} else {
		token = a.stack.emulator.mintAt(a.T, app, "us")
	}
	a.stack.addSecret(token)
	return token
}

// observations records the responses that good clients received. It is safe for
// concurrent use.
type observations struct {
	mu        sync.Mutex
	byStatus  map[int]int     // guarded by mu
	failures  []string        // guarded by mu: requests without an answer, and wrong answers
	lost      int             // guarded by mu: requests without an answer
	latencies []time.Duration // guarded by mu: the latency of each answer
	rounds    []int           // guarded by mu: the finished rounds of each loop
}

func (v *observations) add(what string, a *answer, err error) *answer {
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
	v.latencies = append(v.latencies, a.took)
	return a
}

// addFailure records an answer that is wrong although its status is 2xx.
func (v *observations) addFailure(what string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.failures = append(v.failures, what)
}

// checkOnlySuccesses fails the test if there is no answer, or if an answer is not good.
func (v *observations) checkOnlySuccesses(t *testing.T, when string) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.failures) > 0 {
		t.Errorf("%s, good clients had %d failures, the first is: %s", when, len(v.failures), v.failures[0])
	}
	if len(v.latencies) == 0 {
		t.Errorf("%s, no good client received an answer", when)
	}
}

// progress returns how many rounds each loop of requests has finished.
func (v *observations) progress() []int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.rounds)
}

// awaitProgress waits until each loop has finished two more rounds. It records a
// failure for a loop that has not within patience. It returns early when the gateway
// has ended.
func (v *observations) awaitProgress(before []int, ended <-chan struct{}) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	latest := time.After(testTimeout)
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
			v.addFailure(fmt.Sprintf("client %d finished no round within %v", standing, testTimeout))
			return
		}
	}
}

// observe lets the good clients send requests while run runs, and returns their
// observations.
func (b *legitimateClients) observe(a *attackRun, run func(*observations)) *observations {
	v := &observations{byStatus: map[int]int{}}
	rounds := []func(n int){func(int) { b.probe(v) }}
	if !b.knownTokensOnly {
		rounds = append(rounds, func(int) { b.useNewToken(v) })
	}
	rare := len(rounds)
	for i, c := range b.clients {
		rounds = append(rounds, func(n int) { c.readAndWrite(v, fmt.Sprintf("of-client-%d", i), n) })
	}
	v.rounds = make([]int, len(rounds))
	stop := make(chan struct{})
	var all sync.WaitGroup
	for i, round := range rounds {
		pause := roundPause
		if i < rare {
			pause = newTokenPause
		}
		all.Go(func() { v.loop(i, pause, round, stop, a.gateway.ended) })
	}
	run(v)
	close(stop)
	all.Wait()
	return v
}

// loop is the i-th loop of requests: rounds with a pause between them, until it is
// stopped or the gateway has ended.
func (v *observations) loop(i int, pause time.Duration, round func(n int), stop, ended <-chan struct{}) {
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
func (b *legitimateClients) probe(v *observations) {
	alive, err := b.admin.tryAgainAfterStall(http.MethodGet, "/livez", "")
	if err != nil || alive.status != http.StatusOK {
		v.addFailure(fmt.Sprintf("the operator's /livez: %v, %+v", err, alive))
	}
}

// readAndWrite reads a cached key, writes a key of its own, and reads the written value
// back.
func (c client) readAndWrite(v *observations, key string, n int) {
	a, err := c.tryAgainAfterStall(http.MethodGet, keyOne, "")
	v.add("reading", a, err)
	if n%2 > 0 {
		return
	}
	value := fmt.Sprint("value-", n)
	a, err = c.tryAgainAfterStall(http.MethodPut, demoKeys+"/"+key, stringValue(key, value), "Content-Type: application/json")
	if a = v.add("writing", a, err); a == nil || a.status > 299 {
		return
	}
	a, err = c.tryAgainAfterStall(http.MethodGet, demoKeys+"/"+key, "")
	if a = v.add("reading back", a, err); a != nil && a.status == http.StatusOK && !strings.Contains(a.body, `"`+value+`"`) {
		v.addFailure(fmt.Sprintf("the value read is %s, want %s", a.body, value))
	}
}

// stallTime is the longest time that a client needs to send its request while the
// machine runs normally. The gateway closes a connection that has not sent a request's
// header within 10 s.
const stallTime = 5 * time.Second

// tryAgainAfterStall is try, but it repeats a request once if the request received no
// answer or 503 and this machine was stalled: longer than stallTime, or longer than the
// gateway waits for the control plane. The tests run many attacks at the same time. A
// refusal that an attack causes is immediate.
func (c client) tryAgainAfterStall(method, path, body string, headers ...string) (*answer, error) {
	sent := time.Now()
	a, err := c.try(method, path, body, headers...)
	if time.Since(sent) > stallTime && (err != nil || a.status == http.StatusServiceUnavailable) {
		return c.try(method, path, body, headers...)
	}
	return a, err
}

// useNewToken uses a token that the gateway has not seen before.
func (b *legitimateClients) useNewToken(v *observations) {
	token, err := b.mint()
	if err != nil {
		v.addFailure(fmt.Sprintf("minting a token: %v", err))
		return
	}
	c := b.tokenless
	c.token = token
	a, err := c.tryAgainAfterStall(http.MethodGet, keyOne, "")
	v.add("reading with a new token", a, err)
}

// mint returns a new token of app-two. It may be called from any goroutine.
func (a *attackRun) mint() (string, error) {
	if a.brokering != nil {
		return a.brokering.issuer.token("app-two"), nil
	}
	const form = "client_id=app-two&client_secret=secret-two&grant_type=client_credentials"
	minted, err := client{t: a.T, base: a.stack.emulator.url}.try(http.MethodPost, "/us/accounts/oauth2/token", form,
		"Content-Type: application/x-www-form-urlencoded")
	if err != nil {
		return "", err
	}
	var token struct {
		Access string `json:"access_token"`
	}
	if minted.status != http.StatusOK || json.Unmarshal([]byte(minted.body), &token) != nil {
		return "", fmt.Errorf("osemu answered %d %s", minted.status, minted.body)
	}
	return token.Access, nil
}
