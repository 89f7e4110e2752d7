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
