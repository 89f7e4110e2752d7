package policy

import (
	"fmt"
	"strconv"
	"strings"

	"osgate/objectstore"
)

// Schema returns the vocabulary as a Cedar schema in its human-readable form, for
// editors and Cedar's own tools. The headers are those of Options.Headers. A
// confirmable read is in the group write too; a schema cannot express this, since its
// groups depend on the action and not on the request.
func Schema(headers []string) string {
	var b strings.Builder
	b.WriteString(schemaHead)
	for _, entity := range []string{
		"entity Organization", "entity Environment in [Organization]",
		"// Store::\"<store>\" stands for the stores of that name in every environment.\nentity Store in [Environment, Store]",
		"entity Partition in [Store]", "entity Key in [Partition]",
	} {
		b.WriteString(entity + " = " + schemaPlace)
	}
	b.WriteString(schemaFacts)
	for _, h := range headers {
		fmt.Fprintf(&b, "    %s?: String,\n", strconv.Quote(strings.ToLower(h)))
	}
	b.WriteString("  },\n};\n\naction read, write, delete, admin;\n")
	for _, k := range objectstore.Kinds() {
		var resources []string
		for _, t := range resourceTypes(k) {
			resources = append(resources, string(t))
		}
		fmt.Fprintf(&b,
			"action %s in [%s] appliesTo {\n  principal: [Client, User],\n  resource: [%s],\n  context: Facts,\n};\n",
			k, strings.Join(groups(k, false), ", "), strings.Join(resources, ", "))
	}
	return b.String()
}

const schemaHead = `// The principal: the client's name, or the user's id if the control plane names no client.
entity Client in [Organization];
entity User in [Organization];

// The resources, each inside the next. An attribute of a level below the resource is "".
`

// schemaPlace contains the attributes of every resource; a schema cannot name such a
// set.
const schemaPlace = `{
  organization: String,
  environment: String,
  environmentType: String, // "production", "sandbox", "design" or "unknown"
  store: String,
  partition: String,
  key: String,
  plane: String,           // "us", "gov", "eu", "ca" or "jp"
  region: String,          // "us-east-1"; "" for statistics of more than one
};
`

const schemaFacts = `
type Facts = {
  client: String,      // name of the client, for like; "" for a user without a client
  user?: String,       // id of the user that the client acts for
  identifiedBy: String, // "jwt" or "mtls" for a client without an Anypoint token, else "anypoint"
  issuer?: String,     // of the client's JWT or certificate
  valueBytes: Long,    // size of the request's body, 0 without one
  valueType: String,   // "STRING", "NUMBER" or "BINARY" of a key that is written; "" where there is none or it cannot be told
  ttlSeconds?: Long,   // of a store that is written, if the body names one
  confirmable: Bool,
  sourceIP: ipaddr,
  time: datetime,
  headers: {
`
