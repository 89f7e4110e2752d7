package policy_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"osgate/objectstore"
	"osgate/policy"
)

// member is one member of an object.
type member struct {
	name  string
	value any
}

// membersOf reads an object as encoding/json does, with its members in their order.
func membersOf(body []byte) (list []member, ok bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, false
		}
		m := member{name: name.(string)} //nolint:errcheck // a name is a string
		if err := d.Decode(&m.value); err != nil {
			return nil, false
		}
		list = append(list, m)
	}
	return list, true
}

// readings returns the values that different readers use for a member: the first or the
// last of that name, matched with case or without.
func readings(list []member, name string) (values []any) {
	for _, same := range []func(a, b string) bool{strings.EqualFold, func(a, b string) bool { return a == b }} {
		var first, last any
		for _, m := range list {
			if !same(m.name, name) {
				continue
			}
			if last = m.value; first == nil {
				first = m.value
			}
		}
		values = append(values, first, last)
	}
	return values
}

// FuzzJudge feeds a body in one piece and in many: the type is the same and one of the
// three, and it is empty for a body that is no JSON or that two readers would read with
// different types.
func FuzzJudge(f *testing.F) {
	for _, seed := range []string{
		`{"valueType":"STRING","stringValue":"x"}`, `{"valueType":"STRING"    ,"valueType":"BINARY","binaryValue":"QUJD"}`, `{"ValueType":"BINARY","valueType":"STRING"}`,
		`{"value\u0054ype":"NUMBER","numberValue":-1.5e+7}`, `{"defaultTtlSeconds":1e400}`, "{\"stringValue\":\"\xed\xa0\x80\"}", `[{"a":[]}]`, `{"a":{"b":[1,true,null]},"stringValue":"\ud83d\ude00"} `,
		`{"binaryValue":"","a":01}`, `{}{}`, `{"valueType":"STRING","":[[]]}`,
	} {
		f.Add([]byte(seed), []byte{1, 0, 7})
	}
	f.Fuzz(func(t *testing.T, body, cuts []byte) {
		for _, kind := range []objectstore.Kind{objectstore.PutKey, objectstore.PostKey, objectstore.PutStore, objectstore.PatchStore} {
			whole := headOf(kind, jsonType, string(body))
			if got := inPieces(kind, body, cuts); got != whole {
				t.Errorf("%v %q: %+v in one piece, %+v in many", kind, body, whole, got)
			}
			if whole.TTLSeconds < -1 {
				t.Errorf("%v %q: TTL %d", kind, body, whole.TTLSeconds)
			}
		}
		checkType(t, body, headOf(objectstore.PutKey, jsonType, string(body)).ValueType)
	})
}

// inPieces judges a body that arrives in pieces of the given sizes.
func inPieces(kind objectstore.Kind, body, sizes []byte) policy.Head {
	j := policy.NewJudge(kind, jsonType, "")
	for i := 0; len(body) > 0; i++ {
		n := len(body)
		if i < len(sizes) {
			n = min(n, int(sizes[i]))
		}
		_, _ = j.Write(body[:n])
		body = body[n:]
	}
	return j.Head(true)
}

// checkType compares a type with the types that readers find in the body.
func checkType(t *testing.T, body []byte, judged string) {
	t.Helper()
	if judged == "" {
		return
	}
	list, ok := membersOf(body)
	if !ok || !json.Valid(body) {
		t.Fatalf("%q: %q, and it is no JSON object", body, judged)
	}
	said := readings(list, "valueType")
	for _, value := range said {
		if value != said[0] || value != nil && value != judged {
			t.Errorf("%q: %q, and readers make %v of valueType", body, judged, said)
		}
	}
	for name, other := range map[string]string{"stringValue": "STRING", "numberValue": "NUMBER", "binaryValue": "BINARY"} {
		for _, m := range list {
			if strings.EqualFold(m.name, name) && other != judged {
				t.Errorf("%q: %q beside %s", body, judged, m.name)
			}
		}
	}
}
