package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"osgate/cmd/internal/gateway"
	"osgate/config"
)

const topUsage = "top takes -admin URL, -once and -interval DURATION"

// The bounds of the interval between two requests of a running top.
const (
	minInterval = 250 * time.Millisecond
	maxInterval = time.Hour
)

// The size of a frame if the size of the terminal is unknown. Output that is not a
// terminal gets a width that a long name fits in.
const (
	defaultWidth  = 80
	defaultHeight = 24
	pipeWidth     = 120
	maxWidth      = 1000
)

// topArguments holds the arguments of top.
type topArguments struct {
	admin    string // empty: the gateway of this configuration
	once     bool
	interval time.Duration
}

// top shows the activity of the gateway: again and again on a terminal, otherwise once.
func (p *program) top(ctx context.Context, args []string) int {
	a, err := parseTop(args)
	if err != nil {
		return p.misuse("%v", err)
	}
	c, ok := p.loadAlone()
	if !ok {
		return exitMisuse
	}
	if a.admin == "" {
		if a.admin, err = loopbackURL(string(c.Admin.Listen)); err != nil {
			return p.misuse("OSGATE_ADMIN_LISTEN cannot be used: %v; give another address with -admin URL", err)
		}
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: requestTimeout}
	who := operator{base: a.admin, token: c.Admin.Token.Reveal(), transport: transport}
	first, err := who.overview(ctx)
	if err != nil {
		p.complain("requesting %s: %v", a.admin, err)
		return exitFailed
	}
	screen := p.screen()
	if a.once || screen.pipe || screen.dumb {
		p.print("%s\n", frame(first, view{width: screen.columns(), color: screen.color, source: a.admin}))
		return exitOK
	}
	screen.keys = newKeyboard(p.in)
	changes, quiet := windowChanges()
	defer quiet()
	err = watch(ctx, screen, first, watched{source: a.admin, interval: a.interval, ask: who.overview, changes: changes})
	if err != nil {
		p.complain("writing to the terminal: %v", err)
		return exitFailed
	}
	return exitOK
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

// parseTop parses the arguments of top.
func parseTop(args []string) (topArguments, error) {
	var a topArguments
	flags := flag.NewFlagSet("top", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&a.admin, "admin", "", "")
	flags.BoolVar(&a.once, "once", false, "")
	flags.DurationVar(&a.interval, "interval", 2*time.Second, "")
	if err := flags.Parse(args); err != nil {
		return a, fmt.Errorf("%w; %s", err, topUsage)
	}
	if flags.NArg() > 0 {
		return a, fmt.Errorf("unexpected argument %q; %s", flags.Arg(0), topUsage)
	}
	if a.interval < minInterval || a.interval > maxInterval {
		return a, fmt.Errorf("-interval must be from %v to %v", minInterval, maxInterval)
	}
	if a.admin == "" {
		return a, nil
	}
	if !strings.Contains(a.admin, "://") {
		a.admin = "http://" + a.admin
	}
	u, err := url.Parse(a.admin)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Scheme != "http" && u.Scheme != "https" {
		return a, errors.New("-admin must be the address of an admin listener, such as http://127.0.0.1:8081")
	}
	a.admin = strings.TrimSuffix(u.String(), "/")
	return a, nil
}

// loopbackURL returns the URL by which this machine reaches a listener of its own.
func loopbackURL(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

// screen returns a screen for standard output.
func (p *program) screen() *screen {
	lookup := func(name string) string { value, _ := take(p.environ, name); return value }
	s := &screen{out: p.out, pipe: true, dumb: lookup("TERM") == "dumb", lookup: lookup}
	if f, ok := p.out.(*os.File); ok && isTerminal(f) {
		s.pipe, s.file = false, f
	}
	s.color = !s.pipe && !s.dumb && lookup("NO_COLOR") == ""
	return s
}

// number returns the value of a variable that is a whole number above 0, otherwise 0.
func (s *screen) number(name string) int {
	n, err := strconv.Atoi(s.lookup(name))
	if err != nil || n < 1 {
		return 0
	}
	return n
}
