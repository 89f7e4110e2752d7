package record

import (
	"strings"
	"testing"
	"time"
)

func TestACacheResultIsAStructuredField(t *testing.T) {
	for want, s := range map[string]CacheResult{
		"":                                     {},
		"osgate; hit; ttl=8":                   {Hit: true, TTL: 8900 * time.Millisecond},
		"osgate; hit; ttl=0":                   {Hit: true},
		"osgate; hit; ttl=3; collapsed":        {Hit: true, TTL: 3 * time.Second, Collapsed: true},
		"osgate; fwd=miss":                     {Forward: ForwardMiss},
		"osgate; fwd=miss; stored":             {Forward: ForwardMiss, Stored: true},
		"osgate; fwd=stale; stored; collapsed": {Forward: ForwardStale, Stored: true, Collapsed: true},
		"osgate; fwd=bypass; detail=disabled":  {Forward: ForwardBypass, Detail: "disabled"},
		`osgate; fwd=miss; detail="a b \"\\"`:  {Forward: ForwardMiss, Detail: "a b \"\\\r\né"},
		`osgate; fwd=miss; detail="1x"`:        {Forward: ForwardMiss, Detail: "1x"},
	} {
		if got := s.String(); got != want {
			t.Errorf("%+v: got %q, want %q", s, got, want)
		}
		if got, want := s.Text(), strings.TrimPrefix(want, "osgate; "); got != want {
			t.Errorf("%+v: text is %q, want %q", s, got, want)
		}
	}
}

func FuzzADetailStaysInItsParameter(f *testing.F) {
	f.Add("write-in-flight")
	f.Add(`"; hit; detail="`)
	f.Add("a\r\nSet-Cookie: x")
	f.Fuzz(func(t *testing.T, detail string) {
		rest, ok := strings.CutPrefix(CacheResult{Forward: ForwardMiss, Detail: detail}.String(), "osgate; fwd=miss; detail=")
		switch {
		case detail == "":
			return
		case !ok:
			t.Fatalf("%q: got %q", detail, rest)
		case IsToken(rest):
			return
		}
		for i := 1; i < len(rest)-1; i++ {
			if rest[i] == '\\' {
				i++
			} else if rest[i] == '"' || rest[i] < ' ' || rest[i] > '~' {
				t.Fatalf("%q: got %q, which ends before its end", detail, rest)
			}
		}
		if len(rest) < 2 || rest[0] != '"' || rest[len(rest)-1] != '"' {
			t.Fatalf("%q: got %q, neither a token nor a string", detail, rest)
		}
	})
}
