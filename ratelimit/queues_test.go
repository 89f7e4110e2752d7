package ratelimit

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestQueuesAreForgottenWhenNoRequestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := NewTurns(TurnsOptions{Limiter: NewLocal(LocalOptions{}), MaxWait: 200 * time.Millisecond})
		var clients sync.WaitGroup
		for i := range 1000 { // some are admitted, some refused, some leave
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond)
			clients.Go(func() {
				defer cancel()
				_, _, _ = turns.Take(ctx, strconv.Itoa(i%100), Quota{Rate: 10, Burst: 1})
			})
		}
		for i := range 10 { // and some are refused while no call waits
			slow := Quota{Rate: 1, Period: time.Hour, Burst: 1}
			for range 2 {
				if _, waited, err := turns.Take(t.Context(), "slow"+strconv.Itoa(i), slow); waited != 0 || err != nil {
					t.Errorf("waited %v, %v; want an answer at once", waited, err)
				}
			}
		}
		clients.Wait()
		if len(turns.queues) != 0 || turns.waiters != 0 {
			t.Errorf("%d queues and %d waiters are left", len(turns.queues), turns.waiters)
		}
	})
}
