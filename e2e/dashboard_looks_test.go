package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
)

// isReadable checks the page at two widths and in both color schemes: no text is cut
// off or needs horizontal scrolling, and every text has enough contrast. It stores an
// image of each.
func isReadable(t *testing.T, b *browser) {
	s := newStack(t, true)
	g := s.gateway("RATE_MAX_WAIT=0")
	b.visit(g.admin)
	refused := generateTraffic(t, g)
	b.waitForText("#refusals", refused)
	b.waitFor("the charts", "document.querySelectorAll('#view-overview canvas').length === 3")
	b.waitFor("the first slot of a chart", "document.querySelector('#requests-chart [role=img]').ariaLabel.includes('Refused: over-quota')")
	for _, view := range views(refused) {
		b.visit(g.admin + "/#" + view.address)
		b.waitForText("#view-"+view.name, view.text)
		b.looksRight(view.name)
	}
	b.checkNoErrors(g.admin)
}

// view is a view of the page, with a text of it.
type view struct{ name, address, text string }

// views lists every view of the page, after generateTraffic returned refused.
func views(refused string) []view {
	store := "us/us-east-1/org-root/env-prod/" + demoName
	return []view{
		{"overview", "overview", "Everything works"}, {"clients", "clients", "App one"}, {"stores", "stores", demoName},
		{"refusals", "refusals", refused}, {"cache", "cache", "Requests saved"}, {"policy", "policy", "There is no policy"},
		{"history", "history", "org-root"}, {"settings", "settings", "OSGATE_RATE_MAX_WAIT"},
		{"client", "client=app-one", demoName}, {"store", "store=" + store, "App two"}, {"request", "request=" + refused, "not reached"},
	}
}

// looksRight checks the open view at two widths and in both color schemes, and stores
// an image of each.
func (b *browser) looksRight(view string) {
	b.t.Helper()
	contrast, err := os.ReadFile("testdata/contrast.js")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, width := range []int64{1280, 390} {
		for _, scheme := range []string{"light", "dark"} {
			b.setAppearance(width, scheme)
			b.waitFor("the charts to fit", "[...document.querySelectorAll('.drawing')].filter((d) => d.checkVisibility()).every((d) => Math.abs(d.querySelector('.uplot').clientWidth - d.clientWidth) <= 1)")
			name := fmt.Sprintf("dashboard-%s-%d-%s", view, width, scheme)
			if sideways := evaluate[int64](b, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); sideways > 0 {
				b.t.Errorf("%s: the page is %d pixels wider than the window", name, sideways)
			}
			if height := evaluate[int64](b, "document.documentElement.scrollHeight"); height > maxHeight[width] {
				b.t.Errorf("%s: the page is %d pixels high, want at most %d", name, height, maxHeight[width])
			}
			for _, text := range evaluate[[]string](b, string(contrast)) {
				b.t.Errorf("%s: contrast %s, want 4.5 or more", name, text)
			}
			b.screenshot(name)
		}
	}
}

// maxHeight is how high a view may be, by the width of the window.
var maxHeight = map[int64]int64{1280: 2000, 390: 3600}

// namedRoles are the roles whose elements must all have a name for screen readers.
var namedRoles = map[string]bool{
	"button": true, "link": true, "textbox": true, "radio": true, "combobox": true, "image": true, "table": true, "meter": true, "dialog": true,
	"navigation": true, "region": true, "form": true, "heading": true, "columnheader": true, "rowheader": true, "InputTime": true, "Date": true,
}

// isUsableByScreenReader reads the accessibility tree as a screen reader does.
func isUsableByScreenReader(t *testing.T, b *browser) {
	s := newStack(t, true)
	g := s.gateway("RATE_MAX_WAIT=0")
	b.visit(g.admin)
	b.waitForText("#refusals", generateTraffic(t, g))
	b.waitFor("the charts", "document.querySelectorAll('#view-overview canvas').length === 3")
	roles := b.roles()
	b.visit(g.admin + "/#clients")
	b.waitForText("#clients", "App one")
	for role, n := range b.roles() {
		roles[role] = max(roles[role], n)
	}
	b.visit(g.admin + "/#overview")
	for _, role := range []string{"banner", "main", "contentinfo", "navigation", "status", "meter", "table", "image", "heading"} {
		if roles[role] == 0 {
			t.Errorf("the page has no %s", role)
		}
	}
	if roles["main"] != 1 || roles["banner"] != 1 {
		t.Errorf("the page has %d main and %d banner, want one of each", roles["main"], roles["banner"])
	}
	if levels := evaluate[string](b, "[...document.querySelectorAll('h1,h2,h3')].filter((h) => h.checkVisibility()).map((h) => h.tagName[1]).join('')"); !strings.HasPrefix(levels, "12") ||
		strings.Contains(levels, "13") || strings.Count(levels, "1") != 1 {
		t.Errorf("the levels of the headings are %s, want 1, then 2 and below it 3", levels)
	}
	if bare := evaluate[int](b, "[...document.querySelectorAll('table')].filter((t) => t.querySelector('thead th:not([scope])') || t.querySelector('tbody th:not([scope])')).length"); bare != 0 {
		t.Errorf("%d tables have headings without scope", bare)
	}
	b.checkNoErrors(g.admin)
}

// roles counts the elements of the accessibility tree by role, and fails the test if an
// element that must have a name has none.
func (b *browser) roles() map[string]int {
	b.t.Helper()
	tree, err := chromedp.Call(b.tab(), accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		b.t.Fatalf("reading the accessibility tree: %v", err)
	}
	counts := map[string]int{}
	for _, node := range tree.Nodes {
		if node.Ignored || node.Role == nil {
			continue
		}
		role := strings.Trim(string(node.Role.Value), `"`)
		counts[role]++
		if name := node.Name; namedRoles[role] && (name == nil || strings.Trim(string(name.Value), `" `) == "") {
			b.t.Errorf("a %s of the page has no name: node %s", role, node.NodeID)
		}
	}
	return counts
}

// showsEmptyPage: an empty page states what it will show.
func showsEmptyPage(t *testing.T, b *browser) {
	g := newStack(t, false).gateway()
	b.visit(g.admin)
	b.waitForText("#notice", "No request yet")
	b.waitForText("#clients", "No client in the last minute.")
	b.waitForText("#stores", "No store in the last minute.")
	b.waitForText("#refusals", "None since the start.")
	b.waitForText("#history-total", "There are no counts for this place and time.")
	b.waitForText("#children", "No counts of organizations in this time.")
	client{t: t, base: g.admin}.get("/api/overview").is(http.StatusOK)
	b.checkNoErrors(g.admin)
}
