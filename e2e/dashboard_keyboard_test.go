package e2e

import (
	"os"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// isUsableByKeyboard goes by Tab through every view and back: each action gets the
// focus, shows it, and is not covered.
func isUsableByKeyboard(t *testing.T, b *browser) {
	s := newStack(t, true)
	g := s.gateway("RATE_MAX_WAIT=0")
	b.visit(g.admin)
	refused := generateTraffic(t, g)
	one, two := g.as("app-one"), g.as("app-two")
	for _, view := range views(refused) {
		one.get(keyOne) // names of clients and stores are shown for a minute
		two.get(keyOne)
		b.visit(g.admin + "/#" + view.address)
		b.waitForText("#view-"+view.name, view.text)
		b.tabThrough(view.name)
	}
	b.checkNoErrors(g.admin)
}

// stop is an element that has the focus.
type stop struct {
	First   bool   `json:"first"`
	Last    bool   `json:"last"`
	Problem string `json:"problem"` // empty: the focus is visible
}

// tabThrough presses Tab from the first link of the page to the last, and Shift+Tab back.
func (b *browser) tabThrough(view string) {
	b.t.Helper()
	const most = 150
	script, err := os.ReadFile("testdata/keyboard.js")
	if err != nil {
		b.t.Fatal(err)
	}
	evaluate[bool](b, string(script)+"; document.querySelector('.skip').focus(); true")
	press := func(end func(stop) bool, options ...chromedp.KeyOption) {
		b.t.Helper()
		for range most {
			b.do(chromedp.KeyEvent(kb.Tab, options...))
			at := evaluate[stop](b, "window.stop()")
			if at.Problem != "" {
				b.t.Errorf("%s: by Tab: %s", view, at.Problem)
			}
			if end(at) {
				return
			}
		}
		b.t.Errorf("%s: the focus is on %s after %d keys", view, evaluate[string](b, "document.activeElement.outerHTML"), most)
	}
	press(func(at stop) bool { return at.Last })
	press(func(at stop) bool { return at.First }, chromedp.KeyModifiers(chromedp.ModifierShift))
	for _, missed := range evaluate[[]string](b, "window.missed()") {
		b.t.Errorf("%s: no Tab leads to %s", view, missed)
	}
}
