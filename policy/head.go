package policy

import (
	"bytes"
	"encoding/json"
	"math"
	"mime"
	"strconv"
	"strings"

	"osgate/objectstore"
)

// HeadBytes is how much of a body [ReadHead] needs at most.
const HeadBytes = 4096

// Head is what the beginning of a body tells.
type Head struct {
	ValueType  string // "STRING", "NUMBER" or "BINARY"; empty where there is none, it cannot be told, or the body contradicts itself
	TTLSeconds int64  // -1: none
}

// numberOperation is the media type of a POST that calculates (Object Store v2 REST APIs, the only one that the vendor's description gives POST).
const numberOperation = "application/vnd.objectstore.v1.numberoperation+json"

// ReadHead reads what rules can know of a body from its first bytes, at most [HeadBytes] of them; whole says that head is the whole body. Head must be
// empty where the body is encoded (Content-Encoding).
//
// Of a key that is written it tells the type, from "valueType" or from which of stringValue, numberValue and binaryValue is there ("Object Store v2 REST
// APIs": one of them goes with each type). Of the content type it looks only at that of a number operation, which is NUMBER. Of a store that is
// written it tells defaultTtlSeconds, or what defaultTtlMillis of older descriptions comes to. It is the greatest number there is where another reader may
// make something else of the body: one that is no JSON object in UTF-8, holds no number there or two that differ, or patches with null, which may stand
// for "as if it had never been said" (RFC 7396).
func ReadHead(kind objectstore.Kind, contentType string, head []byte, whole bool) Head {
	h := Head{TTLSeconds: -1}
	head = head[:min(len(head), HeadBytes)]
	switch kind {
	case objectstore.PutKey, objectstore.PostKey:
		if media, _, err := mime.ParseMediaType(contentType); err == nil && media == numberOperation {
			h.ValueType = "NUMBER"
			return h
		}
		h.ValueType = valueTypeOf(head, whole)
	case objectstore.PutStore, objectstore.PatchStore:
		h.TTLSeconds = ttlOf(head, kind == objectstore.PatchStore)
	default:
	}
	return h
}

// typeOfMember are the types by the member that holds their values.
var typeOfMember = map[string]string{"stringValue": "STRING", "numberValue": "NUMBER", "binaryValue": "BINARY"}

// valueTypeOf returns the type that the members of a value agree on. What comes after head is not seen and may contradict it.
func valueTypeOf(head []byte, whole bool) string {
	var said, seen string
	contradicts := false
	complete := members(head, func(name string, value any) {
		if name == "valueType" {
			text, _ := value.(string)
			contradicts = contradicts || said != "" && said != text
			said = text
			return
		}
		if t := typeOfMember[name]; t != "" {
			contradicts = contradicts || seen != "" && seen != t
			seen = t
		}
	})
	switch {
	case contradicts, said != "" && seen != "" && said != seen, whole && !complete:
		return ""
	case said == "STRING", said == "NUMBER", said == "BINARY":
		return said
	case said != "":
		return ""
	}
	return seen
}

// ttlOf returns the seconds that a store's definition or, if patched, a change of it says its entries live, -1 where it says nothing.
func ttlOf(head []byte, patched bool) int64 {
	ttl, told := int64(-1), false
	complete := members(head, func(name string, value any) {
		seconds, ok := secondsOf(name, value)
		if ok && (told && seconds != ttl || seconds < 0 && patched) {
			seconds = math.MaxInt64
		}
		if ok {
			ttl, told = seconds, true
		}
	})
	if !complete && len(head) > 0 {
		return math.MaxInt64
	}
	return ttl
}

// secondsOf returns the seconds that a member of a store says its entries live, -1 for null. They are rounded up, but for what is less than one: whoever
// cuts fractions off sees none.
func secondsOf(name string, value any) (int64, bool) {
	scale := 1.0
	switch name {
	case "defaultTtlSeconds":
	case "defaultTtlMillis":
		scale = 1000
	default:
		return 0, false
	}
	var number float64
	var err error
	switch v := value.(type) {
	case nil:
		return -1, true
	case json.Number:
		number, err = strconv.ParseFloat(v.String(), 64)
	case string:
		number, err = strconv.ParseFloat(strings.TrimSpace(v), 64)
	default:
		return math.MaxInt64, true
	}
	seconds := math.Ceil(number / scale)
	if err != nil || math.IsNaN(seconds) || seconds >= math.MaxInt64 {
		return math.MaxInt64, true
	}
	if number < scale {
		return 0, true
	}
	return int64(seconds), true
}

// members calls f with the name of each member of the JSON object that head begins with, and its value where that is a string, number or other scalar. It
// reports whether the object ended. The last member is told even where its value is cut off, with nil.
func members(head []byte, f func(name string, value any)) (complete bool) {
	d := json.NewDecoder(bytes.NewReader(head))
	d.UseNumber()
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return false
	}
	for {
		token, err := d.Token()
		if err != nil {
			return false
		}
		name, ok := token.(string)
		if !ok {
			return token == json.Delim('}')
		}
		value, err := d.Token()
		if err != nil {
			f(name, nil)
			return false
		}
		f(name, value)
		if delim, ok := value.(json.Delim); ok && (delim == '{' || delim == '[') && !skip(d) {
			return false
		}
	}
}

// skip reads to the end of the object or array that d is in, and reports whether it came there.
func skip(d *json.Decoder) bool {
	for depth := 1; depth > 0; {
		token, err := d.Token()
		if err != nil {
			return false
		}
		if delim, ok := token.(json.Delim); ok {
			switch delim {
			case '{', '[':
				depth++
			default:
				depth--
			}
		}
	}
	return true
}
