package pace

import (
	"testing"
	"time"
)

func TestUntilReturnsAtTheInstant(t *testing.T) {
	t.Parallel()
	OnThread(func(sleep Sleep) {
		due := time.Now().Add(5 * time.Millisecond)
		sleep.Until(due)
		if now := time.Now(); now.Before(due) {
			t.Errorf("returned %v early", due.Sub(now))
		}
		begun := time.Now()
		sleep.Until(due)
		if took := time.Since(begun); took > time.Second {
			t.Errorf("waited %v for an instant that has passed", took)
		}
	})
}
