package via_test

import (
	"testing"

	"osgate/internal/via"
)

func TestAMessageThatPassedTheGatewayIsRecognized(t *testing.T) {
	for value, want := range map[string]bool{
		"":                              false,
		"osgate":                        false, // a version, and no name
		"1.1 nginx":                     false,
		"1.1 osgate.example":            false,
		"1.1 OSGate":                    true,
		"1.1 nginx, 2 osgate (comment)": true,
		via.Of(1, 0):                    true,
		via.Of(1, 1):                    true,
		via.Of(2, 0):                    true,
	} {
		if got := via.Passed([]string{"1.1 first", value}); got != want {
			t.Errorf("%q: got %v, want %v", value, got, want)
		}
	}
}

func TestViaNamesTheVersionOfTheMessage(t *testing.T) {
	for _, tt := range []struct {
		major, minor int
		want         string
	}{{1, 0, "1.0 osgate"}, {1, 1, "1.1 osgate"}, {2, 0, "2 osgate"}, {3, 0, "2 osgate"}} {
		if got := via.Of(tt.major, tt.minor); got != tt.want {
			t.Errorf("HTTP/%d.%d: got %q, want %q", tt.major, tt.minor, got, tt.want)
		}
	}
}
