package serve

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// origin serves the part of Object Store and Access Management that the gateway needs,
// over plain HTTP and over TLS. It writes its certificate into a file, and prints both
// addresses.
func origin(certificateFile string) error {
	certificate, err := newCertificate(certificateFile)
	if err != nil {
		return err
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
	if err != nil {
		return err
	}
	secure, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate},
	})
	if err != nil {
		return err
	}
	s := newStore()
	fmt.Fprintf(os.Stdout, "http://%s\nhttps://%s\n", plain.Addr(), secure.Addr())
	failed := make(chan error, 2)
	for _, listener := range []net.Listener{plain, secure} {
		go func() { failed <- newServer(s).Serve(listener) }()
	}
	return <-failed
}

// store answers reads and writes of values without keeping any: the value of a key is
// made from its name, and its size from the name of its store.
type store struct {
	reads   atomic.Int64
	padding string
}

// sizes are the bytes of a value in the stores of the origin.
func sizes() map[string]int { return map[string]int{"bench": 1 << 10, "tiny": 128, "large": 10 << 20} }

func newStore() *store { return &store{padding: strings.Repeat("0123456789abcdef", 10<<20/16)} }

// ServeHTTP implements [http.Handler].
func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	segments := strings.Split(r.URL.Path, "/")
	switch {
	case r.URL.Path == "/_bench/reads":
		_, _ = io.WriteString(w, strconv.FormatInt(s.reads.Load(), 10))
	case strings.HasPrefix(r.URL.Path, "/accounts/"):
		account(w, r, segments)
	case len(segments) == 13 && r.Method == http.MethodGet: // …/stores/S/partitions/P/keys/K
		s.reads.Add(1)
		s.value(w, segments[8], segments[12])
	case len(segments) == 13:
		if _, err := io.Copy(io.Discard, r.Body); err != nil && !errors.Is(err, io.EOF) {
			return // the client is gone
		}
		w.WriteHeader(http.StatusOK)
	case len(segments) == 9: // …/stores/S
		answer(w, `{"storeId":"`+segments[8]+`","defaultTtlSeconds":2592000,"defaultConfirmationTtlSeconds":600,`+
			`"persistent":true,"encrypted":false}`)
	default:
		http.NotFound(w, r)
	}
}

// value answers with the value of a key.
func (s *store) value(w http.ResponseWriter, store, key string) {
	size, ok := sizes()[store]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	head := `{"keyId":"` + key + `","valueType":"STRING","stringValue":"`
	const tail = `"}`
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(size)}
	padding := s.padding[:size-len(head)-len(tail)]
	if size > 4<<10 {
		_, _ = io.WriteString(w, head)
		_, _ = io.WriteString(w, padding)
		_, _ = io.WriteString(w, tail)
		return
	}
	_, _ = io.WriteString(w, head+padding+tail)
}

// account answers for Access Management. The token "token-7" is the client app "app-7".
func account(w http.ResponseWriter, r *http.Request, segments []string) {
	n, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer token-")
	switch {
	case !ok:
		w.WriteHeader(http.StatusUnauthorized)
	case r.URL.Path == "/accounts/api/me":
		answer(w, `{"client":{"client_id":"app-`+n+`","name":"app","org_id":"org-bench","redirect_uris":[],`+
			`"grant_types":["client_credentials"]},"user":{"id":"user-1","organizationId":"org-bench",`+
			`"organization":{"id":"org-bench","name":"Bench","isRoot":true,"subOrganizationIds":[]},`+
			`"memberOfOrganizations":[{"id":"org-bench","name":"Bench"}]}}`)
	case segments[len(segments)-1] == "environments":
		answer(w, `{"data":[{"id":"env-bench","name":"bench","organizationId":"org-bench","isProduction":true,`+
			`"type":"production"}],"total":1}`)
	default:
		http.NotFound(w, r)
	}
}

func answer(w http.ResponseWriter, body string) {
	w.Header()["Content-Type"] = []string{"application/json"}
	_, _ = io.WriteString(w, body)
}
