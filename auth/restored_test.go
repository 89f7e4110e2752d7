package auth_test

import (
	"encoding/hex"
	"testing"
	"time"

	"osgate/auth"
	"osgate/internal/redisconn/redistest"
)

// identityKey returns the Redis key for the identity of a hash.
func identityKey(hash [32]byte) string {
	return "osgate:identity:{" + hex.EncodeToString(hash[:]) + "}"
}

// A writer to Redis can restore a deleted identity and keep an ended one. The identity
// keeps its real age.
func TestIdentityThatIsPutBackIsAsOldAsItIs(t *testing.T) {
	s := redistest.Start(t)
	place, hash, backup := redisPlace(t, s, sealSecret), [32]byte{1}, identityKey([32]byte{1})+"backup"
	id := somebody
	place.Put(t.Context(), hash, &id, place.Get(t.Context(), hash).Clock.Add(-50*time.Second), time.Hour)
	s.Do("COPY", identityKey(hash), backup)
	for how, command := range map[string][]string{
		"with its whole life": {"PEXPIRE", identityKey(hash), "60000"}, "with more": {"PEXPIRE", identityKey(hash), "3600000"}, "without end": {"PERSIST", identityKey(hash)},
	} {
		place.Drop(t.Context(), hash)
		s.Do("COPY", backup, identityKey(hash))
		s.Do(command...)
		if got := place.Get(t.Context(), hash); got.Principal == nil || got.Age < 50*time.Second {
			t.Errorf("put back %s: %+v, want it 50 s old", how, got)
		}
	}
	const rest = 100 * time.Millisecond
	clock := place.Get(t.Context(), hash).Clock
	read := time.Now()
	place.Put(t.Context(), hash, &id, clock.Add(-50*time.Second), 50*time.Second+rest)
	s.Do("PERSIST", identityKey(hash))
	for taken := true; taken; {
		passed := time.Since(read)
		taken = place.Get(t.Context(), hash).Principal != nil
		if taken && passed > rest {
			t.Fatalf("an identity whose key has no end is taken %v beyond its own", passed-rest)
		}
	}
}

// A clock of Redis before the identity's time, as after a failover to a server whose
// clock is behind, makes it unusable.
func TestIdentityFromTheFutureIsNotTaken(t *testing.T) {
	s := redistest.Start(t)
	place, hash := redisPlace(t, s, sealSecret), [32]byte{1}
	id := somebody
	place.Put(t.Context(), hash, &id, place.Get(t.Context(), hash).Clock.Add(time.Hour), time.Minute)
	if got := place.Get(t.Context(), hash); got.Principal != nil || got.Clock.IsZero() {
		t.Errorf("%+v", got)
	}
}

// A revoked token is valid for no longer than its life, counted from the yes of the
// control plane, however often its identity is restored.
func TestRevokedTokenOutlivesNoLifeWhenPutBack(t *testing.T) {
	s := redistest.Start(t)
	brief := func(o *auth.Options) {
		o.TTL, o.Stale, o.Shared, o.Secret = time.Second, time.Second, redisPlace(t, s, sealSecret), sealSecret
	}
	a := newAuthenticator(t, yes, brief)
	hash := must(a.Identify(t.Context(), "us", token, "")).Hash
	known := time.Now()
	a.Close() // waits until the identities are shared
	backup := identityKey(hash) + "backup"
	s.Do("COPY", identityKey(hash), backup)
	if s.Do("PERSIST", backup) != "1" {
		t.Fatal("no identity is shared")
	}
	a.Forget("us", token)
	for {
		s.Do("COPY", backup, identityKey(hash), "REPLACE")
		s.Do("PEXPIRE", identityKey(hash), "2000")
		b, passed := newAuthenticator(t, no, brief), time.Since(known)
		_, err := b.Identify(t.Context(), "us", token, "")
		b.Close()
		if err != nil {
			return
		}
		if passed > time.Second {
			t.Fatalf("a revoked token with a life of 1 s is taken after %v", passed)
		}
	}
}

func must(id auth.Identity, err error) auth.Identity {
	if err != nil {
		panic(err)
	}
	return id
}
