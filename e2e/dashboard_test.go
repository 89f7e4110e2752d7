package e2e

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const demoName = "APP_demo__defaultPersistentObjectStore"

// TestTheDashboard uses the operator's page in a real browser.
func TestTheDashboard(t *testing.T) {
	t.Parallel()
	open := startBrowsers(t)
	for name, test := range map[string]func(*testing.T, *browser){
		"shows the traffic as it happens": showsTraffic,
		"has texts for an empty page":     showsEmptyPage,
		"confirms a purge":                confirmsPurge,
		"leads to one thing":              leadsToOneThing,
		"confirms what changes a replica": confirmsActions,
		"reconnects after a restart":      reconnects,
		"requires the admin token":        requiresToken,
		"is readable in every window":     isReadable,
		"is usable by a screen reader":    isUsableByScreenReader,
		"is usable by keyboard":           isUsableByKeyboard,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
	for name, withRedis := range map[string]bool{"shows what was counted, embedded": false, "shows what was counted, redis": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			showsHistory(t, newStack(t, withRedis), open(t))
		})
	}
}

// generateTraffic sends requests of every kind through a gateway with the default
// quota, and returns the request ID of a refusal.
func generateTraffic(t *testing.T, g *gateway) string {
	t.Helper()
	one, two := g.as("app-one"), g.as("app-two")
	for range 3 {
		two.get(keyOne).is(http.StatusOK)
	}
	two.put("shown", "x").succeeded()
	two.get(demoKeys + "/absent").is(http.StatusNotFound)
	one.get(keyOne).is(http.StatusOK)
	refused := one.awaitRefusal("over-quota", 12)
	g.client().get(keyOne).is(http.StatusUnauthorized)
	return refused.header.Get("X-Request-Id")
}

// showsTraffic sends requests while the page is open, and reads their figures on the
// page: health, clients, stores, refusals, charts and the tables behind them.
func showsTraffic(t *testing.T, b *browser) {
	s := newStack(t, true)
	g := s.gateway("RATE_MAX_WAIT=0")
	b.visit(g.admin)
	b.waitForText("#status", "Ready")
	b.waitForText("#notice", "No request yet")
	b.waitForText("#parts", "Redis", "OK", "Statistics")

	refused := generateTraffic(t, g)
	b.waitForText("#clients", "App one", "app-one", "10/s, over quota", "app-two", "of 10 left")
	b.waitForText("#fleet", "this page", "Ready")
	b.waitForText("#stores", demoName, "us/us-east-1", "Acme")
	b.waitForText("#refusals", refused, "429 over-quota", "401 no-token", "not identified")
	b.waitForText("#codes", "over-quota", "no-token")
	b.waitForText("#parts", "Control plane us")
	b.waitForText("#regions", "us/us-east-1", "closed")
	b.waitForText("#cached", demoName)
	b.waitFor("the notice to disappear", "document.querySelector('#notice').innerText === ''")

	for _, name := range []string{"requests", "latency", "ratio"} {
		chart := "#" + name + "-chart "
		b.waitFor("the chart of "+name, fmt.Sprintf("document.querySelector('%scanvas')?.width > 100", chart))
		b.click(chart + "summary")
		b.waitFor("the numbers of "+name, fmt.Sprintf("document.querySelectorAll('%stbody tr').length > 0", chart))
	}
	b.waitFor("the chart to have its description",
		"/Requests per second by outcome\\. Latest, .*Cache hit .*Refused: over-quota/.test(document.querySelector('#requests-chart [role=img]').ariaLabel)")
	b.click("#requests-chart li:first-child button")
	b.waitFor("a series of the chart to be hidden", "document.querySelector('#requests-chart li:first-child button').ariaPressed === 'false'")
	b.checkNoErrors(g.admin)
}

// showsHistory reads the counts from all organizations down to one store, in requests
// and in billing units, and the texts for counts that cannot be shown.
func showsHistory(t *testing.T, s *stack, b *browser) {
	t.Helper()
	g := s.gateway("RATE=0")
	one := g.as("app-one")
	for range 5 {
		one.get(keyOne).is(http.StatusOK)
	}
	b.visit(g.admin + "/#history")
	b.waitForText("#status", "Ready")
	b.waitForText("#history-total", "5 requests answered to clients, 2 answered by Object Store")
	for _, step := range []string{"org-root", "env-prod", "us-east-1", demoName} {
		b.waitForText("#children", step, "60 %") // one of the two is the gateway's own, for the store's TTL
		b.click("#children tr:first-child button")
		b.waitForText("#history-path li:last-child", cmp.Or(map[string]string{"org-root": "Acme"}[step], step))
		b.waitForText("#history-total", "5 requests")
	}
	b.waitFor("no level below a store", "document.querySelector('#history-children').hidden")
	b.click("input[value=units]")
	b.waitForText("#history-total", "5 billing units")
	for _, preset := range []string{"1day", "1month"} {
		b.click("[data-preset='" + preset + "']")
		b.waitForText("#history-total", "5 billing units")
	}
	b.click("#history-path li:first-child button")
	b.waitForText("#children", "org-root", "control plane us")

	b.do(chromedp.SetValue(chromedp.CSS("[name=from]"), "2020-01-01T00:00"), chromedp.SetValue(chromedp.CSS("[name=period]"), "1hour"))
	b.click("#history-form [type=submit]")
	b.waitForText("#history-problem", "To is too late", "at most 400 buckets")
	if s.redis != nil {
		s.redis.kill()
		// Yesterday's midnight is not in any range that was shown before, and is locked
		// for a while.
		b.do(chromedp.SetValue(chromedp.CSS("[name=from]"), time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)+"T00:00"))
		b.click("#history-form [type=submit]")
		b.waitForText("#history-problem", "The statistics cannot be read now")
		b.waitForText("#parts", "Down")
		s.redis.restart()
		b.waitFor("the problem to disappear without an action, of a range that does not move too",
			"document.querySelector('#history-problem').innerText === '' && !document.querySelector('#history-form [aria-pressed=true]')")
	}
	b.click("[data-preset='1hour']")
	b.waitFor("the problem to disappear", "document.querySelector('#history-problem').innerText === ''")
	b.checkConsoleAndHosts(g.admin)
}

// confirmsPurge: the page requests a confirmation, and reports the number of
// purged entries.
func confirmsPurge(t *testing.T, b *browser) {
	s := newStack(t, false)
	g := s.gateway("CACHE_KEY_TTL=1h")
	one := g.as("app-one")
	one.get(keyOne).is(http.StatusOK)
	b.visit(g.admin + "/#cache")
	b.click("#purge-open")
	b.waitFor("the dialog to be open", "document.querySelector('#purge').open && document.querySelector('#purge').contains(document.activeElement)")
	b.do(chromedp.KeyEvent(kb.Escape))
	b.waitFor("the dialog to be closed, and the focus to be back",
		"!document.querySelector('#purge').open && document.activeElement.id === 'purge-open'")
	if a := one.get(keyOne); !strings.Contains(a.header.Get("Cache-Status"), "hit") {
		t.Errorf("Cache-Status is %q after a canceled purge, want a hit", a.header.Get("Cache-Status"))
	}
	b.click("#purge-open")
	b.click("#purge-go")
	b.waitForText("#purge-problem", "Location is required, unless everything is purged.")
	b.click("#purge [value=all]")
	b.waitForText("#purge-go", "Purge everything")
	b.click("#purge-go")
	b.waitForText("#purged", "Purged", "cached answer")
	if a := one.get(keyOne); strings.Contains(a.header.Get("Cache-Status"), "hit") {
		t.Errorf("Cache-Status is %q after a purge of everything, want no hit", a.header.Get("Cache-Status"))
	}
	b.checkConsoleAndHosts(g.admin)
}

// reconnects: the page reconnects by itself, and until then states the age of its
// figures.
func reconnects(t *testing.T, b *browser) {
	s := newStack(t, false)
	admin := "ADMIN_LISTEN=127.0.0.1:" + freePort(t)
	g := s.gateway(admin)
	b.visit(g.admin)
	b.waitForText("#status", "Ready")
	evaluate[bool](b, "window.same = true")
	g.kill()
	b.waitForText("#status", "Not reachable")
	b.waitForText("#notice", "Not reachable since", "figures are from that time")
	b.waitFor("the figures to be dimmed", "document.body.dataset.link === 'lost'")

	g = s.gateway(admin)
	b.waitForText("#status", "Ready")
	g.as("app-one").get(keyOne).is(http.StatusOK)
	b.waitForText("#clients", "app-one")
	if !evaluate[bool](b, "window.same === true") {
		t.Error("the page was loaded again, want it to reconnect by itself")
	}
	b.checkConsoleAndHosts(g.admin)
}

// kill ends the gateway as a crash would.
func (g *gateway) kill() { g.t.Helper(); g.stop(syscall.SIGKILL) }

// requiresToken: the page requires the token at first, and again after the session has
// ended.
func requiresToken(t *testing.T, b *browser) {
	s := newStack(t, false)
	const token = "the-operators-token-of-this-test"
	s.addSecret(token)
	g := s.gateway("ADMIN_TOKEN=" + token)
	b.visit(g.admin)
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), "another"+kb.Enter))
	b.waitForText("#problem", "Wrong token")
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), token+kb.Enter))
	b.waitForText("#status", "Ready")
	b.click("#logout button")
	b.waitForText("label", "Admin token")

	b.do(chromedp.SendKeys(chromedp.CSS("#token"), token+kb.Enter))
	b.waitForText("#status", "Ready")
	b.clearCookies()
	b.click("#pause")
	b.click("#pause") // opens the stream again, now without a session
	b.waitForText("label", "Admin token")
	b.checkConsoleAndHosts(g.admin)
}
