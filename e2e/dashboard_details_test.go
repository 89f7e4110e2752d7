package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// leadsToOneThing goes from the lists to a client, a store and a refused request, by
// links and by the search, and back.
func leadsToOneThing(t *testing.T, b *browser) {
	s := newStack(t, true)
	g := s.gateway("RATE_MAX_WAIT=0", "RATE_OVERRIDES=app-two=30")
	refused := generateTraffic(t, g)
	b.visit(g.admin + "/#clients")
	b.waitForText("#clients", "App two", "30/s")
	b.click("#clients a[href='#client=app-one']")
	b.waitForText("#client-name", "App one")
	b.waitForText("#client-about", "app-one", "10 in 1 s")
	b.waitForText("#client-codes", "over-quota", "the client's rate is used up")
	b.waitForText("#client-stores", demoName, "Acme")
	b.waitForText("#client-refusals", refused)
	b.waitFor("the focus to be on the title", "document.activeElement.id === 'client-view'")
	b.click("#client-stores a")
	b.waitForText("#store-clients", "App one", "App two")
	b.waitForText("#store-operations", "getKey", "putKey")
	b.do(chromedp.SendKeys(chromedp.CSS("#search"), strings.ToUpper(refused[:8])))
	b.waitForText("#found-list", "429 over-quota", refused)
	b.do(chromedp.SendKeys(chromedp.CSS("#search"), kb.Enter))
	b.waitFor("the focus to be on the first result", "document.activeElement.hash === '#request="+refused+"'")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.waitForText("#request-about", refused, "App one", demoName, "10 in 1 s, 0 left", "not reached")
	b.waitFor("the results to close", "document.querySelector('#found').hidden")

	b.visit(g.admin + "/#client=unknown")
	b.waitForText("#client-problem", "has seen nothing of it")
	b.waitFor("nothing else to be shown", "document.querySelector('#client-body').hidden")
	b.visit(g.admin + "/#nonsense=1")
	b.waitFor("the overview", "!document.querySelector('#view-overview').hidden")
	b.click("[data-span='300']")
	b.waitFor("the time of the charts", "document.querySelector('[data-span=\"300\"]').ariaPressed === 'true'")
	b.checkConsoleAndHosts(g.admin)
}

// confirmsActions: draining a replica asks first, is shown, and can be undone.
func confirmsActions(t *testing.T, b *browser) {
	g := newStack(t, false).gateway()
	b.visit(g.admin + "/#settings")
	b.waitForText("#settings", "OSGATE_UPSTREAM_OVERRIDE")
	b.do(chromedp.SendKeys(chromedp.CSS("#settings-filter"), "burst"))
	b.waitForText("#settings", "OSGATE_RATE_BURST")
	b.click("#drain-open")
	b.waitForText("#confirm-text", "this can be undone")
	b.do(chromedp.KeyEvent(kb.Escape))
	client{t: t, base: g.admin}.get("/readyz").is(http.StatusOK)
	for _, step := range []struct {
		status int
		button string
	}{{http.StatusServiceUnavailable, "Put this replica back"}, {http.StatusOK, "Drain this replica"}} {
		b.click("#drain-open")
		b.click("#confirm-go")
		b.waitForText("#drain-open", step.button)
		if got := (client{t: t, base: g.admin}).get("/readyz").status; got != step.status {
			t.Errorf("/readyz answers %d, want %d", got, step.status)
		}
	}
	b.click("#reload-open")
	b.click("#confirm-go")
	b.waitForText("#acted", "All files are in force")
	b.waitFor("shadow mode to need a policy", "document.querySelector('#shadow-open').disabled")
	b.checkConsoleAndHosts(g.admin)
}
