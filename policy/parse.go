package policy

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/cedar-policy/cedar-go"
	cedarast "github.com/cedar-policy/cedar-go/ast"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"osgate/auth"
	"osgate/internal/watch"
)

// rule is a Cedar policy with the facts that do not depend on a request. It is
// immutable.
type rule struct {
	id     string
	reason string
	shadow bool
	forbid bool
	number int           // its position among all rules
	ast    *ast.Policy   // as it was written
	policy *cedar.Policy // without the scopes that the index checks
	facts  facts
	file   string
}

// at returns a problem of r, at r's position in its file.
func (r *rule) at(message string) Problem {
	return Problem{r.file, r.ast.Position.Line, r.ast.Position.Column, r.id, message}
}

// parse returns the rules of f, those with problems included, and the problems.
func parse(f watch.File) ([]*rule, []Problem) {
	if len(bytes.TrimSpace(f.Text)) == 0 { // otherwise its rules would be lifted while an editor writes the file
		return nil, []Problem{{File: f.Name, Message: "the file is empty; one without rules needs a comment"}}
	}
	if p := tooDeep(f); p != nil {
		return nil, []Problem{*p}
	}
	list, err := cedar.NewPolicyListFromBytes(f.Name, f.Text)
	if err != nil {
		return nil, []Problem{syntaxProblem(f.Name, err)}
	}
	var problems []Problem
	rules := make([]*rule, 0, len(list))
	for i, p := range list {
		r := &rule{
			id: f.Name + ":" + strconv.Itoa(i+1), reason: defaultReason, forbid: p.Effect() == types.Forbid,
			ast: (*ast.Policy)(p.AST()), file: f.Name,
		}
		for _, a := range r.ast.Annotations {
			if wrong := r.annotate(string(a.Key), string(a.Value)); wrong != "" {
				problems = append(problems, r.at(wrong))
			}
		}
		unscoped := withoutIndexed(r.ast)
		r.facts, r.policy = factsOf(unscoped), cedar.NewPolicyFromAST((*cedarast.Policy)(unscoped))
		rules = append(rules, r)
	}
	return rules, problems
}

// factsOf returns the facts that p reads.
func factsOf(p *ast.Policy) facts {
	f := newFacts()
	for _, scope := range []ast.IsScopeNode{p.Principal, p.Resource} {
		switch s := scope.(type) {
		case ast.ScopeTypeEq:
			f.name(s.Entity)
		case ast.ScopeTypeIn:
			f.name(s.Entity)
		case ast.ScopeTypeIsIn:
			f.name(s.Entity)
		default: // names no entity
		}
	}
	for _, c := range p.Conditions {
		ast.Inspect(ast.NewNode(c.Body), f.visit)
	}
	return f
}

// visit adds the facts that the node n reads, and reports whether its children have to
// be visited too.
func (f *facts) visit(n ast.IsNode) bool {
	switch n := n.(type) {
	case ast.NodeTypeAccess:
		return !f.attribute(n.StrOpNode, false)
	case ast.NodeTypeHas:
		return !f.attribute(n.StrOpNode, true)
	case ast.NodeTypeVariable:
		f.wholeContext = f.wholeContext || n.Name == "context"
	case ast.NodeValue:
		if uid, ok := n.Value.(types.EntityUID); ok {
			f.name(uid)
		}
	default: // only its children read facts
	}
	return true
}

// The limits of an id and of a reason.
const (
	maxID     = 100
	maxReason = 500
)

// annotate stores an annotation in r and returns a text if it is invalid.
func (r *rule) annotate(key, value string) string {
	switch key {
	case "id":
		if value == "" || len(value) > maxID || strings.ContainsFunc(value, notIDRune) || value == DefaultRule {
			return fmt.Sprintf(`@id has 1 to %d letters, digits and "-_.:/", and is not %q`, maxID, DefaultRule)
		}
		r.id = value
	case "reason":
		if value == "" || len(value) > maxReason || strings.ContainsFunc(value, unicode.IsControl) {
			return fmt.Sprintf("@reason has 1 to %d printable characters", maxReason)
		}
		r.reason = value
	case "mode":
		if value != "shadow" && value != "enforce" {
			return fmt.Sprintf(`@mode(%q) is not "shadow" or "enforce"`, value)
		}
		r.shadow = value == "shadow"
	default:
		return fmt.Sprintf("unknown annotation @%s (there are @id, @reason and @mode)", key)
	}
	return ""
}

// notIDRune reports whether r is forbidden in the id of a rule, which becomes part of
// logs and metrics.
func notIDRune(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.:/", r))
}

// placeInError finds the position in an error of cedar-go's parser, whose errors
// contain it only as text: `parse error at <input>:3:7 "x": …` or, from its scanner,
// `<input>:3:7: …`.
var placeInError = regexp.MustCompile(`(?:parse error at )?(?:<[a-z]*>:)?(\d+):(\d+)(?::| )`)

// syntaxProblem returns the Problem for an error of cedar-go's parser.
func syntaxProblem(name string, err error) Problem {
	message := strings.TrimPrefix(err.Error(), "parser error: ")
	p := Problem{File: name, Message: message}
	at := placeInError.FindStringSubmatchIndex(message)
	if at == nil {
		return p
	}
	p.Line, _ = strconv.Atoi(message[at[2]:at[3]])
	p.Column, _ = strconv.Atoi(message[at[4]:at[5]])
	p.Message = "near " + strings.TrimSpace(message[:at[0]]+message[at[1]:])
	return p
}

// The limits of text that is passed to the recursive parser: its stack grows with both.
const (
	maxDepth      = 100
	maxRuleLength = 64 << 10
)

// tooDeep returns a problem if brackets are nested too deep or a rule is too long. It
// skips strings and comments as the Cedar grammar defines them.
func tooDeep(f watch.File) *Problem {
	depth, line, start := 0, 1, 0
	problem := func(message string) *Problem { return &Problem{File: f.Name, Line: line, Column: 1, Message: message} }
	quoted := false
	for i := 0; i < len(f.Text); i++ {
		if f.Text[i] == '\n' {
			line++
		}
		if i-start > maxRuleLength {
			return problem(fmt.Sprintf("a rule has more than %d bytes", maxRuleLength))
		}
		switch c := f.Text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '/' && i+1 < len(f.Text) && f.Text[i+1] == '/':
			for i+1 < len(f.Text) && f.Text[i+1] != '\n' {
				i++
			}
		case c == '(' || c == '[' || c == '{':
			if depth++; depth > maxDepth {
				return problem(fmt.Sprintf("brackets are nested more than %d deep", maxDepth))
			}
		case c == ')' || c == ']' || c == '}':
			depth--
		case c == ';':
			start, depth = i, 0
		}
	}
	return nil
}

// index finds the rules whose scope includes a request's principal and action, without
// evaluating the others. It is exact, so that Cedar need not check these scopes again
// ([withoutIndexed]).
type index struct {
	rules         map[indexKey][]*rule // sorted by their numbers
	organizations bool                 // some key is an organization
}

// indexKey is where a rule is stored in the index: under the principal or the
// organization that its scope names, or under the type of the principal. A rule for all
// principals has neither.
type indexKey struct {
	principal types.EntityUID
	typed     bool // principal is a type
	slot      slot
}

// withoutIndexed returns p without the scopes that the index checks. For "is … in …"
// the index checks the organization and not the type.
func withoutIndexed(p *ast.Policy) *ast.Policy {
	q := *p
	q.Action = ast.ScopeTypeAll{}
	switch s := p.Principal.(type) {
	case ast.ScopeTypeIsIn:
		q.Principal = ast.ScopeTypeIs{Type: s.Type}
	default:
		q.Principal = ast.ScopeTypeAll{}
	}
	return &q
}

// newIndex returns the index of rules.
func newIndex(rules []*rule, all *[slots]action) index {
	x := index{rules: make(map[indexKey][]*rule)}
	for _, r := range rules {
		principal, typed := scopePrincipal(r.ast.Principal)
		x.organizations = x.organizations || principal.Type == organizationType
		for s := range slot(slots) {
			if all[s].kind != 0 && actionFits(r.ast.Action, &all[s]) {
				at := indexKey{principal, typed, s}
				x.rules[at] = append(x.rules[at], r)
			}
		}
	}
	return x
}

// scopePrincipal returns the principal under which a rule with that scope is stored,
// and whether that is a type.
func scopePrincipal(scope ast.IsPrincipalScopeNode) (principal types.EntityUID, typed bool) {
	switch s := scope.(type) {
	case ast.ScopeTypeEq:
		return s.Entity, false
	case ast.ScopeTypeIn:
		return s.Entity, false
	case ast.ScopeTypeIsIn:
		return s.Entity, false
	case ast.ScopeTypeIs:
		return types.EntityUID{Type: s.Type}, true
	default:
		return types.EntityUID{}, false
	}
}

// actionFits reports whether scope includes a.
func actionFits(scope ast.IsActionScopeNode, a *action) bool {
	in := func(uid types.EntityUID) bool { return uid == a.uid || a.entity.Parents.Contains(uid) }
	switch s := scope.(type) {
	case ast.ScopeTypeEq:
		return s.Entity == a.uid
	case ast.ScopeTypeIn:
		return in(s.Entity)
	case ast.ScopeTypeInSet:
		return slices.ContainsFunc(s.Entities, in)
	default:
		return true
	}
}

// find appends to lists each list of rules that fit: those for all, for the principal's
// type, for the principal and for its organizations.
func (x *index) find(lists [][]*rule, uid types.EntityUID, p *auth.Principal, s slot) [][]*rule {
	places := [...]indexKey{
		{slot: s}, {principal: types.EntityUID{Type: uid.Type}, typed: true, slot: s}, {principal: uid, slot: s},
	}
	for _, at := range places {
		if found := x.rules[at]; len(found) > 0 {
			lists = append(lists, found)
		}
	}
	if x.organizations && p != nil {
		for _, id := range p.Organizations {
			if found := x.rules[indexKey{
				principal: types.EntityUID{Type: organizationType, ID: types.String(id)}, slot: s,
			}]; len(found) > 0 {
				lists = append(lists, found)
			}
		}
	}
	return lists
}
