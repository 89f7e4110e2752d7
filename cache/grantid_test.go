package cache

import (
	"testing"
	"time"

	"osgate/cache/coherence"
)

func TestHitNeedsAGrantUnderTheIDThatCameWithTheGenerations(t *testing.T) {
	c, err := New(Options{GrantTTL: time.Minute, WriteLease: time.Minute, SharedGrants: struct{ coherence.SharedGrants }{}})
	if err != nil {
		t.Fatal(err)
	}
	known, place, now := coherence.ID{2}, digest{8}, time.Now()
	c.grants.Learn([32]byte{}, place, &coherence.TokenInfo{ID: known, RequestedAt: now, Began: now, Ended: now})
	for id, want := range map[coherence.ID]bool{known: true, {1}: false, {}: false} { // an older token info, and none
		s := Search{cache: c, target: place, token: id}
		if alive, _ := s.granted(now); alive != want {
			t.Errorf("under %v: alive is %t, want %t", id, alive, want)
		}
	}
}
