package e2e

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"osgate/internal/redisconn/redistest"
)

// redisFull lets Redis answer reads and refuse writes, because it has no room (OOM).
func redisFull(w *deployment, _ *replica, lasts time.Duration) {
	w.refuseWrites(lasts, [2]string{"maxmemory", "1"}, [2]string{"maxmemory", "0"})
}

// redisUnsaved lets Redis refuse writes because it could not save (MISCONF).
func redisUnsaved(w *deployment, _ *replica, lasts time.Duration) {
	const failed = "rdb_last_bgsave_status:err"
	if !strings.Contains(w.redis.Do("INFO", "persistence"), failed) {
		w.redis.Do("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
		dir := filepath.Join(w.t.TempDir(), "gone")
		if err := os.Mkdir(dir, 0o700); err != nil {
			w.t.Error(err)
			return
		}
		w.redis.Do("CONFIG", "SET", "dir", dir)
		w.redis.Do("CONFIG", "SET", "save", "3600 1")
		_ = os.Remove(dir) // an existing file does not make the save fail, and the test would wait in vain
		w.redis.Do("BGSAVE")
		eventually(w.t, "Redis to fail to save", func() bool { return strings.Contains(w.redis.Do("INFO", "persistence"), failed) })
	}
	const setting = "stop-writes-on-bgsave-error"
	w.refuseWrites(lasts, [2]string{setting, "yes"}, [2]string{setting, "no"})
}

// refuseWrites makes Redis refuse writes by one setting, and accept them again by
// another one.
func (w *deployment) refuseWrites(lasts time.Duration, refuse, take [2]string) {
	w.staleness.begin(allReplicas)
	w.redis.Do("CONFIG", "SET", refuse[0], refuse[1])
	pause(lasts)
	w.redis.Do("CONFIG", "SET", take[0], take[1])
	w.staleness.end(w.replicas...)
}

// moveSlot moves the slot of the store to another node of the cluster, key by key.
func moveSlot(w *deployment, _ *replica, _ time.Duration) {
	c := w.cluster
	slot := c.Slot(anyKey(w.t, c, ":generation:"))
	to := (c.Owner(slot) + 1) % redistest.Nodes
	c.OpenSlot(slot, to)
	for keys := c.Keys(slot); len(keys) > 0; keys = c.Keys(slot) {
		pause(5 * time.Millisecond)
		c.MoveKeys(slot, to, keys[rand.IntN(len(keys))])
	}
	c.EndMove(slot, to)
	pause(historyLease) // otherwise the gateway settles all the time
}
