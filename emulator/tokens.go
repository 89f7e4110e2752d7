package emulator

import (
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"
)

const (
	accessLife  = time.Hour           // expires_in 3600 in every sample
	refreshLife = 90 * 24 * time.Hour // page "Connected apps for developers"
	maxTokens   = 100_000             // then the oldest ones are removed
)

// grant is the client or user, and the plane, of a token.
type grant struct {
	Plane   string    `json:"plane"`
	Client  string    `json:"client,omitempty"`
	User    string    `json:"user,omitempty"`
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
}

// digest identifies a token; the token itself is not stored.
type digest [sha256.Size]byte

func digestOf(token string) digest { return sha256.Sum256([]byte(token)) }

// tokens are the tokens of one lifetime. It is safe for concurrent use.
type tokens struct {
	life   time.Duration
	bucket string // on disk

	mu   sync.Mutex // guards held and line
	held map[digest]*grant
	line []digest // in the order of expiry
}

func newTokens(life time.Duration, bucket string) *tokens {
	return &tokens{life: life, bucket: bucket, held: map[digest]*grant{}}
}

// add makes a token valid from now on, and returns the tokens that it removed for it.
func (t *tokens) add(d digest, g *grant, now time.Time) (gone []digest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g.Issued, g.Expires = now, now.Add(t.life)
	t.held[d] = g
	t.line = append(t.line, d)
	for len(t.line) > 0 {
		first := t.held[t.line[0]]
		if first != nil && now.Before(first.Expires) && len(t.line) <= maxTokens {
			break
		}
		delete(t.held, t.line[0])
		gone = append(gone, t.line[0])
		t.line = t.line[1:]
	}
	return gone
}

// get returns the grant of a token, or nil if the token is invalid.
func (t *tokens) get(d digest, now time.Time) *grant {
	t.mu.Lock()
	defer t.mu.Unlock()
	if g := t.held[d]; g != nil && now.Before(g.Expires) {
		return g
	}
	return nil
}

// revoke makes a token invalid.
func (t *tokens) revoke(d digest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.held, d)
}

// issue mints a token.
func (e *Emulator) issue(kind *tokens, g grant) string {
	token := e.ids.uuid()
	d := digestOf(token)
	gone := kind.add(d, &g, e.clock.now())
	changes := []change{{bucket: kind.bucket, key: d.String(), value: record(g)}}
	for _, old := range gone {
		changes = append(changes, change{bucket: kind.bucket, key: old.String()})
	}
	_ = e.disk.write(changes...) // the next change of data reports the failure
	return token
}

// forget revokes a token.
func (e *Emulator) forget(kind *tokens, d digest) {
	kind.revoke(d)
	_ = e.disk.write(change{bucket: kind.bucket, key: d.String()})
}

// String returns the digest as a name on disk.
func (d digest) String() string { return base64.RawURLEncoding.EncodeToString(d[:]) }
