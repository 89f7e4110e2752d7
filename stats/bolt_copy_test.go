package stats

import (
	"context"
	"errors"
	"os"
	"testing"

	bolt "go.etcd.io/bbolt"
)

func TestACopyThatCannotTakeItsPlaceIsAnError(t *testing.T) {
	t.Parallel()
	s, err := OpenBolt(BoltOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := errors.Join(os.Remove(s.path), os.Mkdir(s.path, 0o700)); err != nil {
		t.Fatal(err)
	}
	if file, err := s.copyOf(t.Context(), s.open.Load()); err == nil || file != nil {
		t.Errorf("a folder is in the place of the file: %v, %v; want an error", file, err)
	}
}

func TestATransactionThatGetsNoTurnIsAnError(t *testing.T) {
	t.Parallel()
	s, err := OpenBolt(BoltOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	file := s.open.Load()
	if err := file.writes.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer file.writes.free()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	run := false
	err = file.transact(ctx, file.writes, func(*bolt.DB) error { run = true; return nil })
	if err == nil || run {
		t.Errorf("the only turn is taken: %v, it ran: %t; want an error", err, run)
	}
}
