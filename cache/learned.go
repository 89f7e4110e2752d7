package cache

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"osgate/objectstore"
)

// learnedStores is how many stores are remembered, twice that at most. One that is forgotten falls back to what is configured.
const learnedStores = 8192

// learned remembers what store answers that pass tell of a store: how long its values live, beyond which none must be served, and how long
// a confirmable operation may still roll back. Both are in the store object ("Object Store v2 REST APIs").
type learned struct {
	mu     sync.Mutex // guards stores
	stores recent[digest, storeTimes]
}

type storeTimes struct {
	since        time.Time     // what was asked before tells of a store that has been changed since
	ttl          time.Duration // defaultTtlSeconds; 0: not known
	confirmation time.Duration // defaultConfirmationTtlSeconds; 0: not known
}

func newLearned() *learned {
	return &learned{stores: newRecent[digest, storeTimes](learnedStores)}
}

func (l *learned) of(location string, ref objectstore.Ref) storeTimes {
	if ref.Store == "" {
		return storeTimes{}
	}
	name := storeName(location, ref)
	l.mu.Lock()
	defer l.mu.Unlock()
	times, _ := l.stores.get(name)
	return times
}

// forget is for a store that may have been changed by now: what was asked before
// teaches nothing.
func (l *learned) forget(location string, ref objectstore.Ref, now time.Time) {
	name := storeName(location, ref)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stores.put(name, storeTimes{since: now})
}

// learnable reports whether the answer to o describes stores.
func learnable(o *objectstore.Operation, status int) bool {
	return status == http.StatusOK && (o.Kind == objectstore.GetStore || o.Kind == objectstore.ListStores)
}

// storeObject is what we read of a store object; numbers that are not whole seconds are left alone.
type storeObject struct {
	StoreID      string      `json:"storeId"`
	TTL          json.Number `json:"defaultTtlSeconds"`
	Confirmation json.Number `json:"defaultConfirmationTtlSeconds"`
}

// learn reads a complete answer. One that cannot be read teaches nothing.
func (l *learned) learn(f *Fill) {
	if !learnable(&f.operation, f.status) {
		return
	}
	var found []storeObject
	if f.operation.Kind == objectstore.GetStore {
		var one storeObject
		if json.Unmarshal(f.body, &one) != nil {
			return
		}
		one.StoreID = f.operation.Ref.Store // asked by its name, which the answer may spell in another way
		found = []storeObject{one}
	} else {
		var page struct {
			Values []storeObject `json:"values"`
		}
		if json.Unmarshal(f.body, &page) != nil {
			return
		}
		found = page.Values
	}
	for _, s := range found {
		ref := f.operation.Ref
		ref.Store = s.StoreID
		l.put(storeName(f.location, ref), storeTimes{since: f.asked, ttl: seconds(s.TTL), confirmation: seconds(s.Confirmation)})
	}
}

// put keeps the times unless the store has been changed, or asked for, later.
func (l *learned) put(name digest, times storeTimes) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.stores.get(name); !ok || !known.since.After(times.since) {
		l.stores.put(name, times)
	}
}

// seconds is 0 where n says nothing: upstream replaces a value below 1 by 30 days (vendor page "Object Store v2 FAQ").
func seconds(n json.Number) time.Duration {
	v, err := n.Int64()
	if err != nil || v < 0 || v > maxDelta {
		return 0
	}
	return time.Duration(v) * time.Second
}
