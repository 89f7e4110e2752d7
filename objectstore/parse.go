package objectstore

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// base is the beginning of the API's paths on every regional host ("Object Store v2
// REST APIs", access URL).
const base = "/api/v1"

// maxSegments is the largest number of path segments after "/api/v1" that are read. No
// operation has half as many. Without a limit, a target of 60 KiB took 10 ms, before
// its token was checked.
const maxSegments = 32

// ErrNotObjectStore is returned by [Parse] for a method and path that are no operation
// of Object Store or of its Stats API.
var ErrNotObjectStore = errors.New("not an Object Store v2 or Stats API operation")

// PathError is a path that is refused because two parsers could read it differently. It
// contains only the number of the segment, so that it can be shown and logged.
type PathError struct {
	Segment int    // counted from 1, after "/api/v1" if the path begins with that
	Reason  string // the problem, to follow "path segment N "
}

// Error returns a sentence for the client.
func (e *PathError) Error() string { return fmt.Sprintf("path segment %d %s", e.Segment, e.Reason) }

// QueryError is a query that is refused. It names the parameter if one is wrong.
type QueryError struct {
	Parameter string // empty: the query as a whole
	Reason    string // the problem and how to solve it
}

// Error returns a sentence for the client.
func (e *QueryError) Error() string {
	if e.Parameter == "" {
		return "query " + e.Reason
	}
	return fmt.Sprintf("query parameter %s %s", e.Parameter, e.Reason)
}

// Parse reads a request: its method, the path exactly as it is in the request target
// (escaped, without a gateway's own prefix) and the raw query. A doubled "/api/v1" is
// accepted, since base URLs are configured with it and without, and with a "/" behind
// it.
//
// Errors: *[PathError] if there are more than 32 segments, or if a segment is empty, is
// not valid UTF-8, contains a control byte or "|", or contains "." or ".." between "/"
// and "\" (decoded once or twice, without path parameters); *[QueryError] for a
// malformed query; [ErrNotObjectStore] for any other request that is no operation.
func Parse(method, path, rawQuery string) (Operation, error) {
	rest, ok := strings.CutPrefix(path, base+"/")
	if !ok {
		return Operation{}, ErrNotObjectStore
	}
	if again, doubled := strings.CutPrefix(strings.TrimLeft(rest, "/"), base[1:]+"/"); doubled {
		rest = again
	}
	var rawRoom, decodedRoom [maxSegments]string // a path of an operation needs no other memory
	raw, ok := split(rawRoom[:0], rest)
	if !ok {
		return Operation{}, &PathError{Segment: maxSegments + 1, Reason: "is one too many"}
	}
	decoded := decodedRoom[:len(raw)]
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
		o := Operation{Kind: k, path: path[len(path)-len(rest)-len(base)-1:], tmpl: i}
		for n, s := range t.segments {
			if !s.literal {
				o.Ref.set(s.text, decoded[n])
			}
		}
		return o, o.query(rawQuery)
	}
	return Operation{}, ErrNotObjectStore
}

// split appends the segments of path to segments, up to its capacity. It reports whether
// that was enough.
func split(segments []string, path string) ([]string, bool) {
	for segment := range strings.SplitSeq(path, "/") {
		if len(segments) == cap(segments) {
			return segments, false
		}
		segments = append(segments, segment)
	}
	return segments, true
}

// decodeSegment decodes one raw segment once. If the segment is refused, it returns the
// reason as text.
func decodeSegment(raw string) (decoded, reason string) {
	if strings.ContainsFunc(raw, forbiddenRaw) {
		return "", "holds a space, a control byte or '#'; percent-encode it"
	}
	decoded, err := url.PathUnescape(raw)
	switch {
	case err != nil:
		return "", "holds a malformed percent-encoding"
	case decoded == "" || strings.HasPrefix(raw, ";"): // some servers remove ";…" and would find an empty segment
		return "", "is empty"
	case !utf8.ValidString(decoded):
		return "", "is not valid UTF-8"
	case strings.ContainsFunc(decoded, isControl):
		return "", "holds a control byte"
	case strings.Contains(decoded, "|"):
		return "", "holds '|', which Object Store does not allow"
	case hasDotSegment(decoded) || hasDotSegment(unescapeAgain(decoded)):
		return "", "holds '.' or '..' as a path element"
	}
	return decoded, ""
}

// forbiddenRaw reports whether r is a character that a request target must not contain
// unescaped (RFC 9112 section 3.2): a space would end the target on the way upstream,
// and servers treat "#" differently. A "%" is checked when the segment is decoded;
// other characters pass unchanged.
func forbiddenRaw(r rune) bool { return r <= ' ' || r == 0x7f || r == '#' }

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// hasDotSegment reports whether s, split at both slashes, has an element that a
// normalizing server would resolve. Path parameters are removed first, because Java
// servers resolve "..;x" (CVE-2026-73551 is one of many).
func hasDotSegment(s string) bool {
	for element := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '/' || r == '\\' }) {
		element, _, _ = strings.Cut(element, ";")
		if element == "." || element == ".." {
			return true
		}
	}
	return false
}

// unescapeAgain decodes s once more, as a server that decodes twice would. It leaves
// invalid percent-encodings unchanged.
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

// query reads the raw query into o. A ";" also separates parameters when confirmable is
// searched, and makes the query unknown, since parsers treat it differently
// (golang.org/issue/25192).
func (o *Operation) query(raw string) error {
	if at := strings.IndexFunc(raw, forbiddenRaw); at >= 0 {
		return &QueryError{Reason: "holds a space, a control byte or '#'; percent-encode it"}
	}
	o.rawQuery = raw
	o.knownQuery = !strings.Contains(raw, ";")
	if raw == "" {
		return nil
	}
	known := strings.Fields(table[o.Kind].params)
	for pair := range strings.FieldsFuncSeq(raw, func(r rune) bool { return r == '&' || r == ';' }) {
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := unescapeQuery(rawName)
		if err != nil {
			return err
		}
		value, err := unescapeQuery(rawValue)
		if err != nil {
			return err
		}
		if folded := strings.ToLower(strings.TrimSpace(name)); strings.HasPrefix(folded, confirmable) {
			o.Confirmable = o.Confirmable || folded != confirmable || !strings.EqualFold(value, "false")
		}
		at := slices.Index(known, name)
		if at < 0 {
			o.knownQuery = false
			continue
		}
		known = slices.Delete(known, at, at+1)
	}
	return nil
}

// confirmable is the parameter that makes an operation wait for its acknowledgment.
const confirmable = "confirmable"

func unescapeQuery(s string) (string, error) {
	text, err := url.QueryUnescape(s)
	if err != nil {
		return "", &QueryError{Reason: "holds a malformed percent-encoding"}
	}
	return text, nil
}

// template is a path of the API with the kinds of operations that it has, by method.
type template struct {
	route    string
	segments []segment
	kinds    []Kind
}

type segment struct {
	text    string // the literal text, or the name of the value
	literal bool
}

const (
	organization = "/organizations/{organizationId}"
	environment  = organization + "/environments/{environmentId}"
	partitions   = environment + "/stores/{storeId}/partitions"
	keys         = partitions + "/{partitionId}/keys"
	statsRegions = environment + "/regions"
)

// templates are the paths of the vendor's two API descriptions. No path matches two of
// them: the Object Store API and the Stats API differ in the segment after the
// environment.
var templates = []template{
	parseTemplate(keys+"/{keyId}", GetKey, HeadKey, PutKey, PostKey, DeleteKey),
	parseTemplate(keys, ListKeys, DeleteKeys),
	parseTemplate(keys+"/{keyId}/confirmations/{confirmationId}", Ack, Extend, Nack),
	parseTemplate(partitions+"/{partitionId}", HeadPartition, ListValues, DeletePartition),
	parseTemplate(partitions, ListPartitions, DeletePartitions),
	parseTemplate(environment+"/stores/{storeId}", GetStore, PutStore, PatchStore, DeleteStore),
	parseTemplate(environment+"/stores", ListStores),
	parseTemplate(organization+"/regions", ListRegions),
	parseTemplate(organization, ReadStats),
	parseTemplate(organization+"/environments", ReadStats),
	parseTemplate(environment, ReadStats),
	parseTemplate(statsRegions, ReadStats),
	parseTemplate(statsRegions+"/{regionId}", ReadStats),
	parseTemplate(statsRegions+"/{regionId}/stores", ReadStats),
	parseTemplate(statsRegions+"/{regionId}/stores/{storeId}", ReadStats),
}

func parseTemplate(path string, kinds ...Kind) template {
	t := template{route: base + path, kinds: kinds}
	for s := range strings.SplitSeq(path[1:], "/") {
		name, isName := strings.CutPrefix(s, "{")
		t.segments = append(t.segments, segment{text: strings.TrimSuffix(name, "}"), literal: !isName})
	}
	return t
}

// match reports whether raw has the literal segments of t in their places. They are
// compared without decoding: "%6Beys" is not "keys", because a server that routes
// before it decodes would find another operation.
func (t template) match(raw []string) bool {
	if len(raw) != len(t.segments) {
		return false
	}
	for i, s := range t.segments {
		if s.literal && raw[i] != s.text {
			return false
		}
	}
	return true
}

// kind returns the kind of method at t, 0 if it has none.
func (t template) kind(method string) Kind {
	for _, k := range t.kinds {
		if table[k].method == method {
			return k
		}
	}
	return 0
}

// Ref names an object, or a level above it, by the decoded, canonical segments of its
// path. An empty field means that the operation is above that level. In Key a space is
// written "+", because Object Store stores it so ("spaces are converted to +", vendor
// FAQ) and both spellings name one key. Refs are comparable: equal Refs name the same
// thing in one region.
type Ref struct {
	Organization string
	Environment  string
	Region       string // only paths of the Stats API contain regions
	Store        string
	Partition    string
	Key          string
	Confirmation string // the id of a pending confirmation of Key
}

// CanonicalKey returns the one spelling under which Object Store stores a key: every
// space is a "+".
func CanonicalKey(key string) string { return strings.ReplaceAll(key, " ", "+") }

// set stores a decoded segment in the field for its name in the path template.
func (r *Ref) set(name, value string) {
	switch name {
	case "organizationId":
		r.Organization = value
	case "environmentId":
		r.Environment = value
	case "regionId":
		r.Region = value
	case "storeId":
		r.Store = value
	case "partitionId":
		r.Partition = value
	case "keyId":
		r.Key = CanonicalKey(value)
	case "confirmationId":
		r.Confirmation = value
	}
}
