package emulator_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"osgate/emulator"
)

// worldSchema returns world.schema.json, compiled.
func worldSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	file, err := os.Open("world.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	document, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertContent() // base64
	if err := compiler.AddResource("world.schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("world.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// validate returns the error of the schema for a text.
func validate(t *testing.T, schema *jsonschema.Schema, text string) error {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%.200s: %v", text, err)
	}
	return schema.Validate(value)
}

func TestWorldsAreValidByTheirSchema(t *testing.T) {
	schema := worldSchema(t)
	for name, text := range map[string]string{
		"built in":         one(t).get("/_osemu/world").body,
		"from a file":      smallWorld,
		"nothing":          `{}`,
		"from an editor":   `{"$schema":"http://127.0.0.1:8090/_osemu/world.schema.json"}`,
		"TTL out of range": strings.Replace(smallWorld, `"defaultTtlSeconds": 60`, `"defaultTtlSeconds": 0`, 1),
		"everywhere":       strings.Replace(smallWorld, `["eu/eu-west-1"]`, `[]`, 1),
	} {
		if err := validate(t, schema, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := emulator.ParseWorld("w.json", []byte(text)); err != nil {
			t.Errorf("%s: the loader: %v", name, err)
		}
	}
}

// The schema has every location.
func TestWorldSchemaNamesEveryLocation(t *testing.T) {
	schema := worldSchema(t)
	c := one(t)
	for _, plane := range []string{"us", "gov", "eu", "ca", "jp"} {
		region := map[string]string{"us": "us-east-1", "gov": "us-gov-west-1", "eu": "eu-west-1", "ca": "ca-central-1", "jp": "ap-northeast-1"}[plane]
		list := decode[[]struct{ ID string }](t, as(t, c.e, plane, "one").must(http.StatusOK, http.MethodGet, "/"+plane+"/"+region+root+"/regions", ""))
		for _, r := range list {
			text := strings.Replace(smallWorld, "eu/eu-west-1", plane+"/"+r.ID, 1)
			if err := validate(t, schema, text); err != nil {
				t.Errorf("%s/%s: %v", plane, r.ID, err)
			}
		}
	}
}

// The schema refuses a text for its shape if the loader does; only the loader can find
// references to unknown names or to the item itself, and texts with too many bytes.
func TestSchemaRefusesWhatTheLoaderRefusesForShape(t *testing.T) {
	schema := worldSchema(t)
	const shape, meaning = true, false
	for name, row := range map[string]struct {
		old, new string
		kind     bool
	}{
		"unknown member":       {`"type": "design"`, `"kind": "design"`, shape},
		"member in other case": {`"scopes"`, `"Scopes"`, shape},
		"unknown list":         {`"users":`, `"people":`, shape},
		"wrong type":           {`["manage:store_data"]`, `"manage:store_data"`, shape},
		"number for a name":    {`"name": "O"`, `"name": 7`, shape},
		"text for a number":    {`"defaultTtlSeconds": 60`, `"defaultTtlSeconds": "60"`, shape},
		"fraction of a second": {`"defaultTtlSeconds": 60`, `"defaultTtlSeconds": 0.5`, shape},
		"text for a boolean":   {`"isFixedTtl": true`, `"isFixedTtl": "true"`, shape},
		"object for a list":    {`"organizations": [`, `"organizations": {}, "x": [`, shape},
		"metadata no text":     {`{"any": "thing"}`, `{"any": 1}`, shape},
		"unknown scope":        {`manage:store_data`, `fly`, shape},
		"unknown grant type":   {`"secret": "hush"`, `"secret": "hush", "grantTypes": ["magic"]`, shape},
		"unknown location":     {`eu/eu-west-1`, `us/eu-west-9`, shape},
		"unknown type":         {`"design"`, `"test"`, shape},
		"no id":                {`{"id": "o", "name": "O"}`, `{"name": "O"}`, shape},
		"empty id":             {`{"id": "o",`, `{"id": "",`, shape},
		"dot segment":          {`{"id": "o",`, `{"id": "..",`, shape},
		"control character":    {`{"id": "o",`, `{"id": "o\u0007",`, shape},
		"long id":              {`{"id": "o",`, `{"id": "` + strings.Repeat("o", 1025) + `",`, shape},
		"no organization":      {`"password": "pssst", "organization": "o"`, `"password": "pssst"`, shape},
		"no secret":            {`"secret": "hush", `, ``, shape},
		"empty secret":         {`"hush"`, `""`, shape},
		"no username":          {`"username": "name", `, ``, shape},
		"no password":          {`"password": "pssst", `, ``, shape},
		"no store id":          {`{"storeId": "s", "environment": "e", "locations"`, `{"environment": "e", "locations"`, shape},
		"no partition":         {`"partitionId": "p", `, ``, shape},
		"no key":               {`"keyId": "a b", `, ``, shape},
		"key with a pipe":      {`"a b"`, `"a|b"`, shape},
		"no value":             {`"numberValue": 7, `, ``, shape},
		"two values":           {`"numberValue": 7`, `"numberValue": 7, "stringValue": "7"`, shape},
		"no base64":            {`"numberValue": 7`, `"binaryValue": "A==="`, shape},
		"base64 with a rest":   {`"numberValue": 7`, `"binaryValue": "AB=="`, shape},

		"unknown organization": {`"organization": "p"`, `"organization": "q"`, meaning},
		"circle":               {`{"id": "o", "name": "O"}`, `{"id": "o", "name": "O", "parent": "p"}`, meaning},
		"twice the same":       {`"id": "p", "name"`, `"id": "o", "name"`, meaning},
		"unknown creator":      {`"secret": "hush"`, `"secret": "hush", "createdBy": "v"`, meaning},
		"unknown environment":  {`"storeId": "s", "environment": "e", "loc`, `"storeId": "s", "environment": "f", "loc`, meaning},
		"unknown store":        {`"storeId": "s", "partitionId"`, `"storeId": "t", "partitionId"`, meaning},
		"metadata above 4 KB":  {`"thing"`, `"` + strings.Repeat("x", 4096) + `"`, meaning},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(smallWorld, row.old, row.new, 1)
			if text == smallWorld {
				t.Fatalf("%q is not in the world", row.old)
			}
			if _, err := emulator.ParseWorld("w.json", []byte(text)); err == nil {
				t.Error("the loader does not refuse it")
			}
			if err := validate(t, schema, text); (err != nil) != row.kind {
				t.Errorf("the result of the schema is %v; want a refusal: %t", err, row.kind)
			}
		})
	}
}

// The examples in the schema are valid at their places.
func TestExamplesOfTheWorldSchemaAreValid(t *testing.T) {
	for name, list := range worldSchema(t).Properties {
		if name == "$schema" {
			continue
		}
		element := list.Items2020.Ref
		if len(element.Examples) == 0 {
			t.Errorf("%s: no example", name)
		}
		for _, example := range element.Examples {
			if err := element.Validate(example); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
