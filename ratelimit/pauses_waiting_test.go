package ratelimit

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// TestAPauseLastsAsLongAsARequestWaits holds a waiting call between the end of its
// pause and its return, where the scheduler may hold it for any time.
func TestAPauseLastsAsLongAsARequestWaits(t *testing.T) {
	const pause, interval = 100 * time.Millisecond, 50 * time.Millisecond
	for name, meanwhile := range map[string]func(p *Pauses){
		"nothing happens": func(*Pauses) {},
		"a shorter pause": func(p *Pauses) { p.Pause("k", time.Millisecond, time.Millisecond) },
		"pauses of other keys": func(p *Pauses) {
			for i := range 2000 {
				p.Pause(strconv.Itoa(i), time.Millisecond, time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := NewPauses(PausesOptions{})
				p.Pause("k", pause, interval)
				if _, paused := p.enter("k"); !paused {
					t.Fatal("the key is not paused")
				}
				<-time.After(pause + time.Millisecond)
				meanwhile(p)
				if got, paused := p.enter("k"); !paused || got != interval {
					t.Errorf("a later caller: paused %v, interval %v; want it behind the waiter, %v later", paused, got, interval)
				}
				p.leave("k")
				p.leave("k")
				<-time.After(time.Millisecond)
				if _, paused := p.enter("k"); paused {
					t.Error("the key is still paused although no request waits")
				}
			})
		})
	}
}
