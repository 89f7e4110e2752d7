package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"osgate/cache/httpcache"
	"osgate/plaincache"
)

// PlainOptions configure a [Plain]. All fields but the last are required.
type PlainOptions struct {
	Origin    *url.URL          // receives every request that the cache does not answer; the client's Host is kept
	Cache     *plaincache.Cache // the cache
	Transport http.RoundTripper // sends requests to the origin

	Ambiguous func(*http.Request) bool // as in [Options]
}

// Plain is the engine of the gateway's cache as a strict shared HTTP cache in front of
// one origin. It accepts every path and method, without identity, policy or quota, so
// that public test suites can test the code that ships. It is an [http.Handler] for a
// loopback listener only.
type Plain struct {
	PlainOptions
	buffers   buffers
	slots     chan struct{} // one element for each refresh in the background
	refreshes sync.WaitGroup
}

const (
	maxPlainRefreshes   = 32
	plainRefreshTimeout = time.Minute
)

// NewPlain returns a Plain. It starts no goroutine. Goroutines that requests start end
// within a minute, and [Plain.Close] waits for them.
func NewPlain(o PlainOptions) (*Plain, error) {
	if o.Origin == nil || o.Cache == nil || o.Transport == nil {
		return nil, errors.New("a plain cache needs an origin, a cache and a transport")
	}
	return &Plain{PlainOptions: o, slots: make(chan struct{}, maxPlainRefreshes)}, nil
}

// Close waits for the refreshes in the background. Call it when no request is being
// served any more.
func (p *Plain) Close() { p.refreshes.Wait() }

// ServeHTTP implements [http.Handler].
func (p *Plain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w, r, done := withDeadlines(w, r)
	defer done()
	switch {
	case p.Ambiguous != nil && p.Ambiguous(r):
		w.Header().Set("Connection", "close")
		refusePlain(w, r, refusal{code: codeBadRequest, detail: ambiguousDetail})
		return
	case r.Method == http.MethodConnect:
		refusePlain(w, r, refusal{
			code: codeBadRequest, status: http.StatusNotImplemented, title: "Not implemented",
			detail: "this cache does not support CONNECT",
		})
		return
	case passedBefore(r.Header["Via"]):
		refusePlain(w, r, refusal{code: codeLoop, detail: "this request has passed this cache before"})
		return
	}
	r = ownHeader(r)
	found := p.Cache.Look(r.Context(), plaincache.Question{
		Method: r.Method, Host: r.Host, Target: r.URL.RequestURI(), Header: r.Header, HasBody: r.ContentLength != 0,
	}, time.Now())
	switch {
	case found.Entry != nil:
		if found.Fetch != nil {
			p.refresh(r, found)
		}
		servePlain(w, r, found.Entry, found.Status)
	case found.OnlyIfCached:
		refusePlain(w, r, notCached("the request has only-if-cached, and no usable answer is stored"))
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
func (p *Plain) refresh(r *http.Request, found plaincache.Result) {
	select {
	case p.slots <- struct{}{}:
	default:
		found.Fetch.Close(false)
		return
	}
	// Without the server's own value ReverseProxy does not panic when a copy is cut: no
	// caller would recover here.
	ctx := context.WithValue(context.WithoutCancel(r.Context()), http.ServerContextKey, nil)
	ctx, cancel := context.WithTimeout(ctx, plainRefreshTimeout)
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

// servePlain answers with a cache entry.
func servePlain(w http.ResponseWriter, r *http.Request, e *plaincache.Entry, status httpcache.Status) {
	w.Header().Set("Cache-Status", status.String())
	_, _ = e.ServeRange(w, r.Method, r.Header, time.Now()) // an error means that the client has left
}

// refusePlain answers with an error of the gateway.
func refusePlain(w http.ResponseWriter, r *http.Request, refused refusal) {
	status, title, proxyError := refused.answer()
	h := w.Header()
	refused.headers(h, proxyError)
	body, _ := json.Marshal(problem{ // plain strings cannot fail to marshal
		Type: "urn:osgate:" + string(refused.code), Title: title, Status: status,
		Detail: refused.detail, Message: refused.detail,
	})
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // an error means that the client has left
	}
}

// originTitle is the title of an error that replaces the origin's answer.
const originTitle = "No answer from the origin"

// forward sends the request to the origin and copies the answer back, or serves a
// stored answer if that is permitted.
func (p *Plain) forward(w http.ResponseWriter, r *http.Request, found plaincache.Result) {
	x := &plainExchange{plain: p, w: w, r: r, fetch: found.Fetch, status: found.Status}
	defer x.fetch.Close(false)
	forwarder := httputil.ReverseProxy{
		Rewrite:        x.rewrite,
		Transport:      x,
		BufferPool:     &p.buffers,
		ModifyResponse: x.relay,
		ErrorHandler:   func(_ http.ResponseWriter, _ *http.Request, err error) { x.serveInstead(err) },
		ErrorLog:       silent,
	}
	forwarder.ServeHTTP(w, r)
}

// plainExchange is a request that is sent to the origin.
type plainExchange struct {
	plain   *Plain
	w       http.ResponseWriter
	r       *http.Request
	fetch   *plaincache.Fetch
	status  httpcache.Status
	outcome plaincache.Outcome
}

// rewrite makes the origin's request: the client's, without its hop-by-hop headers.
func (x *plainExchange) rewrite(pr *httputil.ProxyRequest) {
	pr.SetURL(x.plain.Origin)
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
		via(pr.In.ProtoMajor, pr.In.ProtoMinor))
}

// RoundTrip implements [http.RoundTripper]. It validates a stored answer, and sends the
// request once more without a validator if the origin's answer belongs to another one.
func (x *plainExchange) RoundTrip(r *http.Request) (*http.Response, error) {
	for {
		out := r.Clone(r.Context())
		x.fetch.Header(out.Header)
		answer, err := x.plain.Transport.RoundTrip(out)
		if err != nil {
			return nil, err
		}
		answer.Header.Add("Via", via(answer.ProtoMajor, answer.ProtoMinor))
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
func (x *plainExchange) relay(answer *http.Response) error {
	if x.outcome.Entry != nil {
		return errStored
	}
	answer.Header.Add("Cache-Status", x.outcome.Status.String())
	answer.Body = &plainBody{ReadCloser: answer.Body, exchange: x}
	return nil
}

// serveInstead answers with a stored answer, or with an error of the gateway, if the
// origin has no answer for the client.
func (x *plainExchange) serveInstead(err error) {
	if !errors.Is(err, errStored) {
		x.outcome = x.fetch.Disconnected()
	}
	if x.outcome.Entry != nil {
		servePlain(x.w, x.r, x.outcome.Entry, x.outcome.Status)
		return
	}
	var late interface{ Timeout() bool }
	if x.fetch.MustRevalidate() || errors.As(err, &late) && late.Timeout() {
		refusePlain(x.w, x.r, refusal{
			code: codeUpstreamTimeout, title: originTitle, detail: "the origin did not answer",
		})
		return
	}
	refusePlain(x.w, x.r, refusal{
		code: codeUpstreamUnreachable, title: originTitle, detail: "the origin could not be reached or broke off",
	})
}

// plainBody is the origin's body on its way to the client. It copies what is read into
// the cache.
type plainBody struct {
	io.ReadCloser
	exchange *plainExchange
}

// Read implements [io.Reader].
func (b *plainBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	_, _ = b.exchange.fetch.Write(p[:n]) // never fails the client
	if err == io.EOF {                   // before the client sees the end, so that its next request finds the entry
		b.exchange.fetch.Close(true)
	}
	return n, err
}

// Close implements [io.Closer].
func (b *plainBody) Close() error {
	b.exchange.fetch.Close(false)
	return b.ReadCloser.Close()
}

// plainWriter writes to a client of [Plain]. It bounds how long the client may take.
type plainWriter struct {
	http.ResponseWriter
	deadline answerDeadline
}

// withDeadlines returns w and r with the gateway's own deadlines in place of
// net/http's, and a function that ends their use.
func withDeadlines(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request, func()) {
	conn := http.NewResponseController(w)
	clearDeadlines(conn, r)
	w = &plainWriter{w, answerDeadline{conn: *conn}}
	if r.Body == nil || r.Body == http.NoBody {
		return w, r, func() {}
	}
	body := new(requestBody)
	body.start(w, r, math.MaxInt64)
	r = r.WithContext(r.Context())
	r.Body = body
	return w, r, body.finish
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *plainWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements [http.ResponseWriter].
func (w *plainWriter) WriteHeader(status int) {
	w.deadline.renew()
	if _, typed := w.Header()["Content-Type"]; !typed && status >= http.StatusOK {
		w.Header()["Content-Type"] = nil // or net/http would guess one
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *plainWriter) Write(p []byte) (int, error) {
	w.deadline.renew()
	return w.ResponseWriter.Write(p)
}
