package emulator

import (
	cryptorand "crypto/rand"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
)

// dice is a source of random numbers that a seed makes repeatable.
type dice struct {
	mu  sync.Mutex // guards rng
	rng *rand.ChaCha8
}

// newDice returns dice for a purpose: two purposes of one seed do not affect each
// other. A seed of zero is a random one.
func newDice(seed int64, purpose string) *dice {
	var key [32]byte
	if seed == 0 {
		_, _ = cryptorand.Read(key[:]) // never fails
	} else {
		binary.LittleEndian.PutUint64(key[:], uint64(seed))
		copy(key[8:], purpose)
	}
	return &dice{rng: rand.NewChaCha8(key)}
}

// float returns a number in [0, 1).
func (d *dice) float() float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return float64(d.rng.Uint64()>>11) / (1 << 53)
}

// uuid returns a random (version 4) UUID, the form of every published token.
func (d *dice) uuid() string {
	var b [16]byte
	d.mu.Lock()
	_, _ = d.rng.Read(b[:]) // never fails
	d.mu.Unlock()
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// bytes returns n random bytes.
func (d *dice) bytes(n int) []byte {
	b := make([]byte, n)
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _ = d.rng.Read(b) // never fails
	return b
}
