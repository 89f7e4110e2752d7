package cache

import (
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/cache/httpcache"
)

func FuzzEntriesSurviveTheWayIntoTextAndBack(f *testing.F) {
	f.Add(200, false, "Content-Type", "text/plain", "Etag", `W/"x"`, []byte("body"), int64(1), int64(2), int64(3))
	f.Add(404, false, "", "", "a", "", []byte(nil), int64(0), int64(1), int64(0))
	f.Add(204, true, "A", "1", "A", "2", []byte("x"), int64(time.Second), int64(MaxTTL), int64(MaxTTL))
	f.Fuzz(func(t *testing.T, status int, head bool, name1, value1, name2, value2 string, body []byte, age, lifetime, stale int64) {
		e := &Entry{Response: httpcache.Response{Status: status, Head: head, Header: http.Header{}, Body: body, InitialAge: time.Duration(age), Lifetime: time.Duration(lifetime)}}
		e.Header[name1] = append(e.Header[name1], value1)
		e.Header[name2] = append(e.Header[name2], value2)
		e.stale = staleness{time.Duration(stale), time.Duration(age)}
		asked := time.UnixMicro(1_700_000_000_000_000 + age%1000)
		got, at, err := decodeEntry(encodeEntry(e, asked))
		if status < 200 || status >= 600 || age < 0 || stale < 0 || lifetime <= 0 || e.Lifetime > MaxTTL {
			if err == nil {
				t.Errorf("an entry that cannot be was read: %+v", e)
			}
			return
		}
		if err != nil || !at.Equal(asked) {
			t.Fatalf("got %v, %v, want %v", at, err, asked)
		}
		if got.Status != e.Status || got.Head != e.Head || string(got.Body) != string(body) || !cmp.Equal(got.Header, e.Header) {
			t.Errorf("got %+v, want %+v", got, e)
		}
		if got.InitialAge != e.InitialAge || got.Lifetime != e.Lifetime || got.stale != e.stale {
			t.Errorf("got %+v, want %+v", got, e)
		}
	})
}

func FuzzNothingButEntriesIsRead(f *testing.F) {
	text := encodeEntry(&Entry{Response: httpcache.Response{Status: 200, Header: http.Header{"A": {"1", "2"}, "B": {}}, Body: []byte("b"), Lifetime: time.Second}}, time.UnixMicro(1))
	for n := range text {
		f.Add(text[:n])
	}
	f.Add(append([]byte{sharedVersion + 1}, text[1:]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, _, err := decodeEntry(b)
		switch {
		case err != nil && e != nil:
			t.Error("an entry came with an error")
		case err == nil && (e.Status < 200 || e.Status >= 600 || e.Lifetime <= 0 || e.Header == nil):
			t.Errorf("read %+v", e)
		case err == nil && len(b) < len(text)-len("b") && e.Header["A"] != nil:
			t.Errorf("read a part of an entry: %+v", e)
		}
	})
}

func TestAnEntryThatCouldNotHaveBeenStoredIsNotRead(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Entry)
		want   bool
	}{
		"as stored":                 {func(*Entry) {}, true},
		"the smallest status":       {func(e *Entry) { e.Status = 200 }, true},
		"a smaller status":          {func(e *Entry) { e.Status = 199 }, false},
		"the largest status":        {func(e *Entry) { e.Status = 599 }, true},
		"a larger status":           {func(e *Entry) { e.Status = 600 }, false},
		"a new answer":              {func(e *Entry) { e.InitialAge = 0 }, true},
		"a negative age":            {func(e *Entry) { e.InitialAge = -1 }, false},
		"no lifetime":               {func(e *Entry) { e.Lifetime = 0 }, false},
		"the longest lifetime":      {func(e *Entry) { e.Lifetime = MaxTTL }, true},
		"a longer lifetime":         {func(e *Entry) { e.Lifetime = MaxTTL + 1 }, false},
		"no time to revalidate":     {func(e *Entry) { e.stale.whileRevalidate = 0 }, true},
		"negative time to refresh":  {func(e *Entry) { e.stale.whileRevalidate = -1 }, false},
		"no time to stand in":       {func(e *Entry) { e.stale.ifError = 0 }, true},
		"negative time to stand in": {func(e *Entry) { e.stale.ifError = -1 }, false},
	} {
		e := &Entry{Response: httpcache.Response{Status: 201, Header: http.Header{}, InitialAge: 1, Lifetime: time.Second}, stale: staleness{1, 1}}
		tt.change(e)
		if _, _, err := decodeEntry(encodeEntry(e, time.UnixMicro(1))); (err == nil) != tt.want {
			t.Errorf("%s: read %t (%v), want %t", name, err == nil, err, tt.want)
		}
	}
}

func TestEveryFieldOfAnEntryIsWrittenOrDerived(t *testing.T) {
	// A field that is added to Entry must be encoded, or be set by adopt or Find.
	const want = "Status Header Body Head RequestedAt InitialAge Lifetime Response stamp on stale"
	got := ""
	for _, name := range append(fieldsOf(httpcache.Response{}), fieldsOf(Entry{})...) {
		got += " " + name
	}
	if got[1:] != want {
		t.Errorf("Entry has the fields%s; of those that are new here, is each one written by encodeEntry? (%s)", got, want)
	}
}

func fieldsOf(v any) (names []string) {
	t := reflect.TypeOf(v)
	for f := range t.Fields() {
		names = append(names, f.Name)
	}
	return names
}
