package emulator_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"osgate/emulator"
)

const smallWorld = `{
  "organizations": [
    {"id": "o", "name": "O"},
    {"id": "p", "name": "P", "parent": "o"}
  ],
  "environments": [{"id": "e", "name": "E", "organization": "p", "type": "design"}],
  "clients": [{
    "id": "c", "secret": "hush", "organization": "o",
    "scopes": ["manage:store_data"]
  }],
  "users": [{"id": "u", "username": "name", "password": "pssst", "organization": "o"}],
  "stores": [{"storeId": "s", "environment": "e", "locations": ["eu/eu-west-1"], "defaultTtlSeconds": 60, "isFixedTtl": true}],
  "entries": [
    {"environment": "e", "storeId": "s", "partitionId": "p", "keyId": "a b", "numberValue": 7, "metadata": {"any": "thing"}}
  ]
}`

func TestWorldFromAFileIsServed(t *testing.T) {
	w, err := emulator.ParseWorld("small.json", []byte(smallWorld))
	if err != nil {
		t.Fatal(err)
	}
	c := client{t: t, e: start(t, emulator.Options{World: w})}
	got := c.form("/eu/accounts/oauth2/token", "grant_type=client_credentials&client_id=c&client_secret=hush")
	c.token = minted(t, got)
	const stores = "/eu-west-1/api/v1/organizations/p/environments/e/stores"
	if got := c.get("/eu" + stores + "/s/partitions/p/keys/a%20b").body; got != `{"keyId":"a+b","metadata":{"any":"thing"},"numberValue":7,"valueType":"NUMBER"}` {
		t.Errorf("the entry is %s", got)
	}
	if got := c.get("/eu" + stores).body; !strings.Contains(got, `"defaultTtlSeconds":60,"defaultConfirmationTtlSeconds":600,"isFixedTtl":true`) {
		t.Errorf("the store is %s", got)
	}
	if got := c.get("/eu/eu-central-1/api/v1/organizations/p/environments/e/stores").body; got != `{"values":[],"nextPageToken":null}` {
		t.Errorf("another region: the answer is %s", got)
	}
	if got := decode[me](t, c.get("/eu/accounts/api/me")); got.User != nil || got.Client == nil {
		t.Errorf("me of a client without a creator: the answer is %+v", got)
	}
	c.must(http.StatusNotFound, http.MethodGet, "/eu/accounts/api/users/me", "")
}

func TestErrorsOfAWorldNameLineAndMember(t *testing.T) {
	for name, row := range map[string]struct{ old, new, want string }{
		"unknown member":                {`"type": "design"`, `"kind": "design"`, "w.json:6: environments[0].kind: there is no such member"},
		"member in other case":          {`"scopes"`, `"Scopes"`, "w.json:9: clients[0].Scopes: there is no such member"},
		"member twice":                  {`"id": "c",`, `"id": "c", "id": "d",`, "w.json: line 8: clients[0].id is given twice"},
		"malformed":                     {`"name": "O"}`, `"name": "O"`, "w.json:4: malformed JSON: invalid character '{' looking for beginning of object key string"},
		"wrong type":                    {`["manage:store_data"]`, `"manage:store_data"`, "w.json:9: clients.scopes: a string where a []string should be"},
		"unknown scope":                 {`manage:store_data`, `fly`, `w.json:9: clients[0].scopes: "fly" is not one of read:store, manage:store, manage:store_data, read:store_metrics`},
		"unknown organization":          {`"organization": "p"`, `"organization": "q"`, `w.json:6: environments[0].organization: no organization "q"`},
		"circle":                        {`{"id": "o", "name": "O"}`, `{"id": "o", "name": "O", "parent": "p"}`, `w.json:3: organizations[0].parent: organization "o" is above itself`},
		"twice the same":                {`"id": "p", "name"`, `"id": "o", "name"`, `w.json:4: organizations[1].id: a second organization "o"`},
		"twice the same client":         {`"clients": [{`, `"clients": [{"id": "c", "secret": "s", "organization": "o"}, {`, `w.json:8: clients[1].id: a second client "c"`},
		"missing secret":                {`"secret": "hush", `, ``, `w.json:7: clients[0].secret: missing`},
		"unknown grant type":            {`"secret": "hush"`, `"secret": "hush", "grantTypes": ["magic"]`, `w.json:8: clients[0].grantTypes: "magic" is not one of client_credentials, password, refresh_token`},
		"unknown creator":               {`"secret": "hush"`, `"secret": "hush", "createdBy": "v"`, `w.json:8: clients[0].createdBy: no user "v"`},
		"unknown location":              {`eu/eu-west-1`, `us/eu-west-9`, `w.json:12: stores[0].locations: "us/eu-west-9" is not a plane/region such as us/us-east-1`},
		"unknown environment":           {`"storeId": "s", "environment": "e"`, `"storeId": "s", "environment": "f"`, `w.json:12: stores[0].environment: no environment "f"`},
		"unknown store":                 {`"storeId": "s", "partitionId"`, `"storeId": "t", "partitionId"`, `w.json:14: entries[0].storeId: no store "t" in environment "e"`},
		"key with a pipe":               {`"a b"`, `"a|b"`, `w.json:14: entries[0].keyId: the key has a pipe character`},
		"no value":                      {`"numberValue": 7, `, ``, `w.json:14: entries[0]: exactly one of stringValue, numberValue and binaryValue is wanted, not 0`},
		"type of an environment":        {`"design"`, `"test"`, `w.json:6: environments[0].type: "test" is not production, sandbox or design`},
		"name that no path can contain": {`{"id": "o",`, `{"id": "..",`, `w.json:3: organizations[0].id: the organization is a dot segment`},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(smallWorld, row.old, row.new, 1)
			if text == smallWorld {
				t.Fatalf("%q is not in the world", row.old)
			}
			_, err := emulator.ParseWorld("w.json", []byte(text))
			if err == nil {
				t.Fatal("no error")
			}
			if !slices.Contains(strings.Split(err.Error(), "\n"), row.want) {
				t.Errorf("the error is %v\nwant %s", err, row.want)
			}
			if strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "pssst") {
				t.Errorf("the error contains a secret: %v", err)
			}
		})
	}
	for _, text := range []string{"", "[]", "7", "{} {}", "null"} {
		if _, err := emulator.ParseWorld("w.json", []byte(text)); err == nil && text != "null" {
			t.Errorf("%q: no error", text)
		}
	}
}

func TestWorldMayNameItsSchema(t *testing.T) {
	text := strings.Replace(smallWorld, "{", `{"$schema": "world.schema.json",`, 1)
	if _, err := emulator.ParseWorld("w.json", []byte(text)); err != nil {
		t.Error(err)
	}
}

func TestAllProblemsOfAWorldAreReportedTogether(t *testing.T) {
	text := strings.NewReplacer(`"parent": "o"`, `"parent": "x"`, `"type": "design"`, `"type": "y"`, `"fly"`, `z`).Replace(smallWorld)
	_, err := emulator.ParseWorld("w.json", []byte(text))
	if err == nil || len(strings.Split(err.Error(), "\n")) != 2 {
		t.Errorf("the error is %v", err)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	w := emulator.BuiltInWorld()
	encoded, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(encoded), fmt.Sprintf("%v %+v %#v %#v", w.Clients, w.Users, w.Clients, w.Users)} {
		if strings.Contains(text, "secret-one") || strings.Contains(text, "admin-password") {
			t.Errorf("a secret is in %.200s", text)
		}
	}
}
