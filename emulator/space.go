package emulator

import (
	"sync"
	"time"
)

// A space contains the stores of one environment in one region of one plane. Its
// operations run under its lock, one after the other.
type space struct {
	id   spaceID
	disk *disk // nil: memory only

	mu      sync.Mutex // guards the fields below
	stores  *shelf[*store]
	pending confirmations
	version uint64   // of the last written object
	undone  uint64   // order of the latest undo
	changes []change // of this operation, for disk
	unkept  map[*confirmation]struct{}
}

// spaceID identifies a space. None of its parts contains a control character.
type spaceID struct{ plane, region, environment string }

// spaceOf returns the space of an id, which it creates if necessary. There are at most
// 17 spaces for each environment of the world.
func (e *Emulator) spaceOf(id spaceID) *space {
	e.spacesMu.Lock()
	defer e.spacesMu.Unlock()
	s := e.spaces[id]
	if s == nil {
		s = newSpace(id, e.disk)
		e.spaces[id] = s
	}
	return s
}

// store is an object store.
type store struct {
	id         string
	attributes attributes
	partitions *shelf[*partition]
}

// partition is a named part of a store. It exists from the first write to it until it
// is deleted, even without keys.
type partition struct {
	name  string
	items *shelf[*item]
	// hidden is the confirmable deletion that has removed the partition until it is
	// settled.
	hidden *confirmation
	// undos are, by key, the items that unconfirmed operations would restore, oldest
	// first.
	undos map[string][]*undo
}

// item is the object of one key. Only expires changes.
type item struct {
	value
	version uint64
	expires time.Time
}

func newSpace(id spaceID, d *disk) *space {
	// Versions begin at the time of day, above those of the runs before.
	return &space{id: id, disk: d, stores: newShelf[*store](), version: uint64(time.Now().UnixMicro())}
}

func newPartition(name string) *partition {
	return &partition{name: name, items: newShelf[*item](), undos: map[string][]*undo{}}
}

// store returns the store of that name, or nil.
func (s *space) store(name string) *store {
	st, _ := s.stores.get(name)
	return st
}

// find returns a store and a partition of it, also a hidden one; nil if there is none.
func (s *space) find(storeID, name string) (*store, *partition) {
	st := s.store(storeID)
	if st == nil {
		return nil, nil
	}
	p, _ := st.partitions.get(name)
	return st, p
}

// partition returns the partition of that name, or nil.
func (st *store) partition(name string) *partition {
	p, ok := st.partitions.get(name)
	if !ok || p.hidden != nil {
		return nil
	}
	return p
}

// item returns the item stored under key, or nil. It removes an expired item.
func (s *space) item(st *store, p *partition, key string, now time.Time) *item {
	it, ok := p.items.get(key)
	if !ok {
		return nil
	}
	if !now.Before(it.expires) {
		s.drop(st, p, key)
		return nil
	}
	return it
}

// setStore creates a store or gives it other attributes.
func (s *space) setStore(id string, a attributes) *store {
	st := s.store(id)
	if st == nil {
		st = &store{id: id, partitions: newShelf[*partition]()}
	}
	st.attributes = a
	s.stores.put(id, st)
	s.keepStore(st)
	return st
}

// ensurePartition returns the partition of that name, which it creates or restores if
// necessary.
func (s *space) ensurePartition(st *store, name string) *partition {
	p, ok := st.partitions.get(name)
	if ok && p.hidden == nil {
		return p
	}
	if !ok {
		p = newPartition(name)
	}
	p.hidden = nil
	st.partitions.put(name, p)
	s.keepPartition(st, p)
	return p
}

// put stores a value under a key. It starts a new life: a write resets the TTL of fixed
// and rolling stores alike.
func (s *space) put(st *store, p *partition, key string, v value, now time.Time) *item {
	s.version++
	it := &item{value: v, version: s.version, expires: now.Add(st.attributes.ttl())}
	s.place(st, p, key, it)
	return it
}

// place sets the item of a key as it is.
func (s *space) place(st *store, p *partition, key string, it *item) {
	p.items.put(key, it)
	s.keepItem(st, p, key, it)
}

// drop removes a key.
func (s *space) drop(st *store, p *partition, key string) {
	if p.items.remove(key) {
		s.forgetItem(st, p, key)
	}
}

// rollingWindow is the last part of an object's life, in which a read extends it (page
// "Object Store v2": the last 7 of its 30 days).
const rollingWindow = 7 * 24 * time.Hour

// touch extends the life of an object of a rolling store that is near its end.
func (s *space) touch(st *store, p *partition, key string, it *item, now time.Time) {
	if st.attributes.fixed() || it.expires.Sub(now) > rollingWindow {
		return
	}
	if later := now.Add(st.attributes.ttl()); later.After(it.expires) {
		it.expires = later
		s.keepItem(st, p, key, it)
	}
}

// fixed reports whether the TTL is static: reads do not extend it.
func (a attributes) fixed() bool { return a.IsFixedTTL != nil && *a.IsFixedTTL }

// The methods below record the changes of a space for its disk; keep commits them
// together.

// storeRecord, partitionRecord and itemRecord are the contents of a shelf in their form
// on disk, with their place in it.
type storeRecord struct {
	Age        uint64     `json:"age"`
	Attributes attributes `json:"attributes"`
}

type partitionRecord struct {
	Age    uint64 `json:"age"`
	Hidden string `json:"hidden,omitempty"` // the confirmation's id
}

type itemRecord struct {
	Age      uint64            `json:"age,omitempty"`
	Version  uint64            `json:"version"`
	Expires  time.Time         `json:"expires"`
	Kind     string            `json:"kind"`
	Text     string            `json:"text"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Index    *int              `json:"index,omitempty"`
}

type confirmationRecord struct {
	Space     [3]string    `json:"space"`
	Store     string       `json:"store"`
	Partition string       `json:"partition"`
	Key       string       `json:"key"`
	Deadline  time.Time    `json:"deadline"`
	Undos     []undoRecord `json:"undos"`
}

type undoRecord struct {
	Key    string      `json:"key"`
	Order  uint64      `json:"order"` // of the undos of a key, the oldest first
	Before *itemRecord `json:"before,omitempty"`
}

func (it *item) record(age uint64) *itemRecord {
	return &itemRecord{age, it.version, it.expires, it.kind, it.text, it.metadata, it.index}
}

func (r *itemRecord) item() *item {
	return &item{value: value{r.Kind, r.Text, r.Metadata, r.Index}, version: r.Version, expires: r.Expires}
}

func (id spaceID) key(names ...string) string {
	return joined(append([]string{id.plane, id.region, id.environment}, names...)...)
}

// note adds a change to the changes of this operation.
func (s *space) note(c change) {
	if s.disk != nil {
		s.changes = append(s.changes, c)
	}
}

func (s *space) keepStore(st *store) {
	if s.disk != nil {
		r := storeRecord{s.stores.slot(st.id).age, st.attributes}
		s.note(change{bucket: storeBucket, key: s.id.key(st.id), value: record(r)})
	}
}

func (s *space) keepPartition(st *store, p *partition) {
	if s.disk != nil {
		r := partitionRecord{Age: st.partitions.slot(p.name).age}
		if p.hidden != nil {
			r.Hidden = p.hidden.id
		}
		s.note(change{bucket: partitionBucket, key: s.id.key(st.id, p.name), value: record(r)})
	}
}

func (s *space) keepItem(st *store, p *partition, key string, it *item) {
	if s.disk != nil {
		r := it.record(p.items.slot(key).age)
		s.note(change{bucket: itemBucket, key: s.id.key(st.id, p.name, key), value: record(r)})
	}
}

func (s *space) forgetStore(st *store) {
	s.note(change{bucket: storeBucket, key: s.id.key(st.id)})
	s.forgetPartitions(st)
}

func (s *space) forgetPartitions(st *store) {
	s.note(change{bucket: partitionBucket, key: s.id.key(st.id, ""), below: true})
	s.note(change{bucket: itemBucket, key: s.id.key(st.id, ""), below: true})
}

func (s *space) forgetPartition(st *store, p *partition) {
	s.note(change{bucket: partitionBucket, key: s.id.key(st.id, p.name)})
	s.forgetItems(st, p)
}

func (s *space) forgetItems(st *store, p *partition) {
	s.note(change{bucket: itemBucket, key: s.id.key(st.id, p.name, ""), below: true})
}

func (s *space) forgetItem(st *store, p *partition, key string) {
	s.note(change{bucket: itemBucket, key: s.id.key(st.id, p.name, key)})
}

// keepConfirmation marks c to be kept in its state at the end of the operation: it may
// change many times until then.
func (s *space) keepConfirmation(c *confirmation) {
	if s.disk == nil {
		return
	}
	if s.unkept == nil {
		s.unkept = map[*confirmation]struct{}{}
	}
	s.unkept[c] = struct{}{}
}

func (s *space) confirmationRecord(c *confirmation) confirmationRecord {
	r := confirmationRecord{
		Space: [3]string{s.id.plane, s.id.region, s.id.environment},
		Store: c.store, Partition: c.partition, Key: c.key, Deadline: c.deadline,
	}
	for _, u := range c.undos {
		if u.void {
			continue
		}
		kept := undoRecord{Key: u.key, Order: u.order}
		if u.before != nil {
			kept.Before = u.before.record(0)
		}
		r.Undos = append(r.Undos, kept)
	}
	return r
}

// keep commits the changes of the operation.
func (s *space) keep() error {
	for c := range s.unkept {
		s.note(change{bucket: confirmationBucket, key: c.id, value: record(s.confirmationRecord(c))})
	}
	clear(s.unkept)
	changes := s.changes
	s.changes = nil
	return s.disk.write(changes...)
}
