package proxy

import (
	"testing"
	"time"
)

func TestSecondsAreRoundedUpButForMicroseconds(t *testing.T) {
	for d, want := range map[time.Duration]int64{
		-time.Second: 0, 0: 0, 1: 1, 2 * time.Microsecond: 1, time.Second: 1, time.Second + 2*time.Microsecond: 1, time.Second + time.Millisecond: 1,
		time.Second + 2*time.Millisecond: 2, 1500 * time.Millisecond: 2, time.Hour + 2*time.Microsecond: 3600,
	} {
		if got := seconds(d); got != want {
			t.Errorf("%v: %d, want %d", d, got, want)
		}
	}
}
