package plaincache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"osgate/cache/httpcache"
	"osgate/internal/via"
	"osgate/record"
)

// ServerOptions configure a [Server]. All fields but the last are required.
type ServerOptions struct {
	Origin    *url.URL          // receives every request that the cache does not answer; the client's Host is kept
	Cache     *Cache            // the cache
	Transport http.RoundTripper // sends requests to the origin

	// Ambiguous reports whether a request was framed in more than one way, so that it is
	// refused and its connection closed. Nil: no request was. Many goroutines call it.
	Ambiguous func(*http.Request) bool
}

// Server is the engine of the gateway's cache as a strict shared HTTP cache in front of
// one origin. It accepts every path and method, without identity, policy or quota, so
// that public test suites can test the code that ships. It is an [http.Handler] for a
// loopback listener only. It sets no deadlines for its clients.
type Server struct {
	ServerOptions
	slots     chan struct{} // one element for each refresh in the background
	refreshes sync.WaitGroup
}

const (
	maxRefreshes   = 32
	refreshTimeout = time.Minute
)

// NewServer returns a Server. It starts no goroutine. Goroutines that requests start end
// within a minute, and [Server.Close] waits for them.
func NewServer(o ServerOptions) (*Server, error) {
	if o.Origin == nil || o.Cache == nil || o.Transport == nil {
		return nil, errors.New("a plain cache needs an origin, a cache and a transport")
	}
	return &Server{ServerOptions: o, slots: make(chan struct{}, maxRefreshes)}, nil
}

// Close waits for the refreshes in the background. Call it when no request is being
// served any more.
func (p *Server) Close() { p.refreshes.Wait() }

// ServeHTTP implements [http.Handler].
func (p *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case p.Ambiguous != nil && p.Ambiguous(r):
		w.Header().Set("Connection", "close")
		refuse(w, r, refusal{
			record.CodeBadRequest, http.StatusBadRequest, "Bad request", requestError,
			"a request must not have both Transfer-Encoding and Content-Length, " +
				"and in HTTP/1.0 it must not have Transfer-Encoding",
		})
		return
	case r.Method == http.MethodConnect:
		refuse(w, r, refusal{
			record.CodeBadRequest, http.StatusNotImplemented, "Not implemented", requestError,
			"this cache does not support CONNECT",
		})
		return
	case via.Passed(r.Header["Via"]):
		refuse(w, r, refusal{
			record.CodeLoop, http.StatusLoopDetected, "Loop detected", "proxy_loop_detected",
			"this request has passed this cache before",
		})
		return
	}
	r = ownHeader(r)
	found := p.Cache.Look(r.Context(), Question{
		Method: r.Method, Host: r.Host, Target: r.URL.RequestURI(), Header: r.Header, HasBody: r.ContentLength != 0,
	}, time.Now())
	switch {
	case found.Entry != nil:
		if found.Fetch != nil {
			p.refresh(r, found)
		}
		serve(w, r, found.Entry, found.Status)
	case found.OnlyIfCached:
		refuse(w, r, refusal{
			record.CodeUpstreamTimeout, http.StatusGatewayTimeout, "Not in the cache", "proxy_internal_response",
			"the request has only-if-cached, and no usable answer is stored",
		})
	default:
		p.forward(w, r, found)
	}
}

// ownHeader returns r without the fields that its Connection names. The origin does not
// receive them (RFC 9110 section 7.6.1), so the cache must not select or store an
// answer by them.
func ownHeader(r *http.Request) *http.Request {
	if len(r.Header["Connection"]) == 0 {
		return r
	}
	own := *r
	own.Header = r.Header.Clone()
	for _, line := range r.Header["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			own.Header.Del(strings.TrimSpace(name))
		}
	}
	own.Header.Del("Connection")
	return &own
}

// refresh fetches in the background an answer that has just been served stale. If too
// many refreshes are under way, it does nothing, and a later request tries again.
func (p *Server) refresh(r *http.Request, found Result) {
	select {
	case p.slots <- struct{}{}:
	default:
		found.Fetch.Close(false)
		return
	}
	// Without the server's own value ReverseProxy does not panic when a copy is cut: no
	// caller would recover here.
	ctx := context.WithValue(context.WithoutCancel(r.Context()), http.ServerContextKey, nil)
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	again := r.Clone(ctx)
	again.Body = http.NoBody
	found.Entry, found.Status = nil, httpcache.Status{Forward: httpcache.ForwardStale}
	p.refreshes.Go(func() { // ends with its timeout; Close waits
		defer func() { <-p.slots }()
		defer cancel()
		p.forward(discard{}, again, found)
	})
}

// discard is the [http.ResponseWriter] of a refresh, which has no client.
type discard struct{}

// Header implements [http.ResponseWriter].
func (discard) Header() http.Header { return http.Header{} }

// Write implements [http.ResponseWriter].
func (discard) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader implements [http.ResponseWriter].
func (discard) WriteHeader(int) {}

// serve answers with a cache entry.
func serve(w http.ResponseWriter, r *http.Request, e *Entry, status httpcache.Status) {
	w.Header().Set("Cache-Status", status.String())
	_, _ = e.ServeRange(w, r.Method, r.Header, time.Now()) // an error means that the client has left
}

// refusal is an answer of the gateway itself (RFC 9457).
type refusal struct {
	code   record.Code
	status int
	title  string
	proxy  string // the error type of Proxy-Status (RFC 9209 section 2.3)
	detail string // for the client
}

// requestError is the error type of Proxy-Status for a request that is not served.
const requestError = "http_request_error"

// problem is the body of a refusal. It has message in addition to detail, as the
// gateway's other refusals.
type problem struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail"`
	Instance string `json:"instance"`
	Message  string `json:"message"`
}

// refuse answers with a refusal.
func refuse(w http.ResponseWriter, r *http.Request, why refusal) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("Proxy-Status", fmt.Sprintf(`%s; error=%s; details="%s"`, via.Name, why.proxy, why.code))
	body, _ := json.Marshal(problem{ // plain strings cannot fail to marshal
		Type: "urn:osgate:" + string(why.code), Title: why.title, Status: why.status,
		Detail: why.detail, Message: why.detail,
	})
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(why.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // an error means that the client has left
	}
}

// originTitle is the title of an error that replaces the origin's answer.
const originTitle = "No answer from the origin"

// forward sends the request to the origin and copies the answer back, or serves a
// stored answer if that is permitted.
func (p *Server) forward(w http.ResponseWriter, r *http.Request, found Result) {
	x := &exchange{server: p, w: w, r: r, fetch: found.Fetch, status: found.Status}
	defer x.fetch.Close(false)
	forwarder := httputil.ReverseProxy{
		Rewrite:        x.rewrite,
		Transport:      x,
		ModifyResponse: x.relay,
		ErrorHandler:   func(_ http.ResponseWriter, _ *http.Request, err error) { x.serveInstead(err) },
		ErrorLog:       slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // it would log copies that were cut
	}
	forwarder.ServeHTTP(w, r)
}

// exchange is a request that is sent to the origin.
type exchange struct {
	server  *Server
	w       http.ResponseWriter
	r       *http.Request
	fetch   *Fetch
	status  httpcache.Status
	outcome Outcome
}

// rewrite makes the origin's request: the client's, without its hop-by-hop headers.
func (x *exchange) rewrite(pr *httputil.ProxyRequest) {
	pr.SetURL(x.server.Origin)
	pr.Out.Host = pr.In.Host
	pr.Out.URL.RawQuery, pr.Out.URL.ForceQuery = pr.In.URL.RawQuery, pr.In.URL.ForceQuery
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values := pr.In.Header[name]; len(values) > 0 { // ReverseProxy has removed them; answers may vary by them
			pr.Out.Header[name] = values
		}
	}
	pr.Out.Header.Del("Upgrade")
	pr.Out.Header.Del("Connection")
	pr.Out.Header["Via"] = append(append([]string(nil), pr.In.Header["Via"]...),
		via.Of(pr.In.ProtoMajor, pr.In.ProtoMinor))
}

// RoundTrip implements [http.RoundTripper]. It validates a stored answer, and sends the
// request once more without a validator if the origin's answer belongs to another one.
func (x *exchange) RoundTrip(r *http.Request) (*http.Response, error) {
	for {
		out := r.Clone(r.Context())
		x.fetch.Header(out.Header)
		answer, err := x.server.Transport.RoundTrip(out)
		if err != nil {
			return nil, err
		}
		answer.Header.Add("Via", via.Of(answer.ProtoMajor, answer.ProtoMinor))
		x.outcome = x.fetch.Response(r.Context(), answer.StatusCode, answer.Header, answer.ContentLength, x.status)
		if !x.outcome.Again {
			return answer, nil
		}
		_ = answer.Body.Close() // a 304 has no body
	}
}

// errStored means that a stored answer is served in place of the origin's.
var errStored = errors.New("the stored answer is served")

// relay prepares the origin's answer for the client.
func (x *exchange) relay(answer *http.Response) error {
	if x.outcome.Entry != nil {
		return errStored
	}
	answer.Header.Add("Cache-Status", x.outcome.Status.String())
	answer.Body = &answerBody{ReadCloser: answer.Body, exchange: x}
	return nil
}

// serveInstead answers with a stored answer, or with an error of the gateway, if the
// origin has no answer for the client.
func (x *exchange) serveInstead(err error) {
	if !errors.Is(err, errStored) {
		x.outcome = x.fetch.Disconnected()
	}
	if x.outcome.Entry != nil {
		serve(x.w, x.r, x.outcome.Entry, x.outcome.Status)
		return
	}
	var late interface{ Timeout() bool }
	if x.fetch.MustRevalidate() || errors.As(err, &late) && late.Timeout() {
		refuse(x.w, x.r, refusal{
			record.CodeUpstreamTimeout, http.StatusGatewayTimeout, originTitle, "http_response_timeout",
			"the origin did not answer",
		})
		return
	}
	refuse(x.w, x.r, refusal{
		record.CodeUpstreamUnreachable, http.StatusBadGateway, originTitle, "destination_unavailable",
		"the origin could not be reached or broke off",
	})
}

// answerBody is the origin's body on its way to the client. It copies what is read into
// the cache.
type answerBody struct {
	io.ReadCloser
	exchange *exchange
}

// Read implements [io.Reader].
func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	_, _ = b.exchange.fetch.Write(p[:n]) // never fails the client
	if err == io.EOF {                   // before the client sees the end, so that its next request finds the entry
		b.exchange.fetch.Close(true)
	}
	return n, err
}

// Close implements [io.Closer].
func (b *answerBody) Close() error {
	b.exchange.fetch.Close(false)
	return b.ReadCloser.Close()
}
