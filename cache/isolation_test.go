package cache_test

import (
	"testing"
	"testing/synctest"
	"time"

	"osgate/cache"
	"osgate/objectstore"
)

func TestPrincipalsNeverShareEntries(t *testing.T) {
	c := newCache(t)
	q := ask(t, "GET", keyPath)
	fetch(t, c, q, 200, nil, "of one")
	other := q
	other.Scope, other.Token = "two", [32]byte{2}
	c.Grant(other, time.Now())
	wantMiss(t, c, other)
	fetch(t, c, other, 200, nil, "of two")
	for q, want := range map[*cache.Question]string{&q: "of one", &other: "of two"} {
		if _, body := look(t, c, *q); body != want {
			t.Errorf("%s got %q, want %q", q.Scope, body, want)
		}
	}
}

func TestLocationsNeverShareEntries(t *testing.T) {
	c := newCache(t)
	q := ask(t, "GET", keyPath)
	fetch(t, c, q, 200, nil, "in the US")
	q.Location = "eu/eu-west-1"
	c.Grant(q, time.Now())
	wantMiss(t, c, q)
}

func TestTokenWithoutAGrantIsNotServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		q := ask(t, "GET", keyPath)
		fetch(t, c, q, 200, nil, "v")
		other := q
		other.Token = [32]byte{2} // another token of the same principal, perhaps with fewer rights
		wantMiss(t, c, other)     // and does not learn that an entry is stored
		c.Grant(other, time.Now())
		wantHit(t, c, other)
	})
}

func TestGrantIsForOneKindOfReadOfOneStore(t *testing.T) {
	c := newCache(t)
	granted := map[string][]string{
		"GET " + keyPath:    {"GET " + keyPath, "GET " + keysPath + "/other", "GET " + storePath + "/partitions/q/keys/k"},
		"HEAD " + keyPath:   {"HEAD " + keyPath},
		"GET " + storesPath: {"GET " + storesPath},
		"GET " + keysPath:   {"GET " + keysPath, "GET " + storePath + "/partitions/q/keys"},
	}
	fetchAll(t, c)
	token := byte(1)
	for by, want := range granted {
		token++
		as := func(read string) cache.Question {
			method, path := split(read)
			q := ask(t, method, path)
			q.Token = [32]byte{token}
			return q
		}
		c.Grant(as(by), time.Now())
		is := map[string]bool{}
		for _, read := range want {
			is[read] = true
		}
		for _, read := range reads {
			if r := c.Look(t.Context(), as(read), time.Now()); (r.Entry != nil) != is[read] {
				t.Errorf("granted %s, read %s: hit is %t, want %t", by, read, r.Entry != nil, is[read])
			}
		}
	}
}

func TestRightThatIsTakenAwayEndsWithinTheGrantTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, func(o *cache.Options) { o.KeyTTL = time.Hour })
		q := ask(t, "GET", keyPath)
		fetch(t, c, q, 200, nil, "v")
		sent := time.Now()
		pass(30 * time.Second)
		c.Grant(q, sent) // a slow answer: the token had the right when the request was sent
		pass(30*time.Second - 1)
		wantHit(t, c, q)
		pass(1)
		wantLook(t, c, q, "osgate; fwd=miss; detail=grant-expired", "")
	})
}

func TestRefusedTokenLosesItsGrants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		q, list := ask(t, "GET", keyPath), ask(t, "GET", keysPath)
		fetch(t, c, q, 200, nil, "v")
		fetch(t, c, list, 200, nil, "v")
		other := q
		other.Token = [32]byte{2}
		c.Grant(other, time.Now())
		sent := time.Now()
		pass(time.Second)
		c.Revoke(t.Context(), q.Token)
		c.Grant(q, sent) // an answer to a request from before the refusal does not count
		wantMiss(t, c, q)
		wantMiss(t, c, list)
		wantHit(t, c, other)
		c.Grant(q, time.Now())
		wantHit(t, c, q)
		wantMiss(t, c, list)
		c.Revoke(t.Context(), other.Token) // two tokens that were refused share no fetch
		wantMiss(t, c, other)
		c.Revoke(t.Context(), q.Token)
		wantMiss(t, c, q)
	})
}

func TestWithoutGrantTTLThereAreNoHits(t *testing.T) {
	c := newCache(t, func(o *cache.Options) { o.GrantTTL = 0 })
	q := ask(t, "GET", keyPath)
	fetch(t, c, q, 200, nil, "v")
	if r := c.Look(t.Context(), q, time.Now()); r.Entry != nil {
		t.Error("got a hit, want none")
	}
}

func TestHeadersThatGoUpstreamChooseTheEntry(t *testing.T) {
	c := newCache(t)
	q := ask(t, "GET", keyPath)
	fetch(t, c, q, 200, nil, "v")
	for _, header := range [][]string{
		{"Accept", "text/plain"}, {"Accept", "a", "Accept", "b"}, {"Accept", "a, b"}, {"X-Anypnt-Env-Id", "e"}, {"X-Anypnt-Org-Id", "e"},
		{"User-Agent", "mule"}, {"Content-Type", "application/json"}, {"Content-Encoding", "gzip"},
	} {
		q := ask(t, "GET", keyPath, header...)
		wantMiss(t, c, q)
		fetch(t, c, q, 200, nil, "v")
	}
	wantHit(t, c, ask(t, "GET", keyPath, "Traceparent", "x", "Cookie", "y")) // neither field is part of the entry's name
}

// asking contains the parts that must be equal for two questions to share an entry.
type asking struct {
	kind                   objectstore.Kind
	ref                    objectstore.Ref
	query, scope, location string
	hasAccept, hasPlatform bool
	accept, platform       string
}

func FuzzDifferentQuestionsNeverShareAKey(f *testing.F) {
	f.Add("one", location, "GET", storesPath, "", "", "two", location, "GET", storesPath, "", "")
	f.Add("a", "b", "GET", keyPath, "pageSize=1", "x", "ab", "", "GET", keyPath, "pageSize=1", "x")
	f.Add("a", "b", "GET", keysPath+"/a%20b", "", "x", "a", "b", "GET", keysPath+"/a+b", "", "x")
	f.Add("a", "b", "GET", keysPath+"/%41", "", "", "a", "b", "HEAD", keysPath+"/A", "", "")
	f.Add("a", "b", "GET", storesPath+"/x%2Fpartitions", "", "", "a", "b", "GET", storesPath+"/x/partitions", "", "")
	c := newCache(f)
	f.Fuzz(func(t *testing.T, scope1, location1, method1, path1, query1, header1, scope2, location2, method2, path2, query2, header2 string) {
		q1, a1, ok1 := question(scope1, location1, method1, path1, query1, header1)
		q2, a2, ok2 := question(scope2, location2, method2, path2, query2, header2)
		if !ok1 || !ok2 {
			return
		}
		if equal := c.Key(q1) == c.Key(q2); equal != (a1 == a2) {
			t.Errorf("keys are equal is %t for\n%+v\n%+v", equal, a1, a2)
		}
	})
}

// question makes a question of arbitrary parts. Header is the value of Accept, or of an
// X-Anypnt header if it begins with "!".
func question(scope, location, method, path, query, header string) (cache.Question, asking, bool) {
	o, err := objectstore.Parse(method, "/api/v1/organizations/org/"+path, query)
	if err != nil {
		return cache.Question{}, asking{}, false
	}
	q := cache.Question{Scope: scope, Location: location, Operation: o, Header: map[string][]string{}}
	a := asking{kind: o.Kind, ref: o.Ref, query: o.RawQuery(), scope: scope, location: location}
	switch {
	case header != "" && header[0] == '!':
		a.hasPlatform, a.platform = true, header[1:]
		q.Header["X-Anypnt-Org-Id"] = []string{a.platform}
	case header != "":
		a.hasAccept, a.accept = true, header
		q.Header["Accept"] = []string{a.accept}
	}
	return q, a, true
}
