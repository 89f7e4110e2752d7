package stats

import (
	"bytes"
	"context"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
)

// maxPruned bounds how many counts of a period one transaction removes because they are past their retention; the rest goes with the next.
const maxPruned = 1000

// Bolt is a [Store] in one file, for a single process. What it has acknowledged is on the disk: it survives a kill -9 and, as far as the disk
// keeps its word, a power cut. A clock that is ahead for an hour costs it a day's worth of its oldest counts at most. Make it by [OpenBolt].
type Bolt struct {
	db *bolt.DB
}

// Close closes the file once the transactions that run are over. Every later call on the store fails.
func (s *Bolt) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("closing statistics file: %w", err)
	}
	return nil
}

// MaxEntries implements [Store]. A commit waits for the disk, so it should not be many.
func (s *Bolt) MaxEntries() int { return 2000 }

// Apply implements [Store]: all batches in one transaction, which fails for all or for none.
func (s *Bolt) Apply(ctx context.Context, batches []*Batch) []error {
	err := s.write(ctx, func(tx *bolt.Tx) error {
		for _, b := range batches {
			if err := applyTo(tx, b); err != nil {
				return err
			}
		}
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

// believed moves the file's horizon for a batch that goes up to latest, and returns the hour that retention is reckoned from.
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

// prune removes what is past its retention at latest: counts a bounded number at a time, names and organizations once a month.
func prune(tx *bolt.Tx, latest time.Time) error {
	counts := tx.Bucket(boltCounts)
	for p := range periods {
		oldest, _ := p.chunk(p.oldest(latest))
		end := chunkKey(p, oldest)
		var old [][]byte
		cursor := counts.Cursor()
		for key, _ := cursor.Seek(end[:1]); key != nil && len(old) < maxPruned && bytes.Compare(key, end) < 0; key, _ = cursor.Next() {
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

// pruneApplied removes the sequence numbers of organizations that are forgotten.
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

// pruneSeen removes what was last counted in before oldest.
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
	rows := make([][]Counts, len(q.Scopes))
	err := s.read(ctx, func(tx *bolt.Tx) error {
		counts := tx.Bucket(boltCounts)
		for i, scope := range q.Scopes {
			rows[i] = readRow(counts, scope, q)
		}
		return nil
	})
	return rows, err
}

// readRow reads the counts of one scope, each chunk once.
func readRow(counts *bolt.Bucket, scope Scope, q CountsQuery) []Counts {
	row := make([]Counts, len(q.Starts))
	name := scopeKey(scope)
	var chunk [maxChunk]Counts
	var read time.Time // the chunk's beginning
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
	var seen []sighting
	err := s.read(ctx, func(tx *bolt.Tx) error {
		prefix, from := append(scopeKey(scope), 0), formatTime(Hour.Start(since))
		cursor := tx.Bucket(boltNames).Cursor()
		for key, hour := cursor.Seek(prefix); bytes.HasPrefix(key, prefix); key, hour = cursor.Next() {
			if bytes.Compare(hour, from) >= 0 {
				seen = append(seen, sighting{scope: scope.child(string(key[len(prefix):])), hour: parseTime(hour)})
			}
		}
		return nil
	})
	return namesOf(latestFirst(seen, len(seen))), err
}

// noteOrganization notes when the organization of b was last counted in.
func noteOrganization(tx *bolt.Tx, b *Batch) error {
	seen, key, hour := tx.Bucket(boltOrganizations), []byte(b.Scope.root()), formatTime(b.latest())
	if bytes.Compare(seen.Get(key), hour) >= 0 {
		return nil
	}
	return seen.Put(key, hour)
}

// Organizations implements [Store]. It reads all that were counted in within the retention of months.
func (s *Bolt) Organizations(ctx context.Context, since time.Time, limit int) ([]Scope, error) {
	var seen []sighting
	err := s.read(ctx, func(tx *bolt.Tx) error {
		from := formatTime(Hour.Start(since))
		return tx.Bucket(boltOrganizations).ForEach(func(key, hour []byte) error {
			if scope, ok := parseRoot(string(key)); ok && bytes.Compare(hour, from) >= 0 {
				seen = append(seen, sighting{scope: scope, hour: parseTime(hour)})
			}
			return nil
		})
	})
	return latestFirst(seen, limit), err
}

// SaveTree implements [Store].
func (s *Bolt) SaveTree(ctx context.Context, t Tree) error {
	return s.write(ctx, func(tx *bolt.Tx) error {
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
	t := Tree{Plane: plane, Root: organization}
	err := s.read(ctx, func(tx *bolt.Tx) error {
		key := scopeKey(Scope{Plane: plane, Organization: organization})
		if root := tx.Bucket(boltRoots).Get(key); root != nil {
			t.Root = string(root)
			return nil
		}
		prefix := append(key, 0)
		cursor := tx.Bucket(boltSubs).Cursor()
		for k, _ := cursor.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = cursor.Next() {
			t.Subs = append(t.Subs, string(k[len(prefix):]))
		}
		return nil
	})
	return t, err
}

// write runs f in a transaction that is on the disk when write returns nil. bbolt cannot be interrupted, so ctx is looked at before only.
func (s *Bolt) write(ctx context.Context, f func(*bolt.Tx) error) error {
	return guard(ctx, "writing statistics file", func() error { return s.db.Update(f) })
}

// read runs f on a consistent view of the file.
func (s *Bolt) read(ctx context.Context, f func(*bolt.Tx) error) error {
	return guard(ctx, "reading statistics file", func() error { return s.db.View(f) })
}

// guard turns every failure of f into an error that wraps [ErrUnavailable]. bbolt panics where a page is not what it should be: that must not
// end the gateway.
func guard(ctx context.Context, doing string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %s: damaged: %s", ErrUnavailable, doing, fault(p))
		}
	}()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if err := f(); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, doing, err)
	}
	return nil
}
