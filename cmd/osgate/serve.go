package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

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
