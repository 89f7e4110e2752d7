package stats

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
)

// maxPruned bounds the number of expired counts of a period that one transaction
// removes. The next transaction removes more.
const maxPruned = 1000

// Bolt is a [Store] in one file, for a single process. Acknowledged counts are on the
// disk: they survive a kill -9 and, if the disk keeps its guarantees, a power failure.
// A clock that is wrong and ahead for an hour costs at most a day of the oldest counts.
// Create it with [OpenBolt].
//
// The file may be cut, removed or replaced while it is open, and the disk may fail or
// hang: no call ends the process or takes longer than its ctx. See [Bolt.current] for
// how each case is handled, and [Bolt.Lost] for the counts lost.
type Bolt struct {
	path   string
	logger *slog.Logger

	replacing slots                    // held while the file is checked and replaced; guards replaced
	replaced  time.Time                // when a damaged file was last replaced
	open      atomic.Pointer[openFile] // nil: there is currently no usable file
	lost      atomic.Uint64
	closed    atomic.Bool
}

// closePatience bounds how long Close waits for running transactions.
const closePatience = 2 * time.Second

// Close closes the file after the running transactions end, and fails if one of them
// hangs. Every later call on the store fails.
func (s *Bolt) Close() error {
	s.closed.Store(true)
	file := s.open.Swap(nil)
	if file == nil || file.damaged.Load() {
		return nil
	}
	closed := make(chan error, 1)
	go func() { closed <- file.db.Close() }() // ends with the last transaction
	select {
	case err := <-closed:
		if err != nil {
			return fmt.Errorf("closing statistics file: %w", err)
		}
		return nil
	case <-time.After(closePatience):
		return errors.New("closing statistics file: a transaction does not end")
	}
}

// MaxEntries implements [Store]. A commit waits for the disk, so there should be few.
func (s *Bolt) MaxEntries() int { return 2000 }

// Apply implements [Store]. It applies all batches in one transaction, which succeeds
// or fails for all of them.
func (s *Bolt) Apply(ctx context.Context, batches []*Batch) []error {
	err := s.write(ctx, func(file *openFile, tx *bolt.Tx) error {
		var added uint64
		for _, b := range batches {
			if err := applyTo(tx, b); err != nil {
				return err
			}
			added += b.operations()
		}
		tx.OnCommit(func() { file.held.Add(added) })
		return nil
	})
	errs := make([]error, len(batches))
	for i := range errs {
		errs[i] = err
	}
	return errs
}

func applyTo(tx *bolt.Tx, b *Batch) error {
	applied := tx.Bucket(boltApplied)
	organization := []byte(b.Scope.root())
	if sequence, process := parseApplied(applied.Get(organization)); process == b.Process && sequence >= b.Sequence {
		return nil
	}
	counts := tx.Bucket(boltCounts)
	for _, inc := range b.increments() {
		start, at := inc.period.chunk(time.Unix(inc.start, 0))
		key := append(chunkKey(inc.period, start), scopeKey(inc.scope)...)
		chunk, _ := packed(counts.Get(key)).unpack()
		chunk[at].Add(inc.counts)
		if err := counts.Put(key, pack(&chunk)); err != nil {
			return err
		}
	}
	names := tx.Bucket(boltNames)
	for _, seen := range b.sightings() {
		key, hour := nameKey(seen.scope), formatTime(seen.hour)
		if bytes.Compare(names.Get(key), hour) >= 0 {
			continue
		}
		if err := names.Put(key, hour); err != nil {
			return err
		}
	}
	if err := noteOrganization(tx, b); err != nil {
		return err
	}
	at, err := believed(tx, b.latest())
	if err != nil {
		return err
	}
	if err := prune(tx, at); err != nil {
		return err
	}
	return applied.Put(organization, formatApplied(b.Sequence, b.Process))
}

// believed moves the file's horizon for a batch with the given latest hour, and returns
// the hour from which retention is computed.
func believed(tx *bolt.Tx, latest time.Time) (time.Time, error) {
	meta := tx.Bucket(boltMeta)
	h := parseHorizon(meta.Get(boltHorizon))
	before := h
	if h.advance(latest); h != before {
		if err := meta.Put(boltHorizon, formatHorizon(h)); err != nil {
			return time.Time{}, err
		}
	}
	if latest.Before(h.at) {
		return latest, nil
	}
	return h.at, nil
}

// prune removes data past its retention at latest: a bounded number of counts at a
// time, names and organizations once a month.
func prune(tx *bolt.Tx, latest time.Time) error {
	counts := tx.Bucket(boltCounts)
	for p := range periods {
		oldest, _ := p.chunk(p.oldest(latest))
		end := chunkKey(p, oldest)
		var old [][]byte
		cursor := counts.Cursor()
		for key, _ := cursor.Seek(end[:1]); key != nil && len(old) < maxPruned &&
			bytes.Compare(key, end) < 0; key, _ = cursor.Next() {
			old = append(old, bytes.Clone(key))
		}
		if err := deleteAll(counts, old); err != nil {
			return err
		}
	}
	meta, month := tx.Bucket(boltMeta), formatTime(Month.Start(latest))
	if bytes.Equal(meta.Get(boltPruned), month) {
		return nil
	}
	for _, name := range [][]byte{boltNames, boltOrganizations} {
		if err := pruneSeen(tx.Bucket(name), formatTime(Month.oldest(latest))); err != nil {
			return err
		}
	}
	if err := pruneApplied(tx); err != nil {
		return err
	}
	return meta.Put(boltPruned, month)
}

// pruneApplied removes the sequence numbers of organizations that were pruned.
func pruneApplied(tx *bolt.Tx) error {
	applied, organizations := tx.Bucket(boltApplied), tx.Bucket(boltOrganizations)
	var old [][]byte
	err := applied.ForEach(func(key, _ []byte) error {
		if organizations.Get(key) == nil {
			old = append(old, bytes.Clone(key))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return deleteAll(applied, old)
}

// pruneSeen removes entries whose last count is before oldest.
func pruneSeen(seen *bolt.Bucket, oldest []byte) error {
	var old [][]byte
	err := seen.ForEach(func(key, hour []byte) error {
		if bytes.Compare(hour, oldest) < 0 {
			old = append(old, bytes.Clone(key))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return deleteAll(seen, old)
}

func deleteAll(b *bolt.Bucket, keys [][]byte) error {
	for _, key := range keys {
		if err := b.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// Counts implements [Store].
func (s *Bolt) Counts(ctx context.Context, q CountsQuery) ([][]Counts, error) {
	return read(ctx, s, func(tx *bolt.Tx) ([][]Counts, error) {
		rows := make([][]Counts, len(q.Scopes))
		counts := tx.Bucket(boltCounts)
		for i, scope := range q.Scopes {
			rows[i] = readRow(counts, scope, q)
		}
		return rows, nil
	})
}

// readRow reads the counts of one scope, each chunk once.
func readRow(counts *bolt.Bucket, scope Scope, q CountsQuery) []Counts {
	row := make([]Counts, len(q.Starts))
	name := scopeKey(scope)
	var chunk [maxChunk]Counts
	var read time.Time // the beginning of the chunk that was read last
	for i, bucket := range q.Starts {
		start, at := q.Period.chunk(bucket)
		if i == 0 || !start.Equal(read) {
			chunk, _ = packed(counts.Get(append(chunkKey(q.Period, start), name...))).unpack()
			read = start
		}
		row[i] = chunk[at].only(q.Measures)
	}
	return row
}

// Names implements [Store].
func (s *Bolt) Names(ctx context.Context, scope Scope, since time.Time) ([]string, error) {
	return read(ctx, s, func(tx *bolt.Tx) ([]string, error) {
		var seen []sighting
		prefix, from := append(scopeKey(scope), 0), formatTime(Hour.Start(since))
		cursor := tx.Bucket(boltNames).Cursor()
		for key, hour := cursor.Seek(prefix); bytes.HasPrefix(key, prefix); key, hour = cursor.Next() {
			if bytes.Compare(hour, from) >= 0 {
				seen = append(seen, sighting{scope: scope.child(string(key[len(prefix):])), hour: parseTime(hour)})
			}
		}
		return namesOf(latestFirst(seen, len(seen))), nil
	})
}

// noteOrganization stores the hour of the latest count of b's organization.
func noteOrganization(tx *bolt.Tx, b *Batch) error {
	seen, key, hour := tx.Bucket(boltOrganizations), []byte(b.Scope.root()), formatTime(b.latest())
	if bytes.Compare(seen.Get(key), hour) >= 0 {
		return nil
	}
	return seen.Put(key, hour)
}

// Organizations implements [Store]. It reads all organizations with counts within the
// retention of months.
func (s *Bolt) Organizations(ctx context.Context, since time.Time, limit int) ([]Scope, error) {
	return read(ctx, s, func(tx *bolt.Tx) ([]Scope, error) {
		var seen []sighting
		from := formatTime(Hour.Start(since))
		err := tx.Bucket(boltOrganizations).ForEach(func(key, hour []byte) error {
			if scope, ok := parseRoot(string(key)); ok && bytes.Compare(hour, from) >= 0 {
				seen = append(seen, sighting{scope: scope, hour: parseTime(hour)})
			}
			return nil
		})
		return latestFirst(seen, limit), err
	})
}

// SaveTree implements [Store].
func (s *Bolt) SaveTree(ctx context.Context, t Tree) error {
	return s.write(ctx, func(_ *openFile, tx *bolt.Tx) error {
		subs, roots := tx.Bucket(boltSubs), tx.Bucket(boltRoots)
		prefix := append(scopeKey(Scope{Plane: t.Plane, Organization: t.Root}), 0)
		for _, sub := range t.Subs {
			key := scopeKey(Scope{Plane: t.Plane, Organization: sub})
			if t.Root == "" && roots.Get(key) != nil {
				continue
			}
			if err := roots.Put(key, []byte(t.Root)); err != nil {
				return err
			}
			if t.Root == "" {
				continue
			}
			if err := subs.Put(append(bytes.Clone(prefix), sub...), []byte{1}); err != nil {
				return err
			}
		}
		return nil
	})
}

// Tree implements [Store].
func (s *Bolt) Tree(ctx context.Context, plane, organization string) (Tree, error) {
	return read(ctx, s, func(tx *bolt.Tx) (Tree, error) {
		t := Tree{Plane: plane, Root: organization}
		key := scopeKey(Scope{Plane: plane, Organization: organization})
		if root := tx.Bucket(boltRoots).Get(key); root != nil {
			t.Root = string(root)
			return t, nil
		}
		prefix := append(key, 0)
		cursor := tx.Bucket(boltSubs).Cursor()
		for k, _ := cursor.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = cursor.Next() {
			t.Subs = append(t.Subs, string(k[len(prefix):]))
		}
		return t, nil
	})
}

// scopeKey returns the key of a scope. It never contains the byte 0.
func scopeKey(s Scope) []byte { return []byte(s.root() + s.path()) }

// nameKey returns the key of a scope below an organization, ordered by the scope around
// it.
func nameKey(s Scope) []byte {
	around, name, _ := s.parent()
	return append(append(scopeKey(around), 0), name...)
}

// chunkKey returns the beginning of the keys of all counts in one chunk of time; the
// scope follows. The keys are ordered by period and time, so that a write touches few
// pages and pruning starts at the oldest.
func chunkKey(p Period, start time.Time) []byte {
	return appendTime([]byte{boltPeriods[p]}, start)
}

// appendTime appends t so that bytes compare in the order of time, also before 1970.
func appendTime(b []byte, t time.Time) []byte {
	const sign = 1 << 63
	return binary.BigEndian.AppendUint64(b, uint64(t.Unix())^sign)
}

func formatTime(t time.Time) []byte { return appendTime(nil, t) }

// parseTime is the inverse of formatTime. It returns 1970 for invalid bytes.
func parseTime(b []byte) time.Time {
	const sign = 1 << 63
	if len(b) != 8 {
		return time.Unix(0, 0)
	}
	return time.Unix(int64(binary.BigEndian.Uint64(b)^sign), 0)
}

func formatApplied(sequence uint64, process string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, sequence), process...)
}

func parseApplied(value []byte) (sequence uint64, process string) {
	if len(value) < 8 {
		return 0, ""
	}
	return binary.BigEndian.Uint64(value), string(value[8:])
}

// formatHorizon returns the form of a horizon in meta.
func formatHorizon(h horizon) []byte { return appendTime(formatTime(h.at), h.leap) }

// parseHorizon is the inverse of formatHorizon. It returns a zero horizon for invalid
// bytes.
func parseHorizon(value []byte) horizon {
	if len(value) != 16 {
		return horizon{}
	}
	return horizon{at: parseTime(value[:8]).UTC(), leap: parseTime(value[8:]).UTC()}
}
