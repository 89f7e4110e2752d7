package objectstore

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// base is where the API begins on every regional host ("Object Store v2 REST APIs", access URL).
const base = "/api/v1"

// maxSegments is how many path segments after "/api/v1" are read. No operation has half
// as many. Without a bound a target of 60 KiB cost 10 ms, before any token was asked for.
const maxSegments = 32

// ErrNotObjectStore is returned by [Parse] for a method and path that are no operation of Object Store or of its Stats API.
var ErrNotObjectStore = errors.New("not an Object Store v2 or Stats API operation")

// PathError is a path that is refused because two parsers could read it in two ways. It holds no more of the path than the segment's
// place, so that it can be shown and logged.
type PathError struct {
	Segment int    // counted from 1, after "/api/v1" where the path begins so
	Reason  string // what is wrong with it, to follow "path segment N "
}

// Error returns a sentence for the client.
func (e *PathError) Error() string { return fmt.Sprintf("path segment %d %s", e.Segment, e.Reason) }

// QueryError is a query that is refused. It names the parameter where one is to blame.
type QueryError struct {
	Parameter string // empty: the query as a whole
	Reason    string // what is wrong with it and what would be right
}

// Error returns a sentence for the client.
func (e *QueryError) Error() string {
	if e.Parameter == "" {
		return "query " + e.Reason
	}
	return fmt.Sprintf("query parameter %s %s", e.Parameter, e.Reason)
}

// Parse reads a request: its method, the path exactly as it came in the request target (still escaped, without a gateway's own prefix)
// and the raw query. A doubled "/api/v1" is accepted, since base URLs are configured with it and without,
// and with a "/" behind it.
//
// Errors: *[PathError] where there are more than 32 segments, or a segment is empty, is not valid UTF-8, holds a control byte or "|", or holds
// "." or ".." between "/" and "\" (decoded once or twice, path parameters cut); *[QueryError] for a malformed query; [ErrNotObjectStore] for all else.
func Parse(method, path, rawQuery string) (Operation, error) {
	rest, ok := strings.CutPrefix(path, base+"/")
	if !ok {
		return Operation{}, ErrNotObjectStore
	}
	if again, doubled := strings.CutPrefix("/"+strings.TrimLeft(rest, "/"), base+"/"); doubled {
		rest = again
	}
	raw := strings.SplitN(rest, "/", maxSegments+1)
	if len(raw) > maxSegments {
		return Operation{}, &PathError{Segment: maxSegments + 1, Reason: "is one too many"}
	}
	decoded := make([]string, len(raw))
	for i, s := range raw {
		text, reason := decodeSegment(s)
		if reason != "" {
			return Operation{}, &PathError{Segment: i + 1, Reason: reason}
		}
		decoded[i] = text
	}
	for i, t := range templates {
		k := t.kind(method)
		if k == 0 || !t.match(raw) {
			continue
		}
		o := Operation{Kind: k, path: base + "/" + rest, tmpl: i}
		for n, s := range t.segments {
			if !s.literal {
				o.Ref.set(s.text, decoded[n])
			}
		}
		return o, o.query(rawQuery)
	}
	return Operation{}, ErrNotObjectStore
}

// decodeSegment decodes one raw segment once. A reason to refuse it is returned as text.
func decodeSegment(raw string) (decoded, reason string) {
	if strings.ContainsFunc(raw, forbiddenRaw) {
		return "", "holds a space, a control byte or '#'; percent-encode it"
	}
	decoded, err := url.PathUnescape(raw)
	switch {
	case err != nil:
		return "", "holds a malformed percent-encoding"
	case decoded == "" || strings.HasPrefix(raw, ";"): // some servers cut ";…" off and would see an empty segment
		return "", "is empty"
	case !utf8.ValidString(decoded):
		return "", "is not valid UTF-8"
	case strings.ContainsFunc(decoded, control):
		return "", "holds a control byte"
	case strings.Contains(decoded, "|"):
		return "", "holds '|', which Object Store does not allow"
	case dotted(decoded) || dotted(unescapeAgain(decoded)):
		return "", "holds '.' or '..' as a path element"
	}
	return decoded, ""
}

// forbiddenRaw are the characters that no request target may hold unescaped (RFC 9112 section 3.2): a space would end the target on
// the way upstream, and servers disagree on "#". A "%" is looked at in decoding; other characters pass as they are.
func forbiddenRaw(r rune) bool { return r <= ' ' || r == 0x7f || r == '#' }

func control(r rune) bool { return r < ' ' || r == 0x7f }

// dotted reports whether s, split at both slashes, has an element that a normalizing server would resolve. Path parameters are cut off
// first, because Java servers resolve "..;x" (CVE-2026-73551 is one of many).
func dotted(s string) bool {
	for element := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '/' || r == '\\' }) {
		element, _, _ = strings.Cut(element, ";")
		if element == "." || element == ".." {
			return true
		}
	}
	return false
}

// unescapeAgain decodes s once more, leaving alone what is no percent-encoding: for a server that decodes twice.
func unescapeAgain(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := url.PathUnescape(s[i : i+3]); err == nil {
				b.WriteString(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func unescapeQuery(s string) (string, error) {
	text, err := url.QueryUnescape(s)
	if err != nil {
		return "", &QueryError{Reason: "holds a malformed percent-encoding"}
	}
	return text, nil
}
