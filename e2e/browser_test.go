package e2e

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is one tab of a Chromium, with its errors.
type browser struct {
	t   testing.TB
	tab func() context.Context // lasts as long as the test

	mu            sync.Mutex
	consoleErrors []string        // guarded by mu: errors and warnings of the console, also those of the Content-Security-Policy
	loadErrors    []string        // guarded by mu: resources that failed to load
	hosts         map[string]bool // guarded by mu: hosts of the page's requests
}

// startBrowsers starts a Chromium without a window, which ends with the test, and
// returns a function that opens a tab of it for another test. Tabs share neither
// cookies nor a cache.
func startBrowsers(t *testing.T) (open func(t *testing.T) *browser) {
	t.Helper()
	requireProgram(t, "chromium")
	allocator, stop := chromedp.NewExecAllocator(t.Context(),
		append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU)...)
	first, closeFirst := chromedp.NewContext(allocator)
	t.Cleanup(func() { closeFirst(); stop() })
	if err := chromedp.Do(first); err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	return func(t *testing.T) *browser {
		t.Helper()
		tab, closeTab := chromedp.NewContext(first, chromedp.WithNewBrowserContext())
		t.Cleanup(closeTab)
		b := &browser{t: t, tab: func() context.Context { return tab }, hosts: map[string]bool{}}
		if err := chromedp.Do(tab, chromedp.EmulateViewport(1280, 900)); err != nil {
			t.Fatalf("opening a tab: %v", err)
		}
		if err := chromedp.Listen(tab, b.record); err != nil {
			t.Fatalf("enabling the events of the browser: %v", err)
		}
		return b
	}
}

// record records errors of the page and the hosts of its requests.
func (b *browser) record(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.consoleErrors = append(b.consoleErrors, "exception: "+e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			b.consoleErrors = append(b.consoleErrors, fmt.Sprintf("console: %s", e.Args[0].Value))
		}
	case *log.EventEntryAdded:
		text := fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		switch {
		case e.Entry.Source == log.EntrySourceNetwork:
			b.loadErrors = append(b.loadErrors, text)
		case e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning:
			b.consoleErrors = append(b.consoleErrors, text)
		}
	case *network.EventRequestWillBeSent:
		// Chromium loads its own glyphs, such as the calendar in a date field, as data:
		// URLs. The page's policy refuses them for the page itself.
		if u, err := url.Parse(e.Request.URL); err == nil && u.Scheme != "about" && u.Scheme != "data" {
			b.hosts[u.Scheme+"://"+u.Host] = true
		}
	}
}

// checkNoErrors fails the test if the page logged an error, violated its policy, sent a
// request to another host than these, or failed to load a resource.
func (b *browser) checkNoErrors(base ...string) {
	b.t.Helper()
	b.checkConsoleAndHosts(base...)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.loadErrors {
		b.t.Errorf("the page could not load: %s", text)
	}
}

// checkConsoleAndHosts is checkNoErrors for a page whose gateway was stopped for a
// while.
func (b *browser) checkConsoleAndHosts(base ...string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, text := range b.consoleErrors {
		b.t.Errorf("the page logged an error: %s", text)
	}
	if len(b.hosts) == 0 {
		b.t.Error("no request of the page was recorded")
	}
	for host := range b.hosts {
		if !slices.Contains(base, host) {
			b.t.Errorf("the page sent a request to %s, want only %v", host, base)
		}
	}
}

// do runs actions, each with a time limit.
func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.tab(), testTimeout)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("in the browser: %v", err)
	}
}

// visit loads a URL.
func (b *browser) visit(address string) { b.t.Helper(); b.do(chromedp.Navigate(address)) }

// click clicks the one visible element that matches a CSS selector.
func (b *browser) click(selector string) {
	b.t.Helper()
	b.do(chromedp.ScrollIntoView(chromedp.CSS(selector)), chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// evaluate returns the value of a JavaScript expression.
func evaluate[T any](b *browser, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.tab(), testTimeout)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("evaluating %s: %v", expression, err)
	}
	return value
}

// waitFor waits until a JavaScript expression is true, also over reloads of the page.
func (b *browser) waitFor(what, expression string) {
	b.t.Helper()
	eventually(b.t, what, func() bool {
		ctx, cancel := context.WithTimeout(b.tab(), testTimeout)
		defer cancel()
		holds, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
		return err == nil && holds
	})
}

// waitForText waits until the text of an element contains all of these texts.
func (b *browser) waitForText(selector string, texts ...string) {
	b.t.Helper()
	var conditions []string
	for _, text := range texts {
		conditions = append(conditions, fmt.Sprintf("(document.querySelector(%q)?.innerText ?? '').includes(%q)", selector, text))
	}
	b.waitFor(fmt.Sprintf("%s to show %q", selector, texts), strings.Join(conditions, " && "))
}

// setAppearance sets the width of the window and the preferred color scheme.
func (b *browser) setAppearance(width int64, scheme string) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, 900))
	_, err := chromedp.Call(b.tab(), emulation.SetEmulatedMedia,
		emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	if err != nil {
		b.t.Fatalf("setting the color scheme %s: %v", scheme, err)
	}
}

// clearCookies ends every session of the browser.
func (b *browser) clearCookies() {
	b.t.Helper()
	if _, err := chromedp.Call(b.tab(), network.ClearBrowserCookies, cdp.Empty{}); err != nil {
		b.t.Fatalf("clearing the cookies: %v", err)
	}
}

// screenshot stores an image of the whole page in the folder that OSGATE_E2E_ARTIFACTS
// names, or in artifacts.
func (b *browser) screenshot(name string) {
	b.t.Helper()
	folder := os.Getenv("OSGATE_E2E_ARTIFACTS")
	if folder == "" {
		folder = "artifacts"
	}
	ctx, cancel := context.WithTimeout(b.tab(), testTimeout)
	defer cancel()
	image, err := chromedp.Run(ctx, chromedp.FullScreenshot(100)) // 100: PNG
	if err != nil {
		b.t.Fatalf("taking a screenshot: %v", err)
	}
	if err := os.MkdirAll(folder, 0o750); err != nil {
		b.t.Fatalf("making the folder of screenshots: %v", err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), image, 0o600); err != nil {
		b.t.Fatalf("writing a screenshot: %v", err)
	}
}
