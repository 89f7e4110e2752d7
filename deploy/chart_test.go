package deploy

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"slices"
	"testing"
)

// update makes the test write the file that it compares: make chart.
var update = flag.Bool("update", false, "write the variables into the schema of the chart")

const valuesSchema = "helm/osgate/values.schema.json"

// derived are the variables that the chart sets by values of their own. They are
// refused in values.settings.
var derived = []string{
	"OSGATE_LISTEN", "OSGATE_ADMIN_LISTEN", "OSGATE_METRICS_LISTEN", "OSGATE_ADMIN_TLS_CERT", "OSGATE_ADMIN_TLS_KEY",
	"OSGATE_TLS_CERT", "OSGATE_TLS_KEY", "OSGATE_TLS_CLIENT_CA", "OSGATE_UPSTREAM_CA", "OSGATE_STATE_DIR",
	"OSGATE_POLICY", "OSGATE_ROUTES", "OSGATE_RATE_OVERRIDES", "OSGATE_CACHE_RULES",
}

// row is a row of the table of docs/configuration.md, which is compared with osgate env
// by the tests of that command.
var row = regexp.MustCompile("(?m)^\\| `(OSGATE_[A-Z0-9_]+)` .*?(; or OSGATE_[A-Z0-9_]+_FILE)? \\|$")

// The chart accepts each variable in values.settings or in values.secretKeys, and no
// other.
func TestChartAcceptsEveryVariable(t *testing.T) {
	table, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	settings, secrets := map[string]any{}, map[string]any{}
	for _, found := range row.FindAllSubmatch(table, -1) {
		switch name := string(found[1]); {
		case slices.Contains(derived, name):
		case len(found[2]) > 0:
			secrets[name] = reference("secretKey")
		default:
			settings[name] = reference("setting")
		}
	}
	if len(settings) < 20 || len(secrets) < 3 {
		t.Fatalf("docs/configuration.md: %d settings, %d secrets", len(settings), len(secrets))
	}
	text, err := os.ReadFile(valuesSchema)
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatalf("%s: %v", valuesSchema, err)
	}
	definitions, ok := schema["definitions"].(map[string]any)
	if !ok {
		t.Fatalf("%s has no definitions", valuesSchema)
	}
	definitions["settings"], definitions["secretKeys"] = closed(settings), closed(secrets)
	var want bytes.Buffer
	encoder := json.NewEncoder(&want)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(schema); err != nil {
		t.Fatal(err)
	}
	switch {
	case bytes.Equal(text, want.Bytes()):
	case *update:
		if err := os.WriteFile(valuesSchema, want.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s does not have the variables of docs/configuration.md: run make chart", valuesSchema)
	}
}

// reference is a schema that is defined under this name.
func reference(name string) map[string]string {
	return map[string]string{"$ref": "#/definitions/" + name}
}

// closed is the schema of an object with these properties and no other.
func closed(properties map[string]any) map[string]any {
	return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
}
