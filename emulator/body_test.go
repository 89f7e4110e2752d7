package emulator

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestABodyIsWholeOrRefused, also if its length is not declared.
func TestABodyIsWholeOrRefused(t *testing.T) {
	const limit = 100
	for _, known := range []bool{true, false} {
		for n, ok := range map[int]bool{0: true, 1: true, limit - 1: true, limit: true, limit + 1: false, 10 * limit: false} {
			r := httptest.NewRequest(http.MethodPut, "/", strings.NewReader(strings.Repeat("x", n)))
			if !known {
				r.ContentLength = -1
			}
			body, err := readBody(r, limit)
			if (err == nil) != ok || ok && len(body) != n {
				t.Errorf("%d bytes, length known: %t: the result is %d, %v", n, known, len(body), err)
			}
		}
	}
}
