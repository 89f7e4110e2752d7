package cache_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"osgate/cache"
)

func TestFetchOutlivesItsFirstCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		q := ask(t, "GET", keyPath)
		client, leave := context.WithCancel(t.Context())
		leader := lead(t, c, q)
		fetch, cancel := leader.found.Fill.FetchContext(client)
		defer cancel(nil)
		follower := follow(t, c, q)
		leave()
		synctest.Wait()
		if fetch.Err() != nil {
			t.Fatal("the fetch ended with its first caller")
		}
		leader.finish(200, nil, "v")
		if got := <-follower; got.Entry == nil {
			t.Errorf("got %+v", got)
		}
	})
}

func TestFetchEndsWhenNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		q := ask(t, "GET", keyPath)
		client, leave := context.WithCancel(t.Context())
		other, otherLeaves := context.WithCancel(t.Context())
		leader := lead(t, c, q)
		fetch, cancel := leader.found.Fill.FetchContext(client)
		defer cancel(nil)
		follower := followWith(other, t, c, q, time.Minute)
		leave()
		synctest.Wait()
		if fetch.Err() != nil {
			t.Error("the fetch ended before its follower left")
		}
		otherLeaves()
		if got := <-follower; !errors.Is(got.err, context.Canceled) {
			t.Errorf("got %+v", got)
		}
		synctest.Wait()
		if !errors.Is(context.Cause(fetch), context.Canceled) {
			t.Errorf("the fetch continues without followers: %v", context.Cause(fetch))
		}
		lead(t, c, q) // no read joins a fetch that has ended
	})
}

func TestFetchWithoutFollowersEndsWithItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		client, leave := context.WithCancel(t.Context())
		fetch, cancel := lead(t, c, ask(t, "GET", keyPath)).found.Fill.FetchContext(client)
		defer cancel(nil)
		leave()
		synctest.Wait()
		if fetch.Err() == nil {
			t.Error("the fetch continues without followers")
		}
	})
}

func TestFailureIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		q := ask(t, "GET", keyPath)
		leader := lead(t, c, q)
		followers := []<-chan outcome{follow(t, c, q), follow(t, c, q)}
		down := errors.New("down")
		leader.found.Fill.Fail(down)
		leader.found.Fill.Close(false)
		for _, f := range followers {
			if got := <-f; !errors.Is(got.err, down) {
				t.Errorf("got %+v", got)
			}
		}
	})
}

func TestLeadersOwnEndIsNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		q := ask(t, "GET", keyPath)
		leader := lead(t, c, q)
		followers := []<-chan outcome{follow(t, c, q), follow(t, c, q), follow(t, c, q)}
		leader.found.Fill.Fail(context.Canceled)
		leader.found.Fill.Close(false)
		synctest.Wait()
		var next *cache.Fill
		for _, f := range followers { // one of them fetches, the others wait for it
			select {
			case got := <-f:
				if got.Fill == nil || next != nil {
					t.Fatalf("got %+v", got)
				}
				next = got.Fill
			default:
			}
		}
		if next == nil {
			t.Fatal("no follower fetches")
		}
		(&reader{found: cache.Result{Fill: next}}).finish(200, nil, "v")
		synctest.Wait()
		if s := c.Stats(); s.Collapsed != 2 {
			t.Errorf("%+v", s)
		}
	})
}
