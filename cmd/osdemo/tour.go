package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// tour prints the vendor's documented journey, through the gateway.
type tour struct {
	gateway, admin, emulator string
	token                    string
	now                      time.Time
}

// The built-in world of the emulator.
const (
	client    = "client_id=app-one&client_secret=secret-one&grant_type=client_credentials"
	prefix    = "/api/v1/organizations/org-root/environments/env-prod"
	partition = prefix + "/stores/APP_demo__defaultPersistentObjectStore/partitions/DEFAULT_PARTITION"
)

// mint gets a token as an application does, through the gateway.
func (t *tour) mint(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.gateway+"/accounts/oauth2/token", strings.NewReader(client))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }() // read below
	var minted struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&minted); err != nil || minted.Token == "" {
		return fmt.Errorf("the answer (%d) contains no token", answer.StatusCode)
	}
	t.token = minted.Token
	return nil
}

// print writes the tour. Each curl command is one line that can be pasted.
func (t *tour) print(w io.Writer) {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	curl := func(why, options, target string) {
		say("\n# %s\ncurl -s%s -H 'Authorization: Bearer %s' '%s%s'", why, options, t.token, t.gateway, target)
	}
	say("osgate    %s   (use it as your base URL; region us/us-east-1 unless a request names another)", t.gateway)
	say("osemu     %s   (a local Object Store v2: %s latency, 10 requests a second)", t.emulator, latency)
	say("dashboard %s/  (health, requests by outcome, latency, hit ratio, clients, stores, refusals)", t.admin)
	say("\nPaste any of these into another terminal. The token is valid for an hour.")
	say("\n# A token of your own, minted through the gateway\ncurl -s -d '%s' %s/accounts/oauth2/token", client, t.gateway)
	curl("The identity behind the token", "", "/accounts/api/me")
	curl("Environments, regions, stores, partitions, keys", "", "/accounts/api/organizations/org-root/environments")
	partitions, _, _ := strings.Cut(partition, "/DEFAULT_PARTITION")
	for _, target := range []string{"/api/v1/organizations/org-root/regions", prefix + "/stores", partitions, partition + "/keys"} {
		say("curl -s -H 'Authorization: Bearer %s' '%s%s'", t.token, t.gateway, target)
	}
	curl("A value. Run it twice and look at Cache-Status and Age; RateLimit shows the rest of the quota", "i", partition+"/keys/KeyOne")
	value := `{"stringValue":"Hello World","keyId":"myTestKey","valueType":"STRING"}`
	curl("Store a value", " -H 'Content-Type: application/json' -d '"+value+"'", partition+"/keys/myTestKey")
	curl("Read it back: after a write no older value is returned", "i", partition+"/keys/myTestKey")
	curl("Delete it", "i -X DELETE", partition+"/keys/myTestKey")
	curl("The same store in the EU control plane (Frankfurt): 401, because it needs a token of that plane", "i", "/eu/eu-central-1"+partition+"/keys/KeyOne")
	curl("Thirty requests as fast as one connection can send them: ten a second are answered, none with 429",
		` -o /dev/null -w '%{http_code} after %{time_total} s\n'`, partition+"/keys/KeyOne?n=[1-30]")
	curl("Today's counts, in the form of Anypoint's own Stats API", "", "/api/v1/organizations/org-root?"+t.today())
	say("\nCtrl-C stops everything.")
	_, _ = io.WriteString(w, b.String()) // the reader of the output may have left
}

// today returns a query of the Stats API for the hours of this day so far.
func (t *tour) today() string {
	return url.Values{
		"startDate": {t.now.Truncate(24 * time.Hour).Format(time.RFC3339)},
		"endDate":   {t.now.Format(time.RFC3339)},
		"period":    {"1day"},
	}.Encode()
}
