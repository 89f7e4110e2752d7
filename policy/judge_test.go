package policy_test

import (
	"math"
	"strings"
	"testing"

	"osgate/objectstore"
	"osgate/policy"
)

// headOf judges a complete body.
func headOf(kind objectstore.Kind, media, body string) policy.Head {
	j := policy.NewJudge(kind, media, "")
	_, _ = j.Write([]byte(body))
	return j.Head(true)
}

const (
	jsonType   = "application/json"
	numberType = "application/vnd.objectstore.v1.numberoperation+json"
)

func TestValueTypesAreJudged(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, tt := range []struct {
		name, media, body, want string
	}{
		{"as it says", jsonType, `{"stringValue":"Hello","keyId":"k","valueType":"STRING"}`, "STRING"},
		{"behind a long value", jsonType, `{"binaryValue":"` + long + `","valueType":"BINARY"}`, "BINARY"},
		{"from the value's name", "", `{"numberValue":-7.5e+3}`, "NUMBER"},
		{"behind other members", "application/json; charset=UTF-8", ` {"a":[1,{"b":[]},true,null,false],"index":0,"stringValue":"\ud83d\ude00 é"}` + "\r\n ", "STRING"},
		{"inside another member", jsonType, `{"metadata":{"valueType":"BINARY","valueType":1},"stringValue":""}`, "STRING"},
		{"an escaped name", jsonType, `{"value\u0054ype":"BINARY"}`, "BINARY"},
		{"an escaped type", jsonType, `{"valueType":"\u0042INARY"}`, "BINARY"},
		{"without a type", jsonType, `{"keyId":"k"}`, ""},
		{"nothing", "", "", ""},
		{"a type of another value", jsonType, `{"valueType":"STRING","binaryValue":"AA=="}`, ""},
		{"two values", jsonType, `{"stringValue":"a","binaryValue":"AA=="}`, ""},
		{"a type that is none", jsonType, `{"valueType":"string"}`, ""},
		{"a type by its place in a list", jsonType, `{"valueType":2,"stringValue":""}`, ""},
		{"a type that is null", jsonType, `{"valueType":null,"stringValue":""}`, ""},
		{"a type that is an object", jsonType, `{"valueType":{},"stringValue":""}`, ""},
		{"a type that is long", jsonType, `{"valueType":"STRING` + long + `","stringValue":""}`, ""},
		{"a name in other case", jsonType, `{"ValueType":"BINARY","stringValue":""}`, ""},
		{"a name in other case by Unicode", jsonType, `{"ſtringValue":"","valueType":"STRING"}`, ""},
		{"a name that is long", jsonType, `{"` + long + `":1,"stringValue":""}`, ""},
		{"a name with half a surrogate pair", jsonType, `{"a\ud800":1,"stringValue":""}`, ""},
		{"a name that ends early in C", jsonType, `{"valueType\u0000":"BINARY","stringValue":""}`, ""},
		{"65 members", jsonType, `{"stringValue":""` + members(64) + `}`, ""},
		{"64 members", jsonType, `{"stringValue":""` + members(63) + `}`, "STRING"},
		{"nested 65 deep", jsonType, `{"stringValue":"","a":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, ""},
		{"nested 64 deep", jsonType, `{"stringValue":"","a":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`, "STRING"},
		{"nested 65 deep and closed 64 times", jsonType, `{"stringValue":"","a":` + strings.Repeat("[", 64) + strings.Repeat("]", 63) + `}`, ""},
		{"no object", jsonType, `[{"valueType":"STRING"}]`, ""},
		{"two objects", jsonType, `{"valueType":"STRING"}{"valueType":"BINARY"}`, ""},
		{"a byte order mark", jsonType, "\ufeff" + `{"valueType":"STRING"}`, ""},
		{"UTF-16", jsonType, "{\x00}\x00", ""},
		{"no UTF-8", jsonType, "{\"valueType\":\"STRING\",\"stringValue\":\"\xc0\xaf\"}", ""},
		{"a surrogate in UTF-8", jsonType, "{\"valueType\":\"STRING\",\"stringValue\":\"\xed\xa0\x80\"}", ""},
		{"a control character", jsonType, "{\"valueType\":\"STRING\",\"stringValue\":\"\n\"}", ""},
		{"an unknown escape", jsonType, `{"valueType":"STRING","stringValue":"\x"}`, ""},
		{"a number that is none", jsonType, `{"valueType":"NUMBER","numberValue":01}`, ""},
		{"a word that is none", jsonType, `{"valueType":"STRING","a":nul}`, ""},
		{"a comma too many", jsonType, `{"valueType":"STRING",}`, ""},
		{"cut off", jsonType, `{"valueType":"STRING"`, ""},
		{"no JSON", "text/plain", `{"valueType":"STRING"}`, ""},
		{"another character set", "application/json; charset=utf-16", `{"valueType":"STRING"}`, ""},
		{"two content types", "application/json, text/plain", `{"valueType":"STRING"}`, ""},
		{"something like JSON", "application/x+json", `{"valueType":"STRING"}`, "STRING"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, kind := range []objectstore.Kind{objectstore.PutKey, objectstore.PostKey} {
				if got := headOf(kind, tt.media, tt.body); got != (policy.Head{ValueType: tt.want, TTLSeconds: -1}) {
					t.Errorf("%v: %+v, want %q", kind, got, tt.want)
				}
			}
		})
	}
}

// members returns n members of a value that have no meaning.
func members(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`,"m` + strings.Repeat("m", i) + `":0`)
	}
	return b.String()
}

func TestANumberOperationIsANumber(t *testing.T) {
	for body, want := range map[string]string{"": "NUMBER", `{"operation":"ADD"}`: "NUMBER", `{"valueType":"BINARY"}`: "", `{"stringValue":""}`: "", `[]`: ""} {
		if got := headOf(objectstore.PostKey, numberType+"; charset=utf-8", body); got.ValueType != want {
			t.Errorf("POST %s: %q, want %q", body, got.ValueType, want)
		}
	}
	if got := headOf(objectstore.PutKey, numberType, `{"numberValue":1}`); got.ValueType != "" {
		t.Errorf("a PUT is no number operation: %q", got.ValueType)
	}
}

func TestAMemberThatStandsTwiceIsRepeated(t *testing.T) {
	for _, body := range []string{
		`{"valueType":"STRING"` + strings.Repeat(" ", 4200) + `,"valueType":"BINARY","binaryValue":"QUJD"}`,
		`{"valueType":"STRING","stringValue":"` + strings.Repeat("x", 100_000) + `","valueType":"BINARY"}`,
		`{"valueType":"STRING","value\u0054ype":"STRING"}`, `{"a":1,"stringValue":"","\u0061":1}`, `{"valueType":1,"valueType":"STRING"}`,
	} {
		if got := headOf(objectstore.PutKey, jsonType, body); got != (policy.Head{TTLSeconds: -1, Repeated: true}) {
			t.Errorf("%.40s: %+v, want it repeated and no type", body, got)
		}
	}
	if got := headOf(objectstore.PutStore, jsonType, `{"defaultTtlSeconds":60,"defaultTtlSeconds":60}`); got != (policy.Head{TTLSeconds: math.MaxInt64, Repeated: true}) {
		t.Errorf("a TTL that stands twice: %+v", got)
	}
	if got := headOf(objectstore.PutKey, jsonType, `{"a":{"b":1,"b":1},"stringValue":"","A":1}`); got.Repeated {
		t.Error("members of other objects, and names in other case, are none")
	}
}

func TestTTLsAreJudged(t *testing.T) {
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
		`{"defaultTtlSeconds":60,"defaultTtlMillis":60000}`:   60,
		`{"defaultTtlSeconds":60,"defaultTtlMillis":7200000}`: math.MaxInt64,
		`{"DefaultTTLSeconds":60}`:                            math.MaxInt64,
		`{"storeId":"s"}`:                                     -1,
		`{"defaultTtlSeconds":"soon"}`:                        math.MaxInt64,
		`{"defaultTtlSeconds":["1"]}`:                         math.MaxInt64,
		`{"defaultTtlSeconds":"NaN"}`:                         math.MaxInt64,
		`{"defaultTtlSeconds":true}`:                          math.MaxInt64,
		"\ufeff" + `{"defaultTtlSeconds":60}`:                 math.MaxInt64,
		`{"defaultTtlSeconds":60`:                             math.MaxInt64,
		`{"attributes":{"defaultTtlSeconds":60}}`:             -1,
		``: -1,
	} {
		for _, kind := range []objectstore.Kind{objectstore.PutStore, objectstore.PatchStore} {
			if got := headOf(kind, jsonType, body); got != (policy.Head{TTLSeconds: want}) {
				t.Errorf("%v %s: %+v, want %d", kind, body, got, want)
			}
		}
	}
}

func TestANullTTLIsNoneAtFirstAndAnythingInAPatch(t *testing.T) {
	for kind, want := range map[objectstore.Kind]int64{objectstore.PutStore: -1, objectstore.PatchStore: math.MaxInt64} {
		if got := headOf(kind, jsonType, `{"defaultTtlSeconds":null}`); got.TTLSeconds != want {
			t.Errorf("%v: %d, want %d", kind, got.TTLSeconds, want)
		}
	}
}

func TestOtherBodiesAreNotJudged(t *testing.T) {
	for _, kind := range []objectstore.Kind{objectstore.Extend, objectstore.Ack, objectstore.GetKey} {
		if got := headOf(kind, jsonType, `{"valueType":"STRING","defaultTtlSeconds":1}`); got != (policy.Head{TTLSeconds: -1}) || policy.Judges(kind) {
			t.Errorf("%v: %+v", kind, got)
		}
	}
}

func TestAnEncodedBodyIsNotJudged(t *testing.T) {
	for kind, want := range map[objectstore.Kind]policy.Head{objectstore.PutKey: {TTLSeconds: -1}, objectstore.PutStore: {TTLSeconds: math.MaxInt64}} {
		j := policy.NewJudge(kind, jsonType, "identity")
		_, _ = j.Write([]byte(`{"valueType":"STRING","defaultTtlSeconds":1}`))
		if got := j.Head(true); got != want {
			t.Errorf("%v: %+v, want %+v", kind, got, want)
		}
	}
}

// TestTheBeginningOfABodyHasItsType until the rest of the body contradicts it.
func TestTheBeginningOfABodyHasItsType(t *testing.T) {
	j := policy.NewJudge(objectstore.PutKey, jsonType, "")
	for _, step := range []struct{ text, want string }{
		{`{"keyId":"k","binaryValue`, ""}, {`":"AAAA`, "BINARY"}, {`","valueType":"BINARY"`, "BINARY"}, {`,"string\u0056alue":""`, ""}, {`}`, ""},
	} {
		_, _ = j.Write([]byte(step.text))
		if got := j.Head(false).ValueType; got != step.want {
			t.Errorf("after %s: %q, want %q", step.text, got, step.want)
		}
	}
}

// TestJudgingKeepsLittle of a value of any size.
func TestJudgingKeepsLittle(t *testing.T) {
	piece := []byte(strings.Repeat("x", 32<<10))
	j := policy.NewJudge(objectstore.PutKey, jsonType, "")
	_, _ = j.Write([]byte(`{"stringValue":"`))
	if n := testing.AllocsPerRun(100, func() { _, _ = j.Write(piece) }); n != 0 {
		t.Errorf("%v allocations for each 32 KiB of a value, want none", n)
	}
}
