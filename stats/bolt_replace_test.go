package stats_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"osgate/stats"
)

// counting returns an open store that counts 3 operations of store a, and the path of
// its file.
func counting(t *testing.T) (s *stats.Bolt, path string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	s = openBolt(t, dir)
	apply(t, s, batch("p", 1, entry(inStore("a"), noon, 3, 2)))
	return s, filepath.Join(dir, "stats.db")
}

// tryApply applies b to s and returns the error for it.
func tryApply(t *testing.T, s *stats.Bolt, b *stats.Batch) error {
	t.Helper()
	return s.Apply(t.Context(), []*stats.Batch{b})[0]
}

func TestAStatisticsFileCutWhileInUseIsReplacedAndItsLossCounted(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int64{"to nothing": 0, "to a page": 4096, "to three pages": 3 * 4096} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, path := counting(t)
			if err := os.Truncate(path, size); err != nil {
				t.Fatal(err)
			}
			// A read finds the damage first: it fails, and the process continues.
			if _, err := s.Names(t.Context(), org, noon); !errors.Is(err, stats.ErrUnavailable) && err != nil {
				t.Errorf("Names of a cut file: %v", err)
			}
			apply(t, s, batch("p", 2, entry(inStore("a"), noon, 4, 4)))
			if got := count(t, s, org, stats.Month, noon); got != 4 {
				t.Errorf("the new file counts %d, want 4", got)
			}
			if got := s.Lost(); got != 3 {
				t.Errorf("%d operations are reported lost, want 3", got)
			}
			if aside := damaged(filepath.Dir(path)); len(aside) != 1 {
				t.Errorf("moved aside: %v, want one file", aside)
			}
		})
	}
}

// TestTheLossIsAllThatTheFileHeld checks that the loss includes the counts that the
// file contained when the store opened it.
func TestTheLossIsAllThatTheFileHeld(t *testing.T) {
	t.Parallel()
	dir := counted(t)
	s := openBolt(t, dir)
	if err := os.Truncate(filepath.Join(dir, "stats.db"), 0); err != nil {
		t.Fatal(err)
	}
	apply(t, s, batch("q", 1, entry(inStore("b"), noon, 1, 1)))
	if got := s.Lost(); got != 3 {
		t.Errorf("%d operations are reported lost, want the 3 of the run before", got)
	}
}

func TestADiskThatDamagesFilesAllTheTimeIsNotFilledWithThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, path := counting(t)
		for round := range 2 {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
			b := batch("p", uint64(2+round), entry(inStore("a"), noon, 1, 1))
			if round == 1 {
				if err := tryApply(t, s, b); !errors.Is(err, stats.ErrUnavailable) {
					t.Errorf("a second damaged file within a minute: %v, want ErrUnavailable", err)
				}
				<-time.After(time.Minute)
			}
			apply(t, s, b)
		}
		if aside := damaged(filepath.Dir(path)); len(aside) != 2 {
			t.Errorf("moved aside: %v, want two files", aside)
		}
	})
}

func TestARemovedStatisticsFileIsMadeAgainWithAllItsCounts(t *testing.T) {
	t.Parallel()
	remove := map[string]func(path string) error{
		"the file": os.Remove,
		"the file, while a former copy is unfinished": func(path string) error {
			return errors.Join(os.Remove(path), os.WriteFile(path+".part", []byte("unfinished"), 0o600))
		},
		"the directory": func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
		"moved away":    func(path string) error { return os.Rename(filepath.Dir(path), filepath.Dir(path)+"-away") },
	}
	for name, remove := range remove {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, path := counting(t)
			if err := remove(path); err != nil {
				t.Fatal(err)
			}
			if got := count(t, s, org, stats.Month, noon); got != 3 {
				t.Errorf("until it is made again %d operations are counted, want 3", got)
			}
			apply(t, s, batch("p", 1, entry(inStore("a"), noon, 3, 2))) // sent again: it was applied before
			apply(t, s, batch("p", 2, entry(inStore("a"), noon, 4, 4)))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if got := count(t, openBolt(t, filepath.Dir(path)), org, stats.Month, noon); got != 7 {
				t.Errorf("the file made again counts %d, want 7", got)
			}
			if got := s.Lost(); got != 0 {
				t.Errorf("%d operations are reported lost, want none", got)
			}
		})
	}
}

func TestAnotherFileInThePlaceOfTheOpenOneIsUsedAndTheLossCounted(t *testing.T) {
	t.Parallel()
	s, path := counting(t)
	if err := os.Rename(filepath.Join(counted(t), "stats.db"), path); err != nil {
		t.Fatal(err)
	}
	apply(t, s, batch("q", 2, entry(inStore("a"), noon, 4, 4)))
	if got := count(t, s, org, stats.Month, noon); got != 7 {
		t.Errorf("%d operations are counted, want the 3 of the other file and 4 new ones", got)
	}
	if got := s.Lost(); got != 3 {
		t.Errorf("%d operations are reported lost, want 3", got)
	}
}

// The state directory cannot be read: a file is in its place.
func TestAStateDirectoryThatCannotBeReadFailsWritesUntilItIsBack(t *testing.T) {
	t.Parallel()
	s, path := counting(t)
	dir := filepath.Dir(path)
	if err := errors.Join(os.Rename(dir, dir+"-away"), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	b := batch("p", 2, entry(inStore("a"), noon, 4, 4))
	if err := tryApply(t, s, b); !errors.Is(err, stats.ErrUnavailable) {
		t.Errorf("Apply: %v, want ErrUnavailable", err)
	}
	if got := count(t, s, org, stats.Month, noon); got != 3 {
		t.Errorf("meanwhile %d operations are read, want 3", got)
	}
	if err := errors.Join(os.Remove(dir), os.Rename(dir+"-away", dir)); err != nil {
		t.Fatal(err)
	}
	apply(t, s, b)
	if got := count(t, s, org, stats.Month, noon); got != 7 || s.Lost() != 0 {
		t.Errorf("%d operations are counted and %d lost, want 7 and 0", got, s.Lost())
	}
}
