package stats_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"osgate/stats"
)

// tamper changes the file in dir without the store's knowledge.
func tamper(t *testing.T, dir string, change func(tx *bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(filepath.Join(dir, "stats.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(change); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// put returns a change that writes one value.
func put(bucket, key, value string) func(*bolt.Tx) error {
	return func(tx *bolt.Tx) error { return tx.Bucket([]byte(bucket)).Put([]byte(key), []byte(value)) }
}

// counted returns a folder whose file counts 3 operations in store a at noon.
func counted(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	s := openBolt(t, dir)
	apply(t, s, batch("p", 1, entry(inStore("a"), noon, 3, 2)))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func damaged(dir string) []string {
	found, _ := filepath.Glob(filepath.Join(dir, "*damaged*")) // the pattern is well-formed
	return found
}

// TestBoltOfANewerFormatIsLeftAlone writes to a file both a newer format and counts
// that only a newer version can read.
func TestBoltOfANewerFormatIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := counted(t)
	path := filepath.Join(dir, "stats.db")
	tamper(t, dir, put("meta", "version", "3"))
	tamper(t, dir, put("counts", "h-key", "\x05of five measures"))
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = stats.OpenBolt(stats.BoltOptions{Dir: dir})
	for _, part := range []string{path, "format is 3", "up to 2", "start that version", "another state directory"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("OpenBolt: %v, want an error with %q", err, part)
		}
	}
	after, err := os.ReadFile(path)
	if err != nil || string(after) != string(before) {
		t.Errorf("the file was changed (%v)", err)
	}
	if found := damaged(dir); found != nil {
		t.Errorf("moved aside: %v", found)
	}
}

// TestBoltOfTheFirstFormatIsReadAndRenumbered opens a file of an older version. After
// that, no version that cannot read the file accepts it as its own.
func TestBoltOfTheFirstFormatIsReadAndRenumbered(t *testing.T) {
	t.Parallel()
	dir := counted(t)
	tamper(t, dir, put("meta", "version", "1"))
	s := openBolt(t, dir)
	if got := count(t, s, inStore("a"), stats.Hour, noon); got != 3 {
		t.Errorf("got %d, want 3", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tamper(t, dir, func(tx *bolt.Tx) error {
		if got := string(tx.Bucket([]byte("meta")).Get([]byte("version"))); got != "2" {
			t.Errorf("the format is %q now, want 2", got)
		}
		return nil
	})
}

func TestBoltWithoutAFormatThatExistsIsDamaged(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"", "0", "-1", "two"} {
		dir := counted(t)
		tamper(t, dir, put("meta", "version", version))
		openBolt(t, dir)
		if found := damaged(dir); len(found) != 1 {
			t.Errorf("format %q: moved aside: %v, want one file", version, found)
		}
	}
}

// TestUnreadableCountsAreDamage writes a value that is not a chunk into a file that is
// valid for bbolt.
func TestUnreadableCountsAreDamage(t *testing.T) {
	t.Parallel()
	dir := counted(t)
	tamper(t, dir, put("counts", "h-key", "no counts"))
	openBolt(t, dir)
	if found := damaged(dir); len(found) != 1 {
		t.Errorf("moved aside: %v, want one file", found)
	}
}

// TestBoltForgetsTheSequencesOfForgottenOrganizations counts two years after the last
// count of an organization.
func TestBoltForgetsTheSequencesOfForgottenOrganizations(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openBolt(t, dir)
	apply(t, s, batch("p", 1, entry(stats.Scope{Plane: "us", Organization: "old"}, noon, 1, 0)))
	pass(t, s, org, noon, noon.AddDate(0, 25, 0))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tamper(t, dir, func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("applied")).ForEach(func(key, _ []byte) error {
			if string(key) != "us/org" {
				t.Errorf("the last batch of %s is remembered", key)
			}
			return nil
		})
	})
}
