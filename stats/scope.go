package stats

import (
	"iter"
	"net/url"
	"strings"
)

// Scope identifies the operations that a number counts: those of a store or, with Store
// empty, of a region, with Region empty of an environment, with Environment empty of an
// organization. Names are decoded, as they are in an objectstore.Ref. Scopes are
// comparable.
type Scope struct {
	Plane        string
	Organization string
	Environment  string
	Region       string
	Store        string
}

// parent returns the scope around s and the name of s in it. An organization has none.
func (s Scope) parent() (around Scope, name string, ok bool) {
	around = s
	switch {
	case s.Store != "":
		around.Store, name = "", s.Store
	case s.Region != "":
		around.Region, name = "", s.Region
	case s.Environment != "":
		around.Environment, name = "", s.Environment
	default:
		return Scope{}, "", false
	}
	return around, name, true
}

// child is the inverse of parent. A store has no children.
func (s Scope) child(name string) Scope {
	switch {
	case s.Environment == "":
		s.Environment = name
	case s.Region == "":
		s.Region = name
	default:
		s.Store = name
	}
	return s
}

// below returns the kind of the scopes directly below s: "environment", "region" or
// "store".
func (s Scope) below() string {
	switch {
	case s.Environment == "":
		return "environment"
	case s.Region == "":
		return "region"
	default:
		return "store"
	}
}

// levels yields the scopes around s and s itself, the organization first.
func (s Scope) levels() iter.Seq[Scope] {
	return func(yield func(Scope) bool) {
		at := s.organization()
		if !yield(at) {
			return
		}
		for _, name := range []string{s.Environment, s.Region, s.Store} {
			if name == "" {
				return
			}
			if at = at.child(name); !yield(at) {
				return
			}
		}
	}
}

// organization returns the scope of the organization that s is in.
func (s Scope) organization() Scope {
	return Scope{Plane: s.Plane, Organization: s.Organization}
}

// root returns plane and organization, escaped and joined. Two scopes have the same
// root only if they are in the same organization.
func (s Scope) root() string {
	return url.PathEscape(s.Plane) + "/" + url.PathEscape(s.Organization)
}

// parseRoot is the inverse of root.
func parseRoot(root string) (Scope, bool) {
	plane, organization, ok := strings.Cut(root, "/")
	s := Scope{}
	var planeErr, organizationErr error
	s.Plane, planeErr = url.PathUnescape(plane)
	s.Organization, organizationErr = url.PathUnescape(organization)
	return s, ok && planeErr == nil && organizationErr == nil && s.root() == root
}

// path returns the part after root: "", "/env", "/env/region" or "/env/region/store",
// each name escaped, so that no name can contain a separator, a brace or a zero byte.
func (s Scope) path() string {
	var b strings.Builder
	for _, name := range []string{s.Environment, s.Region, s.Store} {
		if name == "" {
			break
		}
		b.WriteByte('/')
		b.WriteString(url.PathEscape(name))
	}
	return b.String()
}
