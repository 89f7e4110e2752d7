package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"osgate/cmd/internal/gateway"
	"osgate/config"
	"osgate/reconcile"
	"osgate/regionmap"
)

const reconcileUsage = "stats reconcile takes -org ID -from TIME -to TIME and, as needed, -period 1hour|1day|1month, -plane us|eu, -unit requests|billing, " +
	"-format table|csv|json, -tolerance PERCENT, -gateway URL, -client-id ID and -client-secret-file FILE"

// tokenVariable names the variable with the token that is used without -client-id. It
// is not a variable of the gateway.
const tokenVariable = "OSGATE_TOKEN" //nolint:gosec // its name

// comparison holds the arguments of stats reconcile.
type comparison struct {
	organization string
	from, to     time.Time
	period       string
	plane        string
	unit         string
	format       string
	tolerance    float64
	gateway      string
	clientID     string
	secretFile   string
}

// stats runs the subcommands of stats. Unlike other commands it exits with status 2 on
// a failure, so that status 1 means only that the counts differ.
func (p *program) stats(ctx context.Context, args []string) int {
	if len(args) == 0 || args[0] != "reconcile" {
		return p.misuse("unknown stats command; want stats reconcile")
	}
	asked, err := parseComparison(args[1:])
	if err != nil {
		return p.misuse("%v", err)
	}
	var token string
	token, p.environ = take(p.environ, tokenVariable)
	c, ok := p.load()
	if !ok {
		return exitMisuse
	}
	report, err := p.reconcile(ctx, c, asked, token)
	if err != nil {
		p.complain("%v", err)
		return exitMisuse
	}
	if err := asked.print(p.out, report); err != nil {
		p.complain("%v", err)
		return exitMisuse
	}
	if report.Exceeds(asked.tolerance) {
		return exitFailed
	}
	return exitOK
}

// take returns the value of a variable, and the environment without it.
func take(environ []string, name string) (value string, rest []string) {
	for _, pair := range environ {
		if key, v, _ := strings.Cut(pair, "="); key == name {
			value = v
			continue
		}
		rest = append(rest, pair)
	}
	return value, rest
}

// parseComparison parses the arguments.
func parseComparison(args []string) (comparison, error) {
	var c comparison
	var from, to string
	set := flag.NewFlagSet("reconcile", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&c.organization, "org", "", "")
	set.StringVar(&from, "from", "", "")
	set.StringVar(&to, "to", "", "")
	set.StringVar(&c.period, "period", string(reconcile.Day), "")
	set.StringVar(&c.plane, "plane", "us", "")
	set.StringVar(&c.unit, "unit", "requests", "")
	set.StringVar(&c.format, "format", "table", "")
	set.Float64Var(&c.tolerance, "tolerance", 0, "")
	set.StringVar(&c.gateway, "gateway", "", "")
	set.StringVar(&c.clientID, "client-id", "", "")
	set.StringVar(&c.secretFile, "client-secret-file", "", "")
	if err := set.Parse(args); err != nil {
		return c, fmt.Errorf("%w; %s", err, reconcileUsage)
	}
	if set.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q; %s", set.Arg(0), reconcileUsage)
	}
	var err error
	if c.from, err = parseInstant("-from", from, false); err != nil {
		return c, err
	}
	if c.to, err = parseInstant("-to", to, true); err != nil {
		return c, err
	}
	return c, c.check()
}

// check returns an error if an argument is invalid.
func (c comparison) check() error {
	switch {
	case c.organization == "":
		return fmt.Errorf("-org is missing; %s", reconcileUsage)
	case regionmap.AccountsHost(c.plane) == "":
		return fmt.Errorf("unknown -plane %q; want one of %s", c.plane, strings.Join(regionmap.Planes(), ", "))
	case regionmap.StatsHost(c.plane) == "":
		return fmt.Errorf("the vendor has no Stats API in plane %s, only in us and eu: there are no counts to compare with the gateway's", c.plane)
	case c.unit != "requests" && c.unit != "billing":
		return fmt.Errorf("unknown -unit %q; want requests or billing", c.unit)
	case c.format != "table" && c.format != "csv" && c.format != "json":
		return fmt.Errorf("unknown -format %q; want table, csv or json", c.format)
	case !(c.tolerance >= 0): // the negation also catches NaN
		return errors.New("-tolerance is not a percentage; want 0 or more")
	case (c.clientID == "") != (c.secretFile == ""):
		return errors.New("-client-id and -client-secret-file must be given together")
	}
	return nil
}

// parseInstant parses an RFC 3339 time, or a day in UTC: its beginning or, with last,
// the beginning of the next day.
func parseInstant(name, text string, last bool) (time.Time, error) {
	if text == "" {
		return time.Time{}, fmt.Errorf("%s is missing; %s", name, reconcileUsage)
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		if last {
			return day.AddDate(0, 0, 1), nil
		}
		return day, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("invalid %s %q; want a day such as 2024-08-31 or a time such as 2024-08-31T12:00:00Z",
			name, text)
	}
	return t, nil
}

// reconcile reads the counts of both sides with one token.
func (p *program) reconcile(
	ctx context.Context, c config.Config, asked comparison, token string,
) (*reconcile.Report, error) {
	transport, err := gateway.Transport(c)
	if err != nil {
		return nil, err
	}
	ours, err := asked.base(c)
	if err != nil {
		return nil, err
	}
	switch {
	case asked.clientID != "" && token != "":
		return nil, errors.New("both " + tokenVariable + " and -client-id are given; want only one of them")
	case asked.clientID != "":
		end := gateway.Endpoint(c)(asked.plane)
		if token, err = asked.mint(ctx, transport.Shared, end.URL, end.Host); err != nil {
			return nil, fmt.Errorf("getting a token: %w", err)
		}
	case token == "":
		return nil, errors.New(
			"a token is needed: set " + tokenVariable + ", or give -client-id and -client-secret-file")
	}
	authorize := func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	host := regionmap.StatsHost(asked.plane)
	theirs := &url.URL{Scheme: "https", Host: host}
	if c.Upstream.Override.Reveal() != nil {
		theirs = c.Upstream.Override.Reveal()
	}
	return reconcile.Reconcile(ctx, reconcile.Options{
		Theirs: &reconcile.API{Transport: transport.Shared, Base: theirs, Host: host, Authorize: authorize},
		Ours: &reconcile.API{
			Transport: transport.Shared, Base: ours.JoinPath(asked.plane), Authorize: authorize,
			Query: url.Values{"source": {"upstream"}, "unit": {asked.unit}},
		},
		Organization: asked.organization, Period: reconcile.Period(asked.period), From: asked.from, To: asked.to,
	})
}

// base returns the base URL of the gateway: that of -gateway, otherwise the gateway's
// own address on this machine.
func (c comparison) base(own config.Config) (*url.URL, error) {
	if c.gateway != "" {
		u, err := url.Parse(c.gateway)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" ||
			u.Host == "" || u.User != nil || u.RawQuery != "" {
			return nil, errors.New("-gateway is not a URL such as http://gateway:8080")
		}
		return u, nil
	}
	host, port, err := net.SplitHostPort(string(own.Listen))
	if err != nil {
		return nil, fmt.Errorf("OSGATE_LISTEN cannot be used: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if own.TLS.Cert != "" {
		scheme = "https"
	}
	return &url.URL{Scheme: scheme, Host: net.JoinHostPort(host, port)}, nil
}

// print writes the report in the chosen format.
func (c comparison) print(w io.Writer, r *reconcile.Report) error {
	switch c.format {
	case "csv":
		return r.CSV(w)
	case "json":
		return r.JSON(w)
	}
	return r.Table(w)
}

const (
	// tokenPath is the path at which Access Management issues a token to a connected
	// app ("Object Store v2 REST APIs", bearer token).
	tokenPath = "/accounts/api/v2/oauth2/token" //nolint:gosec // where tokens come from
	// mintTimeout bounds the request for a token.
	mintTimeout = 30 * time.Second
	// maxGrant bounds the size in bytes of the answer, and of a file with a secret.
	maxGrant = 64 << 10
)

// mint gets a token for a connected app by its client credentials, from the Access
// Management of that host at base. Its errors contain neither the secret nor the token.
func (c comparison) mint(ctx context.Context, transport http.RoundTripper, base *url.URL, host string) (string, error) {
	secret, err := readSecret(c.secretFile)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, mintTimeout)
	defer cancel()
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {c.clientID}, "client_secret": {secret},
	}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost,
		base.JoinPath(tokenPath).String(), strings.NewReader(form))
	if err != nil {
		return "", errors.New("making the request")
	}
	r.Host = host
	r.Header = http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}, "User-Agent": {"osgate"},
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return "", fmt.Errorf("requesting %s: %w", host, err)
	}
	defer func() { _ = answer.Body.Close() }() // read below, up to maxGrant
	var grant struct {
		Token string `json:"access_token"`
	}
	err = json.NewDecoder(io.LimitReader(answer.Body, maxGrant)).Decode(&grant)
	switch {
	case answer.StatusCode != http.StatusOK:
		return "", fmt.Errorf("%s answered %d to client %q", host, answer.StatusCode, c.clientID)
	case err != nil || grant.Token == "":
		return "", fmt.Errorf("%s answered without a token", host)
	}
	return grant.Token, nil
}

// readSecret reads a file that contains a secret and may end with a newline. Its errors
// do not contain the content.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading the client secret: %w", err)
	}
	defer func() { _ = f.Close() }() // opened for reading only
	text, err := io.ReadAll(io.LimitReader(f, maxGrant))
	if err != nil {
		return "", fmt.Errorf("reading the client secret: %w", err)
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" {
		return "", errors.New("the file of the client secret is empty")
	}
	return secret, nil
}
