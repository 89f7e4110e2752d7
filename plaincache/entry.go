package plaincache

import (
	"net/http"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"

	"osgate/cache/coherence"
	"osgate/cache/httpcache"
)

// Entry is a stored answer. It is immutable, shared by all requests that it answers,
// and safe for concurrent use.
type Entry struct {
	httpcache.Response

	stamp   coherence.Stamp // the generation, read before the fetch
	control httpcache.Control
	varies  []string      // the request fields by which it was selected
	values  []string      // the values of these fields, in their normal form
	kept    time.Duration // after this time from RequestedAt the entry is dropped
}

// address contains the stored answers of one address. It is immutable.
type address struct {
	variants []*Entry      // the newest first
	kept     time.Duration // after this time from its newest answer it is dropped
}

const (
	maxVariants = 32        // of one address; beyond: the oldest is dropped
	keptStale   = time.Hour // how long a stale answer is kept, for validation and for clients that accept stale answers

	// entryOverhead is the memory of an entry, and of an address, apart from bodies and
	// headers.
	entryOverhead = 1024
)

// weight returns the size of the variants of an address.
func (a *address) weight() uint32 {
	n := entryOverhead
	for _, v := range a.variants {
		n += v.Bytes() + entryOverhead
		for i := range v.varies {
			n += len(v.varies[i]) + len(v.values[i]) + 2*16
		}
	}
	return uint32(n)
}

// selects reports whether the entry matches a request with this header (RFC 9111
// section 4.1).
func (e *Entry) selects(header http.Header) bool {
	for i, name := range e.varies {
		if e.values[i] != normalized(header[name]) {
			return false
		}
	}
	return true
}

// normalized returns a field's value in a form that is equal for all spellings of a
// list: lines joined, no space around commas.
func normalized(lines []string) string {
	if lines == nil {
		return "\x00" // no value contains it: a missing field differs from an empty one
	}
	var parts []string
	for _, line := range lines {
		for line != "" {
			var part string
			part, line = httpcache.CutItem(line)
			parts = append(parts, strings.TrimSpace(part))
		}
	}
	return strings.Join(parts, ",")
}

// newEntry makes the entry of a complete answer to f.
func (f *Fetch) newEntry(status int, header http.Header, body []byte, v *httpcache.Verdict) *Entry {
	e := &Entry{stamp: f.stamp, control: v.Control}
	e.Response = httpcache.Response{
		Status: status, Header: header, Body: body, RequestedAt: f.requestedAt, InitialAge: v.Age, Lifetime: v.Lifetime,
	}
	e.varies, _ = httpcache.VariesBy(header)
	for _, name := range e.varies {
		e.values = append(e.values, normalized(f.question.Header[name]))
	}
	e.kept = max(0, v.Lifetime-v.Age) + max(keptStale, v.Control.IfError.Length, v.Control.WhileRevalidate.Length)
	if len(header["Date"]) == 0 { // RFC 9110 section 6.6.1
		header["Date"] = []string{f.requestedAt.UTC().Format(http.TimeFormat)}
	}
	return e
}

// put stores e, with the variants that it does not replace and that are not out of
// date.
func (f *Fetch) put(e *Entry) {
	f.cache.entries.Compute(f.key, func(old *address, found bool) (*address, otter.ComputeOp) {
		held := &address{variants: []*Entry{e}, kept: e.kept}
		if !found {
			return held, otter.WriteOp
		}
		for _, o := range old.variants {
			left := o.kept - e.RequestedAt.Sub(o.RequestedAt)
			switch selected := o.selects(f.question.Header); {
			case o.stamp != e.stamp || left <= 0 || len(held.variants) >= maxVariants:
			case selected && o.RequestedAt.After(e.RequestedAt): // the fetch that began later has the newer state
				return old, otter.CancelOp
			case !selected:
				held.variants = append(held.variants, o)
				held.kept = max(held.kept, left)
			}
		}
		return held, otter.WriteOp
	})
}

// staleFor returns how long e has been stale at now, and whether it may be served to
// clients that accept stale answers: upstream has not forbidden it.
func (e *Entry) staleFor(now time.Time) (stale time.Duration, allowed bool) {
	return -e.Left(now), !e.control.NeverStale()
}
