package cache

import (
	"net/http"
	"strings"
	"time"

	"osgate/objectstore"
)

// maxNotFound is how long the absence of a key is believed: a 404 is cheap to ask again, and keys appear by writers beyond the gateway.
const maxNotFound = 2 * time.Second

// verdict is what an answer's header says about storing it. Refused is why it must not be stored, as a token for Cache-Status; empty:
// it may be, and then lifetime is positive.
type verdict struct {
	refused  string
	lifetime time.Duration // from the answer's origination, so that age counts against it
	age      time.Duration // the Age it came with
}

// judge reads upstream's header. The lifetime is limit, or less where upstream says less (RFC 9111 section 4.2.1: s-maxage before max-age before
// Expires); upstream never makes it longer than the operator did. Shared says that the entry will be served to more than one principal.
func judge(o *objectstore.Operation, status int, h http.Header, limit time.Duration, shared bool) verdict {
	if !storable(o, status) {
		return verdict{refused: "status"}
	}
	if status == http.StatusNotFound {
		limit = min(limit, maxNotFound)
	}
	if refused := refusedContent(h); refused != "" {
		return verdict{refused: refused}
	}
	said := saysOf(h)
	switch {
	case said.noStore:
		return verdict{refused: "no-store"}
	case said.noCache: // storable, but to be asked about each time, and upstream has no documented validator to ask by
		return verdict{refused: "no-cache"}
	case said.private && shared:
		return verdict{refused: "private"}
	case said.hasLifetime:
		limit = min(limit, said.lifetime)
	}
	age := ageOf(h)
	if limit <= age {
		return verdict{refused: "expired"}
	}
	return verdict{lifetime: limit, age: age}
}

// storable reports whether the status is one that is kept for the operation: a complete 200; of HEAD, which OSv2 answers with 204, that
// too; of a key, its absence.
func storable(o *objectstore.Operation, status int) bool {
	switch status {
	case http.StatusOK:
		return true
	case http.StatusNoContent:
		return o.Kind == objectstore.HeadKey
	case http.StatusNotFound:
		return o.CacheKind() == objectstore.CacheKey
	}
	return false
}

// refusedContent refuses answers that are right for some requests with the same key only: Vary on more than what the key holds, a
// content coding (nobody asked for one: Accept-Encoding does not go upstream, so Vary on it is harmless), a part of a whole.
func refusedContent(h http.Header) string {
	for _, line := range h["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "", "accept", "accept-encoding":
			default:
				return "vary"
			}
		}
	}
	if coding := h.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return "content-encoding"
	}
	if h.Get("Content-Range") != "" {
		return "partial"
	}
	return ""
}

// says is what upstream's header says of its freshness.
type says struct {
	noStore, noCache, private bool
	hasLifetime               bool
	lifetime                  time.Duration
}

func saysOf(h http.Header) (s says) {
	var maxAge, sharedAge lifetime
	for name, argument := range directives(h["Cache-Control"]) {
		switch name {
		case "no-store":
			s.noStore = true
		case "no-cache": // the qualified form too: RFC 9111 section 5.2.2.4 allows to treat it so
			s.noCache = true
		case "private":
			s.private = true
		case "max-age":
			maxAge.add(argument)
		case "s-maxage":
			sharedAge.add(argument)
		}
	}
	switch {
	case sharedAge.said:
		s.hasLifetime, s.lifetime = true, sharedAge.d
	case maxAge.said:
		s.hasLifetime, s.lifetime = true, maxAge.d
	case len(h["Expires"]) > 0:
		s.hasLifetime, s.lifetime = true, expiresIn(h)
	}
	return s
}

// lifetime is a directive that may come twice: the least counts, and what cannot be read is 0 (RFC 9111 section 4.2.1).
type lifetime struct {
	said bool
	d    time.Duration
}

func (l *lifetime) add(argument string) {
	d, _ := deltaSeconds(argument)
	if !l.said || d < l.d {
		l.d = d
	}
	l.said = true
}

// expiresIn is Expires less Date (negative: expired), 0 where either cannot be read: an invalid Expires is in the past (RFC 9111 section 5.3), and without
// upstream's clock ours says nothing.
func expiresIn(h http.Header) time.Duration {
	expires, err := http.ParseTime(h.Get("Expires"))
	if err != nil {
		return 0
	}
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0
	}
	return expires.Sub(date)
}

// ageOf is the Age that upstream sent, 0 where it cannot be read. Date is not compared with our clock (RFC 9111 section 4.2.3 allows to leave
// the apparent age out where no HTTP/1.0 hop is on the way): a clock that is off must not turn the cache off.
func ageOf(h http.Header) time.Duration {
	d, _ := deltaSeconds(strings.TrimSpace(h.Get("Age")))
	return d
}
