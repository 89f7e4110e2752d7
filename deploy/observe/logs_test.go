package observe

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Places where LogQL names fields: filters, groups, unwrapped fields, and templates.
var (
	filters   = regexp.MustCompile(`\| ([a-z_]+)\s*(?:=~|!=|>=|<=|=|>|<)`)
	groups    = regexp.MustCompile(`\b(?:by|without) \(([a-z_, ]*)\)`)
	unwrapped = regexp.MustCompile(`\bunwrap ([a-z_]+)`)
	templates = regexp.MustCompile(`\.([a-z_]+)\b`)
	made      = regexp.MustCompile(`\blabel_format ([a-z_]+)=`)
)

// logsFields checks that queries to Loki name fields that log lines have. The tests run
// no Loki, but a field that no line has means a panel without data.
func (r *run) logsFields(t *testing.T) {
	fields := fieldsOf(r.logged)
	queries := 0
	for _, d := range dashboards(t) {
		d.each("loki", func(p panel, q target) {
			queries++
			names := fieldsIn(q.Expr)
			if len(names) < 2 { // every query has msg and principal
				t.Errorf("%s: %q: no fields found in %s", d.file, p.Title, q.Expr)
			}
			for _, name := range names {
				if !fields[name] {
					t.Errorf("%s: %q asks for %s, which no line of the access log has: %s", d.file, p.Title, name, q.Expr)
				}
			}
			if open, closed := strings.Count(q.Expr, "("), strings.Count(q.Expr, ")"); open != closed {
				t.Errorf("%s: %q: %d brackets are opened and %d closed in %s", d.file, p.Title, open, closed, q.Expr)
			}
		})
	}
	if queries == 0 {
		t.Error("no dashboard asks Loki")
	}
}

// fieldsIn returns the fields that a LogQL query reads from a line, without those that
// it creates.
func fieldsIn(query string) (names []string) {
	for _, form := range []*regexp.Regexp{filters, unwrapped, templates} {
		for _, found := range form.FindAllStringSubmatch(query, -1) {
			names = append(names, found[1])
		}
	}
	for _, found := range groups.FindAllStringSubmatch(query, -1) {
		for name := range strings.SplitSeq(found[1], ",") {
			names = append(names, strings.TrimSpace(name))
		}
	}
	for _, found := range made.FindAllStringSubmatch(query, -1) {
		names = slices.DeleteFunc(names, func(name string) bool { return name == found[1] && !strings.Contains(query, "."+name) })
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}

// fieldsOf returns the fields of all lines about exchanges. Fields of groups are joined
// with "_", like Loki's json parser does.
func fieldsOf(logged string) map[string]bool {
	fields := map[string]bool{}
	for line := range strings.Lines(logged) {
		var values map[string]any
		if json.Unmarshal([]byte(line), &values) != nil || values["msg"] != "exchange" {
			continue
		}
		for name, value := range values {
			fields[name] = true
			if group, ok := value.(map[string]any); ok {
				for inner := range group {
					fields[name+"_"+inner] = true
				}
			}
		}
	}
	return fields
}
