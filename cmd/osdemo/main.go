// Command osdemo is a demonstration: the gateway with embedded stores and the Object
// Store v2 emulator in one process on loopback. It mints a token through the gateway
// and prints curl commands to paste. OSGATE_… variables of the environment override its
// own settings.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"osgate/cmd/internal/gateway"
	"osgate/emulator"
	build "osgate/internal/version"
)

// version is set by the linker. It is empty in a plain go build.
var version string

// The addresses that are tried first. If one is in use, the system chooses a port.
const (
	clientsAddress  = "127.0.0.1:8080"
	adminAddress    = "127.0.0.1:8081"
	emulatorAddress = "127.0.0.1:8090"
)

// latency is the delay that the emulator adds to each answer, so that a cache hit is
// visible.
const latency = 20 * time.Millisecond

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	gateway.EndAtOnceOnASecond(ctx, stop)
	if status, ends := arguments(os.Args[1:], os.Stdout, os.Stderr); ends {
		os.Exit(status)
	}
	if err := run(ctx, os.Environ(), os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "osdemo: %v\n", err)
		os.Exit(1)
	}
}

const usage = `osdemo is a demonstration: the gateway and the Object Store v2 emulator in one process on loopback.
It prints curl commands to paste. Ctrl-C stops it.

Usage: osdemo

  -h, --help     print this
  -v, --version  print the version

OSGATE_… variables override the settings of the demo; osgate help lists the commands of the gateway, osemu -h the flags of the emulator.
`

// misuse is the exit status for unknown arguments.
const misuse = 2

// arguments handles the arguments. It reports whether osdemo ends with that, and the
// exit status.
func arguments(args []string, out, complaints io.Writer) (status int, ends bool) {
	if len(args) == 0 {
		return 0, false
	}
	switch args[0] {
	case "-h", "-help", "--help", "help":
		fmt.Fprint(out, usage)
		return 0, true
	case "-v", "-version", "--version", "version":
		fmt.Fprintln(out, "osdemo", build.Of(version))
		return 0, true
	}
	fmt.Fprintf(complaints, "osdemo: unknown flag or argument %q; see osdemo -h\n", args[0])
	return misuse, true
}

// run serves until ctx ends.
func run(ctx context.Context, environ []string, out, log io.Writer) error {
	upstream, stopUpstream, err := startEmulator(ctx)
	if err != nil {
		return err
	}
	defer stopUpstream()
	c, err := gateway.Configure(settings(environ, upstream))
	if err != nil {
		return err
	}
	form := c.Log
	form.Format = "text"
	lines, flush := gateway.OpenLog(log, &form)
	defer flush()
	logger := slog.New(slog.NewTextHandler(lines, &slog.HandlerOptions{Level: max(c.Log.Minimum(), slog.LevelError)}))
	g, err := gateway.New(gateway.Options{Config: c, Logger: logger, Log: lines, Version: build.Of(version)})
	if err != nil {
		return err
	}
	stopped := make(chan error, 1)
	go func() { stopped <- g.Run(ctx) }() // ends with ctx, waited for below
	tour := tour{gateway: g.ClientsURL(), admin: g.AdminURL(), emulator: upstream, now: time.Now().UTC()}
	if err := tour.mint(ctx); err == nil {
		tour.print(out)
	} else if ctx.Err() == nil {
		return fmt.Errorf("minting a token through the gateway: %w", err)
	}
	err = <-stopped
	fmt.Fprintln(out, "stopped")
	return err
}

// startEmulator serves the emulator on loopback and returns its base URL.
func startEmulator(ctx context.Context) (base string, stop func(), err error) {
	e, err := emulator.New(emulator.Options{Latency: latency})
	if err != nil {
		return "", nil, err
	}
	listener, err := net.Listen("tcp", free(emulatorAddress)) //nolint:noctx // returns at once
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("opening the emulator's listener: %w", err), e.Close())
	}
	server := &http.Server{
		Handler: e, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	done := make(chan struct{})
	go func() { // ends with stop
		defer close(done)
		_ = server.Serve(listener) // always ErrServerClosed
	}()
	return "http://" + listener.Addr().String(), func() {
		_ = server.Close() // the gateway has stopped, so no request is running
		<-done
		_ = e.Close() // in memory
	}, nil
}

// settings returns the demo's variables, overridden by those of the environment.
func settings(environ []string, upstream string) []string {
	own := map[string]string{
		"OSGATE_LISTEN":            free(clientsAddress),
		"OSGATE_ADMIN_LISTEN":      free(adminAddress),
		"OSGATE_UPSTREAM_OVERRIDE": upstream,
		"OSGATE_DEFAULT_REGION":    "us/us-east-1",
		"OSGATE_DRAIN_DELAY":       "0s",
	}
	var all []string
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		delete(own, name)
		all = append(all, pair)
	}
	for name, value := range own {
		all = append(all, name+"="+value)
	}
	return all
}

// free returns address if no listener uses it, otherwise an address with port 0, for
// which the system chooses a port.
func free(address string) string {
	l, err := net.Listen("tcp", address) //nolint:noctx // returns at once
	if err != nil {
		return "127.0.0.1:0"
	}
	_ = l.Close() // opened only to test the address
	return address
}
