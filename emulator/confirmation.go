package emulator

import (
	"container/heap"
	"net/http"
	"time"
)

// A confirmable operation takes effect at once and stays pending: an ack makes it
// final, a nack or the end of its time rolls it back, a PATCH gives it more time.
//
// Each pending change of a key keeps an undo: the key's item before it. The undos of
// one key form a stack, the oldest first. Rolling back the top one restores its item;
// rolling back a lower one passes its item to the one above. A change that makes a
// key's value final (an ack, a write that needs no confirmation) settles the undos
// below: they have no item to restore any more.

// confirmation is a pending operation.
type confirmation struct {
	id               string
	store, partition string
	key              string // empty: of a whole partition
	deadline         time.Time
	undos            []*undo
	place            int // in the heap; -1 when settled
}

// undo is the item of one key before a pending operation. A settled undo is void.
type undo struct {
	of     *confirmation
	key    string
	order  uint64 // among all undos of the space
	before *item  // nil: the key did not exist
	void   bool
}

// confirmations is a heap of the pending confirmations, the first to expire on top,
// with an index.
type confirmations struct {
	list []*confirmation
	byID map[string]*confirmation
}

// Len implements heap.Interface.
func (h *confirmations) Len() int { return len(h.list) }

// Less implements heap.Interface.
func (h *confirmations) Less(i, j int) bool {
	a, b := h.list[i], h.list[j]
	return a.deadline.Before(b.deadline)
}

// Swap implements heap.Interface.
func (h *confirmations) Swap(i, j int) {
	h.list[i], h.list[j] = h.list[j], h.list[i]
	h.list[i].place, h.list[j].place = i, j
}

// Push implements heap.Interface.
func (h *confirmations) Push(x any) {
	c := x.(*confirmation) //nolint:errcheck // only confirmations are pushed
	c.place = len(h.list)
	h.list = append(h.list, c)
}

// Pop implements heap.Interface.
func (h *confirmations) Pop() any {
	last := len(h.list) - 1
	c := h.list[last]
	h.list[last], c.place = nil, -1
	h.list = h.list[:last]
	return c
}

// await makes c pending.
func (s *space) await(c *confirmation) {
	if s.pending.byID == nil {
		s.pending.byID = map[string]*confirmation{}
	}
	s.pending.byID[c.id] = c
	heap.Push(&s.pending, c)
	s.keepConfirmation(c)
}

// remember pushes the item of a key of p as c's undo for it, before c is pending.
func (s *space) remember(p *partition, c *confirmation, key string, before *item) {
	s.undone++
	u := &undo{of: c, key: key, order: s.undone, before: before}
	c.undos = append(c.undos, u)
	p.undos[key] = append(p.undos[key], u)
}

// settle voids the undos of key up to and including the one at position last.
func (s *space) settle(p *partition, key string, last int) {
	stack := p.undos[key]
	for _, u := range stack[:last+1] {
		u.void, u.before = true, nil
		s.keepConfirmation(u.of)
	}
	p.keepUndos(key, stack[last+1:])
}

func (p *partition) keepUndos(key string, stack []*undo) {
	if len(stack) == 0 {
		delete(p.undos, key)
		return
	}
	p.undos[key] = stack
}

// finish removes c from the pending confirmations.
func (s *space) finish(c *confirmation) {
	if c.place >= 0 {
		heap.Remove(&s.pending, c.place)
	}
	delete(s.pending.byID, c.id)
	s.forgetConfirmation(c)
}

func (s *space) forgetConfirmation(c *confirmation) {
	delete(s.unkept, c)
	s.note(change{bucket: confirmationBucket, key: c.id})
}

// forgetPending removes the pending confirmations for which match returns true, because
// the items that they would restore no longer exist.
func (s *space) forgetPending(match func(*confirmation) bool) {
	for _, c := range s.pending.byID {
		if match(c) {
			s.finish(c)
		}
	}
}

// ack makes c final.
func (s *space) ack(c *confirmation) {
	st, p := s.find(c.store, c.partition)
	if p != nil {
		for _, u := range c.undos {
			if !u.void {
				s.settle(p, u.key, p.position(u))
			}
		}
		if p.hidden == c {
			st.partitions.remove(p.name)
			s.forgetPartition(st, p)
			s.forgetPending(func(d *confirmation) bool {
				return d != c && d.store == c.store && d.partition == c.partition
			})
		}
	}
	s.finish(c)
}

// rollBack undoes c. A restored item may have expired; then it is removed at its next
// use, like any other.
func (s *space) rollBack(c *confirmation) {
	if st, p := s.find(c.store, c.partition); p != nil {
		if p.hidden == c {
			s.ensurePartition(st, p.name)
		}
		for _, u := range c.undos {
			if !u.void {
				s.rollBackKey(st, p, u)
			}
		}
	}
	s.finish(c)
}

// rollBackKey removes u from the stack of its key.
func (s *space) rollBackKey(st *store, p *partition, u *undo) {
	stack, at := p.undos[u.key], p.position(u)
	u.void = true
	if at+1 < len(stack) {
		above := stack[at+1]
		above.before = u.before
		s.keepConfirmation(above.of)
	} else if u.before != nil {
		s.place(st, p, u.key, u.before)
	} else {
		s.drop(st, p, u.key)
	}
	p.keepUndos(u.key, append(stack[:at:at], stack[at+1:]...))
}

// position returns the position of u in the stack of its key.
func (p *partition) position(u *undo) int {
	for i, other := range p.undos[u.key] {
		if other == u {
			return i
		}
	}
	panic("emulator: an undo that is not void is not on its key's stack")
}

// expire rolls back every confirmation whose time has ended.
func (s *space) expire(now time.Time) {
	for len(s.pending.list) > 0 && !now.Before(s.pending.list[0].deadline) {
		s.rollBack(s.pending.list[0])
	}
}

// extend gives c until deadline.
func (s *space) extend(c *confirmation, deadline time.Time) {
	c.deadline = deadline
	heap.Fix(&s.pending, c.place)
	s.keepConfirmation(c)
}

// confirmationHeader contains the id of a pending operation. The vendor's documents do
// not define how it is returned; a 204 can return it only in a header.
const confirmationHeader = "X-Confirmation-Id"

// newConfirmation returns a confirmation of the call's operation that is not pending
// yet.
func (c *call) newConfirmation() *confirmation {
	return &confirmation{
		id: c.ids.uuid(), store: c.ref.store, partition: c.ref.partition, key: c.ref.key,
		deadline: c.now.Add(c.store.attributes.confirmationTTL()), place: -1,
	}
}

func (a attributes) confirmationTTL() time.Duration {
	return time.Duration(a.DefaultConfirmationTTLSeconds) * time.Second
}

// confirmed returns a with the id of the pending operation, if there is one.
func (c *call) confirmed(a answer) answer {
	switch {
	case c.pending == nil:
		return a
	case c.chosen.is(confirmationID, "header"), c.in.Method == http.MethodHead:
		a.header.Set(confirmationHeader, c.pending.id)
		return a
	case c.in.Method == http.MethodGet:
		return a // the object already contains it
	}
	status := a.status
	if status == http.StatusNoContent {
		status = http.StatusOK
	}
	return jsonAnswer(status, map[string]string{"confirmationId": c.pending.id})
}

// wantConfirmation finds the pending operation of the path. One of a whole partition is
// found under any key of it.
func (c *call) wantConfirmation() error {
	found := c.space.pending.byID[c.ref.confirmation]
	if found == nil || found.store != c.ref.store || found.partition != c.ref.partition ||
		found.key != "" && found.key != c.ref.key {
		return missing("operation that waits for confirmation", c.ref.confirmation)
	}
	c.pending = found
	return nil
}

// confirmationOperations are the operations that settle a pending one.
func confirmationOperations() []operation {
	data := []string{scopeData}
	return []operation{
		{confirmationPath, http.MethodPost, data, noBody, (*call).ackConfirmation},
		{confirmationPath, http.MethodPatch, data, wantedObject, (*call).extendConfirmation},
		{confirmationPath, http.MethodDelete, data, noBody, (*call).nackConfirmation},
	}
}

func (c *call) ackConfirmation() (answer, error) {
	if err := c.wantConfirmation(); err != nil {
		return answer{}, err
	}
	c.space.ack(c.pending)
	return emptyAnswer(http.StatusNoContent), nil
}

func (c *call) nackConfirmation() (answer, error) {
	if err := c.wantConfirmation(); err != nil {
		return answer{}, err
	}
	c.space.rollBack(c.pending)
	return emptyAnswer(http.StatusNoContent), nil
}

// extendConfirmation gives a pending operation ttl seconds from now.
func (c *call) extendConfirmation() (answer, error) {
	var ttl *int64
	if err := c.body.read("ttl", &ttl); err != nil {
		return answer{}, err
	}
	if ttl == nil || *ttl < 1 || *ttl > maxTTLSeconds {
		return answer{}, problemf(http.StatusBadRequest, "ttl is not a number of seconds from 1 to %d", maxTTLSeconds)
	}
	if err := c.wantConfirmation(); err != nil {
		return answer{}, err
	}
	c.space.extend(c.pending, c.now.Add(time.Duration(*ttl)*time.Second))
	return emptyAnswer(http.StatusNoContent), nil
}
