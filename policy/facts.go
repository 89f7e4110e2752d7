package policy

import (
	"maps"
	"slices"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// facts are the parts of a request that rules read, by their text. The zero value
// contains none.
type facts struct {
	resource map[types.String]bool // attributes of the resource
	context  map[types.String]bool // attributes of the context
	headers  map[types.String]bool
	tested   map[types.String]bool // attributes of either, or headers, whose presence is tested ("has")

	typed        bool // a rule that is not in shadow mode reads valueType
	definition   bool // a rule that is not in shadow mode reads ttlSeconds
	wholeContext bool // context or context.headers is used as a whole
	// Bits by level: the rules name entities of that type, so that ids and parents of the
	// resource are needed.
	named uint8

	principals map[types.EntityUID]bool // clients and users that conditions name
}

// newFacts returns empty facts to which others can be added.
func newFacts() facts {
	return facts{
		resource: map[types.String]bool{}, context: map[types.String]bool{},
		headers: map[types.String]bool{}, tested: map[types.String]bool{}, principals: map[types.EntityUID]bool{},
	}
}

// attribute adds the fact that n reads if it is an attribute of a variable or a header,
// and reports whether it is.
func (f *facts) attribute(n ast.StrOpNode, tested bool) bool {
	var of map[types.String]bool
	switch arg := n.Arg.(type) {
	case ast.NodeTypeVariable:
		switch arg.Name {
		case "context":
			of = f.context
			if n.Value == headersName && !tested { // only the case of a header, below, may read it
				f.wholeContext = true
			}
		case "resource":
			of = f.resource
		default: // principal and action have no attributes
			return true
		}
	case ast.NodeTypeAccess:
		if v, ok := arg.Arg.(ast.NodeTypeVariable); !ok || v.Name != "context" || arg.Value != headersName {
			f.resource[n.Value] = true
			return false
		}
		of = f.headers
	default:
		// An attribute of an expression, which may evaluate to the resource; a context in
		// it counts as used as a whole.
		f.resource[n.Value] = true
		if tested && slices.Contains(resourceAttributes, n.Value) {
			f.tested[n.Value] = true
		}
		return false
	}
	of[n.Value] = true
	if tested {
		f.tested[n.Value] = true
	}
	return true
}

// name adds an entity that a rule names: a principal, or the type of a resource.
func (f *facts) name(uid types.EntityUID) {
	if uid.Type == clientType || uid.Type == userType {
		f.principals[uid] = true
	}
	if uid.Type == organizationType || level(uid.Type) > 0 {
		f.named |= 1 << level(uid.Type)
	}
}

// names reports whether the rules name entities of t, a type of resource.
func (f *facts) names(t types.EntityType) bool { return f.named&(1<<level(t)) != 0 }

// add adds the facts of other.
func (f *facts) add(other facts) {
	for into, from := range map[*map[types.String]bool]map[types.String]bool{
		&f.resource: other.resource, &f.context: other.context, &f.headers: other.headers, &f.tested: other.tested,
	} {
		for name := range from {
			(*into)[name] = true
		}
	}
	maps.Copy(f.principals, other.principals)
	f.wholeContext = f.wholeContext || other.wholeContext
	f.typed = f.typed || other.typed
	f.definition = f.definition || other.definition
	f.named |= other.named
}

// body reports whether a fact is read that only the body's content provides, not its
// length.
func (f *facts) body() bool { return f.reads(valueTypeName) || f.reads(ttlSecondsName) }

// reads reports whether the rules read the context's attribute name.
func (f *facts) reads(name types.String) bool { return f.wholeContext || f.context[name] }
