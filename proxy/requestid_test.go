package proxy

import (
	"net/http"
	"strings"
	"testing"
)

// TestAClientsRequestIDIsKeptIfItIsShortAndPlain also checks that any other ID is
// replaced by a new one.
func TestAClientsRequestIDIsKeptIfItIsShortAndPlain(t *testing.T) {
	for id, kept := range map[string]bool{
		"a": true, "azAZ09-_.": true, strings.Repeat("x", 64): true,
		"": false, strings.Repeat("x", 65): false,
		"`": false, "{": false, "@": false, "[": false, "/": false, ":": false, " ": false, "é": false, "a\"": false,
	} {
		got := requestID(http.Header{"X-Request-Id": {id}})
		if kept != (got == id) || got == "" {
			t.Errorf("%q became %q; kept: want %t", id, got, kept)
		}
		if other := requestID(http.Header{"X-Request-Id": {id}}); !kept && got == other {
			t.Errorf("%q became %q twice", id, got)
		}
	}
}
