package stats_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/stats"
)

// killedDir is an environment variable of a child process of TestBoltSurvivesKill. Its
// value is the folder to which the child writes.
const killedDir = "STATS_TEST_KILLED_DIR"

// TestMain runs the tests. In a child process it applies batches until the parent kills
// it.
func TestMain(m *testing.M) {
	if dir := os.Getenv(killedDir); dir != "" {
		applyUntilKilled(dir)
	}
	os.Exit(m.Run())
}

// applyUntilKilled writes the number of each batch to standard output once the store
// has acknowledged the batch.
func applyUntilKilled(dir string) {
	s, err := stats.OpenBolt(stats.BoltOptions{Dir: dir})
	if err != nil {
		panic(err)
	}
	for sequence := uint64(1); ; sequence++ {
		b := batch("child", sequence, entry(inStore(fmt.Sprint("store-", sequence%100)), noon, 1, 0))
		if err := s.Apply(context.Background(), []*stats.Batch{b})[0]; err != nil {
			panic(err)
		}
		os.Stdout.WriteString(strconv.FormatUint(sequence, 10) + "\n")
	}
}

// TestBoltSurvivesKill kills a process with SIGKILL while it writes. The file is valid
// and contains each batch that the process reported as acknowledged; a batch that was
// being written is there as a whole or not at all.
func TestBoltSurvivesKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for round := range 3 {
		dir := filepath.Join(dir, strconv.Itoa(round))
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$") // killed below
		cmd.Env = append(os.Environ(), killedDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var acknowledged uint64
		lines := bufio.NewScanner(out)
		for i := 0; lines.Scan(); i++ {
			acknowledged, _ = strconv.ParseUint(lines.Text(), 10, 64)
			if i == 7+11*round {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait() // it was killed
		if acknowledged == 0 {
			t.Fatal("the child acknowledged nothing")
		}
		s := openBolt(t, dir)
		if found, _ := filepath.Glob(filepath.Join(dir, "*damaged*")); found != nil {
			t.Fatalf("the file is damaged: %v", found)
		}
		if got := count(t, s, org, stats.Month, noon); got != acknowledged && got != acknowledged+1 {
			t.Errorf("%d of %d acknowledged batches are there", got, acknowledged)
		}
		var stores uint64
		for i := range 100 {
			stores += count(t, s, inStore(fmt.Sprint("store-", i)), stats.Hour, noon)
		}
		if got := count(t, s, org, stats.Month, noon); got != stores {
			t.Errorf("the stores sum to %d, the organization has %d", stores, got)
		}
	}
}

func TestBoltKeepsEverythingWhenReopened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openBolt(t, dir)
	b := batch("p", 1, entry(inStore("a"), noon, 3, 2))
	apply(t, s, b)
	if err := s.SaveTree(t.Context(), stats.Tree{Plane: "us", Root: "root", Subs: []string{"sub"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openBolt(t, dir)
	apply(t, s, b) // sent again: the store was opened anew by the same process
	if got := count(t, s, inStore("a"), stats.Hour, noon); got != 3 {
		t.Errorf("got %d, want 3", got)
	}
	if got, err := s.Tree(t.Context(), "us", "sub"); err != nil || got.Root != "root" {
		t.Errorf("Tree: %+v, %v; want root", got, err)
	}
}

func TestAClosedBoltAppliesNothing(t *testing.T) {
	t.Parallel()
	s := openBolt(t, t.TempDir())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	err := errors.Join(s.Apply(t.Context(), []*stats.Batch{batch("p", 1, entry(inStore("a"), noon, 1, 1))})...)
	if !errors.Is(err, fs.ErrClosed) || !errors.Is(err, stats.ErrUnavailable) {
		t.Errorf("the error is %v, want one that wraps fs.ErrClosed and ErrUnavailable", err)
	}
}

// TestBoltFileIsForOneProcess checks that a second process waits a second for the file,
// and then fails.
func TestBoltFileIsForOneProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	openBolt(t, dir)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := stats.OpenBolt(stats.BoltOptions{Dir: dir})
		if err == nil || !strings.Contains(err.Error(), "open in another process") {
			t.Errorf("a second OpenBolt: %v, want that the file is open", err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("it failed after %v, want a second", took)
		}
	})
	if found, _ := filepath.Glob(filepath.Join(dir, "*damaged*")); found != nil {
		t.Errorf("a file in use was moved aside: %v", found)
	}
}

func TestBoltFileIsForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made")
	openBolt(t, dir)
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "stats.db"): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
}

func TestBoltThatCannotBeMadeIsNotDamaged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "stats.db"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := stats.OpenBolt(stats.BoltOptions{Dir: dir}); err == nil {
		t.Error("a folder was opened as a file")
	}
	if _, err := os.Stat(filepath.Join(dir, "stats.db")); err != nil {
		t.Errorf("a file without damage was moved aside: %v", err)
	}
}

// whole returns the bytes of a file with many counts in it.
func whole(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	s := openBolt(t, dir)
	for i := range 10 {
		var entries []stats.Entry
		for j := range 100 {
			entries = append(entries, entry(inStore(fmt.Sprintf("store-%d-%d", i, j)), noon.Add(time.Duration(i)*time.Hour), 1, 1))
		}
		apply(t, s, batch("p", uint64(i+1), entries...))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(dir, "stats.db"))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestDamagedBoltFileIsMovedAside opens files that are damaged in many ways. No damage
// may end the process. Each file is replaced by a store that works, kept under another
// name, and reported.
func TestDamagedBoltFileIsMovedAside(t *testing.T) {
	t.Parallel()
	good := whole(t)
	zeroed := func(from, to int) []byte {
		b := append([]byte(nil), good...)
		clear(b[from:to])
		return b
	}
	noise := func(from, to int) []byte {
		b := append([]byte(nil), good...)
		random := rand.New(rand.NewPCG(1, 2))
		for i := from; i < to; i++ {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	const page = 4096
	tests := map[string][]byte{
		"one byte":             {0},
		"text":                 []byte("these are no statistics\n"),
		"much text":            []byte(strings.Repeat("these are no statistics\n", 10_000)),
		"both meta pages gone": zeroed(0, 2*page),
		"all zero":             zeroed(0, len(good)),
		"cut to one page":      good[:page],
		"cut to three pages":   good[:3*page],
		"cut to half":          good[:len(good)/2],
		"data zeroed":          zeroed(4*page, len(good)),
		"data is noise":        noise(4*page, len(good)),
	}
	for name, content := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "stats.db")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			s, err := stats.OpenBolt(stats.BoltOptions{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatalf("OpenBolt: %v", err)
			}
			defer s.Close()
			apply(t, s, batch("q", 1, entry(inStore("a"), noon, 1, 1)))
			if got := count(t, s, org, stats.Hour, noon); got != 1 {
				t.Errorf("the new store counts %d, want 1", got)
			}
			aside, _ := filepath.Glob(path + ".damaged-*")
			if len(aside) != 1 {
				t.Fatalf("moved aside: %v, want one file", aside)
			}
			if kept, err := os.ReadFile(aside[0]); err != nil || string(kept) != string(content) {
				t.Errorf("the file moved aside has %d bytes (%v), want the %d that were there", len(kept), err, len(content))
			}
			if !strings.Contains(log.String(), aside[0]) || !strings.Contains(log.String(), path) {
				t.Errorf("the report is %s; want both names", log.String())
			}
			if strings.Contains(log.String(), "runtime error") {
				t.Errorf("the report is %s; it looks like a bug of the gateway and not like damage", log.String())
			}
		})
	}
}

// TestNoDamageEndsTheProcess overwrites a page or a few bytes at random places, many
// times. Whatever that does to the file, opening it and counting must not panic, and
// either all of the file is there or it was moved aside. (A changed digit of a count
// cannot be detected.)
func TestNoDamageEndsTheProcess(t *testing.T) {
	t.Parallel()
	good := whole(t)
	random := rand.New(rand.NewPCG(3, 4))
	dir := t.TempDir()
	moved := 0
	for i := range 60 {
		content := append([]byte(nil), good...)
		for range 1 + random.IntN(3) {
			at, n := random.IntN(len(content)), 1+random.IntN(64)
			for j := at; j < min(at+n, len(content)); j++ {
				content[j] = byte(random.Uint32())
			}
		}
		dir := filepath.Join(dir, strconv.Itoa(i))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "stats.db"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := stats.OpenBolt(stats.BoltOptions{Dir: dir})
		if err != nil {
			if !strings.Contains(err.Error(), "format") { // the damage hit the byte of the format
				t.Fatalf("damage %d: OpenBolt: %v", i, err)
			}
			continue
		}
		// A store that opens may still find damage; it may return an error, but must
		// not panic.
		_ = s.Apply(t.Context(), []*stats.Batch{batch("q", 1, entry(inStore("a"), noon, 1, 1))})[0]
		_, _ = s.Names(t.Context(), stats.Scope{Plane: "us", Organization: "org"}, noon)
		_ = s.Close()
		if found, _ := filepath.Glob(filepath.Join(dir, "*damaged*")); found != nil {
			moved++
		}
		_ = os.RemoveAll(dir)
	}
	if moved == 0 {
		t.Error("no damage was noticed")
	}
	t.Logf("%d of 60 were moved aside", moved)
}
