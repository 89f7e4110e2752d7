package emulator

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// loaded is an item that is loaded for a shelf.
type loaded[T any] struct {
	name  string
	age   uint64
	thing T
}

// group collects the items of many shelves.
type group[T any] map[*shelf[T]][]loaded[T]

// fill puts the items on their shelves in the order of their ages.
func (g group[T]) fill() {
	for s, things := range g {
		slices.SortFunc(things, func(a, b loaded[T]) int { return cmp.Compare(a.age, b.age) })
		for _, l := range things {
			s.putAt(l.name, l.thing, l.age)
		}
	}
}

// errOrphan is the error for a record whose store or partition is missing.
var errOrphan = errors.New("a record without what it belongs to")

// populate loads the data of a former run, or the stores and entries of the world.
func (e *Emulator) populate(o Options) error {
	if e.disk != nil {
		if err := e.load(); err != nil {
			return err
		}
	}
	// Each run has ids of its own, even with the same seed.
	e.ids = newDice(o.Seed, "ids "+strconv.Itoa(e.runs))
	if e.tokenKey == nil {
		e.tokenKey = e.ids.bytes(32)
	}
	if !e.seeded {
		if err := e.seed(o.World); err != nil {
			return err
		}
	}
	return e.disk.write(
		change{bucket: metaBucket, key: "runs", value: record(e.runs + 1)},
		change{bucket: metaBucket, key: "token key", value: e.tokenKey},
		change{bucket: metaBucket, key: "seeded", value: record(true)},
	)
}

// seed creates the stores and entries of a world.
func (e *Emulator) seed(w *World) error {
	now := e.clock.now()
	type storeID struct{ environment, id string }
	in := map[storeID][]*space{}
	for _, s := range w.Stores {
		a := defaultAttributes(s.ID)
		a.DefaultTTLSeconds = within(s.TTLSeconds, maxTTLSeconds)
		a.DefaultConfirmationTTLSeconds = within(s.ConfirmationTTLSeconds, confirmationTTLSeconds)
		a.IsFixedTTL = s.Fixed
		for _, l := range s.locations(e.atlas) {
			place := e.spaceOf(spaceID{l.plane, l.region, s.Environment})
			place.setStore(s.ID, a)
			id := storeID{s.Environment, s.ID}
			in[id] = append(in[id], place)
		}
	}
	for _, entry := range w.Entries {
		v, err := entry.object().value()
		if err != nil {
			return err // impossible: the world was checked
		}
		key, err := canonicalKey(entry.Key, maxName)
		if err != nil {
			return err // likewise
		}
		for _, place := range in[storeID{entry.Environment, entry.Store}] {
			st := place.store(entry.Store)
			place.put(st, place.ensurePartition(st, entry.Partition), key, v, now)
		}
	}
	for _, place := range e.spaces {
		if err := place.keep(); err != nil {
			return err
		}
	}
	return nil
}

// locations returns the locations of a store of a world: all 17 unless it names some.
func (s Store) locations(a *atlas) []location {
	var places []location
	for _, text := range s.Locations {
		planeID, regionID, _ := strings.Cut(text, "/")
		places = append(places, location{planeID, regionID})
	}
	if places != nil {
		return places
	}
	for l := range a.regions {
		places = append(places, l)
	}
	slices.SortFunc(places, func(x, y location) int { return cmp.Compare(x.String(), y.String()) })
	return places
}

// load reads all data that a former run kept.
func (e *Emulator) load() error {
	for _, read := range []func() error{
		e.loadMeta, e.loadStores, e.loadPartitions, e.loadItems,
		e.loadConfirmations, e.loadTokens, e.loadScopes, e.loadSecrets, e.loadCounts,
	} {
		if err := read(); err != nil {
			return err
		}
	}
	return nil
}

func (e *Emulator) loadMeta() error {
	return e.disk.read(metaBucket, func(key string, value []byte) error {
		switch key {
		case "clock":
			var ahead int64
			if err := json.Unmarshal(value, &ahead); err != nil {
				return err
			}
			e.clock.ahead.Store(ahead)
		case "runs":
			return json.Unmarshal(value, &e.runs)
		case "seeded":
			return json.Unmarshal(value, &e.seeded)
		case "token key":
			e.tokenKey = slices.Clone(value)
		}
		return nil
	})
}

// spaceAt returns the space that a key begins with, and the names after it.
func (e *Emulator) spaceAt(key string) (*space, []string) {
	parts := strings.Split(key, "\x00")
	return e.spaceOf(spaceID{parts[0], parts[1], parts[2]}), parts[3:]
}

func (e *Emulator) loadStores() error {
	stores := group[*store]{}
	err := e.disk.read(storeBucket, func(key string, value []byte) error {
		var r storeRecord
		if err := json.Unmarshal(value, &r); err != nil {
			return err
		}
		s, names := e.spaceAt(key)
		st := &store{id: names[0], attributes: r.Attributes, partitions: newShelf[*partition]()}
		stores[s.stores] = append(stores[s.stores], loaded[*store]{names[0], r.Age, st})
		return nil
	})
	stores.fill()
	return err
}

func (e *Emulator) loadPartitions() error {
	partitions := group[*partition]{}
	err := e.disk.read(partitionBucket, func(key string, value []byte) error {
		var r partitionRecord
		if err := json.Unmarshal(value, &r); err != nil {
			return err
		}
		s, names := e.spaceAt(key)
		p := newPartition(names[1])
		if r.Hidden != "" {
			p.hidden = &confirmation{id: r.Hidden} // until the confirmations are loaded
		}
		st := s.store(names[0])
		if st == nil {
			return errOrphan
		}
		shelf := st.partitions
		partitions[shelf] = append(partitions[shelf], loaded[*partition]{names[1], r.Age, p})
		return nil
	})
	partitions.fill()
	return err
}

func (e *Emulator) loadItems() error {
	items := group[*item]{}
	err := e.disk.read(itemBucket, func(key string, value []byte) error {
		var r itemRecord
		if err := json.Unmarshal(value, &r); err != nil {
			return err
		}
		s, names := e.spaceAt(key)
		_, p := s.find(names[0], names[1])
		if p == nil {
			return errOrphan
		}
		items[p.items] = append(items[p.items], loaded[*item]{names[2], r.Age, r.item()})
		return nil
	})
	items.fill()
	return err
}

func (e *Emulator) loadConfirmations() error {
	touched := map[*partition]bool{}
	err := e.disk.read(confirmationBucket, func(id string, value []byte) error {
		var r confirmationRecord
		if err := json.Unmarshal(value, &r); err != nil {
			return err
		}
		s := e.spaceOf(spaceID{r.Space[0], r.Space[1], r.Space[2]})
		c := &confirmation{id: id, store: r.Store, partition: r.Partition, key: r.Key, deadline: r.Deadline}
		_, p := s.find(c.store, c.partition)
		if p == nil {
			return errOrphan
		}
		for _, kept := range r.Undos {
			u := &undo{of: c, key: kept.Key, order: kept.Order}
			if kept.Before != nil {
				u.before = kept.Before.item()
			}
			c.undos = append(c.undos, u)
			p.undos[u.key] = append(p.undos[u.key], u)
			s.undone = max(s.undone, u.order)
		}
		if p.hidden != nil && p.hidden.id == id {
			p.hidden = c
		}
		s.await(c)
		touched[p] = true
		return nil
	})
	for p := range touched {
		for _, stack := range p.undos {
			slices.SortFunc(stack, func(a, b *undo) int { return cmp.Compare(a.order, b.order) })
		}
	}
	return err
}

func (e *Emulator) loadTokens() error {
	for _, kind := range []*tokens{e.access, e.refresh} {
		kept := map[digest]*grant{}
		err := e.disk.read(kind.bucket, func(key string, value []byte) error {
			g := new(grant)
			if err := json.Unmarshal(value, g); err != nil {
				return err
			}
			raw, err := base64.RawURLEncoding.DecodeString(key)
			if err != nil || len(raw) != len(digest{}) {
				return errors.New("a token's digest is malformed")
			}
			kept[digest(raw)] = g
			return nil
		})
		if err != nil {
			return err
		}
		kind.restore(kept)
	}
	return nil
}

// restore makes tokens of a former run valid again.
func (t *tokens) restore(kept map[digest]*grant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for d, g := range kept {
		t.held[d] = g
		t.line = append(t.line, d)
	}
	slices.SortFunc(t.line, func(a, b digest) int {
		return cmp.Or(t.held[a].Expires.Compare(t.held[b].Expires), slices.Compare(a[:], b[:]))
	})
}

func (e *Emulator) loadScopes() error {
	return e.disk.read(scopeBucket, func(client string, value []byte) error {
		var scopes []string
		if err := json.Unmarshal(value, &scopes); err != nil {
			return err
		}
		e.directory.setScopes(client, scopes)
		return nil
	})
}

func (e *Emulator) loadSecrets() error {
	return e.disk.read(secretBucket, func(client string, value []byte) error {
		var secret string
		if err := json.Unmarshal(value, &secret); err != nil {
			return err
		}
		e.directory.setSecret(client, Secret(secret))
		return nil
	})
}

func (e *Emulator) loadCounts() error {
	return e.disk.read(countBucket, func(_ string, value []byte) error {
		var r countRecord
		if err := json.Unmarshal(value, &r); err != nil {
			return err
		}
		of := series{r.Series[0], r.Series[1], r.Series[2], r.Series[3], r.Series[4]}
		if e.stats.hours[of] == nil {
			e.stats.hours[of] = map[int64]int64{}
		}
		e.stats.hours[of][r.Hour] = r.N
		return nil
	})
}
