// Command osgate is the gateway. The command serve runs it; check, explain and env show
// how it is set up and what it would do; healthcheck checks a running one.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"osgate/cmd/internal/gateway"
	"osgate/config"
	build "osgate/internal/version"
)

// version is set by the linker. It is empty in a plain go build.
var version string

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitMisuse = 2
)

// program is one run of the command with everything that it uses of the process, so
// that a test can run the whole command.
type program struct {
	environ  []string
	in       io.Reader
	out, err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	gateway.EndAtOnceOnASecond(ctx, stop)
	p := &program{environ: os.Environ(), in: os.Stdin, out: os.Stdout, err: os.Stderr}
	os.Exit(p.run(ctx, os.Args[1:]))
}

// run runs one subcommand and returns the exit status.
func (p *program) run(ctx context.Context, args []string) int {
	name := "serve"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	if wantsHelp(args) {
		name = "help"
	}
	switch name {
	case "-v", "-version", "--version":
		name = "version"
	case "-h", "-help", "--help":
		name = "help"
	}
	for _, c := range append(commands(), command{name: "docs", run: (*program).docs}) {
		if c.name == name {
			return c.run(p, ctx, args)
		}
	}
	if strings.HasPrefix(name, "-") {
		return p.misuse("unknown flag %q; the gateway is configured by OSGATE_… variables", name)
	}
	return p.misuse("unknown command %q", name)
}

func (p *program) print(format string, args ...any) {
	fmt.Fprintf(p.out, format, args...)
}

func (p *program) complain(format string, args ...any) {
	fmt.Fprintf(p.err, "osgate: "+format+"\n", args...)
}

func (p *program) misuse(format string, args ...any) int {
	p.complain(format+"; see osgate help", args...)
	return exitMisuse
}

// version prints the version.
func (p *program) version(_ context.Context, args []string) int {
	if len(args) > 0 {
		return p.noArguments("version", args)
	}
	p.print("osgate %s\n", build.Of(version))
	return exitOK
}

// help prints the usage.
func (p *program) help(context.Context, []string) int {
	p.print("%s", usage())
	return exitOK
}

// wantsHelp reports whether one of args is a flag that requests the usage. The
// argument after explain's -H is a header.
func wantsHelp(args []string) bool {
	for i, arg := range args {
		if slices.Contains([]string{"-h", "-help", "--help"}, arg) && (i == 0 || args[i-1] != "-H") {
			return true
		}
	}
	return false
}

// noArguments reports the misuse of a command that takes no arguments.
func (p *program) noArguments(command string, args []string) int {
	return p.misuse("%s takes no arguments and no flags: %q", command, args[0])
}

// load reads the configuration and prints every problem. If ok is false, the caller
// only has to exit.
func (p *program) load() (c config.Config, ok bool) {
	c, err := gateway.Configure(p.environ)
	if err != nil {
		p.complain("%v", err)
		return c, false
	}
	return c, true
}

// loadAlone reads the configuration without the files that it names. A running gateway
// keeps its policy while the files are invalid, which is when operators look at it.
// loadAlone prints every problem; if ok is false, the caller only has to exit.
func (p *program) loadAlone() (c config.Config, ok bool) {
	c, err := gateway.ConfigureAlone(p.environ)
	if err != nil {
		p.complain("%v", err)
		return c, false
	}
	return c, true
}
