package stats_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"osgate/stats"
)

// TestCheckOfAStateDirectoryFindsWhatOpeningWouldFind compares the check of a folder
// with the attempt to open it, which comes afterwards.
func TestCheckOfAStateDirectoryFindsWhatOpeningWouldFind(t *testing.T) {
	t.Parallel()
	write := func(t *testing.T, path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		make func(t *testing.T) (dir string)
		want string // part of both errors; "": no error
	}{
		"an empty folder":      {func(t *testing.T) string { return t.TempDir() }, ""},
		"a folder to be made":  {func(t *testing.T) string { return filepath.Join(t.TempDir(), "a", "b") }, ""},
		"a statistics file":    {counted, ""},
		"a file of no bytes":   {func(t *testing.T) string { d := t.TempDir(); write(t, filepath.Join(d, "stats.db"), ""); return d }, ""},
		"a damaged file":       {func(t *testing.T) string { d := t.TempDir(); write(t, filepath.Join(d, "stats.db"), "text"); return d }, ""},
		"a newer format":       {func(t *testing.T) string { d := counted(t); tamper(t, d, put("meta", "version", "3")); return d }, "newer osgate"},
		"a file as the folder": {func(t *testing.T) string { f := filepath.Join(t.TempDir(), "f"); write(t, f, ""); return f }, "not a directory"},
		"a file above the folder": {func(t *testing.T) string {
			f := filepath.Join(t.TempDir(), "f")
			write(t, f, "")
			return filepath.Join(f, "state")
		}, "not a directory"},
		"a folder as the file": {func(t *testing.T) string {
			d := t.TempDir()
			if err := os.Mkdir(filepath.Join(d, "stats.db"), 0o700); err != nil {
				t.Fatal(err)
			}
			return d
		}, "is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := tt.make(t)
			checked := stats.CheckBolt(dir)
			s, opened := stats.OpenBolt(stats.BoltOptions{Dir: dir})
			if opened == nil {
				t.Cleanup(func() { _ = s.Close() })
			}
			for what, err := range map[string]error{"check": checked, "open": opened} {
				if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%s: %v, want %q", what, err, tt.want)
				}
			}
		})
	}
}

func TestCheckOfAStateDirectoryRequiresRightsToIt(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may write to every folder")
	}
	for _, dir := range []string{"", "below"} {
		parent := t.TempDir()
		if err := os.Chmod(parent, 0o500); err != nil {
			t.Fatal(err)
		}
		if err := stats.CheckBolt(filepath.Join(parent, dir)); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("%q in a folder without the right to write: %v", dir, err)
		}
	}
}

// TestCheckOfAStateDirectoryChangesNothing checks a file in use, and a folder that
// does not exist.
func TestCheckOfAStateDirectoryChangesNothing(t *testing.T) {
	t.Parallel()
	dir := counted(t)
	s := openBolt(t, dir)
	began := time.Now()
	if err := stats.CheckBolt(dir); err != nil {
		t.Errorf("beside a process that has it open: %v", err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("it waited for that process: %v", took)
	}
	apply(t, s, batch("p", 2, entry(inStore("a"), noon, 1, 1)))
	absent := filepath.Join(t.TempDir(), "absent")
	if err := stats.CheckBolt(absent); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(absent); !os.IsNotExist(err) {
		t.Errorf("it made the folder: %v", err)
	}
}
