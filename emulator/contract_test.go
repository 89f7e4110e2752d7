package emulator_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"osgate/emulator"
)

// The contract: the vendor's documentation of Object Store v2 as requests. It runs
// against osemu always and, if these variables are set, against a real one too, so that
// differences are found. It contains only documented behavior, none of the emulator's
// choices.
//
//	OSV2_CONTRACT_BASE_URL       https://object-store-us-east-1.anypoint.mulesoft.com
//	OSV2_CONTRACT_AUTH_URL       https://anypoint.mulesoft.com
//	OSV2_CONTRACT_CLIENT_ID      a connected app with manage:store
//	OSV2_CONTRACT_CLIENT_SECRET  and manage:store_data
//	OSV2_CONTRACT_ORGANIZATION   ids in which the app may create a store
//	OSV2_CONTRACT_ENVIRONMENT
//
// The store that it creates has a unique name and is deleted at the end; it sends at
// most seven requests a second, about 70 in all.
func TestContract(t *testing.T) {
	t.Run("osemu", func(t *testing.T) {
		e := start(t, emulator.Options{})
		server := httptest.NewServer(e)
		t.Cleanup(server.Close)
		s := &service{
			base: server.URL + "/us/us-east-1", auth: server.URL + "/us", client: "app-one", secret: "secret-one",
			organization: "org-root", environment: "env-prod", store: "contract", patience: 1,
		}
		before := as(t, e, "us", "one").get(east + prod).body
		s.keep(t)
		if after := as(t, e, "us", "one").get(east + prod).body; after != before {
			t.Errorf("the contract did not delete %s", after)
		}
	})
	s, missing := serviceFromEnvironment()
	switch len(missing) {
	case 0:
		t.Run("real", s.keep)
	case 6:
		t.Log("checked against osemu only: OSV2_CONTRACT_BASE_URL and the rest are not set")
	default:
		t.Errorf("not set: %s", strings.Join(missing, ", "))
	}
}

// keep checks the contract, fact by fact in this order, and deletes the store at the
// end.
func (s *service) keep(t *testing.T) {
	if !t.Run("token", s.tokenIsMinted) {
		return
	}
	t.Run("me names the client", s.meNamesTheClient)
	t.Run("environments are data", s.environmentsAreData)
	t.Run("regions", s.regionsHaveIDs)
	t.Cleanup(func() {
		_, _ = s.send(context.WithoutCancel(t.Context()), http.MethodDelete, s.base+s.stores()+"/"+s.store, "")
	})
	if !t.Run("store", s.storeIsMade) {
		return
	}
	t.Run("TTL out of bounds", s.ttlOutOfBoundsIsThirtyDays)
	t.Run("list of stores", s.storeIsListed)
	t.Run("values", s.valuesComeBack)
	t.Run("confirmable", s.confirmableMayBeFalse)
	t.Run("partitions and keys", s.partitionsAndKeysAreListed)
	t.Run("space in a key", s.spaceBecomesPlus)
	t.Run("pages", s.pagesHoldTwentyFive)
	t.Run("delete key", s.keyIsDeleted)
	t.Run("delete partition", s.partitionIsDeleted)
	t.Run("delete store", s.storeIsDeleted)
}

// Page "Object Store v2 REST APIs", "Get the Access Token"; Access Management API
// 1.0.45.
func (s *service) tokenIsMinted(t *testing.T) {
	form, err := json.Marshal(map[string]string{"grant_type": "client_credentials", "client_id": s.client, "client_secret": s.secret})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.send(t.Context(), http.MethodPost, s.auth+"/accounts/api/v2/oauth2/token", string(form))
	if err != nil || got.status != http.StatusOK {
		t.Fatalf("no token: status %d, %v", got.status, err) // and no body, which may contain one
	}
	kind, _ := member(got.value, "token_type").(string)
	life, _ := member(got.value, "expires_in").(float64)
	s.token, _ = member(got.value, "access_token").(string)
	if s.token == "" || !strings.EqualFold(kind, "bearer") || life <= 0 {
		t.Errorf("the answer has a token: %t, of type %q, for %v s", s.token != "", kind, life)
	}
}

// Access Management API 1.0.45: client and user; X-RateLimit headers on every
// operation.
func (s *service) meNamesTheClient(t *testing.T) {
	got := s.require(t, http.MethodGet, s.auth+"/accounts/api/me", "", nil, http.StatusOK)
	if id := member(got.value, "client", "client_id"); id != s.client {
		t.Errorf("client.client_id is %v", id)
	}
	for _, name := range []string{"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset"} {
		if _, err := strconv.Atoi(got.header.Get(name)); err != nil {
			t.Errorf("%s is %q", name, got.header.Get(name))
		}
	}
	stranger := *s
	stranger.token = "00000000-0000-4000-8000-000000000000"
	stranger.require(t, http.MethodGet, s.auth+"/accounts/api/me", "", nil, http.StatusUnauthorized)
}

// Access Management API 1.0.45, and four public clients: "data", not "environments". An
// app without the scope for it is refused.
func (s *service) environmentsAreData(t *testing.T) {
	target := s.auth + "/accounts/api/organizations/" + s.organization + "/environments"
	got := s.require(t, http.MethodGet, target, "", nil, http.StatusOK, http.StatusUnauthorized, http.StatusForbidden)
	if got.status != http.StatusOK {
		t.Logf("not checked: the app may not list environments (%d)", got.status)
		return
	}
	if err := anyOf(s.environment, "id", "data")(got.value); err != nil {
		t.Error(err)
	}
	if _, ok := member(got.value, "total").(float64); !ok {
		t.Errorf("total is %v", member(got.value, "total"))
	}
}

// Page, "List Regions".
func (s *service) regionsHaveIDs(t *testing.T) {
	got := s.require(t, http.MethodGet, s.base+"/api/v1/organizations/"+s.organization+"/regions", "", nil, http.StatusOK)
	list, _ := got.value.([]any)
	if len(list) == 0 {
		t.Errorf("the answer is %.200s", got.body)
	}
	for _, region := range list {
		if id, _ := member(region, "id").(string); id == "" {
			t.Errorf("a region without id: %v", region)
		}
	}
}

// API description 1.0.8, PUT store; page, "Get Stores", for the members.
func (s *service) storeIsMade(t *testing.T) {
	target := s.base + s.stores() + "/" + s.store
	s.require(t, http.MethodPut, target, `{"storeId":`+quoted(s.store)+`,"persistent":true,"defaultTtlSeconds":3600}`, nil, http.StatusOK, http.StatusCreated)
	s.require(t, http.MethodGet, target, "", func(of any) error {
		for name, want := range map[string]any{"storeId": s.store, "defaultTtlSeconds": 3600.0} {
			if got := member(of, name); got != want {
				return fmt.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		for _, name := range []string{"encrypted", "permanentOsFlag", "persistent"} {
			if _, ok := member(of, name).(bool); !ok {
				return fmt.Errorf("%s is no boolean", name)
			}
		}
		if _, ok := member(of, "defaultConfirmationTtlSeconds").(float64); !ok {
			return errors.New("defaultConfirmationTtlSeconds is no number")
		}
		return nil
	}, http.StatusOK)
}

// Page "Object Store v2": more than 30 days "defaults to 2592000 seconds, without
// returning an error", and so does less than a second.
func (s *service) ttlOutOfBoundsIsThirtyDays(t *testing.T) {
	target := s.base + s.stores() + "/" + s.store
	for _, seconds := range []string{"2592001", "0"} {
		s.require(t, http.MethodPatch, target, `{"defaultTtlSeconds":3600}`, nil, http.StatusOK)
		s.require(t, http.MethodPatch, target, `{"defaultTtlSeconds":`+seconds+`}`, nil, http.StatusOK)
		s.require(t, http.MethodGet, target, "", func(of any) error {
			if got := member(of, "defaultTtlSeconds"); got != 2592000.0 {
				return fmt.Errorf("%s s: the TTL is %v", seconds, got)
			}
			return nil
		}, http.StatusOK)
	}
}

// Page, "Get Stores", for the envelope; beginsWith as public clients use it.
func (s *service) storeIsListed(t *testing.T) {
	got := s.require(t, http.MethodGet, s.base+s.stores()+"?beginsWith="+url.QueryEscape(s.store), "", anyOf(s.store, "storeId", "values"), http.StatusOK)
	envelope, _ := got.value.(map[string]any)
	if token, there := envelope["nextPageToken"]; !there || token != nil {
		t.Errorf("nextPageToken of the last page: %v, %t", token, there)
	}
}

// Page, "Store a Key" and "Retrieve a Value": POST of JSON stores.
func (s *service) valuesComeBack(t *testing.T) {
	for name, value := range map[string]struct {
		kind, field, text string
		want              any
	}{
		"text":   {"STRING", "stringValue", `"Hello World"`, "Hello World"},
		"number": {"NUMBER", "numberValue", `42`, 42.0},
		"binary": {"BINARY", "binaryValue", `"AAEC"`, "AAEC"},
	} {
		body := `{"keyId":"` + name + `","valueType":"` + value.kind + `","` + value.field + `":` + value.text + `}`
		s.require(t, http.MethodPost, s.keys("contract")+"/"+name, body, nil, http.StatusOK, http.StatusCreated, http.StatusNoContent)
		s.require(t, http.MethodGet, s.keys("contract")+"/"+name, "", func(of any) error {
			for field, want := range map[string]any{"keyId": name, "valueType": value.kind, value.field: value.want} {
				if got := member(of, field); got != want {
					return fmt.Errorf("%s is %v, want %v", field, got, want)
				}
			}
			return nil
		}, http.StatusOK)
		s.require(t, http.MethodHead, s.keys("contract")+"/"+name, "", nil, http.StatusNoContent)
	}
}

// API description 1.0.8: a boolean, false by default; the page's examples omit it.
func (s *service) confirmableMayBeFalse(t *testing.T) {
	s.require(t, http.MethodGet, s.keys("contract")+"/text?confirmable=false", "", nil, http.StatusOK)
}

// Page, "Get Partitions" and "Get Keys": partitions are strings, keys are objects with
// keyId.
func (s *service) partitionsAndKeysAreListed(t *testing.T) {
	partitions := s.base + s.stores() + "/" + s.store + "/partitions"
	s.require(t, http.MethodGet, partitions, "", anyOf("contract", "", "values"), http.StatusOK)
	s.require(t, http.MethodHead, partitions+"/contract", "", nil, http.StatusNoContent)
	s.require(t, http.MethodGet, s.keys("contract"), "", anyOf("binary", "keyId", "values"), http.StatusOK)
}

// FAQ, "characters in keys": spaces are converted to plus signs.
func (s *service) spaceBecomesPlus(t *testing.T) {
	s.require(t, http.MethodPost, s.keys("spaced")+"/a%20b", `{"stringValue":"v","valueType":"STRING"}`, nil, http.StatusOK, http.StatusCreated, http.StatusNoContent)
	s.require(t, http.MethodGet, s.keys("spaced"), "", anyOf("a+b", "keyId", "values"), http.StatusOK)
}

// Page, "Get Keys": "a maximum of 25 keys with each GET operation", then nextPageToken,
// which is null at the end.
func (s *service) pagesHoldTwentyFive(t *testing.T) {
	for i := range 27 {
		target := s.keys("paged") + "/" + strconv.Itoa(i)
		s.require(t, http.MethodPost, target, `{"stringValue":"v","valueType":"STRING"}`, nil, http.StatusOK, http.StatusCreated, http.StatusNoContent)
	}
	first := s.require(t, http.MethodGet, s.keys("paged"), "", func(of any) error {
		if n := len(elements(of, "values")); n != 25 {
			return fmt.Errorf("%d keys on the first page", n)
		}
		return nil
	}, http.StatusOK)
	seen := map[any]bool{}
	got := first
	for range 3 {
		for _, element := range elements(got.value, "values") {
			seen[member(element, "keyId")] = true
		}
		token, more := member(got.value, "nextPageToken").(string)
		if !more {
			break
		}
		got = s.require(t, http.MethodGet, s.keys("paged")+"?nextPageToken="+url.QueryEscape(token), "", nil, http.StatusOK)
	}
	if len(seen) != 27 || got.body == first.body {
		t.Errorf("%d of 27 keys on all pages", len(seen))
	}
}

// API description 1.0.8: 204, and 404 for a key that does not exist.
func (s *service) keyIsDeleted(t *testing.T) {
	target := s.keys("contract") + "/text"
	s.require(t, http.MethodDelete, target, "", nil, http.StatusNoContent)
	s.require(t, http.MethodHead, target, "", nil, http.StatusNotFound)
	s.require(t, http.MethodGet, target, "", nil, http.StatusNotFound)
}

func (s *service) partitionIsDeleted(t *testing.T) {
	target := strings.TrimSuffix(s.keys("contract"), "/keys")
	s.require(t, http.MethodDelete, target, "", nil, http.StatusNoContent)
	s.require(t, http.MethodHead, target, "", nil, http.StatusNotFound)
}

func (s *service) storeIsDeleted(t *testing.T) {
	target := s.base + s.stores() + "/" + s.store
	s.require(t, http.MethodDelete, target, "", nil, http.StatusNoContent)
	s.require(t, http.MethodGet, target, "", nil, http.StatusNotFound)
}
