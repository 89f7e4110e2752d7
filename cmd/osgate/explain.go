package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"osgate/cmd/internal/gateway"
	"osgate/proxy"
)

const explainUsage = "explain takes METHOD URL, any number of -H 'Name: value', and -token-client ID"

// request holds the arguments of explain.
type request struct {
	method, target string
	host           string
	header         http.Header
	client         string
}

// explain prints what the gateway would do with a request, without sending it.
func (p *program) explain(_ context.Context, args []string) int {
	asked, err := parseExplain(args)
	if err != nil {
		return p.misuse("%v", err)
	}
	c, ok := p.load()
	if !ok {
		return exitMisuse
	}
	pipeline, shut, err := gateway.Proxy(gateway.Options{Config: c, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		p.complain("%v", err)
		return exitMisuse
	}
	defer func() { _ = shut() }() // nothing was written
	r, err := asked.http()
	if err != nil {
		return p.misuse("%v", err)
	}
	e := pipeline.Explain(r, asked.client)
	p.printExplanation(e)
	if e.Refused != "" {
		return exitFailed
	}
	return exitOK
}

// parseExplain parses the arguments. Flags may be anywhere, as with curl.
func parseExplain(args []string) (request, error) {
	r := request{header: http.Header{}, client: "CLIENT_ID"}
	var words []string
	for i := 0; i < len(args); i++ {
		if args[i] != "-H" && args[i] != "-token-client" {
			if strings.HasPrefix(args[i], "-") {
				return r, fmt.Errorf("unknown flag %q; %s", args[i], explainUsage)
			}
			words = append(words, args[i])
			continue
		}
		if i++; i == len(args) {
			return r, fmt.Errorf("%s needs a value; %s", args[i-1], explainUsage)
		}
		if args[i-1] == "-token-client" {
			r.client = args[i]
			continue
		}
		name, value, ok := strings.Cut(args[i], ":")
		if !ok || strings.TrimSpace(name) == "" {
			return r, fmt.Errorf("-H %q is not 'Name: value'", args[i])
		}
		r.header.Add(textproto.TrimString(name), textproto.TrimString(value))
	}
	if len(words) != 2 {
		return r, fmt.Errorf("%s", explainUsage)
	}
	r.method, r.target = words[0], words[1]
	return r, nil
}

// http builds the request as the server would read it: it parses the raw bytes, so that
// nothing is normalized on the way.
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
