// Command osemu serves a local Object Store v2: all 17 regional hosts, the Stats API and
// Access Management of the five control planes, on one port.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker. It is empty in a plain go build.
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
