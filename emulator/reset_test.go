package emulator_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"osgate/emulator"
)

// bench is an emulator of a test with a client that has a token.
type bench struct {
	t     *testing.T
	e     *emulator.Emulator
	token string
}

func newBench(t *testing.T, o emulator.Options) *bench {
	t.Helper()
	e, err := emulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	b := &bench{t: t, e: e}
	var minted struct {
		Token string `json:"access_token"`
	}
	body := b.send(http.MethodPost, "/us/accounts/oauth2/token", "client_id=app-one&client_secret=secret-one&grant_type=client_credentials", 200)
	if err := json.Unmarshal([]byte(body), &minted); err != nil {
		t.Fatal(err)
	}
	b.token = minted.Token
	return b
}

// send sends a request and returns the body of its answer, which must have the status.
func (b *bench) send(method, target, body string, status int) string {
	b.t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1"+target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if !strings.HasPrefix(body, "{") {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if b.token != "" {
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	w := httptest.NewRecorder()
	b.e.ServeHTTP(w, r)
	text, _ := io.ReadAll(w.Result().Body)
	if w.Code != status {
		b.t.Errorf("%s %s: status %d, want %d: %s", method, target, w.Code, status, text)
	}
	return string(text)
}

const (
	benchStores = "/us/us-east-1/api/v1/organizations/org-root/environments/env-prod/stores"
	benchKeys   = benchStores + "/APP_demo__defaultPersistentObjectStore/partitions/DEFAULT_PARTITION/keys"
	benchStats  = "/us/api/v1/organizations/org-root?period=1day&startDate=2026-01-01T00:00:00Z&endDate=2026-01-02T00:00:00Z"
)

// TestResetMakesAllAsItWasAtTheStart in memory and in a folder, whose data are the same
// at the next start too.
func TestResetMakesAllAsItWasAtTheStart(t *testing.T) {
	for name, folder := range map[string]string{"memory": "", "folder": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			o := emulator.Options{Rate: -1, Data: folder}
			b := newBench(t, o)
			b.send(http.MethodGet, "/_osemu/livez", "", 200)
			b.send(http.MethodPut, benchKeys+"/New", `{"stringValue":"v"}`, 201)
			b.send(http.MethodDelete, benchKeys+"/KeyOne", "", 204)
			b.send(http.MethodPut, benchStores+"/new", `{}`, 200)
			b.send(http.MethodPatch, "/_osemu/clients/app-one", `{"scopes":["read:store"]}`, 200)
			b.send(http.MethodGet, benchKeys+"/KeyTwo", "", 403)
			b.send(http.MethodPost, "/_osemu/clock", `{"advance":"30m"}`, 200)
			b.send(http.MethodPut, "/_osemu/faults", `{"500":1}`, 200)
			b.send(http.MethodGet, benchKeys+"/KeyTwo", "", 500)

			b.send(http.MethodPost, "/_osemu/reset", "", 204)
			if got := b.e.Requests(); len(got) != 0 {
				t.Errorf("the log has %d requests", len(got))
			}
			b.send(http.MethodGet, benchKeys+"/KeyOne", "", 200) // the token is still valid
			b.send(http.MethodGet, benchKeys+"/New", "", 404)
			b.send(http.MethodGet, benchStores+"/new", "", 404)
			if folder == "" {
				return
			}
			if err := b.e.Close(); err != nil {
				t.Fatal(err)
			}
			again := newBench(t, o)
			again.send(http.MethodGet, benchKeys+"/KeyOne", "", 200)
			again.send(http.MethodGet, benchKeys+"/New", "", 404)
		})
	}
}

func TestTheStatsAPIAnswers429WhereItIsChosen(t *testing.T) {
	b := newBench(t, emulator.Options{StatsRate: 2})
	b.send(http.MethodGet, benchStats, "", 200)
	b.send(http.MethodGet, benchStats, "", 200)
	if body := b.send(http.MethodGet, benchStats, "", 429); !strings.Contains(body, "can not perform more requests") {
		t.Errorf("the 429 has the body %s", body)
	}
	b.send(http.MethodGet, benchKeys, "", 200) // has a rate of its own
	b.send(http.MethodPost, "/_osemu/reset", "", 204)
	b.send(http.MethodGet, benchStats, "", 200)
}

// TestFormsOfTheOpenAPICanBeChosen, with both values of each choice.
func TestFormsOfTheOpenAPICanBeChosen(t *testing.T) {
	b := newBench(t, emulator.Options{Rate: -1, Choose: map[string]string{"ttl-names": "milliseconds", "encrypted": "string", "value-key-id": "absent"}})
	b.send(http.MethodPut, benchStores+"/s", `{"defaultTtlMillis":60000,"encrypted":"false"}`, 200)
	body := b.send(http.MethodGet, benchStores+"/s", "", 200)
	for _, want := range []string{`"defaultTtlMillis":60000`, `"defaultConfirmationTtlMillis":600000`, `"encrypted":"false"`} {
		if !strings.Contains(body, want) || strings.Contains(body, "Seconds") {
			t.Errorf("the store is %s, want %s", body, want)
		}
	}
	if list := b.send(http.MethodGet, benchStores, "", 200); !strings.Contains(list, `"encrypted":"true"`) {
		t.Errorf("the stores are %s", list)
	}
	partition := strings.TrimSuffix(benchKeys, "/keys") + "?inclusion=all"
	if values := b.send(http.MethodGet, partition, "", 200); strings.Contains(values, "keyId") || !strings.Contains(values, "stringValue") {
		t.Errorf("the values are %s", values)
	}
	plain := newBench(t, emulator.Options{Rate: -1})
	if body := plain.send(http.MethodGet, benchStores, "", 200); !strings.Contains(body, `"defaultTtlSeconds":2592000`) || !strings.Contains(body, `"encrypted":true`) {
		t.Errorf("by default the stores are %s", body)
	}
	if values := plain.send(http.MethodGet, partition, "", 200); !strings.Contains(values, `"keyId":"KeyOne"`) {
		t.Errorf("by default the values are %s", values)
	}
}
