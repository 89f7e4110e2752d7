package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"osgate/emulator"
	build "osgate/internal/version"
)

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitMisuse = 2
)

// drain is the longest wait for running exchanges at the end.
const drain = 5 * time.Second

// run serves until ctx is done and returns the exit status.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	s, err := readSettings(args, environ)
	if errors.Is(err, flag.ErrHelp) {
		writeHelp(stdout)
		return exitOK
	}
	if err != nil {
		fmt.Fprintf(stderr, "osemu: %v (see osemu -h)\n", oneLine(err))
		return exitMisuse
	}
	if s.version {
		fmt.Fprintln(stdout, "osemu", build.Of(version))
		return exitOK
	}
	if s.healthcheck {
		return healthcheck(ctx, s, stdout, stderr)
	}
	if !s.quiet {
		lines := newLineWriter(stderr)
		defer lines.close()
		stderr = lines
	}
	options, err := s.options(stderr)
	if err != nil {
		fmt.Fprintf(stderr, "osemu: %v\n", err)
		return exitMisuse
	}
	e, err := emulator.New(options)
	if err != nil {
		fmt.Fprintf(stderr, "osemu: %v\n", oneLine(err))
		return exitMisuse
	}
	err = serve(ctx, s, e, stdout, stderr)
	if err := errors.Join(err, e.Close()); err != nil {
		fmt.Fprintf(stderr, "osemu: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// serve opens the listener, prints its address, and serves until ctx is done.
func serve(ctx context.Context, s settings, e *emulator.Emulator, stdout, stderr io.Writer) error {
	listener, scheme, err := listen(ctx, s)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s://%s\n", scheme, listener.Addr())
	if !s.quiet {
		fmt.Fprint(stderr, welcome(scheme, listener.Addr().String()))
	}
	server := &http.Server{
		Handler: e, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		DisableGeneralOptionsHandler: true, // so that "OPTIONS *" is in the request log too
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }() // ends by Shutdown or Close below
	select {
	case err := <-done:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if server.Shutdown(stopping) != nil {
		_ = server.Close() // exchanges still running have had their time
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving: %w", err)
	}
	return nil
}

// listen returns the listener, with TLS 1.2 or above if there is a certificate, as
// Object Store v2 itself requires.
func listen(ctx context.Context, s settings) (net.Listener, string, error) {
	var config *tls.Config
	if s.tlsCert != "" {
		certificate, err := tls.LoadX509KeyPair(s.tlsCert, s.tlsKey)
		if err != nil {
			return nil, "", fmt.Errorf("reading certificate: %w", err)
		}
		config = &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate},
			NextProtos: []string{"h2", "http/1.1"},
		}
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.listen)
	if err != nil {
		return nil, "", fmt.Errorf("listening: %w", err)
	}
	if config == nil {
		return listener, "http", nil
	}
	return tls.NewListener(listener, config), "https", nil
}
