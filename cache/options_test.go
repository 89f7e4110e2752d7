package cache_test

import (
	"testing"
	"time"

	"osgate/cache"
)

func TestUnusableOptionsAreRefused(t *testing.T) {
	for name, change := range map[string]func(*cache.Options){
		"KeyTTL beyond an hour":      func(o *cache.Options) { o.KeyTTL = time.Hour + 1 },
		"StoresTTL beyond an hour":   func(o *cache.Options) { o.StoresTTL = 2 * time.Hour },
		"KeysTTL negative":           func(o *cache.Options) { o.KeysTTL = -1 },
		"EntryBytes beyond Bytes":    func(o *cache.Options) { o.EntryBytes = o.Bytes + 1 },
		"EntryBytes beyond 2 GiB":    func(o *cache.Options) { o.Bytes, o.EntryBytes = 1<<33, 1<<32 },
		"GrantTTL negative":          func(o *cache.Options) { o.GrantTTL = -1 },
		"ConfirmationLease negative": func(o *cache.Options) { o.ConfirmationLease = -1 },
		"no WriteLease":              func(o *cache.Options) { o.WriteLease = 0 },
	} {
		o := cache.Options{KeyTTL: time.Hour, Bytes: 1 << 20, EntryBytes: 1 << 10, WriteLease: 1}
		if _, err := cache.New(o); err != nil {
			t.Fatal(err)
		}
		change(&o)
		if _, err := cache.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
