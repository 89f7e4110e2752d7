package cache_test

import (
	"strings"
	"testing"
	"time"

	"osgate/cache"
	"osgate/cache/coherence"
	"osgate/internal/redisconn/redistest"
)

// grantValue returns the key and the value of the only grant in s that no test has
// changed.
func grantValue(t *testing.T, s *redistest.Server) (key, value string) {
	t.Helper()
	keys := keysLike(t, s, "*:grant:*")
	if len(keys) != 1 {
		t.Fatalf("%d grants, want one", len(keys))
	}
	return keys[0], s.Do("GET", keys[0])
}

// tokenKey returns the key of the id of the only token in s.
func tokenKey(t *testing.T, s *redistest.Server) string {
	t.Helper()
	keys := keysLike(t, s, "*:token:*")
	if len(keys) != 1 {
		t.Fatalf("%d tokens, want one", len(keys))
	}
	return keys[0]
}

// A writer to Redis knows the id of a token, which is stored there in clear text, and
// the form of a grant.
func TestGrantThatIsMadeByHandIsWorthNothing(t *testing.T) {
	s := redistest.Start(t)
	a := newReplica(t, s)
	q := ask(t, "GET", keyPath)
	a.share(t, s, q, nil, "v")
	key, good := grantValue(t, s)
	wantServed(t, true, "with upstream's word", q, newReplica(t, s))
	id, digits, rest := good[:16], good[16:32], good[32:]
	last := len(digits) - 1
	another := digits[:last] + string('0'+(digits[last]-'0'+1)%10)
	for what, forged := range map[string]string{
		"as the first version had it": id + digits, "without a tag": good[:len(good)-16], "with another tag": good[:len(good)-16] + strings.Repeat("x", 16),
		"at another instant": id + another + rest, "made at another instant": id + digits + "\x00\x00" + rest[2:],
		"with a longer life": id + digits + rest[:8] + "\x7f" + rest[9:], "longer": good + "x", "of the id alone": id + "x",
	} {
		s.Do("SET", key, forged)
		c := newReplica(t, s)
		wantServed(t, false, what, q, c)
		if n := c.grants.Unreadable(); n == 0 {
			t.Errorf("%s: it is not counted", what)
		}
	}
	s.Do("SET", key, good)
	wantServed(t, true, "put back as it was", q, newReplica(t, s))
}

// A grant is of one token for one target under one id and cannot be used as another
// one.
func TestGrantIsBoundToItsTokenPlaceAndID(t *testing.T) {
	s := redistest.Start(t)
	a := newReplica(t, s)
	mine := ask(t, "GET", keyPath)
	a.share(t, s, mine, nil, "v")
	key, good := grantValue(t, s)
	other := mine // of the same principal by a token that upstream answers with a 403
	other.Token = [32]byte{0xee}
	b := newReplica(t, s)
	b.Look(t.Context(), other, time.Now()) // gives it an id
	var id, its string
	for _, k := range keysLike(t, s, "*:token:*") {
		if !strings.Contains(key, k[strings.LastIndex(k, ":"):]) {
			its, id = k, s.Do("GET", k)
		}
	}
	b.Grant(other, time.Now())
	await(t, "the other's grant is shared", func() bool { return len(keysLike(t, s, "*:grant:*")) == 2 })
	for _, k := range keysLike(t, s, "*:grant:*") {
		if k != key {
			s.Do("SET", k, id+good[16:]) // my grant under its id, at its key
			s.Do("SET", its, id)
		}
	}
	wantServed(t, false, "another token's grant", other, newReplica(t, s))
	s.Do("SET", tokenKeyOf(t, s, key), id)
	s.Do("SET", key, id+good[16:])
	wantServed(t, false, "under another id", mine, newReplica(t, s))
}

// tokenKeyOf returns the key of the id of the token whose grant is stored at key.
func tokenKeyOf(t *testing.T, s *redistest.Server, key string) string {
	t.Helper()
	for _, k := range keysLike(t, s, "*:token:*") {
		if strings.Contains(key, k[strings.LastIndex(k, ":"):]) {
			return k
		}
	}
	t.Fatal("no token has that grant")
	return ""
}

// Upstream refuses a token; a writer to Redis puts its id and its grant back. They are
// valid for the rest of the grant's life and no longer.
func TestGrantThatIsPutBackIsAsOldAsItIs(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	const life = 2 * time.Second
	brief := func(o *cache.Options) { o.GrantTTL, o.KeyTTL = life, time.Hour }
	a := newReplica(t, s, brief)
	q := ask(t, "GET", keyPath)
	a.share(t, s, q, nil, "v")
	key, grant := grantValue(t, s)
	id := s.Do("GET", tokenKey(t, s))
	a.Revoke(t.Context(), q.Token)
	wantServed(t, false, "after the refusal", q, a, newReplica(t, s, brief))
	for deadline := time.Now().Add(30 * time.Second); ; {
		s.Do("SET", tokenKey(t, s), id)
		s.Do("SET", key, grant)
		wantServed(t, false, "on the replica that saw the refusal", q, a)
		if newReplica(t, s, brief).Look(t.Context(), q, time.Now()).Entry == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("a grant of %v is good 30 s after the refusal", life)
		}
	}
}

func TestGrantsOfAnotherSecretAreWorthNothing(t *testing.T) {
	s := redistest.Start(t)
	a := newReplica(t, s)
	q := ask(t, "GET", keyPath)
	a.share(t, s, q, nil, "v")
	b := startReplica(t, s, otherSecret, time.Minute, func(o *cache.Options) { o.Shared = a.bodies }) // so that only the grant decides
	wantServed(t, false, "with another secret", q, b)
	if n := b.grants.Unreadable(); n != 1 {
		t.Errorf("%d unreadable grants, want one", n)
	}
}

func TestGrantsNeedASecret(t *testing.T) {
	s := redistest.Start(t)
	c := onConn(t, dialURL(t, s.URL(), time.Minute), coherence.RedisOptions{Settle: time.Minute})
	for _, secret := range [][]byte{nil, sharedSecret[1:]} {
		if g, err := c.Grants(secret); err == nil || g != nil {
			t.Errorf("grants are shared with a secret of %d bytes", len(secret))
		}
	}
}

// A grant of the future would keep newer ones out until then.
func TestGrantOfTheFutureIsReplaced(t *testing.T) {
	s := redistest.Start(t)
	a := newReplica(t, s)
	q := ask(t, "GET", keyPath)
	a.share(t, s, q, nil, "v")
	key, good := grantValue(t, s)
	s.Do("SET", key, good[:16]+"9999999999999999"+good[32:])
	b := newReplica(t, s)
	wantServed(t, false, "of the future", q, b)
	b.Grant(q, time.Now())
	await(t, "it is replaced", func() bool { return s.Do("GET", key)[16:32] != "9999999999999999" })
	wantServed(t, true, "after upstream's next word", q, newReplica(t, s))
}
