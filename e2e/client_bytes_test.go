package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// clientBytes are the recorded bytes of a client library with its default settings: the
// lines of a request with and without a body, in the library's order and spelling.
// "{length}" and "{host}" replace the variable parts.
type clientBytes struct {
	read, write     string // the lines after the request line
	expectsContinue bool   // a write waits for "100 Continue" before its body
}

// jdkUpgradeOffer is in every request of the JDK's HttpClient over plain HTTP. Apache
// HttpClient 5.4 sends its offer only with reads.
const jdkUpgradeOffer = "HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA\nUpgrade: h2c\nUser-Agent: Java-http-client/17.0.15\n"

var clientLibraries = map[string]clientBytes{
	"JDK 17 HttpClient": {
		read:  "Connection: Upgrade, HTTP2-Settings\nContent-Length: 0\nHost: {host}\n" + jdkUpgradeOffer,
		write: "Connection: Upgrade, HTTP2-Settings\nContent-Length: {length}\nHost: {host}\n" + jdkUpgradeOffer + "Content-Type: application/json\n",
	},
	"JDK 17 HttpClient, expectContinue": {
		read:            "Connection: Upgrade, HTTP2-Settings\nContent-Length: 0\nHost: {host}\n" + jdkUpgradeOffer,
		write:           "Connection: Upgrade, HTTP2-Settings\nContent-Length: {length}\nExpect: 100-Continue\nHost: {host}\n" + jdkUpgradeOffer + "Content-Type: application/json\n",
		expectsContinue: true,
	},
	"Apache HttpClient 5.4.1": {
		read: "Accept-Encoding: gzip, x-gzip, deflate\nHost: {host}\nConnection: keep-alive\nUser-Agent: Apache-HttpClient/5.4.1 (Java/17.0.15)\n" +
			"Upgrade: TLS/1.2\nConnection: Upgrade\n",
		write: "Accept-Encoding: gzip, x-gzip, deflate\nHost: {host}\nContent-Length: {length}\nContent-Type: application/json; charset=UTF-8\n" +
			"Connection: keep-alive\nUser-Agent: Apache-HttpClient/5.4.1 (Java/17.0.15)\n",
	},
	"Apache HttpClient 5.4.1, expectContinueEnabled": {
		read: "Accept-Encoding: gzip, x-gzip, deflate\nHost: {host}\nConnection: keep-alive\nUser-Agent: Apache-HttpClient/5.4.1 (Java/17.0.15)\n" +
			"Upgrade: TLS/1.2\nConnection: Upgrade\n",
		write: "Accept-Encoding: gzip, x-gzip, deflate\nHost: {host}\nContent-Length: {length}\nContent-Type: application/json; charset=UTF-8\n" +
			"Connection: keep-alive\nUser-Agent: Apache-HttpClient/5.4.1 (Java/17.0.15)\nExpect: 100-continue\n",
		expectsContinue: true,
	},
}

// TestClientsThatOfferAnUpgradeAreServed sends a write, a read and a delete over one
// connection, byte for byte as the clients do. osgate and osemu both serve them.
func TestClientsThatOfferAnUpgradeAreServed(t *testing.T) {
	t.Parallel()
	s := newStack(t, false)
	g := s.gateway("RATE=0")
	token := g.mint("app-one", "")
	s.emulator.clearRequests()
	for name, library := range clientLibraries {
		library.journey(t, name, g.addr(), "", token)
		library.journey(t, name+", to osemu", strings.TrimPrefix(s.emulator.url, "http://"), "/us/us-east-1", token)
	}
	through := s.emulator.requests(func(r receivedRequest) bool {
		return isObjectStoreRequest(r) && isNoTTLRequest(r) && r.hasHeader("Via")
	})
	if want := 3 * len(clientLibraries); len(through) != want {
		t.Errorf("osemu received %d requests through osgate, want %d", len(through), want)
	}
	for _, r := range through {
		if r.hasHeader("Upgrade") || r.hasHeader("HTTP2-Settings") || r.hasHeader("Connection") || r.hasHeader("Expect") {
			t.Errorf("%s %s: osemu received %v, want no header of the offer", r.Method, r.Target, r.Headers)
		}
	}
}

// journey writes a key, reads it and deletes it over one connection.
func (b clientBytes) journey(t *testing.T, name, addr, prefix, token string) {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, testTimeout)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(testTimeout))
	wire := clientWire{t: t, name: name, conn: c, answers: bufio.NewReader(c), addr: addr, token: token}
	id := strings.ReplaceAll(name, " ", "-")
	key, body := prefix+demoKeys+"/"+id, stringValue(id, name)
	wire.send(http.MethodPut+" "+key, b.write, len(body))
	if b.expectsContinue {
		if a, _ := wire.answer(http.MethodPut); a != http.StatusContinue {
			t.Fatalf("%s: PUT: %d, want 100 before the body", name, a)
		}
	}
	wire.write(body)
	if status, text := wire.answer(http.MethodPut); status != http.StatusCreated {
		t.Fatalf("%s: PUT: %d %s, want 201", name, status, text)
	}
	wire.send(http.MethodGet+" "+key, b.read, 0)
	if status, text := wire.answer(http.MethodGet); status != http.StatusOK || !strings.Contains(text, name) {
		t.Fatalf("%s: GET: %d %s, want 200 and the value", name, status, text)
	}
	wire.send(http.MethodDelete+" "+key, b.read, 0)
	if status, text := wire.answer(http.MethodDelete); status/100 != 2 {
		t.Fatalf("%s: DELETE: %d %s, want 2xx", name, status, text)
	}
}

// clientWire is a connection for a client's recorded bytes.
type clientWire struct {
	t           *testing.T
	name        string
	conn        net.Conn
	answers     *bufio.Reader
	addr, token string
}

func (w clientWire) write(text string) {
	w.t.Helper()
	if _, err := io.WriteString(w.conn, text); err != nil {
		w.t.Fatalf("%s: %v", w.name, err)
	}
}

// send writes the header of a request.
func (w clientWire) send(line, head string, length int) {
	w.t.Helper()
	head = strings.NewReplacer("\n", "\r\n", "{host}", w.addr, "{length}", fmt.Sprint(length)).Replace(head)
	w.write(line + " HTTP/1.1\r\n" + head + "Authorization: Bearer " + w.token + "\r\n\r\n")
}

// answer reads the next answer, or an informational answer.
func (w clientWire) answer(method string) (status int, body string) {
	w.t.Helper()
	answer, err := http.ReadResponse(w.answers, &http.Request{Method: method})
	if err != nil {
		w.t.Fatalf("%s: %s: %v", w.name, method, err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatalf("%s: %s: %v", w.name, method, err)
	}
	return answer.StatusCode, string(text)
}
