package stats

import (
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

func TestATransactionRemovesABoundedNumberOfExpiredCounts(t *testing.T) {
	t.Parallel()
	s, err := OpenBolt(BoltOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	err = s.open.Load().db.Update(func(tx *bolt.Tx) error {
		counts := tx.Bucket(boltCounts)
		for i := range maxPruned + 1 {
			if err := counts.Put(chunkKey(Hour, now.AddDate(-1, 0, -i)), packed{byte(measures)}); err != nil {
				return err
			}
		}
		for _, want := range []int{1, 0} {
			if err := prune(tx, now); err != nil {
				return err
			}
			left := 0
			if err := counts.ForEach(func(_, _ []byte) error { left++; return nil }); err != nil {
				return err
			}
			if left != want {
				t.Errorf("%d expired counts are left, want %d", left, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
