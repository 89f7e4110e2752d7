package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"osgate/cmd/internal/top"
)

const topUsage = "top takes -admin URL, -ca FILE, -once, -interval DURATION and -client ID"

// The bounds of the interval between two requests of a running top.
const (
	minInterval = 250 * time.Millisecond
	maxInterval = time.Hour
)

// topArguments holds the arguments of top.
type topArguments struct {
	admin    string // empty: the gateway of this configuration
	ca       string // file of an extra trusted CA for admin; empty: none
	once     bool
	interval time.Duration
	client   string // empty: the overview
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
	trusted, err := authorities(a.ca)
	if err != nil {
		return p.misuse("-ca cannot be used: %v", err)
	}
	if a.admin == "" {
		if a.admin, trusted, err = ownAdmin(c.Admin); err != nil {
			return p.misuse("%v; give another address with -admin URL", err)
		}
	}
	err = top.Run(ctx, top.Options{
		Admin: a.admin, Token: c.Admin.Token.Reveal(), TLS: trusted,
		Once: a.once, Interval: a.interval, Client: a.client,
		In: p.in, Out: p.out, Getenv: func(name string) string { value, _ := take(p.environ, name); return value },
	})
	if err != nil {
		p.complain("%v", err)
		return exitFailed
	}
	return exitOK
}

// authorities returns a configuration that trusts the system's authorities and those
// in file; nil, which is the default of net/http, without a file.
func authorities(file string) (*tls.Config, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // the default is a valid configuration
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err //nolint:wrapcheck // the error names the file
	}
	if _, err := first(text); err != nil {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("reading the system's authorities: %w", err)
	}
	roots.AppendCertsFromPEM(text)
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, nil
}

// parseTop parses the arguments of top.
func parseTop(args []string) (topArguments, error) {
	var a topArguments
	flags := flag.NewFlagSet("top", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&a.admin, "admin", "", "")
	flags.StringVar(&a.ca, "ca", "", "")
	flags.BoolVar(&a.once, "once", false, "")
	flags.StringVar(&a.client, "client", "", "")
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
		if a.ca != "" {
			return a, errors.New("-ca is for -admin URL; the gateway of this configuration is verified by OSGATE_ADMIN_TLS_CERT")
		}
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
