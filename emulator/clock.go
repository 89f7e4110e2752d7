package emulator

import (
	"errors"
	"sync/atomic"
	"time"
)

// maxAdvance is the most time that the clock may be ahead of the machine's.
const maxAdvance = 50 * 365 * 24 * time.Hour

var errAdvance = errors.New("the clock goes forward only, and at most 50 years ahead")

// clock is the machine's clock, moved forward by Advance. It decides when entries,
// tokens and confirmations expire, and in which bucket a request is counted.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())).UTC() }

// Advance moves the emulator's clock forward: entries, tokens and confirmations whose
// time ends by then have expired.
func (e *Emulator) Advance(d time.Duration) error {
	ahead, err := e.clock.advance(d)
	if err != nil {
		return err
	}
	return e.disk.write(change{bucket: metaBucket, key: "clock", value: record(int64(ahead))})
}

// advance moves the clock by d and returns how far ahead it is now.
func (c *clock) advance(d time.Duration) (time.Duration, error) {
	for {
		old := c.ahead.Load()
		if d < 0 || d > maxAdvance || time.Duration(old)+d > maxAdvance {
			return 0, errAdvance
		}
		if c.ahead.CompareAndSwap(old, old+int64(d)) {
			return time.Duration(old) + d, nil
		}
	}
}
