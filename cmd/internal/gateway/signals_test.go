package gateway

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestTheEchoOfASignalIsNoSecondOne checks that an echo does not end the process, which
// would skip the flush of counts.
func TestTheEchoOfASignalIsNoSecondOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, signaled := context.WithCancel(t.Context())
		var given atomic.Bool
		EndAtOnceOnASecond(ctx, func() { given.Store(true) })
		<-time.After(time.Minute)
		signaled()
		<-time.After(499 * time.Millisecond)
		if synctest.Wait(); given.Load() {
			t.Error("signals end the process while they may be echoes")
		}
		<-time.After(time.Millisecond)
		if synctest.Wait(); !given.Load() {
			t.Error("a second signal does not end the process")
		}
	})
}
