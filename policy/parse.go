package policy

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/cedar-policy/cedar-go"
	cedarast "github.com/cedar-policy/cedar-go/ast"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

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
