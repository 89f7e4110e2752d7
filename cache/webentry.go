package cache

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"

	"osgate/cache/httpcache"
)

// webEntry contains the additional fields of an entry of a [Web]. The store holds one
// entry per address, without an answer of its own, which contains the variants.
type webEntry struct {
	control  httpcache.Control
	varies   []string      // the request fields by which it was selected
	values   []string      // the values of these fields, in their normal form
	kept     time.Duration // after this time from requestedAt the entry is dropped
	variants []*Entry      // the newest first
}

const (
	maxVariants = 32        // of one address; beyond: the oldest is dropped
	keptStale   = time.Hour // how long a stale answer is kept, for validation and for clients that accept stale answers
)

// selects reports whether the entry matches a request with this header (RFC 9111
// section 4.1).
func (e *webEntry) selects(header http.Header) bool {
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

// newVariant makes the entry of a complete answer to f.
func (f *Fetch) newVariant(status int, header http.Header, body []byte, v *httpcache.Verdict) *Entry {
	e := &Entry{stamp: f.stamp, on: f.on}
	e.Response = httpcache.Response{Status: status, Header: header, Body: body, RequestedAt: f.requestedAt, InitialAge: v.Age, Lifetime: v.Lifetime}
	e.web = &webEntry{control: v.Control}
	e.web.varies, _ = httpcache.VariesBy(header)
	for _, name := range e.web.varies {
		e.web.values = append(e.web.values, normalized(f.question.Header[name]))
	}
	e.web.kept = max(0, v.Lifetime-v.Age) + max(keptStale, v.Control.IfError.Length, v.Control.WhileRevalidate.Length)
	if len(header["Date"]) == 0 { // RFC 9110 section 6.6.1
		header["Date"] = []string{f.requestedAt.UTC().Format(http.TimeFormat)}
	}
	return e
}

// put stores e, with the variants that it does not replace and that are not out of
// date.
func (f *Fetch) put(e *Entry) {
	c := f.web.cache
	c.entries.Compute(f.key, func(old *Entry, found bool) (*Entry, otter.ComputeOp) {
		held := &Entry{stamp: e.stamp, on: e.on, web: &webEntry{variants: []*Entry{e}}}
		held.RequestedAt, held.Lifetime = e.RequestedAt, e.web.kept
		if !found {
			return held, otter.WriteOp
		}
		for _, o := range old.web.variants {
			left := o.web.kept - e.RequestedAt.Sub(o.RequestedAt)
			switch selected := o.web.selects(f.question.Header); {
			case o.stamp != e.stamp || left <= 0 || len(held.web.variants) >= maxVariants:
			case selected && o.RequestedAt.After(e.RequestedAt): // the fetch that began later has the newer state
				return old, otter.CancelOp
			case !selected:
				held.web.variants = append(held.web.variants, o)
				held.Lifetime = max(held.Lifetime, left)
			}
		}
		return held, otter.WriteOp
	})
	c.counts.fills.Add(1)
}

// staleFor returns how long e has been stale at now, and whether it may be served to
// clients that accept stale answers: upstream has not forbidden it.
func (e *Entry) staleFor(now time.Time) (stale time.Duration, allowed bool) {
	return -e.Left(now), !e.web.control.NeverStale()
}

// variantBytes is the size of the variants of an address.
func (e *Entry) variantBytes() (n int) {
	if e.web == nil {
		return 0
	}
	for _, v := range e.web.variants {
		n += int(v.weight())
	}
	for _, value := range slices.Concat(e.web.varies, e.web.values) {
		n += len(value) + 16
	}
	return n
}
