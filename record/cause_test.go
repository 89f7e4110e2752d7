package record_test

import (
	"bufio"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"
	"testing"

	"osgate/record"
)

func TestACauseContainsNoTextOfAPeer(t *testing.T) {
	certificate := &x509.Certificate{DNSNames: []string{"said.example"}}
	for want, err := range map[string]error{
		"":                             nil,
		"dial tcp: connection refused": errors.New("dial tcp: connection refused"),
		`malformed HTTP response "…"`:  fmt.Errorf("malformed HTTP response %q", `said "twice" \`),
		`"…" and "…" are two`:          fmt.Errorf("%q and %q are two", "said", "said"),
		`not closed "…"`:               errors.New(`not closed "said`),
		"reading: malformed header":    fmt.Errorf("reading: %w", textproto.ProtocolError("malformed MIME header line: said")),
		"one\ntwo: malformed header":   errors.Join(errors.New("one"), fmt.Errorf("two: %w", textproto.ProtocolError("said"))),
		"tls: x509: the certificate is for other hosts": fmt.Errorf("tls: %w", x509.HostnameError{Certificate: certificate, Host: "ours"}),
	} {
		if got := record.Cause(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}

// FuzzNoAnswerOfUpstreamGetsIntoItsCause reads answers as net/http's transport does.
func FuzzNoAnswerOfUpstreamGetsIntoItsCause(f *testing.F) {
	for _, head := range []string{
		"%s", "HTTP/1.1 %s OK\r\n\r\n", "HTTP/%s 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n%s\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: %s\r\n\r\n",
		"HTTP/1.1 200 OK\r\n: %s\r\n\r\n", "HTTP/1.1 200 OK\r\n %s\r\n\r\n", "HTTP/1.1 200 OK\r\nA\"%s: b\r\n\r\n",
	} {
		f.Add(head)
	}
	f.Fuzz(func(t *testing.T, head string) {
		const said = "Said0123456789"
		_, err := http.ReadResponse(bufio.NewReader(strings.NewReader(strings.ReplaceAll(head, "%s", said))), nil)
		if got := record.Cause(err); strings.Contains(got, said) {
			t.Errorf("%q: %q", head, got)
		}
	})
}
