package policy_test

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"osgate/objectstore"
	"osgate/policy"
)

// compareWithJSON compares the judge of a value with a JSON library: only valid objects
// have a type. Repeated names are another test's subject.
func compareWithJSON(t *testing.T, body string) {
	t.Helper()
	v := jsontext.Value(body)
	valid := v.IsValid() && v.Kind() == '{'
	if !valid && v.IsValid(jsontext.AllowDuplicateNames(true)) {
		return
	}
	if got := headOf(objectstore.PutKey, jsonType, body).ValueType == "STRING"; got != valid {
		t.Errorf("%q: a type is told: %t, and it is JSON: %t", body, got, valid)
	}
}

// eachText calls f with each text of at most n of the letters.
func eachText(letters []string, n int, f func(string)) {
	f("")
	if n == 0 {
		return
	}
	for _, letter := range letters {
		eachText(letters, n-1, func(rest string) { f(letter + rest) })
	}
}

// templates are bodies with a place for a text: a value, an element of a list, and
// names of members.
var templates = []string{`{"valueType":"STRING","a":%}`, `{"valueType":"STRING","a":[%]}`, `{"valueType":"STRING","a":{%:[]}}`}

func everywhere(t *testing.T, text string) {
	t.Helper()
	for _, body := range templates {
		compareWithJSON(t, strings.Replace(body, "%", text, 1))
	}
}

func TestStringsAreJSONAndUTF8(t *testing.T) {
	for c := range 256 {
		everywhere(t, "\"a"+string([]byte{byte(c)})+"\"")
		everywhere(t, "\"\\"+string([]byte{byte(c)})+"\"")
		everywhere(t, "\"\\"+string([]byte{byte(c)})+"n\"")
	}
	edges := []byte{0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0}
	for lead := 0x80; lead < 256; lead++ {
		for _, second := range edges {
			for n := range 4 {
				tail := append([]byte{byte(lead), second}, []byte{0x80, 0xbf, 0x80}[:n]...)
				if n < 3 {
					everywhere(t, `"`+string(tail)+`"`)
				}
				compareWithJSON(t, `{"valueType":"STRING","a":"`+string(tail)+` "}`)
			}
		}
	}
	for _, odd := range []string{"\xe1\x80\x7f", "\xe1\x80\xc0", "\xf1\x80\x80\x7f", "\xf1\x80\x80\xc0", "\xf1\x80\x7f\x80", "\xc3", "\xe1\x80", "\xf1\x80\x80"} {
		everywhere(t, `"`+odd+`"`)
	}
}

func TestEscapesHaveFourHexadecimalDigits(t *testing.T) {
	digits := strings.Split("/ 0 9 : @ A F G ` a f g", " ")
	for place := range 4 {
		for _, digit := range digits {
			for _, filled := range []string{"0041", "00aF"} {
				everywhere(t, `"\u`+filled[:place]+digit+filled[place+1:]+`"`)
			}
			everywhere(t, `"\u`+"0041"[:place]+`"`)
			everywhere(t, `"\u0041`+digit+`"`)
			everywhere(t, `"\u`+"0041"[:place]+digit+"0041"[place:]+`"`)
		}
	}
}

func TestNumbersAndWordsAreJSON(t *testing.T) {
	eachText(strings.Split("- + . e E 0 1 9", " "), 5, func(text string) { compareWithJSON(t, `{"valueType":"STRING","a":`+text+`}`) })
	eachText(strings.Split("- . e 0 7", " "), 4, func(text string) { compareWithJSON(t, `{"valueType":"STRING","a":[`+text+` ,1]}`) })
	for _, word := range []string{"true", "false", "null", "True", "tru", "truE", "nulll", "falsf", "t", "fals", "n ull"} {
		compareWithJSON(t, `{"valueType":"STRING","a":`+word+`}`)
		compareWithJSON(t, `{"valueType":"STRING","a":[`+word+`]}`)
	}
}

func TestStructureIsJSON(t *testing.T) {
	eachText([]string{"{", "}", "[", "]", ",", ":", `"a"`, "0", " "}, 5, func(text string) {
		compareWithJSON(t, `{"valueType":"STRING","a":`+text+`}`)
		compareWithJSON(t, `{"valueType":"STRING"`+text+`}`)
		compareWithJSON(t, `{"valueType":"STRING","a":[`+text+`]}`)
	})
	for _, text := range []string{`[{},[1,2],{"b":[[],{}]}]`, `{"b":[1,{"c":2}],"d":3}`, `[[{}],{}]`, `[{"b":1},2]`, `[{},{"b" : 1 }, 2 ] `, "[\t1\r\n]", "[\v1]"} {
		compareWithJSON(t, `{"valueType":"STRING","a":`+text+`}`)
	}
}

// TestALongNameOrValueIsNone: what exceeds the bound by a byte is not known, and what does
// not is.
func TestALongNameOrValueIsNone(t *testing.T) {
	const bound = 256 // with its quotes
	name := func(n int) string { return `"` + strings.Repeat("n", n-2) + `"` }
	for n, want := range map[int]string{bound: "STRING", bound + 1: ""} {
		if got := headOf(objectstore.PutKey, jsonType, `{"valueType":"STRING",`+name(n)+`:0}`).ValueType; got != want {
			t.Errorf("beside a name of %d bytes: %q, want %q", n, got, want)
		}
	}
	escaped := func(n int) string {
		return `"` + strings.Repeat(`\u0041`, (n-2)/6) + strings.Repeat("n", (n-2)%6) + `"`
	}
	for n, want := range map[int]string{bound: "STRING", bound + 1: ""} {
		if got := headOf(objectstore.PutKey, jsonType, `{"valueType":"STRING",`+escaped(n)+`:0}`).ValueType; got != want {
			t.Errorf("beside an escaped name of %d bytes: %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int]int64{bound: 7, bound + 1: 1<<63 - 1} {
		ttl := strings.Repeat("0", n-4)
		if got := headOf(objectstore.PutStore, jsonType, `{"defaultTtlSeconds":7.`+ttl+`e0}`); got != (policy.Head{TTLSeconds: want}) {
			t.Errorf("a TTL of %d bytes: %+v, want %d", n, got, want)
		}
	}
}
