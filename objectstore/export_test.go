package objectstore

import (
	"net/url"
	"strings"
)

// Canonical returns the canonical escaped path. It is equal for all spellings of one
// Ref, and [Parse] accepts it.
func (o Operation) Canonical() string {
	var b strings.Builder
	b.WriteString(base)
	for _, s := range templates[o.tmpl].segments {
		b.WriteByte('/')
		if s.literal {
			b.WriteString(s.text)
			continue
		}
		b.WriteString(url.PathEscape(o.Ref.get(s.text)))
	}
	return b.String()
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
