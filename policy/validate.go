package policy

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"
)

// problems returns the problems of r by the vocabulary: unknown entities, actions and
// attributes, actions that do not exist for such a resource, wrong types, attributes
// that may be absent and are read without a test ("has"), ids that no resource can
// have.
func (r *rule) problems(v *validate.Validator, headers []string) []Problem {
	all := r.hasProblems(headers)
	if err := v.Policy("", r.ast); err != nil {
		// Its lines have no fixed order.
		for _, line := range slices.SortedFunc(strings.SplitSeq(err.Error(), "\n"), causesFirst) {
			if !harmless(line) {
				all = append(all, r.at(onEntityType.ReplaceAllString(forAction.ReplaceAllString(line, ""), "")))
			}
		}
	}
	if uid, ok := named(r.ast.Resource); ok {
		_, equal := r.ast.Resource.(ast.ScopeTypeEq)
		all = append(all, r.idProblems(uid, equal)...)
	}
	for _, c := range r.ast.Conditions {
		ast.Inspect(ast.NewNode(c.Body), func(n ast.IsNode) bool {
			switch n := n.(type) {
			case ast.NodeTypeEquals:
				all = append(all, r.operandProblems(n.BinaryNode)...)
			case ast.NodeTypeNotEquals:
				all = append(all, r.operandProblems(n.BinaryNode)...)
			default:
				all = append(all, r.nodeProblems(n, false)...)
			}
			return true
		})
	}
	return distinct(all)
}

// onEntityType is the end of Cedar's message about an attribute, which it repeats for
// each type that a resource may have.
var onEntityType = regexp.MustCompile(" on entity type `[^`]*`")

// causesFirst sorts the messages of Cedar's validation: that no action is left is a
// consequence of another problem.
func causesFirst(a, b string) int {
	const consequence = "unable to find an applicable action"
	if first, second := strings.HasPrefix(a, consequence), strings.HasPrefix(b, consequence); first != second {
		if first {
			return 1
		}
		return -1
	}
	return strings.Compare(a, b)
}

// forAction is the end of Cedar's message about a condition, which it repeats for each
// action that the rule may fit.
var forAction = regexp.MustCompile(` for Action::"[^"]*"`)

// entityTypesDiffer is the message of Cedar's strict validation for
// [Client::"a"].contains(principal), since the principal may be a User.
var entityTypesDiffer = regexp.MustCompile(`^the types (\w+) and (\w+) are not compatible$`)

// harmless reports whether message is about a comparison of entities of two types: its
// result is false, which is right for a list of clients or stores.
func harmless(message string) bool {
	entities := []string{"Client", "User", "Organization", "Environment", "Store", "Partition", "Key"}
	found := entityTypesDiffer.FindStringSubmatch(message)
	return found != nil && slices.Contains(entities, found[1]) && slices.Contains(entities, found[2])
}

// resourceAttributes are the names of the attributes of a resource.
var resourceAttributes = []types.String{
	organizationName, environmentName, environmentTypeName, storeName, partitionName, keyName, planeName, regionName,
}

// hasProblems returns the unknown attributes whose presence r tests. Cedar evaluates
// "has" to false for an attribute that no entity can have, so that a rule with a
// misspelled name would never apply.
func (r *rule) hasProblems(headers []string) []Problem {
	var all []Problem
	unknown := func(names map[types.String]bool, known func(types.String) bool, what string) {
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if r.facts.tested[name] && !known(name) {
				all = append(all, r.at(fmt.Sprintf("there is no %s `%s`", what, name)))
			}
		}
	}
	unknown(r.facts.resource, func(name types.String) bool { return slices.Contains(resourceAttributes, name) },
		"attribute of a resource")
	unknown(r.facts.context, func(name types.String) bool { return slices.Contains(contextNames, name) },
		"attribute of the context")
	unknown(r.facts.headers, func(name types.String) bool { return slices.Contains(headers, string(name)) },
		"header that rules may read")
	return all
}

// distinct returns ps with each problem once, in order.
func distinct(ps []Problem) []Problem {
	var all []Problem
	for _, p := range ps {
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

// operandProblems returns the problems of ids beside == or !=.
func (r *rule) operandProblems(n ast.BinaryNode) []Problem {
	var all []Problem
	for _, operand := range []ast.IsNode{n.Left, n.Right} {
		all = append(all, r.nodeProblems(operand, true)...)
	}
	return all
}

// nodeProblems returns the problems of n if it is an id.
func (r *rule) nodeProblems(n ast.IsNode, equal bool) []Problem {
	value, ok := n.(ast.NodeValue)
	if !ok {
		return nil
	}
	uid, ok := value.Value.(types.EntityUID)
	if !ok {
		return nil
	}
	return r.idProblems(uid, equal)
}

// named returns the entity that a scope names.
func named(scope ast.IsScopeNode) (types.EntityUID, bool) {
	switch s := scope.(type) {
	case ast.ScopeTypeEq:
		return s.Entity, true
	case ast.ScopeTypeIn:
		return s.Entity, true
	case ast.ScopeTypeIsIn:
		return s.Entity, true
	default:
		return types.EntityUID{}, false
	}
}

// idProblems returns the problems of a resource's id: a wrong number of names, or an
// invalid escape. The id of a store may be one name, of a store in any environment,
// unless it is compared with a resource for equality.
func (r *rule) idProblems(uid types.EntityUID, equal bool) []Problem {
	want := level(uid.Type)
	if want == 0 {
		return nil
	}
	names := strings.Split(string(uid.ID), "/")
	if uid.Type == storeType && len(names) == 1 && !equal {
		want = 1
	}
	valid := len(names) == want
	for _, name := range names {
		valid = valid && name != "" && !strings.Contains(strings.NewReplacer("%25", "", "%2F", "").Replace(name), "%")
	}
	if valid {
		return nil
	}
	form := strings.Join([]string{"<environment>", "<store>", "<partition>", "<key>"}[:level(uid.Type)], "/")
	return []Problem{r.at(fmt.Sprintf(
		`no resource is called %s: the id is "%s", with "/" in a name as %%2F and "%%" as %%25`, uid, form))}
}
