package stats

import (
	"encoding/binary"
	"time"
)

// scopeKey returns the key of a scope. It never contains the byte 0.
func scopeKey(s Scope) []byte { return []byte(s.root() + s.path()) }

// nameKey returns the key of a scope below an organization, ordered by the scope around
// it.
func nameKey(s Scope) []byte {
	around, name, _ := s.parent()
	return append(append(scopeKey(around), 0), name...)
}

// chunkKey returns the beginning of the keys of all counts in one chunk of time; the
// scope follows. The keys are ordered by period and time, so that a write touches few
// pages and pruning starts at the oldest.
func chunkKey(p Period, start time.Time) []byte {
	return appendTime([]byte{boltPeriods[p]}, start)
}

// appendTime appends t so that bytes compare in the order of time, also before 1970.
func appendTime(b []byte, t time.Time) []byte {
	const sign = 1 << 63
	return binary.BigEndian.AppendUint64(b, uint64(t.Unix())^sign)
}

func formatTime(t time.Time) []byte { return appendTime(nil, t) }

// parseTime is the inverse of formatTime. It returns 1970 for invalid bytes.
func parseTime(b []byte) time.Time {
	const sign = 1 << 63
	if len(b) != 8 {
		return time.Unix(0, 0)
	}
	return time.Unix(int64(binary.BigEndian.Uint64(b)^sign), 0)
}

func formatApplied(sequence uint64, process string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, sequence), process...)
}

func parseApplied(value []byte) (sequence uint64, process string) {
	if len(value) < 8 {
		return 0, ""
	}
	return binary.BigEndian.Uint64(value), string(value[8:])
}

// formatHorizon returns the form of a horizon in meta.
func formatHorizon(h horizon) []byte { return appendTime(formatTime(h.at), h.leap) }

// parseHorizon is the inverse of formatHorizon. It returns a zero horizon for invalid
// bytes.
func parseHorizon(value []byte) horizon {
	if len(value) != 16 {
		return horizon{}
	}
	return horizon{at: parseTime(value[:8]).UTC(), leap: parseTime(value[8:]).UTC()}
}
