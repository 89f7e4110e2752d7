// Command bareproxy is the reference for the gateway's measurements:
// httputil.ReverseProxy with a tuned transport and a buffer pool. Its argument is the
// upstream's base URL. It prints its own base URL as the first line. GET /mallocs
// returns the number of objects that it has allocated so far.
package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime"
	"sync"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bareproxy:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: bareproxy UPSTREAM")
	}
	upstream, err := url.Parse(os.Args[1])
	if err != nil {
		return fmt.Errorf("reading the upstream: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", listener.Addr())
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: handler(upstream)}
	return server.Serve(listener)
}

func handler(upstream *url.URL) http.Handler {
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(upstream) },
		Transport: &http.Transport{
			DialContext:        (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
			DisableCompression: true, MaxIdleConnsPerHost: 256,
			IdleConnTimeout: 75 * time.Second, ResponseHeaderTimeout: 30 * time.Second,
		},
		BufferPool: &buffers{},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/mallocs" {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			_, _ = fmt.Fprintln(w, m.Mallocs)
			return
		}
		forward.ServeHTTP(w, r)
	})
}

type buffers struct{ pool sync.Pool }

const bufferBytes = 32 << 10

func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[bufferBytes]byte); ok {
		return buffer[:]
	}
	return make([]byte, bufferBytes)
}

func (b *buffers) Put(buffer []byte) { b.pool.Put((*[bufferBytes]byte)(buffer)) }
