package conns

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// spelling is one request or several, and the number of the first ambiguous one.
type spelling struct {
	text  string
	first int64
}

// spellings are requests in the forms that net/http reads.
var spellings = map[string]spelling{
	"no body":                    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	"length":                     {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 0},
	"chunked":                    {"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 0},
	"chunked with trailers":      {"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	"the same length twice":      {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\ncontent-length:5 \r\n\r\nhello", 0},
	"folded length":              {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	"folded other field":         {"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n Content-Length: 5\r\n\tTransfer-Encoding: chunked\r\n\r\n", 0},
	"the words in a value":       {"GET / HTTP/1.1\r\nHost: a\r\nX: Transfer-Encoding: chunked\r\nY: Content-Length: 5\r\n\r\n", 0},
	"the words in longer names":  {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding-X: chunked\r\nX-Content-Length: 5\r\nContent-Lengthy: 1\r\n\r\n", 0},
	"the words in a body":        {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 49\r\n\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 0},
	"empty lines after a POST":   {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 0},
	"length in HTTP/1.0":         {"PUT / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", 0},
	"both":                       {"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 1},
	"both, the other way round":  {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1},
	"both in any case":           {"PUT / HTTP/1.1\r\nHost: a\r\ncONTENT-lENGTH: 5\r\ntransfer-ENCODING: Chunked\r\n\r\n0\r\n\r\n", 1},
	"both with tabs":             {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length:\t5\r\nTransfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n", 1},
	"both with bare LF":          {"PUT / HTTP/1.1\nHost: a\nContent-Length: 5\nTransfer-Encoding: chunked\n\n0\r\n\r\n", 1},
	"both without white space":   {"PUT / HTTP/1.1\r\nHost:a\r\nContent-Length:5\r\nTransfer-Encoding:chunked\r\n\r\n0\r\n\r\n", 1},
	"both, folded length":        {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1},
	"both, folded encoding":      {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding:\r\n\tchunked\r\n\r\n0\r\n\r\n", 1},
	"both, length twice":         {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 1},
	"both, length 0":             {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1},
	"both on a GET":              {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1},
	"HTTP/1.0, encoding":         {"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1},
	"HTTP/1.0, encoding, LF":     {"PUT / HTTP/1.0\nTransfer-Encoding: identity\n\n", 1},
	"HTTP/1.0, both":             {"PUT / HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello", 1},
	"the second of three":        {"GET / HTTP/1.1\r\nHost: a\r\n\r\nPUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 2},
	"after a body":               {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloPUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 2},
	"after chunks with trailers": {"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nA: b\n\nPUT / HTTP/1.0\r\nTransfer-Encoding: a\r\n\r\n\r\n\r\n", 2},
	"after empty lines":          {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na\r\n\r\nPUT / HTTP/1.0\r\nTransfer-Encoding: a\r\n\r\n", 2},
	"what cannot be followed":    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 2},
}

// TestAmbiguousFramingIsFound in every spelling that net/http reads, and only there.
func TestAmbiguousFramingIsFound(t *testing.T) {
	t.Parallel()
	for name, s := range spellings {
		var f framing
		f.scan([]byte(s.text))
		if got := f.first.Load(); got != s.first {
			t.Errorf("%s: the first ambiguous request is %d, want %d", name, got, s.first)
		}
		if s.first > 0 && (f.ambiguous(s.first-1) || !f.ambiguous(s.first) || !f.ambiguous(s.first+1)) {
			t.Errorf("%s: the ambiguous requests do not begin at %d", name, s.first)
		}
	}
}

// TestFramingAllocatesNothing per request.
func TestFramingAllocatesNothing(t *testing.T) { //nolint:paralleltest // allocations are counted over the process
	request := []byte(spellings["chunked with trailers"].text)
	var f framing
	if n := testing.AllocsPerRun(100, func() { f.scan(request) }); n != 0 {
		t.Errorf("%v allocations for a request, want 0", n)
	}
}

func BenchmarkFraming(b *testing.B) {
	request := []byte("GET /api/v1/organizations/org-root/environments/env-prod/stores/APP_demo__defaultPersistentObjectStore/partitions/" +
		"DEFAULT_PARTITION/keys/KeyOne HTTP/1.1\r\nHost: object-store-us-east-1.anypoint.mulesoft.com\r\nUser-Agent: AHC/1.0\r\n" +
		"Accept: */*\r\nAuthorization: Bearer 0c5b3b1e-8b6f-4a5e-9d0a-1f2e3d4c5b6a\r\nX-ANYPNT-TEST: some value\r\nContent-Type: application/json\r\n\r\n")
	var f framing
	b.SetBytes(int64(len(request)))
	for b.Loop() {
		f.scan(request)
	}
	if f.requests != int64(b.N) {
		b.Fatalf("%d requests were followed, want %d", f.requests, b.N)
	}
}

// FuzzFramingAgreesWithNetHTTP on the beginning and end of each request that net/http
// accepts, or finds the request ambiguous; and finds no request ambiguous that names no
// transfer encoding.
func FuzzFramingAgreesWithNetHTTP(f *testing.F) {
	for _, s := range spellings {
		f.Add([]byte(s.text))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		heads, ends, first := followed(stream)
		at := 0
		for k, r := range accepted(stream) {
			number := int64(k + 1)
			if first != 0 && number >= first {
				if text := bytes.ToLower(stream[at:r.head]); number == first && r.end >= 0 && !bytes.Contains(text, []byte(nameEncoding)) {
					t.Fatalf("request %d is found ambiguous without a transfer encoding: %q", number, text)
				}
				return
			}
			if len(heads) <= k || heads[k] != r.head {
				t.Fatalf("the header section of request %d ends at %v, net/http says %d: %q", number, heads, r.head, stream)
			}
			if r.end >= 0 && (len(ends) <= k || ends[k] != r.end) {
				t.Fatalf("request %d ends at %v, net/http says %d: %q", number, ends, r.end, stream)
			}
			at = r.end
		}
	})
}

// FuzzFramingIsTheSameHoweverReadsSplit the stream.
func FuzzFramingIsTheSameHoweverReadsSplit(f *testing.F) {
	for _, s := range spellings {
		f.Add([]byte(s.text), uint16(len(s.text)/2), uint16(3))
	}
	f.Fuzz(func(t *testing.T, stream []byte, split, step uint16) {
		var whole, parted framing
		whole.scan(stream)
		at := min(int(split), len(stream))
		parted.scan(stream[:at])
		for rest := stream[at:]; len(rest) > 0; {
			n := min(int(step)+1, len(rest))
			parted.scan(rest[:n])
			rest = rest[n:]
		}
		if whole.first.Load() != parted.first.Load() || whole.requests != parted.requests {
			t.Fatalf("%d requests, %d ambiguous; split %d requests, %d ambiguous: %q",
				whole.requests, whole.first.Load(), parted.requests, parted.first.Load(), stream)
		}
	})
}

// followed returns where, according to framing, header sections and requests end.
func followed(stream []byte) (heads, ends []int, first int64) {
	var f framing
	for i := range stream {
		before := f.requests
		inside := f.step != stepLeading
		f.scan(stream[i : i+1])
		if f.requests > before {
			heads = append(heads, i+1)
		}
		if inside && f.step == stepLeading {
			ends = append(ends, i+1)
		}
	}
	return heads, ends, f.first.Load()
}

// request is where, according to net/http, a request's header section and body end; end
// is -1 if net/http refuses the body.
type request struct{ head, end int }

// accepted returns the requests that a server of net/http reads from a connection.
func accepted(stream []byte) (all []request) {
	in := strings.NewReader(string(stream))
	buffer := bufio.NewReader(in)
	at := func() int { return len(stream) - in.Len() - buffer.Buffered() }
	post := false
	for {
		if post {
			peeked, _ := buffer.Peek(maxLeading)
			_, _ = buffer.Discard(len(peeked) - len(bytes.TrimLeft(peeked, "\r\n")))
		}
		r, err := http.ReadRequest(buffer)
		if err != nil || r.ProtoMajor != 1 {
			return all
		}
		post = r.Method == http.MethodPost
		head := at()
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return append(all, request{head, -1})
		}
		all = append(all, request{head, at()})
	}
}
