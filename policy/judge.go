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

// Head is what rules can know of a body.
type Head struct {
	ValueType  string // "STRING", "NUMBER" or "BINARY"; empty where there is none, or it cannot be judged
	TTLSeconds int64  // -1: none; [math.MaxInt64] where it cannot be judged
	Repeated   bool   // a member of the top-level object stands there twice: readers differ on which of the two counts
}

// numberOperation is the media type of a POST that calculates (Object Store v2 REST APIs, the only one that the vendor's description gives POST).
const numberOperation = "application/vnd.objectstore.v1.numberoperation+json"

// maxMembers is how many members of the top-level object a [Judge] follows; a value has six (Object Store v2 REST APIs).
const maxMembers = 64

// Judge follows a body while it streams and says what rules can know of it. It follows the top-level JSON object to its end and keeps little: the names of
// its members, at most 64 of at most 256 bytes, and one of their scalar values.
//
// Of a key that is written it tells the type, from "valueType" or from which of stringValue, numberValue and binaryValue is there ("Object Store v2 REST
// APIs": one of them goes with each type). A POST whose media type is that of a number operation is NUMBER. Of a store that is written it tells
// defaultTtlSeconds, or what defaultTtlMillis of older descriptions comes to.
//
// What two readers may take for different things cannot be judged: what is not one JSON object in UTF-8 from the first byte to the last, or goes beyond the
// bounds; a member twice, also where one of the names is escaped; a name that differs from a known one in case alone; members that contradict each other; a
// valueType or a TTL that is none; a null TTL in a patch, which may stand for "as if it had never been said" (RFC 7396); a body that is encoded, or
// that its Content-Type calls something else than JSON in UTF-8.
//
// A Judge is made by [NewJudge] and is for one goroutine.
type Judge struct {
	kind     objectstore.Kind
	form     form
	scan     scanner
	begun    bool // a byte has come
	odd      bool // it cannot be judged
	repeated bool
	names    []string // of members, in the order in which they came

	said, seen string // types that valueType says, and that the name of a value's member says; empty: none
	ttl        int64
	told       bool // ttl was said
}

// Judges reports whether a [Judge] has anything to say of the body of an operation.
func Judges(kind objectstore.Kind) bool { return isValue(kind) || isDefinition(kind) }

// isValue reports whether the body is a key's value.
func isValue(kind objectstore.Kind) bool {
	return kind == objectstore.PutKey || kind == objectstore.PostKey
}

// isDefinition reports whether the body defines a store.
func isDefinition(kind objectstore.Kind) bool {
	return kind == objectstore.PutStore || kind == objectstore.PatchStore
}

// NewJudge returns a Judge of the body of an operation with these headers; empty: there is none, and the body is JSON. Several lines of a header are
// joined as RFC 9110 section 5.3 has it.
func NewJudge(kind objectstore.Kind, contentType, contentEncoding string) *Judge {
	j := &Judge{kind: kind, form: formOf(kind, contentType), ttl: -1}
	if contentEncoding != "" {
		j.form = formOther
	}
	j.odd = j.form == formOther
	j.scan.named, j.scan.valued = j.name, j.value
	return j
}

// form is what the headers say that a body is.
type form uint8

const (
	formJSON form = iota
	formNumberOperation
	formOther
)

// formOf reads Content-Type.
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
	case media == numberOperation, media != "application/json" && !strings.HasSuffix(media, "+json"): // RFC 6839 section 3.1
		return formOther
	}
	return formJSON
}

// Write follows p, which comes after what was written before. It never fails.
func (j *Judge) Write(p []byte) (int, error) {
	j.begun = j.begun || len(p) > 0
	if j.form != formOther {
		j.scan.feed(p)
	}
	return len(p), nil
}

// Head returns what was written so far tells; whole says that it is all of the body. What comes later may contradict what is told before.
func (j *Judge) Head(whole bool) Head {
	h := Head{TTLSeconds: -1, Repeated: j.repeated}
	unsure := j.odd || j.repeated || j.scan.state == broken || whole && j.scan.state != atEnd
	switch {
	case isValue(j.kind) && !unsure:
		h.ValueType = j.valueType()
	case isValue(j.kind) && !j.begun && j.form == formNumberOperation:
		h.ValueType = "NUMBER"
	case isDefinition(j.kind) && (unsure && j.begun || !whole || j.form == formOther):
		h.TTLSeconds = math.MaxInt64
	case isDefinition(j.kind):
		h.TTLSeconds = j.ttl
	}
	return h
}

// valueType returns the type that all agree on that say one.
func (j *Judge) valueType() string {
	types := []string{j.said, j.seen}
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

// typeOfMember are the types by the member that holds their values.
var typeOfMember = map[string]string{"stringValue": "STRING", "numberValue": "NUMBER", "binaryValue": "BINARY"}

// The names of members that are read.
var (
	valueNames      = []string{"valueType", "stringValue", "numberValue", "binaryValue"}
	definitionNames = []string{"defaultTtlSeconds", "defaultTtlMillis"}
)

// name takes the name of a member, nil for one that is too long.
func (j *Judge) name(token []byte) {
	var name string
	if token == nil || json.Unmarshal(token, &name) != nil || len(j.names) == maxMembers || strings.ContainsFunc(name, ambiguous) {
		j.odd = true
		return
	}
	j.repeated = j.repeated || slices.Contains(j.names, name)
	j.names = append(j.names, name)
	known := valueNames
	if isDefinition(j.kind) {
		known = definitionNames
	}
	// Some readers take names for equal that differ in case alone.
	j.odd = j.odd || !slices.Contains(known, name) && slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, name) })
	if t := typeOfMember[name]; t != "" && isValue(j.kind) {
		j.odd = j.odd || j.seen != "" && j.seen != t
		j.seen = t
	}
}

// ambiguous reports whether readers differ on a name that holds r: half of a surrogate pair, which is read as U+FFFD, and what ends a string in C.
func ambiguous(r rune) bool { return r == unicode.ReplacementChar || unicode.IsControl(r) }

// value takes the value of the member that was named last, nil for an object, an array or one that is too long.
func (j *Judge) value(token []byte) {
	if len(j.names) == 0 || j.odd {
		return
	}
	switch name := j.names[len(j.names)-1]; {
	case name == "valueType" && isValue(j.kind):
		var text string
		if token == nil || json.Unmarshal(token, &text) != nil || !slices.Contains([]string{"STRING", "NUMBER", "BINARY"}, text) {
			j.odd = true // also a number: some readers take it for a type's place in a list
		}
		j.said = text
	case slices.Contains(definitionNames, name) && isDefinition(j.kind):
		seconds := secondsOf(name, token)
		if j.told && seconds != j.ttl || seconds < 0 && j.kind == objectstore.PatchStore {
			j.odd = true
		}
		j.ttl, j.told = seconds, true
	}
}

// secondsOf returns the seconds that a member of a store says its entries live, -1 for null and the greatest number there is for what is no number. They are
// rounded up, but for what is less than one: a reader that cuts fractions off sees none.
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
