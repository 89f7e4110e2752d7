package httpcache

import (
	"slices"
	"sync/atomic"
)

// Budget is a number of bytes that may be in use at once. It is safe for concurrent
// use.
type Budget struct {
	Limit int64
	used  atomic.Int64
}

// Take takes n bytes if so many are left, and reports whether it did.
func (b *Budget) Take(n int64) bool {
	if b.used.Add(n) > b.Limit {
		b.used.Add(-n)
		return false
	}
	return true
}

// Give gives n bytes back.
func (b *Budget) Give(n int64) { b.used.Add(-n) }

// Used returns the number of bytes in use.
func (b *Budget) Used() int64 { return b.used.Load() }

// Intake keeps a copy of a body while it streams to the client. It is for one goroutine
// at a time.
type Intake struct {
	Max    int64   // the largest body that is kept, in bytes
	Budget *Budget // of all bodies that are being received

	length   int64 // the announced length; -1: not known
	body     []byte
	reserved int64 // bytes taken from the budget
}

// Expect takes the announced length of the body, -1 if it is not known, and reports
// whether there is room for it.
func (i *Intake) Expect(length int64) bool {
	i.length = length
	return i.reserve(max(length, 0))
}

// reserve raises the share of the budget to n bytes, and reports whether that is within
// Max and the budget.
func (i *Intake) reserve(n int64) bool {
	if n <= i.reserved {
		return true
	}
	if n > i.Max || !i.Budget.Take(n-i.reserved) {
		return false
	}
	i.reserved = n
	return true
}

// Append copies p, and reports whether there was room for it.
func (i *Intake) Append(p []byte) bool {
	if need := len(i.body) + len(p); need > cap(i.body) && !i.grow(need) {
		return false
	}
	i.body = append(i.body, p...)
	return true
}

// firstBytes is the initial capacity for a body of unknown length.
const firstBytes = 4 << 10

// grow makes room for need bytes, and reports whether so many are allowed. The new
// capacity is the announced length, otherwise twice the old one.
func (i *Intake) grow(need int) bool {
	size := int(i.length)
	if size < need {
		size = max(need, min(max(2*cap(i.body), firstBytes), int(i.Max)))
	}
	if !i.reserve(int64(size)) {
		return false
	}
	body := make([]byte, len(i.body), size)
	copy(body, i.body)
	i.body = body
	return true
}

// Bytes returns the bytes that have been kept so far. They are shared and must not be
// changed.
func (i *Intake) Bytes() []byte { return slices.Clip(i.body) }

// Whole reports whether the body has its announced length.
func (i *Intake) Whole() bool { return i.length < 0 || int64(len(i.body)) == i.length }

// Body returns the body without spare capacity: an entry is charged for its length.
func (i *Intake) Body() []byte {
	if cap(i.body) > len(i.body)+len(i.body)/8 {
		return slices.Clone(i.body)
	}
	return i.body
}

// Drop forgets the body and gives its share of the budget back.
func (i *Intake) Drop() {
	i.body = nil
	i.Budget.Give(i.reserved)
	i.reserved = 0
}
