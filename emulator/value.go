package emulator

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// Limits of the vendor: a value of 10 MB measured base64-encoded (page "Object Store
// v2", which counts 7.5 MB of payload as the most), 4 KB of metadata (API description).
const (
	maxValue    = 10 << 20
	maxMetadata = 4 << 10
	// maxName limits every path segment; the vendor's limit for keys is 1024 bytes.
	maxName = 1024
)

// object is a key's object in its JSON form. The order of the fields is the order on
// the vendor's page.
type object struct {
	BinaryValue    *string           `json:"binaryValue,omitempty"`
	ConfirmationID string            `json:"confirmationId,omitempty"`
	Index          *int              `json:"index,omitempty"`
	KeyID          string            `json:"keyId,omitempty"`
	Metadata       map[string]string `json:"metadata,omitempty"`
	NumberValue    json.RawMessage   `json:"numberValue,omitempty"`
	StringValue    *string           `json:"stringValue,omitempty"`
	ValueType      string            `json:"valueType,omitempty"`
}

// The value types.
const (
	typeString = "STRING"
	typeNumber = "NUMBER"
	typeBinary = "BINARY"
)

// value is the value stored under a key.
type value struct {
	kind     string // a value type
	text     string // the string, the number's literal, or base64
	metadata map[string]string
	index    *int // as received
}

// value checks an object and returns its value.
func (o object) value() (value, *problem) {
	kind, text, err := o.content()
	if err != nil {
		return value{}, err
	}
	if o.ValueType != "" && o.ValueType != kind {
		return value{}, problemf(http.StatusBadRequest,
			"valueType %q does not go with the value field given; it is one of STRING, NUMBER, BINARY", o.ValueType)
	}
	size := len(text)
	if kind != typeBinary {
		size = base64.StdEncoding.EncodedLen(len(text))
	}
	if size > maxValue {
		return value{}, problemf(http.StatusRequestEntityTooLarge,
			"the value has %d bytes in base64, more than %d", size, maxValue)
	}
	if o.Index != nil && *o.Index < 0 {
		return value{}, problemf(http.StatusBadRequest, "index is below zero")
	}
	if len(o.Metadata) > 0 {
		encoded, _ := json.Marshal(o.Metadata) // strings always marshal
		if len(encoded) > maxMetadata {
			return value{}, problemf(http.StatusRequestEntityTooLarge,
				"the metadata has %d bytes, more than %d", len(encoded), maxMetadata)
		}
	}
	return value{kind: kind, text: text, metadata: o.Metadata, index: o.Index}, nil
}

// content returns the type and text of the one value field that is set.
func (o object) content() (kind, text string, err *problem) {
	given := 0
	if o.StringValue != nil {
		given++
		kind, text = typeString, *o.StringValue
	}
	if len(o.NumberValue) > 0 && string(o.NumberValue) != "null" {
		given++
		kind, text = typeNumber, string(o.NumberValue)
		if !finite(text) {
			return "", "", problemf(http.StatusBadRequest, "numberValue is not a number")
		}
	}
	if o.BinaryValue != nil {
		given++
		kind, text = typeBinary, *o.BinaryValue
		if _, err := base64.StdEncoding.Strict().DecodeString(text); err != nil || strings.ContainsAny(text, "\r\n") {
			return "", "", problemf(http.StatusBadRequest, "binaryValue is not base64")
		}
	}
	if given != 1 {
		return "", "", problemf(http.StatusBadRequest,
			"exactly one of stringValue, numberValue and binaryValue is wanted, not %d", given)
	}
	return kind, text, nil
}

// finite reports whether text is a JSON number of finite size.
func finite(text string) bool {
	if text[0] != '-' && (text[0] < '0' || text[0] > '9') {
		return false // a string, an object …: it is valid JSON already
	}
	f, err := strconv.ParseFloat(text, 64)
	return err == nil && !math.IsInf(f, 0)
}

// numberText returns the JSON literal of f.
func numberText(f float64) json.RawMessage {
	return strconv.AppendFloat(nil, f, 'f', -1, 64)
}

// object returns v in its form in requests and answers.
func (v value) object(key string) object {
	o := object{KeyID: key, ValueType: v.kind, Metadata: v.metadata, Index: v.index}
	switch v.kind {
	case typeString:
		o.StringValue = &v.text
	case typeNumber:
		o.NumberValue = json.RawMessage(v.text)
	case typeBinary:
		o.BinaryValue = &v.text
	}
	return o
}

// canonicalKey returns the name under which a decoded key is stored: Object Store
// converts spaces to plus signs and refuses a pipe (FAQ, "characters in keys").
func canonicalKey(decoded string, limit int) (string, *problem) {
	if err := checkName("key", decoded, limit); err != nil {
		return "", err
	}
	if strings.Contains(decoded, "|") {
		return "", problemf(http.StatusBadRequest, "the key has a pipe character")
	}
	return strings.ReplaceAll(decoded, " ", "+"), nil
}
