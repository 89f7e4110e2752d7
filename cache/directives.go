package cache

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
			cut := cutItem
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

// cutItem splits a comma-separated list after its first item. Commas in quoted strings
// do not count.
func cutItem(list string) (item, rest string) {
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

// demands are the requirements of a client's header (RFC 9111 section 5.2.1). The zero
// value has none.
type demands struct {
	noStore      bool
	noCache      bool
	onlyIfCached bool
	hasMaxAge    bool
	hasMaxStale  bool
	maxAge       time.Duration
	minFresh     time.Duration
	maxStale     time.Duration // how long an answer may be stale
}

// demandsOf parses the request header. A directive whose argument cannot be parsed is
// as strict as possible.
func demandsOf(h http.Header) (d demands) {
	lines := h["Cache-Control"]
	if len(lines) == 0 { // RFC 9111 section 5.4: Pragma counts only without Cache-Control
		for name := range directives(h["Pragma"]) {
			d.noCache = d.noCache || name == "no-cache"
		}
		return d
	}
	for name, argument := range directives(lines) {
		switch name {
		case "no-store":
			d.noStore = true
		case "no-cache":
			d.noCache = true
		case "only-if-cached":
			d.onlyIfCached = true
		case "max-age":
			age, _ := deltaSeconds(argument)
			if !d.hasMaxAge || age < d.maxAge {
				d.maxAge = age
			}
			d.hasMaxAge = true
		case "min-fresh":
			fresh, ok := deltaSeconds(argument)
			if !ok {
				fresh = maxDelta * time.Second
			}
			d.minFresh = max(d.minFresh, fresh)
		case "max-stale": // without a number: any time
			stale, ok := deltaSeconds(argument)
			if !ok && argument == "" {
				stale = maxDelta * time.Second
			}
			if !d.hasMaxStale || stale < d.maxStale {
				d.maxStale = stale
			}
			d.hasMaxStale = true
		}
	}
	return d
}

// accepts reports whether the client accepts an entry of this age that is fresh for the
// time left. max-age=0 forces a request to upstream even if the clock shows an age of
// 0.
func (d *demands) accepts(age, left time.Duration) bool {
	if d.hasMaxAge && (age > d.maxAge || d.maxAge == 0) {
		return false
	}
	return left >= d.minFresh
}
