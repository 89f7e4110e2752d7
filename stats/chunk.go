package stats

import (
	"encoding/binary"
	"time"
)

// Stores keep the buckets of a scope in chunks: the hours of a day, the days of a
// month, the months of a year. A query reads two or three chunks for any time frame,
// and a name is stored once for all buckets of a chunk.

// maxChunk is the maximum number of buckets in a chunk: the days of a month.
const maxChunk = 31

// chunk returns the beginning of the chunk that contains the bucket beginning at start,
// and the index of the bucket in it, from 0.
func (p Period) chunk(start time.Time) (chunk time.Time, index int) {
	start = start.UTC()
	switch p {
	case Hour:
		return Day.Start(start), start.Hour()
	case Day:
		return Month.Start(start), start.Day() - 1
	default:
		return time.Date(start.Year(), time.January, 1, 0, 0, 0, 0, time.UTC), int(start.Month()) - 1
	}
}

// packed is a chunk as [Bolt] stores it: the number of measures, and for each bucket
// with counts its index and the counts as varints. So its size depends on the counts,
// and a file from before a measure was added stays readable.
type packed []byte

// pack encodes a chunk.
func pack(chunk *[maxChunk]Counts) packed {
	b := packed{byte(measures)}
	for i, c := range chunk {
		if c == (Counts{}) {
			continue
		}
		b = append(b, byte(i))
		for _, n := range c {
			b = binary.AppendUvarint(b, n)
		}
	}
	return b
}

// unpack decodes a chunk; an empty one is all zero. If ok is false, b is damaged and
// chunk holds the buckets before the damage.
func (b packed) unpack() (chunk [maxChunk]Counts, ok bool) {
	if len(b) == 0 {
		return chunk, true
	}
	width, rest := int(b[0]), b[1:]
	if width == 0 || width > int(measures) {
		return chunk, false
	}
	for len(rest) > 0 {
		at := int(rest[0])
		if at >= len(chunk) {
			return chunk, false
		}
		if rest, ok = chunk[at].unpack(rest[1:], width); !ok { //nolint:gosec // at is within, see above
			return chunk, false
		}
	}
	return chunk, true
}

// unpack reads the first width counts from b and returns the remaining bytes.
func (c *Counts) unpack(b []byte, width int) (rest []byte, ok bool) {
	for m := range c[:width] {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return nil, false
		}
		c[m], b = n, b[size:]
	}
	return b, true
}
