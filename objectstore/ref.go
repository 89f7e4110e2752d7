package objectstore

import (
	"net/url"
	"strings"
)

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

// get is the inverse of set.
func (r Ref) get(name string) string {
	switch name {
	case "organizationId":
		return r.Organization
	case "environmentId":
		return r.Environment
	case "regionId":
		return r.Region
	case "storeId":
		return r.Store
	case "partitionId":
		return r.Partition
	case "keyId":
		return r.Key
	default:
		return r.Confirmation
	}
}

// path returns the canonical escaped path of r for template t.
func (r Ref) path(t template) string {
	var b strings.Builder
	b.WriteString(base)
	for _, s := range t.segments {
		b.WriteByte('/')
		if s.literal {
			b.WriteString(s.text)
			continue
		}
		b.WriteString(url.PathEscape(r.get(s.text)))
	}
	return b.String()
}
