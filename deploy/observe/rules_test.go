package observe

import (
	"log/slog"
	"os"
	"path/filepath"
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

// TestEveryAlertHasASeverityAndADescription: a rule without severity would go to a
// default route.
func TestEveryAlertHasASeverityAndADescription(t *testing.T) {
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
	alerts := alertRules(t)
	lower := map[string]bool{}
	for name, rule := range alerts {
		lower[strings.ToLower(name)] = true
		checkLink(t, name, rule.Annotations["runbook_url"])
		if _, anchor, _ := strings.Cut(rule.Annotations["runbook_url"], "#"); anchor != strings.ToLower(name) {
			t.Errorf("%s: runbook_url %q does not end in #%s", name, rule.Annotations["runbook_url"], strings.ToLower(name))
		}
	}
	pages, err := filepath.Glob(alertPagesGlob)
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages at %s (%v)", alertPagesGlob, err)
	}
	for _, page := range pages {
		for _, anchor := range anchorsOf(string(read(t, page))) {
			if strings.HasPrefix(anchor, "osgate") && !lower[anchor] {
				t.Errorf("%s has a paragraph #%s, and there is no such alert", page, anchor)
			}
		}
	}
}

// TestDashboardsLinkToHeadingsThatExist in the pages of docs.
func TestDashboardsLinkToHeadingsThatExist(t *testing.T) {
	links := regexp.MustCompile(`"url": "(docs/[^"]+)"`)
	for _, file := range dashboardFiles(t) {
		found := links.FindAllStringSubmatch(string(read(t, file)), -1)
		if len(found) == 0 {
			t.Errorf("%s links to no page of docs", file)
		}
		for _, link := range found {
			checkLink(t, file, link[1])
		}
	}
}

// checkLink reports a link docs/PAGE.md#anchor whose page or heading does not exist.
func checkLink(t *testing.T, from, link string) {
	t.Helper()
	page, anchor, _ := strings.Cut(link, "#")
	name, ok := strings.CutPrefix(page, "docs/")
	if !ok {
		t.Errorf("%s: %q is no link to a page of docs", from, link)
		return
	}
	text, err := os.ReadFile(pagesFolder + name)
	if err != nil {
		t.Errorf("%s: %q leads to no page: %v", from, link, err)
		return
	}
	if anchor != "" && !slices.Contains(anchorsOf(string(text)), anchor) {
		t.Errorf("%s: %s has no heading with the anchor #%s", from, page, anchor)
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
