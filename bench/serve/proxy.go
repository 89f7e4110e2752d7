package serve

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
	"time"
)

// proxy is httputil.ReverseProxy with a tuned transport and a buffer pool. It trusts
// the certificate in a file.
func proxy(upstream, certificateFile string) error {
	to, err := url.Parse(upstream)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(certificateFile)
	if err != nil {
		return err
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	trust.RootCAs.AppendCertsFromPEM(text)
	return listen(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: &http.Transport{
			DialContext:        (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
			DisableCompression: true, MaxIdleConnsPerHost: 256, IdleConnTimeout: 75 * time.Second,
			ResponseHeaderTimeout: 30 * time.Second, TLSClientConfig: trust,
		},
		BufferPool: &buffers{},
	})
}

// buffers implements [httputil.BufferPool].
type buffers struct{ pool sync.Pool }

const bufferBytes = 32 << 10

// Get returns a buffer of bufferBytes.
func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[bufferBytes]byte); ok {
		return buffer[:]
	}
	return make([]byte, bufferBytes)
}

// Put takes a buffer of Get back.
func (b *buffers) Put(buffer []byte) { b.pool.Put((*[bufferBytes]byte)(buffer)) }
