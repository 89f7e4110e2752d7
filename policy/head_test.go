package policy_test

import (
	"math"
	"strings"
	"testing"

	"osgate/objectstore"
	"osgate/policy"
)

func TestValueTypesAreReadFromTheHead(t *testing.T) {
	long := strings.Repeat("x", policy.HeadBytes)
	for _, tt := range []struct {
		name, media, body, want string
	}{
		{"as it says", "application/json", `{"stringValue":"Hello","keyId":"k","valueType":"STRING"}`, "STRING"},
		{"before the value", "application/json", `{"valueType":"BINARY","binaryValue":"` + long, "BINARY"},
		{"from the value's name", "application/json", `{"numberValue":7}`, "NUMBER"},
		{"from the name of a value that is cut", "application/json", `{"keyId":"k","metadata":{"a":["b",{}]},"binaryValue":"` + long, "BINARY"},
		{"a number operation", "application/vnd.objectstore.v1.numberoperation+json; charset=utf-8", "", "NUMBER"},
		{"two that differ", "application/json", `{"valueType":"STRING","valueType":"BINARY"}`, ""},
		{"a value of another type", "application/json", `{"valueType":"STRING","binaryValue":"AA=="}`, ""},
		{"two values", "application/json", `{"stringValue":"a","binaryValue":"AA=="}`, ""},
		{"a type that is none", "application/json", `{"valueType":"string"}`, ""},
		{"a type that is no text", "application/json", `{"valueType":7,"stringValue":""}`, "STRING"},
		{"no object", "application/json", `[{"valueType":"STRING"}]`, ""},
		{"inside another member", "application/json", `{"metadata":{"valueType":"BINARY"},"stringValue":""}`, "STRING"},
		{"an escaped name", "application/json", `{"value\u0054ype":"BINARY"}`, "BINARY"},
		{"no JSON", "text/plain", "hello", ""},
		{"cut off by the client", "application/json", `{"valueType":"STRING"`, ""},
		{"nothing", "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			head, whole := tt.body, len(tt.body) <= policy.HeadBytes
			for _, kind := range []objectstore.Kind{objectstore.PutKey, objectstore.PostKey} {
				if got := policy.ReadHead(kind, tt.media, []byte(head), whole); got.ValueType != tt.want || got.TTLSeconds != -1 {
					t.Errorf("%v: %+v, want %q without TTL", kind, got, tt.want)
				}
			}
		})
	}
}

func TestTTLsAreReadFromTheHead(t *testing.T) {
	for body, want := range map[string]int64{
		`{"storeId":"s","defaultTtlSeconds":3600}`:            3600,
		`{"defaultTtlSeconds":0}`:                             0,
		`{"defaultTtlSeconds":-5}`:                            0,
		`{"defaultTtlSeconds":"86400"}`:                       86400,
		`{"defaultTtlSeconds":1.5}`:                           2,
		`{"defaultTtlSeconds":1e400}`:                         math.MaxInt64,
		`{"defaultTtlMillis":1500}`:                           2,
		`{"defaultTtlSeconds":0.5}`:                           0,
		`{"defaultTtlMillis":999}`:                            0,
		`{"defaultTtlSeconds":60,"defaultTtlSeconds":60.0}`:   60,
		`{"defaultTtlSeconds":60,"defaultTtlMillis":60000}`:   60,
		`{"defaultTtlSeconds":60,"defaultTtlSeconds":7200}`:   math.MaxInt64,
		`{"defaultTtlSeconds":7200,"defaultTtlSeconds":0}`:    math.MaxInt64,
		`{"defaultTtlSeconds":7200,"defaultTtlSeconds":null}`: math.MaxInt64,
		`{"defaultTtlSeconds":null,"defaultTtlSeconds":7200}`: math.MaxInt64,
		`{"defaultTtlSeconds":60,"defaultTtlMillis":7200000}`: math.MaxInt64,
		`{"storeId":"s"}`:                                     -1,
		`{"defaultTtlSeconds":"soon"}`:                        math.MaxInt64,
		`{"defaultTtlSeconds":["1"]}`:                         math.MaxInt64,
		`{"defaultTtlSeconds":"NaN"}`:                         math.MaxInt64,
		"\ufeff" + `{"defaultTtlSeconds":60}`:                 math.MaxInt64,
		`{"defaultTtlSeconds":60`:                             math.MaxInt64,
		`{"attributes":{"defaultTtlSeconds":60}}`:             -1,
		``: -1,
	} {
		for _, kind := range []objectstore.Kind{objectstore.PutStore, objectstore.PatchStore} {
			if got := policy.ReadHead(kind, "application/json", []byte(body), true); got.TTLSeconds != want || got.ValueType != "" {
				t.Errorf("%v %s: %+v, want %d", kind, body, got, want)
			}
		}
	}
}

func TestANullTTLIsNoneAtFirstAndAnythingInAPatch(t *testing.T) {
	for kind, want := range map[objectstore.Kind]int64{objectstore.PutStore: -1, objectstore.PatchStore: math.MaxInt64} {
		if got := policy.ReadHead(kind, "application/json", []byte(`{"defaultTtlSeconds":null}`), true); got.TTLSeconds != want {
			t.Errorf("%v: %d, want %d", kind, got.TTLSeconds, want)
		}
	}
}

func TestOtherBodiesAreNotRead(t *testing.T) {
	for _, kind := range []objectstore.Kind{objectstore.Extend, objectstore.Ack, objectstore.GetKey} {
		if got := policy.ReadHead(kind, "application/json", []byte(`{"valueType":"STRING","defaultTtlSeconds":1}`), true); got != (policy.Head{TTLSeconds: -1}) {
			t.Errorf("%v: %+v", kind, got)
		}
	}
}
