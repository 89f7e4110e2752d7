package cache

import (
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"time"

	"osgate/cache/httpcache"
)

// sharedVersion is the first byte of an encoded entry. An entry of another version is
// not read: during an upgrade of a deployment, old and new replicas do not share
// entries.
const sharedVersion = 1

// errEntry is the error for bytes that are no encoded entry.
var errEntry = errors.New("not an encoded entry")

// maxShortCount bounds the number of names in a header, and of values of a name.
const maxShortCount = 1 << 12

// encodeEntry encodes e. RequestedAt is the time of its request by the clock of the
// shared store. The stamp and the resources are not encoded, because they are part of
// the entry's name.
func encodeEntry(e *Entry, requestedAt time.Time) []byte {
	b := make([]byte, 0, 64+httpcache.HeaderBytes(e.Header)+len(e.Body))
	flags := byte(0)
	if e.Head {
		flags = 1
	}
	b = append(b, sharedVersion, flags)
	b = binary.BigEndian.AppendUint16(b, uint16(e.Status))
	for _, n := range []int64{
		requestedAt.UnixMicro(), int64(e.InitialAge), int64(e.Lifetime),
		int64(e.stale.whileRevalidate), int64(e.stale.ifError),
	} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.Header)))
	for name, values := range e.Header {
		b = appendValues(appendPart(b, name), values)
	}
	return append(b, e.Body...)
}

// decodeEntry decodes the bytes of encodeEntry. The entry's body is part of b.
// RequestedAt is by the clock of the shared store; the entry's own field is not set.
func decodeEntry(b []byte) (e *Entry, requestedAt time.Time, err error) {
	d := decoder{rest: b}
	if head := d.take(2); d.short || head[0] != sharedVersion || head[1] > 1 {
		return nil, time.Time{}, errEntry
	}
	e = &Entry{Response: httpcache.Response{Head: b[1] == 1, Status: int(d.uint16())}}
	requestedAt = time.UnixMicro(d.int64())
	e.InitialAge, e.Lifetime = time.Duration(d.int64()), time.Duration(d.int64())
	e.stale = staleness{time.Duration(d.int64()), time.Duration(d.int64())}
	e.Header = d.header()
	if d.short || !e.valid() {
		return nil, time.Time{}, errEntry
	}
	e.Body = slices.Clip(d.rest)
	return e, requestedAt, nil
}

// valid reports whether a decoded entry could have been stored.
func (e *Entry) valid() bool {
	return e.Status >= http.StatusOK && e.Status < 600 && e.InitialAge >= 0 && e.Lifetime > 0 && e.Lifetime <= MaxTTL &&
		e.stale.whileRevalidate >= 0 && e.stale.ifError >= 0
}

// decoder reads from the front of rest. If rest is too short, or a count too large, it
// sets short and returns zeros.
type decoder struct {
	rest  []byte
	short bool
}

// zeros is the result of a read beyond the end.
var zeros [8]byte

func (d *decoder) take(n int) []byte {
	if n > len(d.rest) {
		d.short, d.rest = true, nil
		return zeros[:min(n, len(zeros))]
	}
	taken := d.rest[:n]
	d.rest = d.rest[n:]
	return taken
}

func (d *decoder) uint16() uint16 { return binary.BigEndian.Uint16(d.take(2)) }

func (d *decoder) int64() int64 { return int64(binary.BigEndian.Uint64(d.take(8))) }

func (d *decoder) count() int {
	n := binary.BigEndian.Uint32(d.take(4))
	if n > maxShortCount {
		d.short = true
		return 0
	}
	return int(n)
}

func (d *decoder) text() string {
	n := int64(binary.BigEndian.Uint32(d.take(4)))
	if n > int64(len(d.rest)) {
		d.short, d.rest = true, nil
		return ""
	}
	return string(d.take(int(n)))
}

func (d *decoder) header() http.Header {
	h := make(http.Header)
	for range d.count() {
		name := d.text()
		values := []string{}
		for range d.count() {
			if values = append(values, d.text()); d.short {
				return nil
			}
		}
		if d.short {
			return nil
		}
		h[name] = values
	}
	return h
}
