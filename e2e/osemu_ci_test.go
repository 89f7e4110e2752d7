package e2e

import (
	"net/http"
	"os"
	"strings"
	"testing"
)

// TestOsemuWorksAsDocumentedForCI uses osemu as docs/osemu-in-ci.md describes: with its
// variables, livez, reset and the health check, at the addresses of its snippets.
func TestOsemuWorksAsDocumentedForCI(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/osemu-in-ci.md")
	if err != nil {
		t.Fatal(err)
	}
	run := startProgram(t, programs.osemu, []string{"OSEMU_RATE=0", "OSEMU_LISTEN=127.0.0.1:0"})
	address := run.stdoutLine(0)
	for _, snippet := range []string{"OSEMU_RATE", "/_osemu/livez", "/_osemu/reset", "/us/us-east-1", "app-one", "secret-one", "org-root", "env-prod"} {
		if !strings.Contains(string(page), snippet) {
			t.Errorf("docs/osemu-in-ci.md does not have %q", snippet)
		}
	}
	c := client{t: t, base: address}
	c.get("/_osemu/livez").is(http.StatusOK)
	runProgram(t, programs.osemu, nil, "-listen", strings.TrimPrefix(address, "http://"), "-healthcheck").checkOutput(t, 0, "200 OK")
	minted := c.send(http.MethodPost, "/us/accounts/api/v2/oauth2/token", "client_id=app-one&client_secret=secret-one&grant_type=client_credentials",
		"Content-Type: application/x-www-form-urlencoded").is(http.StatusOK)
	c.token = minted.token()
	key := "/us/us-east-1" + demoKeys + "/ours"
	for range 20 { // more than the vendor's ten per second
		c.send(http.MethodPut, key, stringValue("ours", "v"), "Content-Type: application/json").succeeded()
	}
	c.send(http.MethodPost, "/_osemu/reset", "").is(http.StatusNoContent)
	c.get(key).is(http.StatusNotFound)
	c.get("/us/us-east-1" + keyOne).is(http.StatusOK)
	run.stop(os.Kill)
	runProgram(t, programs.osemu, nil, "-listen", strings.TrimPrefix(address, "http://"), "-healthcheck").checkOutput(t, 1, "refused")
}
