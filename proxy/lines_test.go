package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
)

// TestValuesOfFieldsDoNotMix, also if a reader of a header appends to a field, and if
// there are more fields than room.
func TestValuesOfFieldsDoNotMix(t *testing.T) {
	var l lines
	h, more := http.Header{}, http.Header{}
	for i := range 2 * len(l.values) {
		name := fmt.Sprintf("Name-%d", i)
		h[name] = l.of(name)
		more[name] = append(h[name], "more")
		l.add(h, name, "last")
	}
	for name, values := range h {
		if !slices.Equal(values, []string{name, "last"}) || !slices.Equal(more[name], []string{name, "more"}) {
			t.Errorf("%s: %q and %q", name, values, more[name])
		}
	}
}

// TestTheFieldsOfAnAnswerAreMovedNotCopied: every value arrives once and in order, the
// gateway's own last. ReverseProxy would allocate a list for each field.
func TestTheFieldsOfAnAnswerAreMovedNotCopied(t *testing.T) {
	g := newRig(t)
	var values []string
	g.upstream = func(*http.Request) (*http.Response, error) {
		answer := reply(http.StatusOK, "v")
		answer.Header["Via"], answer.Header["X-Several"] = []string{"1.1 origin"}, []string{"a", "b"}
		answer.Header["X-Request-Id"], values = []string{"theirs"}, answer.Header["X-Several"]
		return answer, nil
	}
	h := g.get("one", keyPath).Header()
	if !slices.Equal(h["Via"], []string{"1.1 origin", "1.1 osgate"}) || len(h["Content-Type"]) != 1 ||
		len(h["X-Request-Id"]) != 1 || h.Get("X-Request-Id") == "theirs" || !slices.Equal(h["X-Several"], values) {
		t.Errorf("header %v", h)
	}
	if &h["X-Several"][0] != &values[0] {
		t.Error("a field was copied")
	}
}
