package board_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/record"
	"osgate/telemetry/board"
)

var orders = board.Place{Plane: "us", Region: "us-east-1", Organization: "org", Environment: "env", Store: "orders"}

// keepFor keeps an exchange of a client with a store of its organization.
func keepFor(b *board.Board, principal, store string, change func(x *record.Exchange)) {
	x := getKey()
	x.Principal, x.Store = principal, store
	x.Charged, x.Quota, x.QuotaPeriod, x.QuotaFull, x.Remaining = true, 30, time.Second, 60, 50
	change(x)
	b.Keep(x)
}

func asIs(*record.Exchange) {}

func asHit(x *record.Exchange) {
	x.Hit, x.Cache, x.UpstreamAttempts, x.Remaining = true, record.CacheResult{Hit: true, TTL: 8 * time.Second}, 0, 40
}

func asRefused(x *record.Exchange) {
	x.ID, x.Status, x.Code, x.UpstreamAttempts, x.Cache, x.Remaining = "refused-1", 429, "over-quota", 0, record.CacheResult{}, 0
	x.ClientAddr, x.Cause = "10.0.0.1", "too many"
}

func TestClientIsKnownInDetail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := board.New(board.Gauges{})
		if _, ok := b.Client(time.Now(), "app-one"); ok {
			t.Error("a client is known before its first request")
		}
		keepFor(b, "app-one", "orders", asIs)
		keepFor(b, "app-one", "orders", asHit)
		keepFor(b, "app-one", "carts", asIs)
		keepFor(b, "app-two", "orders", asIs)
		pass(20 * time.Second) // into the second step
		keepFor(b, "app-one", "orders", asRefused)
		keepFor(b, "app-one", "orders", func(x *record.Exchange) { x.Rule = "readers" })
		pass(time.Second)
		d, ok := b.Client(time.Now(), "app-one")
		if !ok {
			t.Fatal("the client is not known")
		}
		if d.Requests != 5 || d.Refused != 1 || d.Quota != 30 || d.Burst != 60 || d.Rule != "readers" {
			t.Errorf("client %+v", d.ClientCount)
		}
		if diff := cmp.Diff(board.Series{3.0 / 15, 2.0 / 15}, d.Trail.Requests); diff != "" {
			t.Errorf("requests: %s", diff)
		}
		if diff := cmp.Diff(board.Series{0, 1.0 / 15}, d.Trail.Refused); diff != "" {
			t.Errorf("refused: %s", diff)
		}
		if diff := cmp.Diff(board.Series{40, 0}, d.Trail.Remaining); diff != "" {
			t.Errorf("the lowest rest of the quota: %s", diff)
		}
		if diff := cmp.Diff([]board.Tally{{Name: "over-quota", Count: 1}}, d.Trail.Codes); diff != "" {
			t.Errorf("refusals by reason: %s", diff)
		}
		carts := orders
		carts.Store = "carts"
		if diff := cmp.Diff([]board.ClientsStore{{orders, 3, 1}, {carts, 1, 0}}, d.Stores); diff != "" {
			t.Errorf("stores: %s", diff)
		}
		if len(d.Refusals) != 1 || d.Refusals[0].RequestID != "refused-1" {
			t.Errorf("refusals: %+v", d.Refusals)
		}
		pass(30 * time.Second)
		d, _ = b.Client(time.Now(), "app-one")
		if last := d.Trail.Remaining[len(d.Trail.Remaining)-1]; !math.IsNaN(last) || len(d.Trail.Requests) != 4 || d.Trail.Requests[2] != 0 {
			t.Errorf("two idle steps later: %+v", d.Trail)
		}
		pass(20 * time.Minute)
		d, _ = b.Client(time.Now(), "app-one")
		if len(d.Trail.Requests) != 60 || cmp.Diff(d.Trail.Requests, make(board.Series, 60)) != "" || d.Trail.Operations[0].Count != 5 {
			t.Errorf("20 idle minutes later: %+v", d.Trail)
		}
	})
}

func TestStoreIsKnownInDetail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := board.New(board.Gauges{})
		keepFor(b, "app-one", "orders", asHit)
		keepFor(b, "app-one", "orders", func(x *record.Exchange) { x.Operation = "putKey" })
		keepFor(b, "app-two", "orders", asHit)
		keepFor(b, "app-two", "orders", asRefused)
		pass(time.Second)
		d, ok := b.Store(time.Now(), orders)
		if !ok || d.Requests != 3 || d.StoreCount.Hits != 2 || d.Trail.Received != 30 || d.Trail.Sent != 900 {
			t.Errorf("store %+v, %v", d, ok)
		}
		if diff := cmp.Diff(board.Series{2.0 / 15}, d.Trail.Hits); diff != "" {
			t.Errorf("hits: %s", diff)
		}
		if diff := cmp.Diff([]board.Tally{{Name: "getKey", Count: 2}, {Name: "putKey", Count: 1}}, d.Trail.Operations); diff != "" {
			t.Errorf("operations: %s", diff)
		}
		if diff := cmp.Diff([]board.StoresClient{{"app-one", 2, 1}, {"app-two", 1, 1}}, d.Clients); diff != "" {
			t.Errorf("clients: %s", diff)
		}
		if _, ok := b.Store(time.Now(), board.Place{Store: "orders"}); ok {
			t.Error("a store is known by a part of its place")
		}
	})
}

func TestRefusalIsFoundByItsRequestID(t *testing.T) {
	b := board.New(board.Gauges{})
	keepFor(b, "app-one", "orders", asRefused)
	keepFor(b, "", "invented", func(x *record.Exchange) { asRefused(x); x.ID = "refused-2" })
	d, ok := b.Refused("refused-1")
	if !ok || d.Code != "over-quota" || d.Place != orders || d.ClientAddr != "10.0.0.1" || d.Cause != "too many" || d.Quota != 30 || d.DurationMs != 40 {
		t.Errorf("%+v, %v", d, ok)
	}
	if d, ok := b.Refused("refused-2"); !ok || d.Store != "" {
		t.Errorf("without an identity: %+v, %v; want no names that the client invented", d, ok)
	}
	for i := range board.MaxRefusals - 1 {
		keepFor(b, "app-one", "orders", func(x *record.Exchange) { asRefused(x); x.ID = fmt.Sprint("later-", i) })
	}
	if _, ok := b.Refused("refused-1"); ok {
		t.Errorf("a refusal is kept after %d later ones", board.MaxRefusals)
	}
	if shown := b.Snapshot(time.Now()).Refusals; len(shown) != 50 {
		t.Errorf("a snapshot has %d refusals", len(shown))
	}
}

func TestSearchFindsIDsAndNames(t *testing.T) {
	b := board.New(board.Gauges{})
	keepFor(b, "app-one", "orders", asIs)
	keepFor(b, "app-two", "carts", asRefused)
	names := map[string]string{"app-two": "Checkout", "env": "Production"}
	nameOf := func(id string) string { return names[id] }
	for text, want := range map[string]string{
		"APP-ONE": "[app-one] [] 0", "check": "[app-two] [] 0", "order": "[] [orders] 0", "production": "[] [orders] 0",
		"refused-": "[] [] 1", "efused": "[] [] 0", "nothing": "[] [] 0",
	} {
		f := b.Search(text, nameOf)
		var stores []string
		for _, s := range f.Stores {
			stores = append(stores, s.Store)
		}
		if got := fmt.Sprint(f.Clients, " ", stores, " ", len(f.Requests)); got != want {
			t.Errorf("%q finds %s, want %s", text, got, want)
		}
	}
}

func TestRulesThatDecideAreCounted(t *testing.T) {
	b := board.New(board.Gauges{})
	keepFor(b, "app-one", "orders", func(x *record.Exchange) { x.Rule = "readers" })
	keepFor(b, "app-one", "orders", func(x *record.Exchange) { x.Rule, x.Code, x.Denied = "no-deletes", "denied", true })
	keepFor(b, "app-one", "orders", func(x *record.Exchange) { x.Rule = "readers" })
	if diff := cmp.Diff([]board.RuleCount{{"readers", 0, 2}, {"no-deletes", 0, 1}}, b.Snapshot(time.Now()).Rules); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestDetailsStayWithinTheirRoom, whatever clients do, and are JSON without gaps.
func TestDetailsStayWithinTheirRoom(t *testing.T) {
	b := board.New(board.Gauges{})
	for i := range 40 {
		for range 40 - i {
			keepFor(b, "app-one", fmt.Sprint("store-", i), func(x *record.Exchange) { x.Operation = fmt.Sprint("operation-", i) })
			keepFor(b, "app-one", "orders", func(x *record.Exchange) { x.Code = record.Code(fmt.Sprint("code-", i)) })
		}
	}
	d, _ := b.Client(time.Now(), "app-one")
	if len(d.Stores) > 8 || len(d.Trail.Operations) != 8 || len(d.Trail.Codes) != 8 || d.Stores[0].Store != "store-0" {
		t.Errorf("%d stores, %d operations, %d codes", len(d.Stores), len(d.Trail.Operations), len(d.Trail.Codes))
	}
	text, err := json.Marshal(d)
	if err != nil || strings.Contains(string(text), "NaN") {
		t.Errorf("%v: %s", err, text)
	}
}
