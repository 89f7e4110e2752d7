package auth_test

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"osgate/auth"
)

// place is a shared place in memory whose clock differs by years from the gateways'.
type organizationKey struct {
	mu                sync.Mutex // guards the fields below
	kept              map[[32]byte]sharedEntry
	gets, puts, drops int
	down              bool
	slow              time.Duration
}

type sharedEntry struct {
	text    []byte
	lookups time.Time // by the place's clock
	ends    time.Time
}

func newPlace() *organizationKey { return &organizationKey{kept: map[[32]byte]sharedEntry{}} }

func (p *organizationKey) clock() time.Time { return time.Now().AddDate(-7, 0, 0) }

func (p *organizationKey) Get(_ context.Context, hash [32]byte) auth.Found {
	pass(p.slow)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gets++
	if p.down {
		return auth.Found{}
	}
	found := auth.Found{Clock: p.clock()}
	if e, ok := p.kept[hash]; ok && found.Clock.Before(e.ends) {
		found.Age = found.Clock.Sub(e.lookups)
		_ = json.Unmarshal(e.text, &found.Principal)
	}
	return found
}

func (p *organizationKey) Put(_ context.Context, hash [32]byte, id *auth.Principal, lookups time.Time, lifetime time.Duration) {
	pass(p.slow)
	p.mu.Lock()
	defer p.mu.Unlock()
	text, _ := json.Marshal(id)
	p.puts++
	if !p.down {
		p.kept[hash] = sharedEntry{text, lookups, lookups.Add(lifetime)}
	}
}

func (p *organizationKey) Drop(_ context.Context, hash [32]byte) {
	pass(p.slow)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drops++
	if !p.down {
		delete(p.kept, hash)
	}
}
