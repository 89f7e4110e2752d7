package top

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/telemetry/board"
)

// typed returns the choice after keys, and whether they request the end.
func typed(keys string) (c choice, end bool) {
	for _, key := range []byte(keys) {
		if c, end = c.press(key, "id-first"); end {
			return c, true
		}
	}
	return c, false
}

func TestKeysSelectOrderAndFilter(t *testing.T) {
	for keys, want := range map[string]string{
		"": "", "x": "", "s": "by refused", "ss": "by name", "sss": "", "/": "filter: _", "/quick": "filter: quick_", "/ab\r": "filter: ab",
		"/abc\x7f\x7f\n": "filter: a", "/\x7f": "filter: _", "/a\x1b": "", "/a\rs": "by refused, filter: a", "/\x01\xff": "filter: _",
		"/" + strings.Repeat("a", 50): "filter: " + strings.Repeat("a", 40) + "_",
	} {
		if c, end := typed(keys); end || c.String() != want {
			t.Errorf("%q: %q, end %v; want %q", keys, c, end, want)
		}
	}
	for keys, want := range map[string]bool{"q": true, "sQ": true, "\x04": true, "/q": false, "/\x04": true, "/a\rq": true} {
		if _, end := typed(keys); end != want {
			t.Errorf("%q ends: %v, want %v", keys, end, want)
		}
	}
}

func TestChoiceSelectsClientsAndStores(t *testing.T) {
	var o overview
	o.Names = map[string]string{"id-1": "Zeta", "env": "Production"}
	o.Traffic.Clients = []board.ClientCount{{Principal: "id-1", Refused: 1}, {Principal: "id-2", Refused: 5}}
	o.Traffic.Stores = []board.StoreCount{{Place: board.Place{Store: "orders", Environment: "env"}}, {Place: board.Place{Store: "carts"}}}
	for keys, want := range map[string]string{
		"": "id-1 id-2 | orders carts", "s": "id-2 id-1 | orders carts", "ss": "id-1 id-2 | carts orders", "/ZET\r": "id-1 |", "/prod": "| orders", "/id-2": "id-2 |",
	} {
		c, _ := typed(keys)
		var got []string
		for _, one := range c.clients(o) {
			got = append(got, one.Principal)
		}
		got = append(got, "|")
		for _, one := range c.stores(o) {
			got = append(got, one.Store)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v, want %s", keys, got, want)
		}
	}
}

// TestTopFollowsKeys: a frame is drawn at once after a key, by names.
func TestTopFollowsKeys(t *testing.T) {
	o := busy(t)
	o.Names = map[string]string{"billing-batch": "Billing"}
	synctest.Test(t, func(t *testing.T) {
		screen, out := terminal()
		screen.keys.pressed = make(chan byte)
		screen.lookup = func(string) string { return "100" }
		ended := make(chan error)
		go func() { ended <- watch(t.Context(), screen, o, watched{interval: time.Hour}) }()
		synctest.Wait()
		if got := out.take(); !strings.Contains(got, "Billing") || !strings.Contains(got, "user:4711") {
			t.Errorf("at first: %q", got)
		}
		for _, key := range []byte("/bill") {
			screen.keys.pressed <- key
		}
		synctest.Wait()
		frames := strings.Split(out.take(), homeCursor)
		if last := frames[len(frames)-1]; !strings.Contains(last, "filter: bill_") || !strings.Contains(last, "Billing") || strings.Contains(last, "user:4711") {
			t.Errorf("with a filter: %q", last)
		}
		screen.keys.pressed <- '\r'
		screen.keys.pressed <- 'q'
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
