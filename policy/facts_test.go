package policy

import (
	"maps"
	"slices"
	"testing"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/google/go-cmp/cmp"

	"osgate/internal/watch"
)

// The facts of a rule are at least those that it reads. They are collected before its
// validation, so that some of these rules would be refused.
func TestFactsAreThoseThatARuleReads(t *testing.T) {
	type read struct {
		Resource, Context, Headers, Tested []types.String
		Whole                              bool // the context, or its headers
		Named                              []types.EntityType
	}
	for condition, want := range map[string]read{
		`true`:                                             {},
		`resource.key == "k"`:                              {Resource: []types.String{"key"}},
		`resource has key`:                                 {Resource: []types.String{"key"}, Tested: []types.String{"key"}},
		`context.valueBytes > 1`:                           {Context: []types.String{"valueBytes"}},
		`context has user`:                                 {Context: []types.String{"user"}, Tested: []types.String{"user"}},
		`context == {"user": "u"}`:                         {Whole: true},
		`resource == principal`:                            {},
		`principal.name == "n"`:                            {},
		`context.headers.app == "a"`:                       {Headers: []types.String{"app"}},
		`context.headers has app`:                          {Headers: []types.String{"app"}, Tested: []types.String{"app"}},
		`context.headers == {"app": "a"}`:                  {Context: []types.String{"headers"}, Whole: true},
		`context has headers`:                              {Context: []types.String{"headers"}, Tested: []types.String{"headers"}},
		`context.other.app == "a"`:                         {Resource: []types.String{"app"}, Context: []types.String{"other"}},
		`resource.headers.app == "a"`:                      {Resource: []types.String{"app", "headers"}},
		`resource.key.part == "p"`:                         {Resource: []types.String{"key", "part"}},
		`(if true then resource else resource).key == "k"`: {Resource: []types.String{"key"}},
		`(if true then resource else resource) has key`:    {Resource: []types.String{"key"}, Tested: []types.String{"key"}},
		`(if true then resource else resource) has other`:  {Resource: []types.String{"other"}},
		`(if true then context else context).user == "u"`:  {Resource: []types.String{"user"}, Whole: true},
		`principal in Organization::"o"`:                   {Named: []types.EntityType{organizationType}},
		`resource in Store::"e/s"`:                         {Named: []types.EntityType{storeType}},
		`principal == Client::"c"`:                         {},
		`action in [Action::"read"]`:                       {},
		`resource in [Store::"e/s", Environment::"e"]`:     {Named: []types.EntityType{environmentType, storeType}},
	} {
		rules, problems := parse(watch.File{Name: "f.cedar", Text: []byte("permit(principal, action, resource) when { " + condition + " };")})
		if len(rules) != 1 {
			t.Errorf("%s: %v", condition, problems)
			continue
		}
		f, keys := rules[0].facts, func(m map[types.String]bool) []types.String {
			maps.DeleteFunc(m, func(_ types.String, reads bool) bool { return !reads })
			return slices.Sorted(maps.Keys(m))
		}
		got := read{Resource: keys(f.resource), Context: keys(f.context), Headers: keys(f.headers), Tested: keys(f.tested), Whole: f.wholeContext}
		for _, kind := range resourceLevels {
			if f.names(kind) {
				got.Named = append(got.Named, kind)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", condition, diff)
		}
	}
}
