package emulator

import (
	"sync"
	"time"
)

// ClientCounts are the numbers of a connected app since the start or the last Reset.
type ClientCounts struct {
	ID string `json:"id"`
	// Requests are those with a valid token of it, of any API and plane.
	Requests int64 `json:"requests"`
	// Mints are the tokens that the token endpoints issued to it, and RefusedMints the
	// token requests in its name that they refused.
	Mints        int64 `json:"mints"`
	RefusedMints int64 `json:"refusedMints"`
	// Tokens are the access tokens of it that are valid now.
	Tokens int `json:"tokens"`
}

// clientCounts counts by client. It is safe for concurrent use.
type clientCounts struct {
	mu sync.Mutex // guards of
	of map[string]*ClientCounts
}

func newClientCounts(clients []Client) *clientCounts {
	c := &clientCounts{of: map[string]*ClientCounts{}}
	for _, client := range clients {
		c.of[client.ID] = &ClientCounts{ID: client.ID}
	}
	return c
}

// change applies f to the counts of a client, if there is such a client.
func (c *clientCounts) change(id string, f func(*ClientCounts)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if counts, ok := c.of[id]; ok {
		f(counts)
	}
}

// ClientCounts returns the counts of all connected apps, in the order of the world.
func (e *Emulator) ClientCounts() []ClientCounts {
	valid := e.access.byClient(e.clock.now())
	list := []ClientCounts{}
	for _, client := range e.directory.world.Clients {
		e.clientCounts.change(client.ID, func(counts *ClientCounts) {
			now := *counts
			now.Tokens = valid[client.ID]
			list = append(list, now)
		})
	}
	return list
}

// SetSecret gives a connected app another secret. From now on the token endpoints
// refuse the old one; tokens that were minted with it stay valid. It reports whether
// there is such an app.
func (e *Emulator) SetSecret(id, secret string) (bool, error) {
	if !e.directory.setSecret(id, Secret(secret)) {
		return false, nil
	}
	return true, e.disk.write(change{bucket: secretBucket, key: id, value: record(secret)})
}

// RevokeTokens ends all access tokens of a connected app, as the deletion of its
// authorization does, and reports whether there is such an app. It can mint new ones.
func (e *Emulator) RevokeTokens(id string) bool {
	_, ok := e.directory.client(id)
	for _, d := range e.access.ofClient(id) {
		e.forget(e.access, d)
	}
	return ok
}

// byClient returns the number of valid tokens of each client.
func (t *tokens) byClient(now time.Time) map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := map[string]int{}
	for _, g := range t.held {
		if now.Before(g.Expires) {
			n[g.Client]++
		}
	}
	return n
}

// ofClient returns the tokens of a client.
func (t *tokens) ofClient(id string) []digest {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []digest
	for d, g := range t.held {
		if g.Client == id {
			all = append(all, d)
		}
	}
	return all
}
