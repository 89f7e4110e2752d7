package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// ambiguousHeads are header sections, without the request line, of requests whose end
// two servers can place differently. One that begins with a version is sent with it
// instead of HTTP/1.1.
var ambiguousHeads = map[string]string{
	"length first":          "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
	"encoding first":        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
	"folded length":         "Content-Length:\r\n 4\r\nTransfer-Encoding: chunked\r\n",
	"folded encoding":       "Content-Length: 4\r\nTransfer-Encoding:\r\n\tchunked\r\n",
	"tabs":                  "Content-Length:\t4\t\r\nTransfer-Encoding:\tchunked\t\r\n",
	"bare line feeds":       "Content-Length: 4\nTransfer-Encoding: chunked\n",
	"length twice":          "Content-Length: 4\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n",
	"length around":         "Content-Length: 4\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n",
	"encoding twice":        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
	"mixed case":            "cOnTeNt-LeNgTh: 4\r\nTRANSFER-ENCODING: ChUnKeD\r\n",
	"no white space":        "Content-Length:4\r\nTransfer-Encoding:chunked\r\n",
	"space before a colon":  "Content-Length : 4\r\nTransfer-Encoding: chunked\r\n",
	"another encoding":      "Content-Length: 4\r\nTransfer-Encoding: gzip, chunked\r\n",
	"length zero":           "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
	"HTTP/1.0 encoding":     "HTTP/1.0\r\nTransfer-Encoding: chunked\r\n",
	"HTTP/1.0 both":         "HTTP/1.0\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n",
	"HTTP/1.0 kept alive":   "HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n",
	"HTTP/1.0 identity":     "HTTP/1.0\r\nTransfer-Encoding: identity\r\n",
	"HTTP/1.0 folded, tabs": "HTTP/1.0\nTransfer-Encoding:\n\t chunked\n",
}

// unknownCodings are the names of ambiguousHeads that are refused with 501. The others
// are refused with 400.
var unknownCodings = []string{"encoding twice", "another encoding"}

// ambiguousRequest returns a write with this header section and a body that fits both
// of its lengths.
func ambiguousRequest(head, key, token string) string {
	version := "HTTP/1.1"
	if rest, old := strings.CutPrefix(head, "HTTP/1.0"); old {
		version, head = "HTTP/1.0", strings.TrimLeft(rest, "\r\n")
	}
	end := "\r\n"
	if !strings.Contains(head, "\r\n") {
		end = "\n"
	}
	return "PUT " + demoKeys + "/" + key + " " + version + end + "Host: gateway" + end + "Authorization: Bearer " + token + end + head + end +
		"2\r\n{}\r\n0\r\n\r\n"
}

// schemeGateway is a gateway that clients reach by HTTP or HTTPS.
type schemeGateway struct {
	*gateway
	roots *x509.CertPool // nil: HTTP
}

// schemeGateway starts a gateway for a scheme, HTTP or HTTPS.
func (s *stack) schemeGateway(t *testing.T, scheme string, settings ...string) schemeGateway {
	t.Helper()
	if scheme == "HTTP" {
		return schemeGateway{gateway: s.gateway(settings...)}
	}
	cert, key, roots := certificate(t)
	return schemeGateway{gateway: s.gateway(append(settings, "TLS_CERT="+cert, "TLS_KEY="+key)...), roots: roots}
}

// dial opens a connection that is closed when the test ends.
func (f schemeGateway) dial(t testing.TB, protocol string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", f.addr(), testTimeout)
	if err != nil {
		t.Fatalf("dialing: %v", err)
	}
	if f.roots != nil {
		c = tls.Client(c, &tls.Config{RootCAs: f.roots, ServerName: "127.0.0.1", NextProtos: []string{protocol}})
	}
	_ = c.SetDeadline(time.Now().Add(testTimeout))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// newClient returns a client with a token and with connections of its own.
func (f schemeGateway) newClient(t testing.TB) client {
	t.Helper()
	c := f.client()
	if f.roots != nil {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: f.roots}, ForceAttemptHTTP2: true}
		t.Cleanup(transport.CloseIdleConnections)
		c.httpClient = newHTTPClient(transport)
	}
	c.token = c.send(http.MethodPost, "/accounts/oauth2/token", "client_id=app-one&client_secret=secret-one&grant_type=client_credentials",
		"Content-Type: application/x-www-form-urlencoded").is(http.StatusOK).token()
	f.stack.addSecret(c.token)
	return c
}

// TestAmbiguousFramingIsRefusedAndTheConnectionIsClosed sends each of ambiguousHeads
// over HTTP and HTTPS, between pipelined requests. The request before it is served,
// those after it are not.
func TestAmbiguousFramingIsRefusedAndTheConnectionIsClosed(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	for _, scheme := range []string{"HTTP", "HTTPS"} {
		f := s.schemeGateway(t, scheme, "RATE=0")
		token := f.newClient(t).token
		for name, head := range ambiguousHeads {
			t.Run(scheme+" "+name, func(t *testing.T) {
				read := "GET " + demoKeys + "/KeyOne HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer " + token + "\r\n\r\n"
				c := f.dial(t, "http/1.1")
				if _, err := io.WriteString(c, read+ambiguousRequest(head, "smuggled", token)+read+read); err != nil {
					t.Fatalf("sending: %v", err)
				}
				answers, want := allAnswers(t, c), http.StatusBadRequest
				if slices.Contains(unknownCodings, name) {
					want = http.StatusNotImplemented
				}
				if len(answers) != 2 || answers[0].status != http.StatusOK {
					t.Fatalf("answers %v, want 200 and %d, and the connection's end", answers, want)
				}
				answers[1].checkRefusal(want, "bad-request")
				if a := answers[1]; a.header.Get("Connection") != "close" {
					t.Errorf("the refusal is %v %s, want one that closes the connection", a.header, a.body)
				}
			})
		}
	}
	if got := s.emulator.requests(func(r receivedRequest) bool { return strings.HasSuffix(r.Target, "/smuggled") }); len(got) > 0 {
		t.Errorf("Object Store received %v", got)
	}
}

// allAnswers reads responses until the connection ends.
func allAnswers(t *testing.T, c net.Conn) (all []*answer) {
	t.Helper()
	from := bufio.NewReader(c)
	for {
		if _, err := from.Peek(1); err != nil {
			if errors.Is(err, io.EOF) || strings.Contains(err.Error(), "reset") {
				return all
			}
			t.Fatalf("after %d answers: %v", len(all), err)
		}
		response, err := http.ReadResponse(from, nil)
		if err != nil {
			t.Fatalf("reading answer %d: %v", len(all)+1, err)
		}
		if v := response.Header.Get("Connection"); response.Close && v == "" {
			response.Header.Set("Connection", "close") // net/http removes it
		}
		a, err := readAnswer(t, "pipelined", response, time.Now())
		if err != nil {
			t.Fatalf("reading answer %d: %v", len(all)+1, err)
		}
		all = append(all, a)
	}
}

// frameConn is an HTTP/2 connection to which the test writes single frames.
type frameConn struct {
	t testing.TB
	*http2.Framer
	header  bytes.Buffer
	encoder *hpack.Encoder
}

func (f schemeGateway) dialFrames(t testing.TB) *frameConn {
	t.Helper()
	c := f.dial(t, "h2")
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatalf("sending the preface: %v", err)
	}
	s := &frameConn{t: t, Framer: http2.NewFramer(c, c)}
	s.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	s.encoder = hpack.NewEncoder(&s.header)
	s.must(s.WriteSettings())
	return s
}

func (s *frameConn) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("writing a frame: %v", err)
	}
}

// openStream begins a request on stream 1, with the fields in this order.
func (s *frameConn) openStream(end bool, fields ...string) {
	s.t.Helper()
	for i := 0; i < len(fields); i += 2 {
		s.must(s.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}))
	}
	const longest = 16 << 10 // of a frame
	block := s.header.Bytes()
	first := block[:min(longest, len(block))]
	s.must(s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: first, EndHeaders: len(first) == len(block), EndStream: end}))
	for block = block[len(first):]; len(block) > 0; {
		next := block[:min(longest, len(block))]
		s.must(s.WriteContinuation(1, len(next) == len(block), next))
		block = block[len(next):]
	}
}

// outcome waits for the outcome of stream 1: a status, "stream error" or "connection
// error".
func (s *frameConn) outcome() string {
	s.t.Helper()
	for {
		frame, err := s.ReadFrame()
		if err != nil {
			s.t.Fatalf("reading frames: %v", err)
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				s.must(s.WriteSettingsAck())
			}
		case *http2.MetaHeadersFrame:
			return frame.PseudoValue("status")
		case *http2.RSTStreamFrame:
			return "stream error"
		case *http2.GoAwayFrame:
			return "connection error " + frame.ErrCode.String()
		}
	}
}

// TestContradictoryHTTP2RequestsAreNotForwarded sends requests whose
// Content-Length is not the length of the body, and requests with an invalid path. None
// of them reaches Object Store.
func TestContradictoryHTTP2RequestsAreNotForwarded(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	f := s.schemeGateway(t, "HTTPS", "RATE=0")
	c := f.newClient(t)
	long := stringValue("right", strings.Repeat("x", 15_000))
	for name, tt := range map[string]struct {
		path    string   // behind the keys' path; empty: /lie
		lengths []string // values of content-length
		ended   bool     // by the header section
		data    []string // the frames of the body; the last one ends the request
		want    string   // a status; empty: 400 or a stream error
	}{
		"length without a body":            {lengths: []string{"5"}, ended: true},
		"length 0 with a body":             {lengths: []string{"0"}, data: []string{"{}"}},
		"length 0 with a body in two":      {lengths: []string{"0"}, data: []string{"", "{}"}},
		"two lengths":                      {lengths: []string{"2", "5"}, data: []string{"{}"}},
		"the same length twice":            {lengths: []string{"2", "2"}, data: []string{"{}"}},
		"a length that is no number":       {lengths: []string{"+2"}, data: []string{"{}"}},
		"a length too large":               {lengths: []string{"99999999999999999999"}, data: []string{"{}"}},
		"a body too short":                 {lengths: []string{strconv.Itoa(len(long) + 1)}, data: []string{long}},
		"a body too long":                  {lengths: []string{"1"}, data: []string{"{}"}},
		"a body too long by a frame":       {lengths: []string{strconv.Itoa(len(long))}, data: []string{long, "x"}},
		"a short body too long by a frame": {lengths: []string{"2"}, data: []string{"{}", "x"}},
		"a path with a space":              {path: "/a b", ended: true},
		"a path with a fragment":           {path: "/a#b", ended: true},
		"a right length":                   {path: "/right", lengths: []string{strconv.Itoa(len(long))}, data: []string{long}, want: "201"},
		"a right length, ended separately": {path: "/right", lengths: []string{strconv.Itoa(len(long))}, data: []string{long, ""}, want: "201"},
		"no length":                        {path: "/right", data: []string{long[:100], long[100:], ""}, want: "201"},
	} {
		t.Run(name, func(t *testing.T) {
			h := f.dialFrames(t)
			path := tt.path
			if path == "" {
				path = "/lie"
			}
			fields := []string{":method", "PUT", ":scheme", "https", ":path", demoKeys + path, ":authority", "gateway",
				"authorization", "Bearer " + c.token, "content-type", "application/json"}
			for _, n := range tt.lengths {
				fields = append(fields, "content-length", n)
			}
			h.openStream(tt.ended, fields...)
			for i, data := range tt.data {
				h.must(h.WriteData(1, i == len(tt.data)-1, []byte(data)))
			}
			got := h.outcome()
			if tt.want == "" && got != "400" && got != "stream error" || tt.want != "" && got[:2] != tt.want[:2] {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
	c.get(demoKeys + "/lie").is(http.StatusNotFound)
	reached := s.emulator.requests(func(r receivedRequest) bool {
		return r.Method == http.MethodPut && !strings.HasSuffix(r.Target, "/right")
	})
	if len(reached) > 0 {
		t.Errorf("Object Store received %v", reached)
	}
}

// TestTargetWithAFragmentIsRefused sends an HTTP/1.1 request with a fragment in its
// target.
func TestTargetWithAFragmentIsRefused(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway()
	token := g.mint("app-one", "")
	a := sendRaw(t, g.addr(), rawGET("gateway", demoKeys+"/KeyOne#fragment", "Authorization: Bearer "+token))
	if a.is(http.StatusBadRequest); !strings.Contains(a.body, "urn:osgate:bad-path") {
		t.Errorf("the refusal is %s, want bad-path", a.body)
	}
	if got := s.emulator.requests(isObjectStoreRequest); len(got) > 0 {
		t.Errorf("Object Store received %v", fmt.Sprint(got))
	}
}
