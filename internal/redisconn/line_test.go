package redisconn

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestAGroupConnectsByTLSAndIntroducesItself with the credentials, the database and the
// name of the URL, before its first batch.
func TestAGroupConnectsByTLSAndIntroducesItself(t *testing.T) {
	site := httptest.NewTLSServer(nil) // for its certificate
	defer site.Close()
	roots := x509.NewCertPool()
	roots.AddCert(site.Certificate())
	for reply, accepted := range map[string]bool{"+OK\r\n": true, "-WRONGPASS invalid\r\n": false} {
		c, p := puppeteer(t, time.Minute, time.Hour)
		e := &c.group.endpoint
		e.tls = &tls.Config{RootCAs: roots, ServerName: "example.com", MinVersion: tls.VersionTLS12}
		e.username, e.password, e.db, e.name = "user", "secret", 2, "me"
		ended := ask(t.Context(), c, "one")
		conn := tls.Server(p.accept().Conn, &tls.Config{Certificates: site.TLS.Certificates, MinVersion: tls.VersionTLS12})
		at := &peer{conn, t, bufio.NewReader(conn)}
		var got [][]any
		for range 3 {
			value, err := readValue(at.from, 0)
			if err != nil {
				t.Fatal(err)
			}
			command, _ := value.([]any)
			got = append(got, command)
		}
		want := [][]any{{"auth", "user", "secret"}, {"select", "2"}, {"client", "setname", "me"}}
		if !slices.EqualFunc(got, want, slices.Equal[[]any]) {
			t.Errorf("it sent %q, want %q", got, want)
		}
		if _, err := conn.Write([]byte(reply + strings.Repeat("+OK\r\n", 2))); err != nil {
			t.Fatal(err)
		}
		if accepted {
			at.answer(at.expect(1)...)
		}
		if r := <-ended; accepted && r.value != "one" || !accepted && !errors.Is(r.err, ErrDown) {
			t.Errorf("after %q: %q, %v", reply, r.value, r.err)
		}
	}
}
