package emulator

// World contains the organizations, clients and stores that exist at the start, in
// every plane. A token is valid only in the plane that minted it.
type World struct {
	Organizations []Organization `json:"organizations"`
	Environments  []Environment  `json:"environments"`
	Clients       []Client       `json:"clients,omitempty"`
	Users         []User         `json:"users,omitempty"`
	Stores        []Store        `json:"stores,omitempty"`
	Entries       []Entry        `json:"entries,omitempty"`

	// position returns the position in its file of a path such as clients[2].id; nil
	// for a world that is not from a file.
	position func(path string) string
}

// Organization is a business group. One without Parent is a root.
type Organization struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Parent string `json:"parent,omitempty"`
}

// Environment belongs to one organization.
type Environment struct {
	ID           string `json:"id"`
	Name         string `json:"name"`
	Organization string `json:"organization"`
	// Type is "production", "sandbox" (the default) or "design".
	Type string `json:"type,omitempty"`
}

// Client is a connected app. It reaches its organization and those below it.
type Client struct {
	ID           string `json:"id"`
	Secret       Secret `json:"secret"`
	Name         string `json:"name,omitempty"`
	Organization string `json:"organization"`
	// Scopes are any of read:store, manage:store, manage:store_data and
	// read:store_metrics.
	Scopes []string `json:"scopes"`
	// CreatedBy is the id of the user that /accounts/api/me returns with the client;
	// empty means that it returns none.
	CreatedBy string `json:"createdBy,omitempty"`
	// GrantTypes are client_credentials (the default), password and refresh_token.
	GrantTypes   []string `json:"grantTypes,omitempty"`
	RedirectURIs []string `json:"redirectUris,omitempty"`
}

// User signs in with a password and has every right in its organization and below.
type User struct {
	ID           string `json:"id"`
	Username     string `json:"username"`
	Password     Secret `json:"password"`
	Organization string `json:"organization"`
	FirstName    string `json:"firstName,omitempty"`
	LastName     string `json:"lastName,omitempty"`
	Email        string `json:"email,omitempty"`
	Disabled     bool   `json:"disabled,omitempty"`
}

// Store is an object store of an environment, in each of Locations.
type Store struct {
	ID          string `json:"storeId"`
	Environment string `json:"environment"`
	// Locations are plane/region pairs such as us/us-east-1; none means all 17.
	Locations []string `json:"locations,omitempty"`

	// TTLSeconds and ConfirmationTTLSeconds are 2592000 and 600 by default.
	TTLSeconds             int64 `json:"defaultTtlSeconds,omitempty"`
	ConfirmationTTLSeconds int64 `json:"defaultConfirmationTtlSeconds,omitempty"`
	// Fixed is true for a static TTL; false or absent means a rolling one.
	Fixed *bool `json:"isFixedTtl,omitempty"`
}

// Entry is a key with its value, in each location of its store. Exactly one of
// String, Number and Binary is set.
type Entry struct {
	Environment string            `json:"environment"`
	Store       string            `json:"storeId"`
	Partition   string            `json:"partitionId"`
	Key         string            `json:"keyId"`
	String      *string           `json:"stringValue,omitempty"`
	Number      *float64          `json:"numberValue,omitempty"`
	Binary      *string           `json:"binaryValue,omitempty"` // base64
	Metadata    map[string]string `json:"metadata,omitempty"`
}

// Secret is a client secret or a password. It prints as [redacted].
type Secret string

// String implements fmt.Stringer without the secret.
func (Secret) String() string { return "[redacted]" }

// GoString implements fmt.GoStringer without the secret.
func (Secret) GoString() string { return "[redacted]" }

// MarshalText implements encoding.TextMarshaler without the secret.
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// The scopes that Object Store knows (page "Object Store v2 and connected apps").
const (
	scopeRead    = "read:store"
	scopeManage  = "manage:store"
	scopeData    = "manage:store_data"
	scopeMetrics = "read:store_metrics"
)

func allScopes() []string { return []string{scopeRead, scopeManage, scopeData, scopeMetrics} }

// BuiltInWorld returns the default world: organization org-root with sub-organization
// org-sub, a separate org-other, five connected apps, the user admin, and a store with
// two keys in each environment and region. The caller owns it.
func BuiltInWorld() *World {
	const store = "APP_demo__defaultPersistentObjectStore"
	one, two := "Key 1 value", vendorsBinary
	w := &World{
		Organizations: []Organization{
			{ID: "org-root", Name: "Acme"},
			{ID: "org-sub", Name: "Acme Subsidiary", Parent: "org-root"},
			{ID: "org-other", Name: "Other"},
		},
		Environments: []Environment{
			{ID: "env-prod", Name: "Production", Organization: "org-root", Type: "production"},
			{ID: "env-sandbox", Name: "Sandbox", Organization: "org-root", Type: "sandbox"},
			{ID: "env-sub", Name: "Production", Organization: "org-sub", Type: "production"},
			{ID: "env-other", Name: "Production", Organization: "org-other", Type: "production"},
		},
		Users: []User{{
			ID: "user-admin", Username: "admin", Password: "admin-password", Organization: "org-root",
			FirstName: "Ada", LastName: "Admin", Email: "admin@acme.example",
		}},
	}
	for _, name := range []string{"one", "two", "read", "sub", "other"} {
		w.Clients = append(w.Clients, Client{
			ID: "app-" + name, Secret: Secret("secret-" + name), Name: "App " + name,
			Organization: "org-root", Scopes: allScopes(), CreatedBy: "user-admin",
		})
	}
	w.Clients[2].Scopes = []string{scopeRead}
	w.Clients[3].Organization = "org-sub"
	w.Clients[4].Organization = "org-other"
	for _, env := range w.Environments {
		w.Stores = append(w.Stores, Store{ID: store, Environment: env.ID})
		entry := Entry{Environment: env.ID, Store: store, Partition: "DEFAULT_PARTITION"}
		// KeyTwo first: the vendor's page lists them so.
		entry.Key, entry.Binary = "KeyTwo", &two
		w.Entries = append(w.Entries, entry)
		entry.Key, entry.Binary, entry.String = "KeyOne", nil, &one
		w.Entries = append(w.Entries, entry)
	}
	return w
}

// vendorsBinary is the value of KeyTwo on the vendor's page: a Java object that a Mule
// application stored.
const vendorsBinary = "++Kn0AIBAQBbwoABDiJLZXkgMiBWYWx1ZSL8rNmhAQEBAWphdmEuaW8uU2VyaWFsaXphYmzlgGFwcGxpY2F0aW9uL2pzb247IGNoYXJzZXQ9VVRGLbgAAAAAAAAADQ=="

// object returns the entry in the form of clients' requests.
func (e Entry) object() object {
	o := object{KeyID: e.Key, StringValue: e.String, BinaryValue: e.Binary, Metadata: e.Metadata}
	if e.Number != nil {
		o.NumberValue = numberText(*e.Number)
	}
	return o
}
