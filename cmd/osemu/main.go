// Command osemu serves a local Object Store v2: all 17 regional hosts, the Stats API and
// Access Management of the five control planes, on one port.
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
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"osgate/emulator"
	build "osgate/internal/version"
)

// version is set by the linker. It is empty in a plain go build.
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

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

// welcome returns the line that is printed at the start.
func welcome(scheme, address string) string {
	return fmt.Sprintf("osemu: %s://%s/us/us-east-1 is a BASE_URL; app-one/secret-one is a client of the built-in world; see osemu -h\n",
		scheme, address)
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

// The bounds of a lineWriter.
const (
	linesWaiting = 4096        // lines that may wait for a reader
	linesFlush   = time.Second // the wait for a reader at the end
)

// lineWriter writes lines in the background, so that no request waits for a reader.
// Lines that do not fit are lost, and the next line states how many. It is safe for
// concurrent use.
type lineWriter struct {
	out   io.Writer
	lines chan []byte
	lost  atomic.Int64
	quit  chan struct{} // closed by close
	over  chan struct{} // closed when all lines are written
}

func newLineWriter(out io.Writer) *lineWriter {
	w := &lineWriter{
		out: out, lines: make(chan []byte, linesWaiting), quit: make(chan struct{}), over: make(chan struct{}),
	}
	go w.write() // ends with close; a write without a reader blocks until the process ends
	return w
}

// Write implements [io.Writer]. It never waits and never fails.
func (w *lineWriter) Write(p []byte) (int, error) {
	select {
	case w.lines <- append([]byte(nil), p...):
	default:
		w.lost.Add(1)
	}
	return len(p), nil
}

func (w *lineWriter) write() {
	defer close(w.over)
	for {
		select {
		case line := <-w.lines:
			w.put(line)
		case <-w.quit:
			for len(w.lines) > 0 {
				w.put(<-w.lines)
			}
			return
		}
	}
}

// put writes a line after the number of lines lost before it. Its error is ignored:
// there is nowhere to report it.
func (w *lineWriter) put(line []byte) {
	if n := w.lost.Swap(0); n > 0 {
		_, _ = fmt.Fprintf(w.out, "osemu: %d lines are missing here: standard error was not read in time\n", n)
	}
	_, _ = w.out.Write(line)
}

// close writes the waiting lines, as long as they are read.
func (w *lineWriter) close() {
	close(w.quit)
	select {
	case <-w.over:
	case <-time.After(linesFlush):
	}
}
