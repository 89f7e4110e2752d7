package httpcache

import (
	"iter"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// directives yields the Cache-Control directives of a header's lines with lower-case
// names and unquoted arguments (RFC 9111 section 5.2). A directive that cannot be
// parsed is skipped up to the next comma outside quotes.
func directives(lines []string) iter.Seq2[string, string] {
	return func(yield func(name, argument string) bool) {
		for _, line := range lines {
			cut := CutItem
			if !closed(line) {
				cut = cutComma
			}
			for line != "" {
				var item string
				item, line = cut(line)
				name, argument, _ := strings.Cut(item, "=")
				name = strings.ToLower(strings.TrimSpace(name))
				if name != "" && !yield(name, unquote(strings.TrimSpace(argument))) {
					return
				}
			}
		}
	}
}

// closed reports whether every quoted string of a list ends. If one does not, quotes
// have no meaning in the list, so that an open quote cannot hide a directive.
func closed(list string) bool {
	quoted := false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		}
	}
	return !quoted
}

func cutComma(list string) (item, rest string) {
	item, rest, _ = strings.Cut(list, ",")
	return item, rest
}

// CutItem splits a comma-separated list after its first item. Commas in quoted strings
// do not count.
func CutItem(list string) (item, rest string) {
	quoted := false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			return list[:i], list[i+1:]
		}
	}
	return list, ""
}

func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return strings.ReplaceAll(s[1:len(s)-1], `\`, "")
	}
	return s
}

// maxDelta is the largest number of seconds that the cache distinguishes (RFC 9111
// section 1.2.2 requires at least 2^31).
const maxDelta = math.MaxInt32

// deltaSeconds parses a number of seconds; a number that is too large counts as the
// largest. Ok is false if s is anything other than a number.
func deltaSeconds(s string) (d time.Duration, ok bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > maxDelta {
		n = maxDelta
	}
	return time.Duration(n) * time.Second, true
}

// Demands are the requirements of a client's header (RFC 9111 section 5.2.1). The zero
// value has none.
type Demands struct {
	NoStore      bool
	NoCache      bool
	OnlyIfCached bool
	HasMaxAge    bool
	HasMaxStale  bool
	MaxAge       time.Duration
	MinFresh     time.Duration
	MaxStale     time.Duration // how long an answer may be stale
}

// DemandsOf parses the request header. A directive whose argument cannot be parsed is
// as strict as possible.
func DemandsOf(h http.Header) (d Demands) {
	lines := h["Cache-Control"]
	if len(lines) == 0 { // RFC 9111 section 5.4: Pragma counts only without Cache-Control
		for name := range directives(h["Pragma"]) {
			d.NoCache = d.NoCache || name == "no-cache"
		}
		return d
	}
	for name, argument := range directives(lines) {
		switch name {
		case "no-store":
			d.NoStore = true
		case "no-cache":
			d.NoCache = true
		case "only-if-cached":
			d.OnlyIfCached = true
		case "max-age":
			age, _ := deltaSeconds(argument)
			if !d.HasMaxAge || age < d.MaxAge {
				d.MaxAge = age
			}
			d.HasMaxAge = true
		case "min-fresh":
			fresh, ok := deltaSeconds(argument)
			if !ok {
				fresh = maxDelta * time.Second
			}
			d.MinFresh = max(d.MinFresh, fresh)
		case "max-stale": // without a number: any time
			stale, ok := deltaSeconds(argument)
			if !ok && argument == "" {
				stale = maxDelta * time.Second
			}
			if !d.HasMaxStale || stale < d.MaxStale {
				d.MaxStale = stale
			}
			d.HasMaxStale = true
		}
	}
	return d
}

// Accepts reports whether the client accepts an entry of this age that is fresh for the
// time left. max-age=0 forces a request to upstream even if the clock shows an age of
// 0.
func (d *Demands) Accepts(age, left time.Duration) bool {
	if d.HasMaxAge && (age > d.MaxAge || d.MaxAge == 0) {
		return false
	}
	return left >= d.MinFresh
}

// AcceptsStale reports whether the client accepts an entry of this age that has been
// stale for this time. A max-age without max-stale means fresh answers (RFC 9111
// section 5.2.1.1).
func (d *Demands) AcceptsStale(age, stale time.Duration) bool {
	switch {
	case d.NoCache || d.MinFresh > 0:
		return false
	case d.HasMaxStale && stale > d.MaxStale:
		return false
	case d.HasMaxAge:
		return d.HasMaxStale && age <= d.MaxAge
	}
	return true
}
