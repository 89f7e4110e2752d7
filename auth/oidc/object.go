package oidc

import (
	"math"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// object is a JSON object that was read strictly.
type object map[string]jsontext.Value

// readObject reads text, one JSON object. It refuses text that two readers may read
// differently: a name that occurs twice anywhere, text that is not UTF-8, and data
// after the object. Names are compared exactly.
func readObject(text []byte) (object, bool) {
	var o object
	if json.Unmarshal(text, &o) != nil || o == nil {
		return nil, false
	}
	return o, true
}

// text returns the string under name, empty if there is none. ok is false for another
// kind of value, null included.
func (o object) text(name string) (text string, ok bool) {
	value, present := o[name]
	if !present {
		return "", true
	}
	return textOf(value)
}

func textOf(value jsontext.Value) (text string, ok bool) {
	// The library reads null as an empty string.
	ok = value.Kind() == '"' && json.Unmarshal(value, &text) == nil
	return text, ok
}

// texts returns the string or the strings under name. ok is false for another kind of
// value; nothing under the name is no strings.
func (o object) texts(name string) (texts []string, ok bool) {
	value, present := o[name]
	if !present {
		return nil, true
	}
	values := []jsontext.Value{value}
	if value.Kind() == '[' && json.Unmarshal(value, &values) != nil {
		return nil, false
	}
	for _, v := range values {
		text, ok := textOf(v)
		if !ok {
			return nil, false
		}
		texts = append(texts, text)
	}
	return texts, true
}

// lastSecond is the end of the year 9999. Later times cannot be printed in RFC 3339.
const lastSecond = 253402300799

// instant returns the time under name (RFC 7519 section 2, NumericDate), the zero time
// if there is none. ok is false for another kind of value, and for a time that is not
// from 1970 to 9999.
func (o object) instant(name string) (at time.Time, ok bool) {
	value, present := o[name]
	if !present {
		return time.Time{}, true
	}
	seconds, err := strconv.ParseFloat(string(value), 64)
	if value.Kind() != '0' || err != nil || seconds < 0 || seconds > lastSecond {
		return time.Time{}, false
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*float64(time.Second))), true
}
