package policy

import (
	"encoding/json"
	"math"
	"mime"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"osgate/objectstore"
)

// Head holds the facts about a body that rules can read.
type Head struct {
	ValueType  string // "STRING", "NUMBER" or "BINARY"; empty: the body has no type or cannot be judged
	TTLSeconds int64  // -1: none; [math.MaxInt64]: the body cannot be judged
	Repeated   bool   // the top-level object contains a member twice: JSON parsers differ in which one they use
}

// numberOperation is the media type of a POST that calculates. It is the only media
// type that the vendor documents for POST (Object Store v2 REST APIs).
const numberOperation = "application/vnd.objectstore.v1.numberoperation+json"

// maxMembers is the largest number of members of the top-level object that a [Judge]
// accepts. A value has six (Object Store v2 REST APIs).
const maxMembers = 64

// Judge reads a body while it streams and derives the facts that rules can read. It
// parses the top-level JSON object to its end in bounded memory: it holds the names of
// at most 64 members, each at most 256 bytes long, and one scalar value.
//
// For a write of a key it derives the type from "valueType", or from the presence of
// stringValue, numberValue or binaryValue ("Object Store v2 REST APIs": each type has
// its own value member). A POST with the media type of a number operation is NUMBER.
// For a write of a store it derives the TTL from defaultTtlSeconds, or from
// defaultTtlMillis of older API descriptions.
//
// A body cannot be judged if two JSON parsers could read it differently:
//   - it is not exactly one JSON object in UTF-8, or exceeds a bound;
//   - a member occurs twice, in plain or escaped spelling;
//   - a name differs from a known name only in case;
//   - members contradict each other, or valueType or the TTL has an invalid value;
//   - a patch sets the TTL to null, which may mean "remove it" (RFC 7396);
//   - it has a Content-Encoding, or a Content-Type other than JSON in UTF-8.
//
// Create a Judge with [NewJudge]. It is not safe for concurrent use.
type Judge struct {
	kind        objectstore.Kind
	form        form
	scan        scanner
	nonEmpty    bool // the body is not empty
	unjudgeable bool // the body cannot be judged
	repeated    bool
	names       []string // of members, in the order of the text

	declared, implied string // the type in valueType, and the type that the value member implies; empty: none
	ttl               int64
	ttlSet            bool // a member set ttl
}

// Judges reports whether a [Judge] derives facts from the body of an operation.
func Judges(kind objectstore.Kind) bool { return isValue(kind) || isDefinition(kind) }

// isValue reports whether the body is a key's value.
func isValue(kind objectstore.Kind) bool {
	return kind == objectstore.PutKey || kind == objectstore.PostKey
}

// isDefinition reports whether the body defines a store.
func isDefinition(kind objectstore.Kind) bool {
	return kind == objectstore.PutStore || kind == objectstore.PatchStore
}

// NewJudge returns a Judge for the body of an operation with these headers. An empty
// contentType means JSON. The caller joins several lines of a header with ", " (RFC
// 9110 section 5.3).
func NewJudge(kind objectstore.Kind, contentType, contentEncoding string) *Judge {
	j := &Judge{kind: kind, form: formOf(kind, contentType), ttl: -1}
	if contentEncoding != "" {
		j.form = formOther
	}
	j.unjudgeable = j.form == formOther
	j.scan.named, j.scan.valued = j.name, j.value
	return j
}

// form is the format of a body according to its headers.
type form uint8

const (
	formJSON form = iota
	formNumberOperation
	formOther
)

// formOf returns the form that a Content-Type declares.
func formOf(kind objectstore.Kind, contentType string) form {
	if contentType == "" {
		return formJSON
	}
	media, parameters, err := mime.ParseMediaType(contentType)
	charset, named := parameters["charset"]
	switch {
	case err != nil, named && !strings.EqualFold(charset, "utf-8"):
		return formOther
	case media == numberOperation && kind == objectstore.PostKey:
		return formNumberOperation
	case media == numberOperation, media != "application/json" && !strings.HasSuffix(media, "+json"):
		// RFC 6839 section 3.1.
		return formOther
	}
	return formJSON
}

// Write implements [io.Writer]. It reads p as the next piece of the body and never
// fails.
func (j *Judge) Write(p []byte) (int, error) {
	j.nonEmpty = j.nonEmpty || len(p) > 0
	if j.form != formOther {
		j.scan.feed(p)
	}
	return len(p), nil
}

// Head returns the facts about the bytes written so far. Set whole when they are the
// complete body; until then later bytes may change the facts.
func (j *Judge) Head(whole bool) Head {
	h := Head{TTLSeconds: -1, Repeated: j.repeated}
	unsure := j.unjudgeable || j.repeated || j.scan.state == broken || whole && j.scan.state != atEnd
	switch {
	case isValue(j.kind) && !unsure:
		h.ValueType = j.valueType()
	case isValue(j.kind) && !j.nonEmpty && j.form == formNumberOperation:
		h.ValueType = "NUMBER"
	case isDefinition(j.kind) && (unsure && j.nonEmpty || !whole || j.form == formOther):
		h.TTLSeconds = math.MaxInt64
	case isDefinition(j.kind):
		h.TTLSeconds = j.ttl
	}
	return h
}

// valueType returns the one type that valueType, the value member and the media type
// declare; empty: none, or they differ.
func (j *Judge) valueType() string {
	types := []string{j.declared, j.implied}
	if j.form == formNumberOperation {
		types = append(types, "NUMBER")
	}
	agreed := ""
	for _, t := range types {
		switch {
		case t == "":
		case agreed == "":
			agreed = t
		case agreed != t:
			return ""
		}
	}
	return agreed
}

// typeOfMember maps a value member to its type.
var typeOfMember = map[string]string{"stringValue": "STRING", "numberValue": "NUMBER", "binaryValue": "BINARY"}

// The names of the members that a Judge interprets.
var (
	valueNames      = []string{"valueType", "stringValue", "numberValue", "binaryValue"}
	definitionNames = []string{"defaultTtlSeconds", "defaultTtlMillis"}
)

// name takes the JSON string of a member's name; nil: the name is too long.
func (j *Judge) name(token []byte) {
	var name string
	if token == nil || json.Unmarshal(token, &name) != nil || len(j.names) == maxMembers ||
		strings.ContainsFunc(name, ambiguous) {
		j.unjudgeable = true
		return
	}
	j.repeated = j.repeated || slices.Contains(j.names, name)
	j.names = append(j.names, name)
	known := valueNames
	if isDefinition(j.kind) {
		known = definitionNames
	}
	// Some JSON parsers match names without regard to case.
	j.unjudgeable = j.unjudgeable || !slices.Contains(known, name) &&
		slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, name) })
	if t := typeOfMember[name]; t != "" && isValue(j.kind) {
		j.unjudgeable = j.unjudgeable || j.implied != "" && j.implied != t
		j.implied = t
	}
}

// ambiguous reports whether JSON parsers could differ on a name that contains r: an
// unpaired surrogate (decoded as U+FFFD) or a control character, such as NUL, which
// ends a string in C.
func ambiguous(r rune) bool { return r == unicode.ReplacementChar || unicode.IsControl(r) }

// value takes the JSON text of the current member's value; nil: it is an object, an
// array or too long.
func (j *Judge) value(token []byte) {
	if len(j.names) == 0 || j.unjudgeable {
		return
	}
	switch name := j.names[len(j.names)-1]; {
	case name == "valueType" && isValue(j.kind):
		var text string
		if token == nil || json.Unmarshal(token, &text) != nil ||
			!slices.Contains([]string{"STRING", "NUMBER", "BINARY"}, text) {
			j.unjudgeable = true // numbers too, which some parsers use as an index into the list of types
		}
		j.declared = text
	case slices.Contains(definitionNames, name) && isDefinition(j.kind):
		seconds := secondsOf(name, token)
		if j.ttlSet && seconds != j.ttl || seconds < 0 && j.kind == objectstore.PatchStore {
			j.unjudgeable = true
		}
		j.ttl, j.ttlSet = seconds, true
	}
}

// secondsOf returns the TTL in seconds that a member of a store's definition sets: -1
// for null, the largest int64 for an invalid value. Fractions are rounded up, but a TTL
// of less than one second is 0, because a parser that truncates reads 0.
func secondsOf(name string, token []byte) int64 {
	scale := 1.0
	if name == "defaultTtlMillis" {
		scale = 1000
	}
	text := string(token)
	if text == "null" {
		return -1
	}
	if strings.HasPrefix(text, `"`) && json.Unmarshal(token, &text) != nil {
		return math.MaxInt64
	}
	number, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	seconds := math.Ceil(number / scale)
	switch {
	case err != nil, math.IsNaN(seconds), seconds >= math.MaxInt64:
		return math.MaxInt64
	case number < scale:
		return 0
	}
	return int64(seconds)
}
