package cache

import (
	"encoding/json"
	"testing"
	"time"
)

func TestATTLThatUpstreamReplacesIsNone(t *testing.T) {
	for text, want := range map[json.Number]time.Duration{
		"": 0, "x": 0, "0": 0, "0.9": 0, "-5": 0, "1e999": 0, "2147483648": 0, "1": time.Second, "2147483647": 2147483647 * time.Second,
	} {
		if got := duration(text, time.Second); got != want {
			t.Errorf("duration(%q) = %v, want %v", text, got, want)
		}
	}
}
