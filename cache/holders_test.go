package cache

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"osgate/cache/coherence"
	"osgate/objectstore"
)

// writeOf returns the write of a client in store s.
func writeOf(t testing.TB, client, request string) Question {
	t.Helper()
	var method, path, query string
	_, _ = fmt.Sscan(request, &method, &path, &query)
	o, err := objectstore.Parse(method, "/api/v1/organizations/o/environments/e/stores/"+path, query)
	if err != nil {
		t.Fatal(err)
	}
	return Question{Location: "l", Operation: o, Client: client}
}

func begin(t testing.TB, c *Cache, q Question) *Mark {
	t.Helper()
	m, err := c.Mark(t.Context(), q, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// holding returns a cache and the list of its reports of leases.
func holding(t testing.TB) (c *Cache, told *[]Holding) {
	t.Helper()
	told = &[]Holding{}
	c, err := New(Options{
		KeyTTL: time.Minute, Bytes: 1 << 20, EntryBytes: 1 << 16, WriteLease: time.Minute, OnHold: func(h Holding) { *told = append(*told, h) },
		Coherence: &leaseCounter{coherence.NewLocal(), map[coherence.Resource]map[coherence.ID]bool{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, told
}

// leaseCounter is a Coherence that records the resources under lease.
type leaseCounter struct {
	coherence.Tracker
	writers map[coherence.Resource]map[coherence.ID]bool
}

func (l *leaseCounter) Mark(ctx context.Context, on coherence.Resources, writer coherence.ID, lease time.Duration) error {
	for _, r := range on.All() {
		if l.writers[r] == nil {
			l.writers[r] = map[coherence.ID]bool{}
		}
		l.writers[r][writer] = true
	}
	return l.Tracker.Mark(ctx, on, writer, lease)
}

func (l *leaseCounter) Release(on coherence.Resources, writer coherence.ID, changed bool) {
	for _, r := range on.All() {
		if delete(l.writers[r], writer); len(l.writers[r]) == 0 {
			delete(l.writers, r)
		}
	}
	l.Tracker.Release(on, writer, changed)
}

// underLease counts the resources of which a lease has not been given back.
func underLease(c *Cache) int {
	l, _ := c.options.Coherence.(*leaseCounter)
	return len(l.writers)
}

// wantReason fails the test unless the reason not to serve on from the cache is want.
func wantReason(t *testing.T, c *Cache, on coherence.Resources, want, when string) {
	t.Helper()
	if r, err := c.options.Coherence.Read(t.Context(), on); err != nil || r.Closed != want {
		t.Errorf("%s: closed as %q, %v; want %q", when, r.Closed, err, want)
	}
}

func TestTheLastKeptLeaseStandsInForLongerOnes(t *testing.T) {
	h, now := newHolders(nil), time.Now()
	for n := range clientLeases + 2 {
		client, _ := h.begin("heavy", now)
		h.end(client, now.Add(time.Minute+time.Duration(max(0, n-clientLeases+1))*time.Minute))
	}
	for minutes, want := range []int{clientLeases + 1, 2, 2, 1} { // the write under way included
		client, held := h.begin("heavy", now.Add(time.Duration(minutes)*time.Minute))
		if h.end(client, time.Time{}); held != want {
			t.Errorf("after %d minutes: %d leases, want %d", minutes, held, want)
		}
	}
}

func TestClientWithTooManyLeasesHoldsTheStoreInTheirPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, told := holding(t)
		confirmable := func(client string, n int) *Mark {
			return begin(t, c, writeOf(t, client, fmt.Sprintf("GET s/partitions/p/keys/%d confirmable=true", n)))
		}
		for n := range 20 * clientLeases {
			confirmable("heavy", n).Done(Applied)
		}
		if n := underLease(c); n > clientLeases+3 {
			t.Errorf("one client has %d resources under lease, want at most %d keys, two lists and the store", n, clientLeases)
		}
		s := c.Stats()
		if s.Widened != 19*clientLeases || s.Kept != clientLeases || s.Held != 0 || s.Settled != 0 {
			t.Errorf("got %+v, want %d leases widened and %d kept", s, 19*clientLeases, clientLeases)
		}
		key := Question{Location: "l", Operation: writeOf(t, "", "GET s/partitions/p/keys/77777").Operation}
		on := resourcesOf("l", key.Operation.Ref, key.Operation.DependsOn())
		wantReason(t, c, on, "write-in-flight", "a key of the store")
		if want := (Holding{"heavy", "l", "s", clientLeases + 1, HoldMany, time.Now().Add(11 * time.Minute)}); len(*told) != 1 || (*told)[0] != want {
			t.Errorf("reported %+v, want once %+v", *told, want)
		}
		confirmable("light", 1).Done(Refused)
		if c.Stats().Widened != s.Widened {
			t.Error("the leases of one client count against another")
		}
		<-time.After(11 * time.Minute)
		wantReason(t, c, on, "", "after all leases have run out")
		begin(t, c, writeOf(t, "heavy", "PUT s/partitions/p/keys/1")).Done(Applied)
		if after := c.Stats(); after.Widened != s.Widened || after.Kept != 0 {
			t.Errorf("got %+v after all leases have run out", after)
		}
	})
}

func TestWritesUnderWayCountAsLeases(t *testing.T) {
	c, _ := holding(t)
	var marks []*Mark
	for n := range clientLeases + 1 {
		marks = append(marks, begin(t, c, writeOf(t, "a", fmt.Sprintf("PUT s%d/partitions/p/keys/k", n))))
	}
	if s := c.Stats(); s.Held != clientLeases+1 || s.Widened != 1 {
		t.Errorf("got %+v, want the last one widened", s)
	}
	for _, m := range marks {
		m.Done(Applied)
		m.Done(Unknown)
	}
	if s := c.Stats(); s.Held != 0 || s.Kept != 0 || s.Outcomes[Applied] != clientLeases+1 || s.Outcomes[Unknown] != 0 {
		t.Errorf("got %+v, want no lease held", s)
	}
	if n := underLease(c); n != 0 {
		t.Errorf("%d resources are still leased", n)
	}
}

func TestReadsThatAClientKeepsPastTheCacheAreReported(t *testing.T) {
	store := "PATCH s"
	for why, does := range map[string]func(t *testing.T, c *Cache){
		HoldStore: func(t *testing.T, c *Cache) {
			t.Helper()
			begin(t, c, writeOf(t, "a", store)).Done(Unknown)
		},
		HoldOften: func(t *testing.T, c *Cache) {
			t.Helper()
			for range storesEach {
				begin(t, c, writeOf(t, "a", store)).Done(Refused)
			}
		},
		HoldSlowly: func(t *testing.T, c *Cache) {
			t.Helper()
			m := begin(t, c, writeOf(t, "a", "PUT s/partitions/p/keys/k"))
			for range 3 {
				<-time.After(longUnderWay / 2)
				if err := m.Renew(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			m.Done(Applied)
		},
		"": func(t *testing.T, c *Cache) {
			t.Helper()
			for range storesEach - 1 {
				begin(t, c, writeOf(t, "a", store)).Done(Refused)
			}
			begin(t, c, writeOf(t, "a", "PUT s/partitions/p/keys/k")).Done(Unknown)
			<-time.After(noticeEvery)
			begin(t, c, writeOf(t, "a", store)).Done(Applied)
			m := begin(t, c, writeOf(t, "a", "PUT s/partitions/p/keys/k"))
			<-time.After(longUnderWay - 1)
			if err := m.Renew(t.Context()); err != nil {
				t.Fatal(err)
			}
			m.Done(Applied)
		},
	} {
		t.Run(why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, told := holding(t)
				does(t, c)
				if why == "" {
					if len(*told) > 0 {
						t.Errorf("reported %+v, want no report", *told)
					}
					return
				}
				if len(*told) != 1 {
					t.Fatalf("reported %+v, want one report", *told)
				}
				got := (*told)[0]
				got.Until = time.Time{}
				if want := (Holding{Client: "a", Location: "l", Store: "s", Leases: 1, Why: why}); got != want {
					t.Fatalf("reported %+v, want %+v", got, want)
				}
				does(t, c)
				if len(*told) != 1 && why != HoldSlowly {
					t.Errorf("reported %+v within a minute", *told)
				}
				<-time.After(noticeEvery)
				does(t, c)
				if len(*told) < 2 {
					t.Error("not reported again a minute later")
				}
			})
		})
	}
}

func TestHoldersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, told := holding(t)
		for n := range 2 * clientsHeld {
			begin(t, c, writeOf(t, fmt.Sprint(n), "PATCH s")).Done(Unknown)
		}
		if n := len(c.holders.clients); n > clientsHeld+1 {
			t.Errorf("%d clients are counted separately", n)
		}
		if len(*told) != noticesEach {
			t.Errorf("%d lines in one minute, want %d", len(*told), noticesEach)
		}
		if kept := c.Stats().Kept; kept != clientsHeld+clientLeases {
			t.Errorf("%d leases are counted, want those of %d clients and of the others", kept, clientsHeld)
		}
		<-time.After(time.Minute)
		begin(t, c, writeOf(t, "another", "PATCH s")).Done(Applied)
		if n := len(c.holders.clients); n > 2 {
			t.Errorf("%d clients without leases are remembered", n)
		}
	})
}
