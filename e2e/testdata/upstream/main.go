// Command upstream is a constant Object Store for benchmarks: it mints one token,
// identifies its principal, and answers every other request with the same value, as
// fast as net/http can. It prints its address as the first line.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

const (
	token = `{"access_token":"00000000-0000-0000-0000-000000000001","expires_in":3600,"token_type":"bearer"}`
	me    = `{"client":{"client_id":"app-one","name":"one","org_id":"org-root","redirect_uris":[],"grant_types":["client_credentials"]},` +
		`"user":{"id":"u1","organizationId":"org-root","organization":{"id":"org-root","name":"Acme","isRoot":true,"subOrganizationIds":[]},` +
		`"memberOfOrganizations":[{"id":"org-root","name":"Acme"}]}}`
	value = `{"binaryValue":"++Kn0AIBAQBbwoABDiJLZXkgMiBWYWx1ZSL8rNmhAQEBAWphdmEuaW8uU2VyaWFsaXphYmzlgGFwcGxpY2F0aW9uL2pzb247IGNoYXJzZXQ9VVRGLbgAAAAAAAAADQ==",` +
		`"keyId":"KeyTwo","valueType":"BINARY"}`
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "upstream:", err)
		os.Exit(1)
	}
	fmt.Printf("http://%s\n", listener.Addr())
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(answer)}
	fmt.Fprintln(os.Stderr, "upstream:", server.Serve(listener))
	os.Exit(1)
}

func answer(w http.ResponseWriter, r *http.Request) {
	body := value
	switch r.URL.Path {
	case "/accounts/oauth2/token":
		body = token
	case "/accounts/api/me":
		body = me
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write([]byte(body))
}
