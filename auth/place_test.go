package auth_test

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"osgate/auth"
)

// place is a shared place in memory whose clock is years away from the gateways'.
type place struct {
	mu                sync.Mutex // guards what follows
	kept              map[[32]byte]sharedEntry
	gets, puts, drops int
	down              bool
	slow              time.Duration
}

type sharedEntry struct {
	text  []byte
	asked time.Time // by the place's clock
	ends  time.Time
}

func newPlace() *place { return &place{kept: map[[32]byte]sharedEntry{}} }

func (p *place) clock() time.Time { return time.Now().AddDate(-7, 0, 0) }

func (p *place) Get(_ context.Context, hash [32]byte) auth.Found {
	pass(p.slow)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gets++
	if p.down {
		return auth.Found{}
	}
	found := auth.Found{Clock: p.clock()}
	if e, ok := p.kept[hash]; ok && found.Clock.Before(e.ends) {
		found.Age = found.Clock.Sub(e.asked)
		_ = json.Unmarshal(e.text, &found.Principal)
	}
	return found
}

func (p *place) Put(_ context.Context, hash [32]byte, who *auth.Principal, asked time.Time, lifetime time.Duration) {
	pass(p.slow)
	p.mu.Lock()
	defer p.mu.Unlock()
	text, _ := json.Marshal(who)
	p.puts++
	if !p.down {
		p.kept[hash] = sharedEntry{text, asked, asked.Add(lifetime)}
	}
}

func (p *place) Drop(_ context.Context, hash [32]byte) {
	pass(p.slow)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drops++
	if !p.down {
		delete(p.kept, hash)
	}
}
