package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"osgate/cmd/internal/gateway"
	"osgate/config"
)

// load reads the configuration and says everything that is wrong with it. Nothing is left to do where ok is false.
func (p *program) load() (c config.Config, ok bool) {
	c, err := gateway.Configure(p.environ)
	if err != nil {
		p.complain("%v", err)
		return c, false
	}
	return c, true
}

// logger is the gateway's log, on standard error.
func logger(w io.Writer, c config.Log) *slog.Logger {
	o := &slog.HandlerOptions{Level: c.Minimum()}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}

// reloadOnHangup has g read its policy again on SIGHUP, until stop is called.
func (p *program) reloadOnHangup(g *gateway.Gateway) (stop func()) {
	hangups, over := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		defer close(over)
		for range hangups {
			g.Reload()
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(hangups)
		<-over
	}
}

// serve runs the gateway until ctx ends.
func (p *program) serve(ctx context.Context, args []string) int {
	if len(args) > 0 {
		return p.misuse("serve takes no arguments")
	}
	c, ok := p.load()
	if !ok {
		return exitMisuse
	}
	log := logger(p.err, c.Log)
	silence := gateway.Hear(log)
	defer silence()
	boundMemory(int64(c.Cache.Bytes))
	g, err := gateway.New(gateway.Options{Config: c, Logger: log, Out: p.out, Version: buildVersion(), Environ: p.environ})
	if err != nil {
		p.complain("%v", err)
		return exitMisuse
	}
	stop := p.reloadOnHangup(g)
	defer stop()
	if err := g.Run(ctx); err != nil {
		log.Error("stopped by a failure", "cause", err.Error())
		return exitFailed
	}
	return exitOK
}
