package observe

import (
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
)

// alertRules returns the alerts of the rules file by name, as parsed by Prometheus's
// strict parser.
func alertRules(t testing.TB) map[string]rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile(rulesFile, false, model.LegacyValidation, promQL, slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Error(err)
	}
	if groups == nil || len(errs) > 0 {
		t.FailNow()
	}
	alerts := map[string]rulefmt.Rule{}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			if _, twice := alerts[rule.Alert]; twice && rule.Alert != "" {
				t.Errorf("%s is there twice", rule.Alert)
			}
			if rule.Alert != "" {
				alerts[rule.Alert] = rule
			}
		}
	}
	return alerts
}

// TestEveryAlertSaysWhatItMeansAndWhomItWakes: a rule without severity would go to a
// default route.
func TestEveryAlertSaysWhatItMeansAndWhomItWakes(t *testing.T) {
	for name, rule := range alertRules(t) {
		if !strings.HasPrefix(name, "Osgate") {
			t.Errorf("%s: alerts of osgate begin with Osgate", name)
		}
		if severity := rule.Labels["severity"]; severity != "page" && severity != "ticket" {
			t.Errorf("%s: severity %q, want page or ticket", name, severity)
		}
		for _, annotation := range []string{"summary", "description"} {
			if text := rule.Annotations[annotation]; !strings.HasSuffix(text, ".") {
				t.Errorf("%s: %s %q is no sentence", name, annotation, text)
			}
		}
	}
}

// TestEveryAlertHasItsParagraphInTheRunbook, and every paragraph its alert.
func TestEveryAlertHasItsParagraphInTheRunbook(t *testing.T) {
	anchors := anchorsOf(string(read(t, runbookFile)))
	alerts := alertRules(t)
	lower := map[string]bool{}
	for name, rule := range alerts {
		lower[strings.ToLower(name)] = true
		_, anchor, _ := strings.Cut(rule.Annotations["runbook_url"], "docs/operations.md#")
		if anchor != strings.ToLower(name) {
			t.Errorf("%s: runbook_url %q does not lead to docs/operations.md#%s", name, rule.Annotations["runbook_url"], strings.ToLower(name))
		}
		if !slices.Contains(anchors, anchor) {
			t.Errorf("%s: docs/operations.md has no heading with the anchor #%s", name, anchor)
		}
	}
	for _, anchor := range anchors {
		if strings.HasPrefix(anchor, "osgate") && !strings.Contains(anchor, "-") && !lower[anchor] {
			t.Errorf("docs/operations.md has a paragraph #%s, and there is no such alert", anchor)
		}
	}
}

// TestDashboardsLinkToHeadingsThatExist in docs/operations.md.
func TestDashboardsLinkToHeadingsThatExist(t *testing.T) {
	anchors := anchorsOf(string(read(t, runbookFile)))
	links := regexp.MustCompile(`docs/operations\.md#([a-z0-9_-]+)`)
	for _, file := range dashboardFiles(t) {
		found := links.FindAllSubmatch(read(t, file), -1)
		if len(found) == 0 {
			t.Errorf("%s links to no heading of docs/operations.md", file)
		}
		for _, link := range found {
			if !slices.Contains(anchors, string(link[1])) {
				t.Errorf("%s: docs/operations.md has no heading with the anchor #%s", file, link[1])
			}
		}
	}
}

// anchorsOf returns the anchors of a Markdown file's headings as GitHub makes them:
// lower case, hyphens for spaces, other punctuation removed.
func anchorsOf(markdown string) []string {
	var anchors []string
	dropped := regexp.MustCompile("[^a-z0-9 _-]")
	for line := range strings.Lines(markdown) {
		if text, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			text = dropped.ReplaceAllString(strings.ToLower(strings.TrimSpace(text)), "")
			anchors = append(anchors, strings.ReplaceAll(text, " ", "-"))
		}
	}
	return anchors
}
