package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// healthcheckTimeout is shorter than container runtimes usually allow.
const healthcheckTimeout = 3 * time.Second

// healthcheck checks whether the osemu with these settings serves. It needs no shell
// and no curl, so that it works in an image that contains only osemu.
func healthcheck(ctx context.Context, s settings, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	host, port, err := net.SplitHostPort(s.listen)
	if err != nil {
		fmt.Fprintf(stderr, "osemu: -listen cannot be used: %v\n", err)
		return exitMisuse
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if s.tlsCert != "" {
		scheme = "https"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet,
		scheme+"://"+net.JoinHostPort(host, port)+"/_osemu/livez", nil)
	if err != nil {
		fmt.Fprintf(stderr, "osemu: -listen cannot be used: %v\n", err)
		return exitMisuse
	}
	// The certificate is for other names, and whether osemu serves is not a secret.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // see above
	defer transport.CloseIdleConnections()
	answer, err := transport.RoundTrip(r)
	if err != nil {
		fmt.Fprintf(stderr, "osemu: %v\n", err)
		return exitFailed
	}
	_ = answer.Body.Close() // the body is not needed
	fmt.Fprintln(stdout, answer.Status)
	if answer.StatusCode != http.StatusOK {
		return exitFailed
	}
	return exitOK
}
