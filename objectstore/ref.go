package objectstore

import "strings"

// Ref names an object, or a level above it, by the decoded, canonical segments of its
// path. An empty field means that the operation is above that level. In Key a space is
// written "+", because Object Store stores it so ("spaces are converted to +", vendor
// FAQ) and both spellings name one key. Refs are comparable: equal Refs name the same
// thing in one region.
type Ref struct {
	Organization string
	Environment  string
	Region       string // only paths of the Stats API contain regions
	Store        string
	Partition    string
	Key          string
	Confirmation string // the id of a pending confirmation of Key
}

// CanonicalKey returns the one spelling under which Object Store stores a key: every
// space is a "+".
func CanonicalKey(key string) string { return strings.ReplaceAll(key, " ", "+") }

// set stores a decoded segment in the field for its name in the path template.
func (r *Ref) set(name, value string) {
	switch name {
	case "organizationId":
		r.Organization = value
	case "environmentId":
		r.Environment = value
	case "regionId":
		r.Region = value
	case "storeId":
		r.Store = value
	case "partitionId":
		r.Partition = value
	case "keyId":
		r.Key = CanonicalKey(value)
	case "confirmationId":
		r.Confirmation = value
	}
}
