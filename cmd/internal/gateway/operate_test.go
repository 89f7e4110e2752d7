package gateway

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// post sends JSON to the admin listener.
func post(t *testing.T, target, body string) int {
	t.Helper()
	answer, err := http.Post(target, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// TestWithdrawnReplicaServesWhatArrives, but reports that it wants no traffic, until it
// is put back.
func TestWithdrawnReplicaServesWhatArrives(t *testing.T) {
	s := upstream(t, func(*http.Request) {})
	g := start(t, configured(t, "OSGATE_UPSTREAM_OVERRIDE="+s.URL))
	token := mint(t, http.DefaultClient, g.ClientsURL())
	closes := func() bool {
		t.Helper()
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, g.ClientsURL()+key, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("a request is answered %d", answer.StatusCode)
		}
		return answer.Close
	}
	for _, step := range []struct {
		body, readiness string
		status          int
		closes          bool
	}{
		{`{"on":true}`, `"status":"draining","reasons":[{"part":"operator"`, http.StatusServiceUnavailable, true},
		{`{"on":false}`, `"status":"ready","reasons":[]`, http.StatusOK, false},
	} {
		if status := post(t, g.AdminURL()+"/drain", step.body); status != http.StatusOK {
			t.Fatalf("drain %s: %d", step.body, status)
		}
		if status, body := get(t, http.DefaultClient, g.AdminURL()+"/readyz", ""); status != step.status || !strings.Contains(body, step.readiness) {
			t.Errorf("after %s: %d %s", step.body, status, body)
		}
		if closes() != step.closes {
			t.Errorf("after %s: the client is made to close its connection: %v", step.body, !step.closes)
		}
	}
}

// TestOperatorReloadsAndSetsShadowMode: POST /reload has read the files when it answers,
// and POST /shadow lifts the policy and restores it.
func TestOperatorReloadsAndSetsShadowMode(t *testing.T) {
	s := upstream(t, func(*http.Request) {})
	folder := t.TempDir()
	file := filepath.Join(folder, "p.cedar")
	if err := os.WriteFile(file, []byte(`@id("nobody") forbid (principal, action, resource);`), 0o600); err != nil {
		t.Fatal(err)
	}
	g := start(t, configured(t, "OSGATE_UPSTREAM_OVERRIDE="+s.URL, "OSGATE_POLICY="+folder))
	token := mint(t, http.DefaultClient, g.ClientsURL())
	expect := func(when string, want int) {
		t.Helper()
		if status, body := get(t, http.DefaultClient, g.ClientsURL()+key, token); status != want {
			t.Errorf("%s: %d %s, want %d", when, status, body, want)
		}
	}
	expect("with the policy", http.StatusForbidden)
	post(t, g.AdminURL()+"/shadow", `{"on":true}`)
	expect("in shadow mode", http.StatusOK)
	if _, body := get(t, http.DefaultClient, g.AdminURL()+"/api/policy", ""); !strings.Contains(body,
		`"shadow":true,"rules":[{"id":"nobody","permit":false,"shadow":true,"file":"p.cedar","line":1,"decided":1,"window":0,"shadowed":1,"errors":0}],"all":1`) {
		t.Errorf("the rules are %s", body)
	}
	post(t, g.AdminURL()+"/shadow", `{"on":false}`)
	expect("after its end", http.StatusForbidden)
	if err := os.WriteFile(file, []byte(`@id("all") permit (principal, action, resource);`), 0o600); err != nil {
		t.Fatal(err)
	}
	if status := post(t, g.AdminURL()+"/reload", `{}`); status != http.StatusOK {
		t.Errorf("reload: %d", status)
	}
	expect("after the reload", http.StatusOK)
}
