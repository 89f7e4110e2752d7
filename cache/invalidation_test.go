package cache_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"osgate/cache"
	"osgate/cache/coherence"
	"osgate/internal/redisconn/redistest"
)

const writeInFlight = "osgate; fwd=bypass; detail=write-in-flight"

// reads are answers of every kind, of two keys and two partitions and two stores.
var reads = []string{
	"GET " + keyPath, "HEAD " + keyPath, "GET " + keysPath + "/other", "GET " + keysPath, "GET " + partitionsPath,
	"GET " + storePath + "/partitions/q/keys/k", "GET " + storePath + "/partitions/q/keys",
	"GET " + storePath, "GET " + storesPath, "GET " + storesPath + "/other", "GET " + storesPath + "/other/partitions/p/keys/k",
	"GET " + regionsPath,
}

func TestWriteInvalidatesExactlyTheEntriesItMayHaveChanged(t *testing.T) {
	key, list, parts := "GET "+keyPath, "GET "+keysPath, "GET "+partitionsPath
	keyWrite := []string{key, "HEAD " + keyPath, list, parts}
	partition := []string{key, "HEAD " + keyPath, "GET " + keysPath + "/other", list, parts}
	store := append([]string{"GET " + storePath, "GET " + storesPath, "GET " + storePath + "/partitions/q/keys/k", "GET " + storePath + "/partitions/q/keys"}, partition...)
	for write, want := range map[string][]string{
		"PUT " + keyPath:                           keyWrite,
		"POST " + keyPath:                          keyWrite,
		"DELETE " + keyPath:                        keyWrite,
		"POST " + keyPath + "/confirmations/c":     keyWrite,
		"PATCH " + keyPath + "/confirmations/c":    keyWrite,
		"DELETE " + keyPath + "/confirmations/c":   keyWrite,
		"GET " + keyPath + "?confirmable=true":     keyWrite,
		"HEAD " + keyPath + "?confirmable=true":    keyWrite,
		"DELETE " + keysPath:                       partition,
		"DELETE " + partitionPath:                  partition,
		"GET " + partitionPath + "?confirmable=on": partition,
		"DELETE " + partitionsPath:                 store,
		"PUT " + storePath:                         store,
		"PATCH " + storePath:                       store,
		"DELETE " + storePath:                      store,
	} {
		t.Run(write, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t)
				fetchAll(t, c)
				method, path := split(write)
				m := mark(t, c, ask(t, method, path))
				wantTouched(t, c, writeInFlight, want)
				m.Done(cache.Applied)
				if write != "PATCH "+keyPath+"/confirmations/c" && !ask(t, method, path).Operation.Confirmable {
					wantTouched(t, c, "osgate; fwd=miss", want)
				}
			})
		})
	}
}

func split(request string) (method, path string) {
	_, _ = fmt.Sscan(request, &method, &path)
	return method, path
}

func fetchAll(t *testing.T, c *cache.Cache) {
	t.Helper()
	for _, read := range reads {
		method, path := split(read)
		fetch(t, c, ask(t, method, path), http.StatusOK, nil, "")
	}
}

// wantTouched looks up all reads: those touched have the status, the others are hits.
func wantTouched(t *testing.T, c *cache.Cache, status string, touched []string) {
	t.Helper()
	is := map[string]bool{}
	for _, read := range touched {
		is[read] = true
	}
	for _, read := range reads {
		method, path := split(read)
		if q := ask(t, method, path); is[read] {
			wantLook(t, c, q, status, "")
		} else {
			wantHit(t, c, q)
		}
	}
}

func TestFillThatRacesAWriteIsNeverServed(t *testing.T) {
	c := newCache(t)
	q := ask(t, "GET", keyPath)
	now := time.Now()
	before := c.Look(t.Context(), q, now) // reads the old value ...
	m := mark(t, c, ask(t, "PUT", keyPath))
	if during := c.Look(t.Context(), q, now); during.Fill != nil {
		t.Error("a read under a lease may be stored")
	}
	m.Done(cache.Applied)
	receive(c, q, before, answer{200, nil, "old"}, now) // ... and stores it when the write has ended
	wantMiss(t, c, q)
}

func TestWriteOfUnknownOutcomeKeepsReadersPastTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		q := ask(t, "GET", keyPath)
		fetch(t, c, q, 200, nil, "v1")
		mark(t, c, ask(t, "PUT", keyPath)).Done(cache.Unknown)
		pass(time.Minute - 1)
		wantLook(t, c, q, writeInFlight, "")
		pass(1)
		wantMiss(t, c, q)
	})
}

func TestOneOfTwoWritesEndsNotTheOther(t *testing.T) {
	c := newCache(t)
	q := ask(t, "GET", keyPath)
	first, second := mark(t, c, ask(t, "PUT", keyPath)), mark(t, c, ask(t, "DELETE", keyPath))
	second.Done(cache.Applied)
	second.Done(cache.Applied)
	wantLook(t, c, q, writeInFlight, "")
	first.Done(cache.Applied)
	wantMiss(t, c, q)
}

func TestConfirmableKeepsItsLeaseForTheConfirmationTime(t *testing.T) {
	for _, write := range []string{
		"PUT " + keyPath + "?confirmable=true", "GET " + keyPath + "?confirmable=true", "PATCH " + keyPath + "/confirmations/c",
	} {
		t.Run(write, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t)
				method, path := split(write)
				mark(t, c, ask(t, method, path)).Done(cache.Applied)
				pass(11*time.Minute - 1) // the write may take effect a minute after its mark
				wantLook(t, c, ask(t, "GET", keyPath), writeInFlight, "")
				pass(1)
				wantMiss(t, c, ask(t, "GET", keyPath))
			})
		})
	}
}

// A write that upstream refuses has changed no state and can roll none back, whichever
// client sent it.
func TestRefusedWriteGivesItsLeaseBackAndLeavesWhatIsCached(t *testing.T) {
	for _, write := range []string{
		"PUT " + keyPath, "DELETE " + storePath, "PATCH " + storePath + "?confirmable=true", "PUT " + keyPath + "?confirmable=true",
		"GET " + keyPath + "?confirmable=true", "HEAD " + keyPath + "?confirmable=true", "PATCH " + keyPath + "/confirmations/c",
	} {
		t.Run(write, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t, func(o *cache.Options) { o.KeyTTL, o.GrantTTL = time.Hour, time.Hour })
				q := ask(t, "GET", keyPath)
				fetch(t, c, q, http.StatusOK, nil, "v")
				method, path := split(write)
				m := mark(t, c, ask(t, method, path))
				wantLook(t, c, q, writeInFlight, "")
				m.Done(cache.Refused)
				wantHit(t, c, q)
				pass(20 * time.Minute)
				wantHit(t, c, q)
				mark(t, c, ask(t, method, path)).Done(cache.Mismatched)
				wantMiss(t, c, q)
			})
		})
	}
}

func TestConfirmationTimeOfTheStoreIsLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		fetch(t, c, ask(t, "GET", storePath), 200, nil, `{"storeId":"st","defaultConfirmationTtlSeconds":1200}`)
		mark(t, c, ask(t, "DELETE", keyPath+"?confirmable=true")).Done(cache.Applied)
		pass(21*time.Minute - 1)
		wantLook(t, c, ask(t, "GET", keyPath), writeInFlight, "")
		pass(1)
		wantMiss(t, c, ask(t, "GET", keyPath))
	})
}

// TestAConfirmationTimeLearnedLongAgoShortensNoLease, because the store may have been
// changed since without the gateway.
func TestAConfirmationTimeLearnedLongAgoShortensNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		fetch(t, c, ask(t, "GET", storePath), 200, nil, `{"storeId":"st","defaultConfirmationTtlSeconds":5}`)
		pass(time.Hour)
		mark(t, c, ask(t, "DELETE", keyPath+"?confirmable=true")).Done(cache.Applied)
		pass(11*time.Minute - 1)
		wantLook(t, c, ask(t, "GET", keyPath), writeInFlight, "")
		pass(1)
		wantMiss(t, c, ask(t, "GET", keyPath))
	})
}

// TestAConfirmableWriteMustTakeEffectWithinTheLeaseOfAWrite, so that its lease lasts for
// the whole confirmation time after that.
func TestAConfirmableWriteMustTakeEffectWithinTheLeaseOfAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		m := mark(t, c, ask(t, "PUT", keyPath+"?confirmable=true"))
		if left := time.Until(m.Deadline()); left != time.Minute {
			t.Errorf("the write may take effect for %v, want 1m", left)
		}
	})
}

func TestShortConfirmationTimeDoesNotShortenTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		fetch(t, c, ask(t, "GET", storePath), 200, nil, `{"storeId":"st","defaultConfirmationTtlSeconds":5}`)
		mark(t, c, ask(t, "DELETE", keyPath+"?confirmable=true")).Done(cache.Applied)
		pass(65*time.Second - 1)
		wantLook(t, c, ask(t, "GET", keyPath), writeInFlight, "")
		pass(1)
		wantMiss(t, c, ask(t, "GET", keyPath))
	})
}

func TestRenewalOutlivesTheClient(t *testing.T) {
	c := newCache(t, func(o *cache.Options) {
		o.Coherence = onRedis(t, redistest.Start(t), coherence.RedisOptions{Settle: time.Minute})
	})
	m := mark(t, c, ask(t, "PUT", keyPath))
	before := m.Deadline()
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if err := m.Renew(ctx); err != nil || !m.Deadline().After(before) {
		t.Errorf("got %v and deadline %v, want one after %v", err, m.Deadline(), before)
	}
}

func TestRenewedLeaseLastsFromItsRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		m := mark(t, c, ask(t, "PUT", keyPath))
		if got, want := m.Deadline(), time.Now().Add(time.Minute); !got.Equal(want) {
			t.Errorf("deadline %v, want %v", got, want)
		}
		pass(50 * time.Second)
		if err := m.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, want := m.Deadline(), time.Now().Add(time.Minute); !got.Equal(want) {
			t.Errorf("deadline %v after renewal, want %v", got, want)
		}
		pass(time.Minute - 1)
		wantLook(t, c, ask(t, "GET", keyPath), writeInFlight, "")
		m.Done(cache.Applied)
		if err := m.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantMiss(t, c, ask(t, "GET", keyPath)) // a write that has ended renews no lease
	})
}

// An answer that is stored between the end of a lease and the end of its write may be
// older than the write.
func TestWriteThatEndsAfterItsLeaseInvalidatesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		q := ask(t, "GET", keyPath)
		m := mark(t, c, ask(t, "PUT", keyPath))
		pass(time.Minute)
		fetch(t, c, q, 200, nil, "old")
		m.Done(cache.Applied)
		wantMiss(t, c, q)
	})
}

func TestAValueIsFreshForAHundredthOfItsStoresTTL(t *testing.T) {
	lists := map[string]string{
		storePath:  `{"storeId":"st","defaultTtlSeconds":400}`,
		storesPath: `{"values":[{"storeId":"x","defaultTtlSeconds":900},{"storeId":"st","defaultTtlSeconds":400}],"nextPageToken":null}`,
	}
	for path, body := range lists {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t, func(o *cache.Options) { o.StoresTTL = 0 }) // learned also from answers that are not stored
				fetch(t, c, ask(t, "GET", path), 200, nil, body)
				for _, path := range []string{keyPath, keysPath} {
					q := ask(t, "GET", path)
					fetch(t, c, q, 200, nil, "v")
					wantLook(t, c, q, "osgate; hit; ttl=4", "v")
				}
				other := ask(t, "GET", storesPath+"/other/partitions/p/keys/k")
				fetch(t, c, other, 200, nil, "v")
				wantLook(t, c, other, "osgate; hit; ttl=10", "v")
			})
		})
	}
}

func TestTTLOfAStoreIsForgottenWhenItIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		store, key := ask(t, "GET", storePath), ask(t, "GET", keyPath)
		asked := time.Now()
		late := c.Look(t.Context(), store, asked)
		fetch(t, c, store, 200, nil, `{"storeId":"st","defaultTtlSeconds":400}`)
		pass(time.Second)
		mark(t, c, ask(t, "PATCH", storePath)).Done(cache.Refused)
		fetch(t, c, ask(t, "GET", keyPath+"2"), 200, nil, "v")
		wantLook(t, c, ask(t, "GET", keyPath+"2"), "osgate; hit; ttl=4", "v")
		mark(t, c, ask(t, "PATCH", storePath)).Done(cache.Applied)
		receive(c, store, late, answer{200, nil, `{"storeId":"st","defaultTtlSeconds":400}`}, asked) // from before the change
		fetch(t, c, key, 200, nil, "v")
		wantLook(t, c, key, "osgate; hit; ttl=10", "v")
	})
}

func TestUnreadableStoreAnswerTeachesNothing(t *testing.T) {
	for _, body := range []string{"", "{", `{"defaultTtlSeconds":"4s"}`, `{"defaultTtlSeconds":0}`, `{"defaultTtlSeconds":-1}`, `[]`, `null`} {
		synctest.Test(t, func(t *testing.T) {
			c := newCache(t)
			fetch(t, c, ask(t, "GET", storePath), 200, nil, body)
			q := ask(t, "GET", keyPath)
			fetch(t, c, q, 200, nil, "v")
			wantLook(t, c, q, "osgate; hit; ttl=10", "v")
		})
	}
}

func TestPurgeReachesWhatIsNamed(t *testing.T) {
	key := "GET " + keyPath
	for name, tt := range map[string]struct {
		purging cache.PurgeTarget
		want    []string
	}{
		"all": {cache.PurgeTarget{All: true}, reads},
		"a store": {cache.PurgeTarget{Location: location, Ref: ask(t, "GET", storesPath+"/other").Operation.Ref},
			[]string{"GET " + storesPath, "GET " + storesPath + "/other", "GET " + storesPath + "/other/partitions/p/keys/k"}},
		"a partition": {cache.PurgeTarget{Location: location, Ref: ask(t, "GET", storePath+"/partitions/q/keys").Operation.Ref},
			[]string{"GET " + partitionsPath, "GET " + storePath + "/partitions/q/keys", "GET " + storePath + "/partitions/q/keys/k"}},
		"a key": {cache.PurgeTarget{Location: location, Ref: ask(t, "GET", keyPath).Operation.Ref},
			[]string{key, "HEAD " + keyPath, "GET " + keysPath, "GET " + partitionsPath}},
		"an environment":   {cache.PurgeTarget{Location: location, Ref: ask(t, "GET", storesPath).Operation.Ref}, []string{"GET " + storesPath}},
		"an organization":  {cache.PurgeTarget{Location: location, Ref: ask(t, "GET", regionsPath).Operation.Ref}, []string{"GET " + regionsPath}},
		"another location": {cache.PurgeTarget{Location: "eu/eu-west-1", Ref: ask(t, "GET", keyPath).Operation.Ref}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCache(t)
			fetchAll(t, c)
			n, err := c.Purge(t.Context(), tt.purging)
			if left := c.Stats().Entries; err != nil || n != len(tt.want) || left != len(reads)-n {
				t.Errorf("purged %d with %v, and %d are left; want %d of %d purged", n, err, left, len(tt.want), len(reads))
			}
			wantTouched(t, c, "osgate; fwd=miss", tt.want)
		})
	}
}

func TestPurgeReachesFetchesUnderWay(t *testing.T) {
	for name, purging := range map[string]cache.PurgeTarget{
		"all":   {All: true},
		"a key": {Location: location, Ref: ask(t, "GET", keyPath).Operation.Ref},
	} {
		c := newCache(t)
		q := ask(t, "GET", keyPath)
		r := c.Look(t.Context(), q, time.Now())
		if _, err := c.Purge(t.Context(), purging); err != nil {
			t.Fatal(err)
		}
		receive(c, q, r, answer{200, nil, "old"}, time.Now())
		status, _ := look(t, c, q)
		if want := "osgate; fwd=miss"; status != want {
			t.Errorf("%s: got %q, want %q", name, status, want)
		}
	}
}

func TestPurgeReachesOtherGateways(t *testing.T) {
	for name, purging := range map[string]cache.PurgeTarget{
		"all":   {All: true},
		"a key": {Location: location, Ref: ask(t, "GET", keyPath).Operation.Ref},
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t)
			var gateways [2]*cache.Cache
			for i := range gateways {
				coherence := onRedis(t, s, coherence.RedisOptions{Settle: time.Minute})
				gateways[i] = newCache(t, func(o *cache.Options) { o.Coherence = coherence })
			}
			q := ask(t, "GET", keyPath)
			fetch(t, gateways[1], q, 200, nil, "v")
			wantHit(t, gateways[1], q)
			if _, err := gateways[0].Purge(t.Context(), purging); err != nil {
				t.Fatal(err)
			}
			if r := gateways[1].Look(t.Context(), q, time.Now()); r.Entry != nil {
				t.Error("another gateway serves a purged entry")
			}
		})
	}
}

func TestPurgeOfNothingIsRefused(t *testing.T) {
	c := newCache(t)
	for _, p := range []cache.PurgeTarget{{}, {Location: location}, {Ref: ask(t, "GET", keyPath).Operation.Ref}} {
		if n, err := c.Purge(t.Context(), p); err == nil || n != 0 {
			t.Errorf("%+v: got %d, %v, want an error", p, n, err)
		}
	}
}
