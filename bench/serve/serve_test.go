package serve

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

func get(t *testing.T, s *store, path string) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	r.Header.Set("Authorization", "Bearer token-7")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

const place = "/api/v1/organizations/org-bench/environments/env-bench/stores/"

func TestOriginAnswersWithValuesOfTheSizeOfTheirStore(t *testing.T) {
	t.Parallel()
	s := newStore()
	for store, size := range sizes() {
		status, body := get(t, s, place+store+"/partitions/DEFAULT_PARTITION/keys/key-7")
		if status != http.StatusOK || len(body) != size {
			t.Errorf("a value of %s has status %d and %d bytes, want %d", store, status, len(body), size)
		}
		var value struct{ KeyID string }
		if err := json.Unmarshal([]byte(body), &value); err != nil || value.KeyID != "key-7" {
			t.Errorf("a value of %s names the key %q, %v", store, value.KeyID, err)
		}
	}
	if n := int(s.reads.Load()); n != len(sizes()) {
		t.Errorf("%d reads are counted, want %d", n, len(sizes()))
	}
	if status, body := get(t, s, place+"bench"); status != http.StatusOK || !json.Valid([]byte(body)) {
		t.Errorf("a store is answered %d %s", status, body)
	}
	if _, body := get(t, s, "/_bench/reads"); body != "3" {
		t.Errorf("%s reads are stated, want 3: a store is no value", body)
	}
}

func TestOriginNamesTheClientOfAToken(t *testing.T) {
	t.Parallel()
	_, body := get(t, newStore(), "/accounts/api/me")
	var me struct {
		Client struct {
			ID string `json:"client_id"`
		}
	}
	if err := json.Unmarshal([]byte(body), &me); err != nil || me.Client.ID != "app-7" {
		t.Errorf("the client is %q, %v, want app-7", me.Client.ID, err)
	}
}

// A row that is compared with osgate's must not be smaller.
func TestBareHandlerWritesTheBodyThatItStates(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(bare())
	defer server.Close()
	answer, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || len(body) != sizes()["bench"] || answer.ContentLength != int64(len(body)) {
		t.Errorf("the body has %d bytes, %v; stated are %d", len(body), err, answer.ContentLength)
	}
}
