package emulator_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"osgate/emulator"
)

func TestRequestLogHasTargetsExactlyAsOnTheWire(t *testing.T) {
	w := serve(t, emulator.Options{})
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	targets := []string{
		demoKeys + "/a%2fb%2F?x=1;y=2&z=%zz", demoKeys + "/a|b\"ü", demoKeys + "/../keys/./%2e%2E", "//" + demoKeys,
		demoKeys + "/?", "/%75s/us-east-1/", "http://elsewhere.example" + demoKeys + "/k?",
	}
	w.e.ForgetRequests()
	for _, target := range targets {
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: wire.example:81\r\naUTHORIZATION: bearer %s\r\nx-one: 1\r\n\r\n", target, w.token)
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			t.Fatalf("%s: %v", target, err)
		}
	}
	log := w.e.Requests()
	if len(log) != len(targets) {
		t.Fatalf("the log has %d requests, want %d", len(log), len(targets))
	}
	for i, entry := range log {
		if entry.Target != targets[i] {
			t.Errorf("the answer is %q, want %q", entry.Target, targets[i])
		}
		if entry.Client != "app-one" || !slices.Equal(entry.Headers, []string{"Authorization", "X-One"}) || entry.Status == 0 {
			t.Errorf("%s: the answer is %+v", entry.Target, entry)
		}
	}
	if log[0].Host != "wire.example:81" || log[6].Host != "elsewhere.example" {
		t.Errorf("hosts: the answers are %q and %q", log[0].Host, log[6].Host)
	}
}

func TestRequestLogIsReturnedAndCleared(t *testing.T) {
	c := one(t)
	c.must(http.StatusNoContent, http.MethodDelete, "/_osemu/requests", "")
	if got := c.get("/_osemu/requests").body; got != "[]" {
		t.Errorf("after DELETE: the log is %s", got)
	}
	c.must(http.StatusNotFound, http.MethodGet, demoKeys+"/none?a=b", "")
	client{t: t, e: c.e, host: "other"}.get("/nowhere")
	login(t, c.e).get(demo)
	as(t, c.e, "eu", "two").get(demo)
	log := c.e.Requests()
	var got []string
	for _, entry := range log {
		if entry.Time.IsZero() || time.Since(entry.Time) > time.Minute {
			t.Errorf("%s: the time is %v", entry.Target, entry.Time)
		}
		got = append(got, fmt.Sprint(entry.Host, " ", entry.Method, " ", entry.Target, " ", entry.Client, " ", entry.Status))
	}
	want := []string{
		"localhost GET " + demoKeys + "/none?a=b app-one 404",
		"other GET /nowhere  404",
		" POST /us/accounts/login  200",
		" GET " + demo + "  200",
		"localhost POST /eu/accounts/api/v2/oauth2/token  200",
		"localhost GET " + demo + " app-two 401",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the answer is  %q\nwant %q", got, want)
	}
	var raw []map[string]any
	if err := json.Unmarshal([]byte(c.get("/_osemu/requests").body), &raw); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"time", "host", "method", "target", "client", "status", "headers"} {
		if _, ok := raw[0][name]; !ok || len(raw[0]) != 7 {
			t.Errorf("member %s is missing in %v", name, raw[0])
		}
	}
}

func TestRequestIsInTheLogBeforeItsAnswer(t *testing.T) {
	w := serve(t, emulator.Options{})
	for i := range 50 {
		w.e.ForgetRequests()
		if _, _, err := w.fetch(http.MethodGet, demo, ""); err != nil {
			t.Fatal(err)
		}
		if log := w.e.Requests(); len(log) != 1 || log[0].Status != 200 {
			t.Fatalf("round %d: the answer is %+v", i, log)
		}
	}
	w.faults(`{"reset":1}`)
	w.e.ForgetRequests()
	if _, _, err := w.fetch(http.MethodPost, demo, ""); err == nil { // the client would send a GET again
		t.Error("the connection was not reset")
	}
	if log := w.e.Requests(); len(log) != 1 || log[0].Status != 0 {
		t.Errorf("reset: the answer is %+v", log)
	}
}

func TestClockMovesThirtyDays(t *testing.T) {
	c := one(t)
	got := decode[struct{ Now time.Time }](t, c.must(http.StatusOK, http.MethodPost, "/_osemu/clock", `{"advance":"720h"}`))
	if ahead := time.Until(got.Now); ahead < 719*time.Hour || ahead > 721*time.Hour {
		t.Errorf("the clock is %v ahead", ahead)
	}
	c.token = as(t, c.e, "us", "one").token
	if got := c.value(demoKeys + "/KeyOne"); got != "Not Found" {
		t.Errorf("after 30 days the value of the key is %q", got)
	}
	for _, wrong := range []string{`{}`, `{"advance":"-1h"}`, `{"advance":5}`, `{"advance":"soon"}`, `{"advance":"9999999h"}`, ``, `[]`} {
		c.must(http.StatusBadRequest, http.MethodPost, "/_osemu/clock", wrong)
	}
}

func TestClientsRightsAreCheckedBeforeTheyAreGiven(t *testing.T) {
	c := one(t)
	for _, wrong := range []string{`{}`, `{"scopes":["fly"]}`, `{"scopes":"read:store"}`, `{"scopes":[1]}`, ``} {
		c.must(http.StatusBadRequest, http.MethodPatch, "/_osemu/clients/app-one", wrong)
	}
	c.must(http.StatusNotFound, http.MethodPatch, "/_osemu/clients/app-none", `{"scopes":[]}`)
	c.must(http.StatusOK, http.MethodGet, demoKeys, "")
}

func TestWorldIsReturnedWithoutSecrets(t *testing.T) {
	c := one(t)
	c.must(http.StatusOK, http.MethodPatch, "/_osemu/clients/app-two", `{"scopes":["manage:store"]}`)
	got := c.must(http.StatusOK, http.MethodGet, "/_osemu/world", "")
	for _, secret := range []string{"secret-", "admin-password"} {
		if strings.Contains(got.body, secret) {
			t.Errorf("the world contains %s…", secret)
		}
	}
	w, err := emulator.ParseWorld("world", []byte(got.body))
	if err != nil {
		t.Fatalf("the returned world is invalid: %v", err)
	}
	if len(w.Organizations) != 3 || len(w.Clients) != 5 || !slices.Equal(w.Clients[1].Scopes, []string{"manage:store"}) {
		t.Errorf("the answer is %+v", w)
	}
}

func TestBackDoorRefusesOtherPaths(t *testing.T) {
	c := one(t)
	for _, request := range []string{"GET /_osemu/", "GET /_osemu/secrets", "POST /_osemu/requests", "PUT /_osemu/clock", "DELETE /_osemu/world", "GET /_osemu/clients/app-one"} {
		method, target, _ := strings.Cut(request, " ")
		c.must(http.StatusNotFound, method, target, "")
	}
	if got := len(c.e.Requests()); got != 1 { // the token request
		t.Errorf("the log has %d of the back door's own requests", got)
	}
}
