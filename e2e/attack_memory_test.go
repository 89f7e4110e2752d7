package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"
)

// memoryUse is the resident memory of a process in bytes: before, during and after an
// attack.
type memoryUse struct{ before, peak, after int64 }

// watchMemory reads the gateway's memory every 50 ms until its caller calls the
// returned function.
func (g *gateway) watchMemory() (result func() memoryUse) {
	use := memoryUse{before: g.resident()}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() { // ends with done
		defer close(ended)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			use.peak = max(use.peak, g.resident())
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
	return func() memoryUse {
		close(done)
		<-ended
		use.after = g.resident()
		return use
	}
}

// resident returns the gateway's resident memory in bytes, or 0 if the gateway has
// ended.
func (g *gateway) resident() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", g.cmd.Process.Pid))
	var size, pages int64
	if _, scanErr := fmt.Sscan(string(text), &size, &pages); errors.Join(err, scanErr) != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// metrics returns the gateway's metrics in the text form of Prometheus.
func (g *gateway) metrics() string {
	g.t.Helper()
	return client{t: g.t, base: g.admin}.get("/metrics").is(http.StatusOK).body
}
