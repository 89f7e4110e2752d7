package ratelimit_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/ratelimit"
)

func TestEffectsOfPausesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := ratelimit.NewPauses(ratelimit.PausesOptions{})
		wait := func(ctx context.Context, within time.Duration) { _, _, _ = p.Wait(ctx, "k", within) }
		wait(t.Context(), time.Second) // not paused, so not counted
		p.Pause("k", 0, time.Second)   // no pause
		p.Pause("k", time.Second, 10*ms)
		p.Pause("k", time.Second, 10*ms)
		wait(t.Context(), 10*ms) // longer than the caller waits
		gone, leave := context.WithTimeout(t.Context(), 100*ms)
		defer leave()
		wait(gone, 2*time.Second)
		wait(t.Context(), 2*time.Second)
		if diff := cmp.Diff(ratelimit.PauseCounts{Paused: 2, Waited: 1, Refused: 1, Left: 1}, p.Counts()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
