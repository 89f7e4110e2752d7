package stats

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// The buckets of the file. boltFormat is the version of their names and contents.
var (
	boltMeta    = []byte("meta")    // boltVersion, boltPruned, boltHorizon
	boltCounts  = []byte("counts")  // period, chunk, scope -> packed
	boltNames   = []byte("names")   // scope, 0, name directly below it -> hour of the latest count
	boltApplied = []byte("applied") // organization -> last sequence number, process
	boltSubs    = []byte("subs")    // root organization, 0, sub-organization -> 1
	boltRoots   = []byte("roots")   // sub-organization -> root organization; empty: unknown

	boltOrganizations = []byte("organizations") // organization -> hour of the latest count

	boltVersion = []byte("version") // in meta: the format
	boltPruned  = []byte("pruned")  // in meta: the month in which names were pruned
	boltHorizon = []byte("horizon") // in meta: a horizon's two times
)

const (
	boltFile   = "stats.db"
	boltFormat = 2 // format 1 first had two measures and neither organizations nor a horizon, which are added
	// boltLock bounds the wait for another process to release the file.
	boltLock = time.Second
)

// boltPeriods are the first bytes of the keys of counts.
var boltPeriods = [periods]byte{Hour: 'h', Day: 'd', Month: 'm'}

// BoltOptions configures a [Bolt].
type BoltOptions struct {
	Dir    string       // the folder of the file, created if it does not exist. Required
	Logger *slog.Logger // logs when a damaged file is moved aside; nil: no logging
}

// errDamaged reports that a file is not, or is no longer, a statistics file.
var errDamaged = errors.New("damaged")

// errNewer reports that a file has a format that is not known yet. The file is left
// unchanged.
var errNewer = errors.New("it was written by a newer osgate: start that version, or name another state directory")

// OpenBolt opens the file stats.db in o.Dir, and creates it if it does not exist. It
// waits up to one second for another process that has it open, and then fails. A
// damaged file is renamed to stats.db.damaged- and the time, and replaced by an empty
// one, so that counting continues and the old counts can still be recovered. A file
// written by a newer version is an error and is left unchanged. OpenBolt reads the
// whole file once.
func OpenBolt(o BoltOptions) (*Bolt, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Bolt{path: filepath.Join(o.Dir, boltFile), logger: o.Logger, replacing: make(slots, 1)}
	file, err := s.openNow(time.Now())
	if err != nil {
		return nil, err
	}
	s.open.Store(file)
	return s, nil
}

// openNow opens the file at s's path, creates it if it does not exist, and moves a
// damaged one aside.
func (s *Bolt) openNow(now time.Time) (*openFile, error) {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return nil, fmt.Errorf("making state directory: %w", err)
	}
	file, err := openChecked(s.path)
	if errors.Is(err, errDamaged) {
		if moveErr := s.moveAside(err, now); moveErr != nil {
			return nil, moveErr
		}
		file, err = openChecked(s.path)
	}
	if err != nil {
		return nil, fmt.Errorf("opening statistics file %s: %w", s.path, err)
	}
	return file, nil
}

// moveAside renames the damaged file at s's path.
func (s *Bolt) moveAside(damage error, now time.Time) error {
	aside := s.path + ".damaged-" + now.UTC().Format("20060102T150405.000000000Z")
	if err := os.Rename(s.path, aside); err != nil {
		return fmt.Errorf("moving damaged statistics file aside: %w", err)
	}
	s.logger.Warn("the statistics file is damaged and was moved aside; counting starts anew",
		slog.String("file", s.path), slog.String("moved_to", aside), slog.Any("error", damage))
	return nil
}

// openChecked opens path, prepares it if it is new, and reads all of it. It returns
// errDamaged only for a damaged file, not for an error of the disk or another process.
// In that case it closes the file, unless it is too damaged for bbolt to release it.
func openChecked(path string) (file *openFile, err error) {
	// Reading at the target of a damaged page, or past the end of a file that was cut,
	// is a fault on mapped memory that would end the process.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			file, err = nil, fmt.Errorf("%w: %s", errDamaged, fault(p))
		}
	}()
	file = &openFile{reads: make(slots, maxBoltReads), writes: make(slots, 1)}
	file.db, err = bolt.Open(path, 0o600, &bolt.Options{
		Timeout: boltLock, FreelistType: bolt.FreelistMapType, OpenFile: file.take,
	})
	if err != nil {
		return nil, blame(err)
	}
	if err := file.check(); err != nil {
		return nil, errors.Join(err, file.db.Close())
	}
	return file, nil
}

// fault describes a panic of bbolt. A page that points out of the file causes a memory
// fault, whose own message would look like a bug of osgate.
func fault(thrown any) string {
	if _, ok := thrown.(runtime.Error); ok {
		return "its pages point outside the file"
	}
	return fmt.Sprint(thrown)
}

// blame distinguishes a damaged file from other reasons why a file cannot be opened.
func blame(err error) error {
	if errors.Is(err, bolterrors.ErrTimeout) {
		return errors.New("it is open in another process; each osgate needs a state directory of its own, or Redis")
	}
	_, isPath := errors.AsType[*fs.PathError](err)
	_, isSystem := errors.AsType[syscall.Errno](err)
	if isPath || isSystem {
		return err
	}
	return fmt.Errorf("%w: %w", errDamaged, err)
}

// check reads everything once, and creates missing buckets. It checks the format first,
// because only a file with a known format can be read.
func (f *openFile) check() error {
	if err := f.db.View(known); err != nil {
		return err
	}
	held := uint64(0)
	err := f.db.View(func(tx *bolt.Tx) (err error) {
		held, err = walk(tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	f.held.Store(held)
	if err := f.db.Update(prepare); err != nil {
		return err
	}
	info, err := f.handle.Stat()
	if err != nil {
		return err
	}
	f.size = info.Size()
	return nil
}

// walk reads every byte that bbolt would show, and then lets bbolt check its pages. The
// order matters: a fault in bbolt's check, which runs in a goroutine of its own, could
// not be recovered. walk returns the number of operations counted in the file.
func walk(tx *bolt.Tx) (held uint64, err error) {
	sum := crc32.NewIEEE()
	err = tx.ForEach(func(name []byte, b *bolt.Bucket) error {
		return b.ForEach(func(key, value []byte) error {
			if value == nil {
				return errors.New("a bucket contains a bucket")
			}
			_, _ = sum.Write(key) // never fails
			_, _ = sum.Write(value)
			if !bytes.Equal(name, boltCounts) {
				return nil
			}
			chunk, ok := packed(value).unpack()
			if !ok {
				return errors.New("counts are not readable")
			}
			if ofOrganization(key) {
				for _, c := range chunk {
					held += c.operations()
				}
			}
			return nil
		})
	})
	if err != nil {
		return 0, err
	}
	for found := range tx.Check() { // to the end, because the checker waits for its reader
		if err == nil {
			err = found
		}
	}
	return held, err
}

// ofOrganization reports whether key belongs to the months of an organization, which
// count each operation once.
func ofOrganization(key []byte) bool {
	return len(key) > 9 && key[0] == boltPeriods[Month] && bytes.Count(key[9:], []byte("/")) == 1
}

// known returns an error for a format that this version cannot read.
func known(tx *bolt.Tx) error {
	meta := tx.Bucket(boltMeta)
	if meta == nil {
		return nil // a new file; walk finds other problems
	}
	version := meta.Get(boltVersion)
	format, err := strconv.Atoi(string(version))
	switch {
	case version == nil:
		return nil
	case err != nil || format < 1:
		return fmt.Errorf("%w: its format %q is invalid", errDamaged, version)
	case format > boltFormat:
		return fmt.Errorf("its format is %d, this version knows up to %d: %w", format, boltFormat, errNewer)
	}
	return nil
}

// prepare creates the buckets and stores the format. A file without a horizon gets one
// from the latest day with counts.
func prepare(tx *bolt.Tx) error {
	for _, name := range [][]byte{
		boltMeta, boltCounts, boltNames, boltApplied, boltSubs, boltRoots, boltOrganizations,
	} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(boltMeta)
	if last := lastChunk(tx.Bucket(boltCounts)); meta.Get(boltHorizon) == nil && !last.IsZero() {
		if err := meta.Put(boltHorizon, formatHorizon(horizon{at: last})); err != nil {
			return err
		}
	}
	return meta.Put(boltVersion, []byte(strconv.Itoa(boltFormat)))
}

// lastChunk returns the beginning of the latest day with counts, zero if there is none.
func lastChunk(counts *bolt.Bucket) time.Time {
	cursor := counts.Cursor()
	key, _ := cursor.Seek([]byte{boltPeriods[Hour] + 1})
	if key == nil {
		key, _ = cursor.Last()
	} else {
		key, _ = cursor.Prev()
	}
	if len(key) < 9 || key[0] != boltPeriods[Hour] {
		return time.Time{}
	}
	return parseTime(key[1:9]).UTC()
}
