package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"osgate/auth"
	"osgate/cmd/internal/gateway"
	"osgate/config"
	"osgate/proxy"
)

const explainUsage = "explain takes METHOD URL, any number of -H 'Name: value', and one of -token-client ID, -as NAME " +
	"and -jwt FILE"

// verifyTimeout limits how long explain waits for the keys of an issuer.
const verifyTimeout = 10 * time.Second

// request holds the arguments of explain.
type request struct {
	method, target string
	host           string
	header         http.Header
	flag, client   string // the flag that names the client, and its value; empty: none
}

// explain prints how the gateway would handle a request, without sending it.
func (p *program) explain(ctx context.Context, args []string) int {
	asked, err := parseExplain(args)
	if err != nil {
		return p.misuse("%v", err)
	}
	c, ok := p.load()
	if !ok {
		return exitMisuse
	}
	r, err := asked.http()
	if err != nil {
		return p.misuse("%v", err)
	}
	client, err := asked.caller(ctx, c)
	if refused(err) {
		p.printExplanation(proxy.ExplainRefusal(err))
		return exitFailed
	}
	if err != nil {
		return p.misuse("%v", err)
	}
	pipeline, shut, err := gateway.Proxy(gateway.Options{Config: c, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		p.complain("%v", err)
		return exitMisuse
	}
	defer func() { _ = shut() }() // nothing was written
	e := pipeline.Explain(r, client)
	p.printExplanation(e)
	if e.Refused != "" {
		return exitFailed
	}
	return exitOK
}

// parseExplain parses the arguments. Flags may be anywhere, as with curl.
func parseExplain(args []string) (request, error) {
	r := request{header: http.Header{}}
	var words []string
	for i := 0; i < len(args); i++ {
		if !slices.Contains([]string{"-H", "-token-client", "-as", "-jwt"}, args[i]) {
			if strings.HasPrefix(args[i], "-") {
				return r, fmt.Errorf("unknown flag %q; %s", args[i], explainUsage)
			}
			words = append(words, args[i])
			continue
		}
		if i++; i == len(args) {
			return r, fmt.Errorf("%s needs a value; %s", args[i-1], explainUsage)
		}
		if err := r.set(args[i-1], args[i]); err != nil {
			return r, err
		}
	}
	if len(words) != 2 {
		return r, fmt.Errorf("%s", explainUsage)
	}
	r.method, r.target = words[0], words[1]
	return r, nil
}

// set applies a flag.
func (r *request) set(flag, value string) error {
	if flag != "-H" {
		if r.flag != "" && r.flag != flag || value == "" {
			return fmt.Errorf("the client has one name; %s", explainUsage)
		}
		r.flag, r.client = flag, value
		return nil
	}
	name, text, ok := strings.Cut(value, ":")
	if !ok || strings.TrimSpace(name) == "" {
		return fmt.Errorf("-H %q is not 'Name: value'", value)
	}
	r.header.Add(textproto.TrimString(name), textproto.TrimString(text))
	return nil
}

// caller returns the client of the request. It verifies a JWT, for which it may wait for
// its issuer. An error is a misuse unless it is refused.
func (r *request) caller(ctx context.Context, c config.Config) (auth.Caller, error) {
	switch r.flag {
	case "-as":
		return callerNamed(r.client, c)
	case "-jwt":
		return verify(ctx, r.client, c)
	case "-token-client":
		return auth.Caller{Name: r.client}, nil
	}
	return auth.Caller{Name: "CLIENT_ID"}, nil
}

// callerNamed returns the client without an Anypoint credential that has this name. A
// name with "://", which is that of a certificate more often than of a token, is
// identified by mtls if possible, any other by jwt. The issuer is known if there is only
// one.
func callerNamed(name string, c config.Config) (auth.Caller, error) {
	methods := c.Auth.Methods
	if !methods.Broker() {
		return auth.Caller{}, errors.New("-as names a client without an Anypoint token: OSGATE_AUTH has neither jwt " +
			"nor mtls; want -token-client ID")
	}
	jwt := methods.Has(string(auth.ByJWT))
	if jwt && methods.Has(string(auth.ByMTLS)) {
		jwt = !strings.Contains(name, "://")
	}
	switch {
	case !jwt:
		return auth.Caller{Name: name, Method: auth.ByMTLS}, nil
	case len(c.Auth.Issuers) == 1:
		return auth.Caller{Name: name, Method: auth.ByJWT, Issuer: c.Auth.Issuers[0].URL}, nil
	}
	return auth.Caller{Name: name, Method: auth.ByJWT}, nil
}

// verify returns the client of the JWT in a file.
func verify(ctx context.Context, file string, c config.Config) (auth.Caller, error) {
	if !c.Auth.Methods.Has(string(auth.ByJWT)) {
		return auth.Caller{}, errors.New("-jwt needs the method jwt in OSGATE_AUTH")
	}
	text, err := config.ReadSecret(file)
	if err != nil {
		return auth.Caller{}, fmt.Errorf("reading %s: %w", file, err)
	}
	token := auth.NewToken(strings.TrimSpace(text.Reveal()))
	issuers, err := gateway.Issuers(c)
	if err != nil {
		return auth.Caller{}, err //nolint:wrapcheck // the error names the variable
	}
	defer issuers.Close()
	if !issuers.Recognizes(token) && len(c.Auth.Methods) > 1 {
		return auth.Caller{}, fmt.Errorf("%s contains no JWT, which the method jwt would identify", file)
	}
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	caller, err := issuers.Verify(ctx, token)
	if ctx.Err() != nil && err != nil {
		err = &auth.UnavailableError{Issuer: "of the token", Cause: err}
	}
	return caller, err //nolint:wrapcheck // the verifier's own words
}

// refused reports whether err is about a credential, and no misuse.
func refused(err error) bool {
	_, unavailable := errors.AsType[*auth.UnavailableError](err)
	return unavailable || errors.Is(err, auth.ErrBadToken)
}

// http builds the request as the server would read it: it parses the raw bytes without
// normalization.
func (r request) http() (*http.Request, error) {
	target := r.target
	if scheme, rest, ok := strings.Cut(target, "://"); ok {
		if _, err := url.Parse(scheme + "://x"); err != nil {
			return nil, fmt.Errorf("invalid URL: %w", err)
		}
		at := strings.IndexAny(rest, "/?")
		if at < 0 {
			at = len(rest)
		}
		r.host, target = rest[:at], rest[at:]
	}
	if host := r.header.Get("Host"); host != "" {
		r.host = host
		r.header.Del("Host")
	}
	if r.host == "" {
		r.host = "localhost"
	}
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", r.method, target, r.host, r.framing())
	read, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		return nil, fmt.Errorf("invalid request: %w", err)
	}
	read.Header = r.header
	return read, nil
}

// framing returns the headers by which a server determines the length of a body.
func (r request) framing() string {
	var b strings.Builder
	for _, name := range []string{"Content-Length", "Transfer-Encoding"} {
		for _, value := range r.header.Values(name) {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	return b.String()
}

func (p *program) printExplanation(e proxy.Explanation) {
	if e.Client != "" {
		p.print("client       %s\n", e.Client)
	}
	if e.Refused != "" {
		p.print("refused      %d %s\nbecause      %s\n", e.Status, e.Code, e.Refused)
		if e.Rule != "" {
			p.print("rule         %s\n", e.Rule)
		}
		p.printFacts(e)
		return
	}
	for _, row := range []struct{ name, value string }{
		{"operation", e.Operation}, {"organization", e.Organization}, {"environment", e.Environment},
		{"store", e.Store}, {"partition", e.Partition}, {"key", e.Key},
		{"location", e.Location}, {"upstream", e.Upstream},
		{"quota", e.Quota}, {"warning", e.QuotaWarning}, {"quota key", e.QuotaKey},
		{"rule", e.Rule}, {"cache", e.Cache},
		{"cache key", e.CacheKey}, {"passed by", e.CachePast}, {"epoch", e.Epoch}, {"generations", e.Generations},
	} {
		if row.value != "" {
			p.print("%-12s %s\n", row.name, row.value)
		}
	}
	p.printFacts(e)
}

// printFacts prints the facts that may still change the decision.
func (p *program) printFacts(e proxy.Explanation) {
	if e.Facts != "" {
		p.print("not known    %s: rules read values that only a real request has\n", e.Facts)
	}
}
