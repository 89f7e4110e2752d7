package emulator

import "time"

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

func (s *space) forgetConfirmation(c *confirmation) {
	delete(s.unkept, c)
	s.note(change{bucket: confirmationBucket, key: c.id})
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
