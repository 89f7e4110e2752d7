package main

import (
	"context"
	"math"
	"os"
	"os/signal"
	"runtime/debug"
	"runtime/metrics"
	"syscall"
	"time"

	"osgate/cmd/internal/gateway"
	"osgate/config"
	build "osgate/internal/version"
)

// reloadOn makes g read its certificates, policy and settings files again for each
// signal in hangups, until stop is called.
func reloadOn(hangups <-chan os.Signal, g *gateway.Gateway) (stop func()) {
	end, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for {
			select {
			case <-hangups:
				g.Reload()
			case <-end:
				return
			}
		}
	}()
	return func() {
		close(end)
		<-over
	}
}

// serve runs the gateway until ctx ends.
func (p *program) serve(ctx context.Context, args []string) int {
	if len(args) > 0 {
		return p.noArguments("serve", args)
	}
	hangups := make(chan os.Signal, 1)
	// SIGHUP would end the process by default, so it is caught from the first moment to
	// the last. A signal that arrives early waits in the channel.
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	// The reader of the output may close it: then lines are lost and counted, and
	// requests are still served.
	signal.Ignore(syscall.SIGPIPE)
	var c config.Config
	lines, flush := gateway.OpenLog(p.err, &c.Log)
	defer flush()
	p.err = lines // so that error messages keep their order among the log lines
	var ok bool
	if c, ok = p.load(); !ok {
		return exitMisuse
	}
	log := gateway.NewLogger(lines, c.Log)
	silence := gateway.Hear(log)
	defer silence()
	g, err := gateway.New(gateway.Options{
		Config: c, Logger: log, Log: lines, Out: p.out, Version: build.Of(version), Environ: p.environ,
	})
	if err != nil {
		p.complain("%v", err)
		return exitMisuse
	}
	bounding, unbound := context.WithCancel(ctx)
	defer unbound()
	go boundMemory(bounding, g.CachedBytes, int64(c.Cache.Bytes))
	stop := reloadOn(hangups, g)
	defer stop()
	if err := g.Run(ctx); err != nil {
		log.Error("stopped by a failure", "cause", err.Error())
		return exitFailed
	}
	return exitOK
}

// processBytes is the memory, in bytes, that a gateway may use in addition to its cache
// before the garbage collector works harder than usual.
const processBytes = 240 << 20

// memoryStep is the smallest change of the limit, in bytes, that is applied: each
// change stops the process for some microseconds.
const memoryStep = 4 << 20

// memoryEvery is the interval at which the size of the cache is read.
const memoryEvery = 200 * time.Millisecond

// mostProcessBytes bounds processBytes if more is reachable. The gateway is not made
// for a load beyond it: the collector works hard, and an alert reports it.
const mostProcessBytes = 512 << 20

// memoryLimit returns the memory limit, in bytes, for a cache that holds cached bytes
// and may hold capacity, when the last garbage collection found reachable bytes. The
// limit is the cached bytes, a quarter more for the overhead of the allocator, and
// processBytes. It leaves room for at least an eighth of the reachable bytes: with a
// limit below them the collector would never stop.
func memoryLimit(cached, capacity, reachable int64) int64 {
	return max(withQuarter(cached)+processBytes, min(reachable+reachable/8, withQuarter(capacity)+mostProcessBytes))
}

func withQuarter(n int64) int64 { return n + n/4 }

// heapFloor is the size, in bytes, up to which the heap may grow before a collection
// however little of it is reachable. The gateway reaches a few MB, and by Go's own rule,
// twice the reachable bytes, the collector runs dozens of times a second under load.
const heapFloor = 48 << 20

// The GC percent: Go's default, which holds from half of heapFloor on, and the most that
// is set. percentStep is the smallest change that is applied.
const (
	leastPercent = 100
	mostPercent  = 800
	percentStep  = 20
)

// gcPercent returns the GC percent when the last collection found reachable bytes and
// the gateway allocates rate bytes a second: the heap grows by what a second allocates,
// but no further than to heapFloor. So it does not grow while the gateway is idle.
func gcPercent(reachable, rate int64) int {
	grow := min(heapFloor-reachable, rate)
	return int(min(max(grow*100/max(reachable, 1), leastPercent), mostPercent))
}

// boundMemory sets the memory limit and the GC percent of Go's garbage collector until
// the context ends. The limit follows the bytes that the cache holds, not its capacity:
// memory that the cache does not use yet must not be filled with garbage. What the
// operator has set by GOMEMLIMIT or GOGC is not changed.
func boundMemory(ctx context.Context, cached func() int64, capacity int64) {
	limits, percents := os.Getenv("GOMEMLIMIT") == "", os.Getenv("GOGC") == ""
	limit, percent, allocated := int64(math.MaxInt64), leastPercent, int64(0)
	tick := time.NewTicker(memoryEvery)
	defer tick.Stop()
	for limits || percents {
		use := readUse()
		if next := memoryLimit(cached(), capacity, use.reachable); limits && max(next-limit, limit-next) >= memoryStep {
			limit = next
			debug.SetMemoryLimit(limit)
		}
		rate := (use.allocated - allocated) * int64(time.Second/memoryEvery)
		if next := gcPercent(use.reachable, rate); percents && max(next-percent, percent-next) >= percentStep {
			percent = next
			debug.SetGCPercent(percent)
		}
		allocated = use.allocated
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// memoryUse is a reading of Go's own numbers, in bytes.
type memoryUse struct {
	reachable int64 // the objects that the last collection found in use, and all stacks
	allocated int64 // since the process began
}

func readUse() memoryUse {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}, {Name: "/gc/heap/allocs:bytes"},
	}
	metrics.Read(samples)
	bytes := func(i int) int64 { return int64(samples[i].Value.Uint64()) }
	return memoryUse{reachable: bytes(0) + bytes(1), allocated: bytes(2)}
}
