package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestVendorsJourneyWorksThroughTheGateway sends all requests of the vendor's page
// "Object Store v2 REST APIs", from token to statistics, through osgate with its
// defaults: once with the gateway as base URL, and once by an unchanged client that
// uses the hosts of the vendor, which resolve to the gateway.
func TestVendorsJourneyWorksThroughTheGateway(t *testing.T) {
	t.Parallel()
	for _, withRedis := range []bool{false, true} {
		for _, keptHosts := range []bool{false, true} {
			t.Run(fmt.Sprintf("redis=%v,keptHosts=%v", withRedis, keptHosts), func(t *testing.T) {
				t.Parallel()
				g := newStack(t, withRedis).gateway()
				j := journey{g: g, accounts: g.client(), store: g.client(), stats: g.client()}
				if keptHosts {
					j.accounts = g.impersonating("anypoint.mulesoft.com")
					j.store = g.impersonating("object-store-us-east-1.anypoint.mulesoft.com")
					j.stats = g.impersonating("object-store-stats.anypoint.mulesoft.com")
				}
				j.run(t)
			})
		}
	}
}

// impersonating returns a client that connects to the gateway under a host name of the
// vendor.
func (g *gateway) impersonating(host string) client {
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, g.addr())
	}
	transport := &http.Transport{DialContext: dial}
	g.t.Cleanup(transport.CloseIdleConnections)
	return client{t: g.t, base: "http://" + host, httpClient: newHTTPClient(transport)}
}

// journey sends the requests of the vendor's page as a client.
type journey struct {
	g                      *gateway
	accounts, store, stats client
	counted                int // Object Store operations of env-prod with a 2xx answer, and all operations
	countedAll             int
}

func (j *journey) run(t *testing.T) {
	j.tokens(t)
	j.identifiers(t)
	j.regions(t)
	j.stores(t)
	j.listsAreAsDocumented(t)
	j.valueIsAsDocumented(t)
	j.storeListDelete(t)
	j.statistics(t)
}

// tokens requests a token in each of the three documented ways, and keeps the token of
// the connected app.
func (j *journey) tokens(t *testing.T) {
	mint := func(path, contentType, body string, expires bool) string {
		t.Helper()
		a := j.accounts.send(http.MethodPost, path, body, "Content-Type: "+contentType).is(http.StatusOK)
		var answer struct {
			Token     string `json:"access_token"`
			Type      string `json:"token_type"`
			ExpiresIn int    `json:"expires_in"`
		}
		a.decode(&answer)
		j.g.stack.addSecret(answer.Token)
		if answer.Token == "" || !strings.EqualFold(answer.Type, "bearer") || expires && answer.ExpiresIn != 3600 {
			t.Errorf("the answer to %s is %s, want a bearer token", path, a.body)
		}
		return answer.Token
	}
	mint("/accounts/oauth2/token", "application/x-www-form-urlencoded", "client_id=app-one&client_secret=secret-one&grant_type=client_credentials", false)
	login := mint("/accounts/login", "application/json", `{"username":"admin","password":"admin-password"}`, true)
	j.accounts.with("Authorization: Bearer " + login).get("/accounts/api/me").is(http.StatusOK)
	token := mint("/accounts/api/v2/oauth2/token", "application/json",
		`{"client_id": "app-one", "client_secret": "secret-one", "grant_type": "client_credentials"}`, false)
	j.accounts.token, j.store.token, j.stats.token = token, token, token
}

// identifiers reads the ids of the organization and the environment.
func (j *journey) identifiers(t *testing.T) {
	var me struct {
		User struct {
			Organization struct{ Name, ID string }
		}
	}
	j.accounts.get("/accounts/api/me").is(http.StatusOK).decode(&me)
	if got := me.User.Organization; got.ID != "org-root" || got.Name != "Acme" {
		t.Errorf("me has the organization %+v, want org-root, Acme", got)
	}
	var environments struct {
		Data []struct{ ID, Name, OrganizationID string }
	}
	j.accounts.get("/accounts/api/organizations/org-root/environments").is(http.StatusOK).decode(&environments)
	var organization, environment struct{ ID string }
	j.accounts.get("/accounts/api/organizations/org-root").is(http.StatusOK).decode(&organization)
	j.accounts.get("/accounts/api/organizations/org-root/environments/env-prod").is(http.StatusOK).decode(&environment)
	j.accounts.get("/accounts/api/profile").is(http.StatusOK)
	if organization.ID != "org-root" || environment.ID != "env-prod" {
		t.Errorf("the organization is %q, its environment %q", organization.ID, environment.ID)
	}
	found := map[string]string{}
	for _, e := range environments.Data {
		found[e.ID] = e.OrganizationID
	}
	if want := map[string]string{"env-prod": "org-root", "env-sandbox": "org-root"}; !maps.Equal(found, want) {
		t.Errorf("environments of org-root: %v, want %v", found, want)
	}
}

// send sends an Object Store operation for env-prod, which must succeed.
func (j *journey) send(t *testing.T, method, path, body string) *answer {
	t.Helper()
	var headers []string
	if body != "" {
		headers = []string{"Content-Type: application/json"}
	}
	a := j.store.send(method, path, body, headers...).succeeded()
	j.counted++
	j.countedAll++
	return a
}

func (j *journey) regions(t *testing.T) {
	var regions []struct{ ID, Name, URL string }
	j.store.get("/api/v1/organizations/org-root/regions").is(http.StatusOK).decode(&regions)
	j.countedAll++
	i := slices.IndexFunc(regions, func(r struct{ ID, Name, URL string }) bool { return r.ID == "us-east-1" })
	if i < 0 || regions[i].Name != "US East (N. Virginia)" || regions[i].URL == "" {
		t.Errorf("regions of org-root: %+v, want us-east-1 among them, with name and url", regions)
	}
}

// stores lists the stores, and checks every field of the documented output.
func (j *journey) stores(t *testing.T) {
	var page struct {
		Values        []map[string]any
		NextPageToken *string
	}
	a := j.send(t, http.MethodGet, prodStores, "")
	a.decode(&page)
	want := []map[string]any{{
		"storeId": "APP_demo__defaultPersistentObjectStore", "encrypted": true, "permanentOsFlag": false, "persistent": true,
		"defaultTtlSeconds": 2592000.0, "defaultConfirmationTtlSeconds": 600.0, "isFixedTtl": nil,
	}}
	if len(page.Values) == 1 { // the vendor prints null; whether it also sends false is not known
		if fixed, said := page.Values[0]["isFixedTtl"].(bool); said && !fixed {
			page.Values[0]["isFixedTtl"] = nil
		}
	}
	if diff := cmp.Diff(want, page.Values); diff != "" || page.NextPageToken != nil {
		t.Errorf("stores of env-prod: %s\nwant the documented form (-want +got):\n%s", a.body, diff)
	}
	if !strings.Contains(a.body, `"nextPageToken":null`) {
		t.Errorf("stores of env-prod: %s, want a nextPageToken of null", a.body)
	}
}

func (j *journey) listsAreAsDocumented(t *testing.T) {
	if got, want := j.send(t, http.MethodGet, demoStore+"/partitions", "").body, `{"values":["DEFAULT_PARTITION"],"nextPageToken":null}`; !sameJSON(got, want) {
		t.Errorf("partitions: %s, want %s", got, want)
	}
	j.hasKeys(t, "KeyOne", "KeyTwo")
}

// hasKeys lists the keys of the demo store's partition, whose order is not defined.
func (j *journey) hasKeys(t *testing.T, want ...string) {
	t.Helper()
	var page struct {
		Values        []map[string]string
		NextPageToken *string
	}
	a := j.send(t, http.MethodGet, demoKeys, "")
	a.decode(&page)
	var got []string
	for _, v := range page.Values {
		got = append(got, v["keyId"])
	}
	slices.Sort(got)
	if !slices.Equal(got, want) || page.NextPageToken != nil {
		t.Errorf("keys: %s, want %v and no next page", a.body, want)
	}
}

func (j *journey) valueIsAsDocumented(t *testing.T) {
	var value map[string]any
	a := j.send(t, http.MethodGet, demoKeys+"/KeyTwo", "")
	a.decode(&value)
	text, _ := value["binaryValue"].(string)
	if bytes, err := base64.StdEncoding.DecodeString(text); err != nil || len(bytes) == 0 || value["keyId"] != "KeyTwo" || value["valueType"] != "BINARY" {
		t.Errorf("KeyTwo: %s, want a base64 binaryValue, keyId KeyTwo, valueType BINARY", a.body)
	}
}

// storeListDelete sends the requests of the page for myTestKey.
func (j *journey) storeListDelete(t *testing.T) {
	key := demoKeys + "/myTestKey"
	j.send(t, http.MethodPost, key, `{"stringValue":"Hello World","keyId":"myTestKey","valueType":"STRING"}`)
	j.hasKeys(t, "KeyOne", "KeyTwo", "myTestKey")
	var value map[string]any
	j.send(t, http.MethodGet, key, "").decode(&value)
	for name, want := range map[string]any{"stringValue": "Hello World", "keyId": "myTestKey", "valueType": "STRING"} {
		if value[name] != want {
			t.Errorf("myTestKey: %s is %v, want %v", name, value[name], want)
		}
	}
	j.send(t, http.MethodDelete, key, "").is(http.StatusNoContent)
	j.hasKeys(t, "KeyOne", "KeyTwo")
	if a := j.store.get(key); a.status != http.StatusNotFound {
		t.Errorf("myTestKey after its deletion: %d, want 404", a.status)
	}
}

// statistics sends the example parameters of the page, with the current time, until all
// requests are counted.
func (j *journey) statistics(t *testing.T) {
	now := time.Now().UTC()
	lastMonth := time.Date(now.Year(), now.Month()-1, 13, 17, 51, 54, 0, time.UTC)
	monthly, daily := statsQuery(lastMonth, now, "1month"), statsQuery(now.AddDate(0, 0, -2), now, "1day")
	const (
		root        = "/api/v1/organizations/org-root"
		environment = root + "/environments/env-prod"
		region      = environment + "/regions/us-east-1"
	)
	for _, q := range []struct {
		target  string
		buckets int
		want    int
	}{
		{root + monthly + "&isMaster=true", 2, j.countedAll},
		{root + daily + "&isMaster=true", 3, j.countedAll},
		{root + monthly, 2, j.countedAll},
		{environment + monthly, 2, j.counted},
		{region + monthly, 2, j.counted},
		{region + "/stores/APP_demo__defaultPersistentObjectStore" + monthly, 2, j.counted - 1}, // the list of stores does not count for a store
	} {
		eventually(t, "the counts of "+q.target, func() bool {
			counts := j.stats.counts(q.target)
			return len(counts) == q.buckets && total(counts) == q.want
		})
	}
	sub := j.g.as("app-sub")
	sub.base, sub.httpClient = j.stats.base, j.stats.httpClient
	if counts := sub.counts("/api/v1/organizations/org-sub" + monthly); len(counts) != 2 || total(counts) != 0 {
		t.Errorf("counts of org-sub: %v, want two months without counts", counts)
	}
}

// statsQuery returns the query of a time range, encoded as on the page.
func statsQuery(from, to time.Time, period string) string {
	const form = "2006-01-02T15:04:05.000Z"
	return "?startDate=" + url.QueryEscape(from.UTC().Format(form)) + "&endDate=" + url.QueryEscape(to.UTC().Format(form)) + "&period=" + period
}

// count is one bucket of a Stats API answer.
type count struct {
	TimeStamp          time.Time
	ObjectStoreRequest *int `json:"objectStoreRequestCount"`
}

// counts requests statistics, and checks the form of the response.
func (c client) counts(target string) []count {
	c.t.Helper()
	a := c.get(target)
	for deadline := time.Now().Add(testTimeout); a.status == http.StatusServiceUnavailable && time.Now().Before(deadline); {
		pause(100 * time.Millisecond) // Redis may be slower than REDIS_TIMEOUT for a moment: the answer has Retry-After
		a = c.get(target)
	}
	a.is(http.StatusOK)
	var counts []count
	a.decode(&counts)
	for _, bucket := range counts {
		if bucket.ObjectStoreRequest == nil || bucket.TimeStamp.IsZero() || bucket.TimeStamp.Location() != time.UTC {
			c.t.Fatalf("%s: %s, want timeStamp in UTC and objectStoreRequestCount in each", target, a.body)
		}
	}
	return counts
}

func total(counts []count) (sum int) {
	for _, c := range counts {
		sum += *c.ObjectStoreRequest
	}
	return sum
}

// sameJSON reports whether two texts are the same JSON value.
func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && cmp.Equal(x, y)
}
