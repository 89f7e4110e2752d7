package stats

import (
	"context"
	"errors"
	"testing"
	"time"
)

// A transaction that does not end simulates a disk that hangs: bbolt allows one writing
// transaction at a time. Without the bound this test never ends.
func TestADiskThatHangsHoldsUpNoCallLongerThanItsContext(t *testing.T) {
	t.Parallel()
	s, err := OpenBolt(BoltOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	hanging, err := s.open.Load().db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := s.SaveTree(ctx, Tree{Plane: "us", Root: "root", Subs: []string{"sub"}})
		if cancel(); !errors.Is(err, ErrUnavailable) {
			t.Errorf("a write: %v, want ErrUnavailable", err)
		}
	}
	if got := len(s.open.Load().writes); got != 1 {
		t.Errorf("%d transactions hang, want the first alone", got)
	}
	if _, err := s.Tree(t.Context(), "us", "root"); err != nil {
		t.Errorf("a read meanwhile: %v", err)
	}
	if err := s.Close(); err == nil {
		t.Error("Close does not report the transaction that hangs")
	}
	if err := hanging.Rollback(); err != nil {
		t.Fatal(err)
	}
}
