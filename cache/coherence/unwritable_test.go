package coherence

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"osgate/internal/redisconn"
	"osgate/internal/redisconn/redistest"
)

// TestARedisThatReadsButCannotWriteServesNoHit: a write that this Redis cannot record
// may be under way through any gateway. So no read may be answered from its
// generations, although they exist.
func TestARedisThatReadsButCannotWriteServesNoHit(t *testing.T) {
	t.Parallel()
	configure := func(name, value string) func(*testing.T, *redistest.Server) {
		return func(_ *testing.T, s *redistest.Server) { s.Do("CONFIG", "SET", name, value) }
	}
	tests := map[string]struct {
		lose, back func(*testing.T, *redistest.Server)
	}{
		"full (OOM)":                    {configure("maxmemory", "1"), configure("maxmemory", "0")},
		"too few replicas (NOREPLICAS)": {configure("min-replicas-to-write", "1"), configure("min-replicas-to-write", "0")},
		"cannot be persisted (MISCONF)": {failToPersist, configure("stop-writes-on-bgsave-error", "no")},
		"has become a replica (READONLY)": {
			func(_ *testing.T, s *redistest.Server) { s.Do("REPLICAOF", "127.0.0.1", "1") },
			func(_ *testing.T, s *redistest.Server) { s.Do("REPLICAOF", "NO", "ONE") },
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, "--enable-protected-configs", "yes")
			c := gateway(t, s)
			running(t, c)
			before := read(t, c, resource(0))
			tt.lose(t, s)
			if got, err := c.Read(t.Context(), resource(0)); !errors.Is(err, redisconn.ErrDown) {
				t.Errorf("a read: %+v, %v; want an error that is ErrDown", got, err)
			}
			if err := c.Mark(t.Context(), resource(0), NewID(), time.Minute); err != nil {
				t.Errorf("a write, which is sent unmarked: %v", err)
			}
			tt.back(t, s)
			eventuallyReads(t, c, before)
		})
	}
}

// failToPersist makes Redis fail to save, after which it refuses writes.
func failToPersist(t *testing.T, s *redistest.Server) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s.Do("CONFIG", "SET", "dir", dir)
	s.Do("CONFIG", "SET", "save", "3600 1")
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	s.Do("BGSAVE")
	writer := client(t, s)
	for end := time.Now().Add(time.Minute); writer.Set(t.Context(), "probe", "1", 0).Err() == nil; {
		if time.Now().After(end) {
			t.Fatal("Redis still takes writes a minute after it could not save")
		}
	}
}

// eventuallyReads waits until c reads again, and checks that generations from before
// are closed, unless there was no write.
func eventuallyReads(t *testing.T, c *Redis, before Reading) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		got, err := c.Read(t.Context(), resource(0))
		switch {
		case err == nil && got.Stamp == before.Stamp && got.Closed == "":
			t.Error("a stamp of before serves although a write could not be marked")
			return
		case err == nil:
			return
		case time.Now().After(end):
			t.Fatalf("still no reading: %v", err)
		}
	}
}
