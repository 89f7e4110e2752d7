package objectstore

import (
	"net/url"
	"strings"
)

// Ref names a thing in Object Store by the decoded, canonical segments of its path. An empty field means that the operation is above
// that level. In Key a space is written "+", because Object Store stores it so ("spaces are converted to +", vendor FAQ) and
// both spellings name one key. Refs are comparable: equal Refs are the same thing in one region.
type Ref struct {
	Organization string
	Environment  string
	Region       string // the Stats API alone has regions in its paths
	Store        string
	Partition    string
	Key          string
	Confirmation string // the id of a pending confirmation of Key
}

// CanonicalKey returns the one spelling under which Object Store keeps a key: every space is a "+".
func CanonicalKey(key string) string { return strings.ReplaceAll(key, " ", "+") }

// set puts a decoded segment where its name in the path template says.
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

// path prints the canonical escaped path of r under template t.
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
