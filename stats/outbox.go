package stats

import (
	"context"
	"time"
)

// outbox holds counts until a store acknowledges them. It is used by one flush at a
// time.
type outbox struct {
	process  string
	sequence uint64
	queues   map[Scope]*queue // by organization
	held     int              // entries in all queues
}

// queue is the part of an outbox for one organization.
type queue struct {
	doubt *Batch            // passed to the store and not acknowledged
	next  map[series]Counts // counts for the batches after it
}

func newOutbox(process string) *outbox {
	return &outbox{process: process, queues: make(map[Scope]*queue)}
}

// unwritten returns the number of operations held, and the number of their series.
func (o *outbox) unwritten() (operations uint64, series int) {
	for _, q := range o.queues {
		if q.doubt != nil {
			operations += q.doubt.operations()
		}
		for _, c := range q.next {
			operations += c.operations()
		}
	}
	return operations, o.held
}

// put adds tallies to the next batches.
func (o *outbox) put(tallies []tally) {
	for _, t := range tallies {
		organization := t.series.scope.organization()
		q := o.queues[organization]
		if q == nil {
			q = &queue{next: make(map[series]Counts)}
			o.queues[organization] = q
		}
		c, known := q.next[t.series]
		if !known {
			o.held++
		}
		c.Add(t.counts)
		q.next[t.series] = c
	}
}

// send passes batches to store, one of each organization at a time, until all are
// acknowledged or refused once. It returns the first error.
func (o *outbox) send(ctx context.Context, store Store) error {
	var first error
	refused := make(map[Scope]bool)
	for {
		batches := o.round(refused, store.MaxEntries())
		if len(batches) == 0 {
			return first
		}
		for i, err := range store.Apply(ctx, batches) {
			organization := batches[i].Scope
			if err == nil {
				o.acknowledge(organization)
				continue
			}
			refused[organization] = true
			if first == nil {
				first = err
			}
		}
	}
}

// round returns the next batch of each organization except the refused ones: the batch
// in doubt, unchanged, before a new one of at most limit entries.
func (o *outbox) round(refused map[Scope]bool, limit int) []*Batch {
	var batches []*Batch
	for organization, q := range o.queues {
		if refused[organization] {
			continue
		}
		if q.doubt == nil {
			q.doubt = o.cut(organization, q, limit)
		}
		batches = append(batches, q.doubt)
	}
	return batches
}

// cut makes a batch from the counts in q, of at most limit entries.
func (o *outbox) cut(organization Scope, q *queue, limit int) *Batch {
	o.sequence++
	b := &Batch{Process: o.process, Sequence: o.sequence, Scope: organization}
	for k, c := range q.next {
		if len(b.Entries) == limit {
			break
		}
		b.Entries = append(b.Entries, Entry{Scope: k.scope, Hour: time.Unix(k.hour*3600, 0).UTC(), Counts: c})
		delete(q.next, k)
	}
	return b
}

// acknowledge drops the batch in doubt, and the queue with it if it is empty.
func (o *outbox) acknowledge(organization Scope) {
	q := o.queues[organization]
	o.held -= len(q.doubt.Entries)
	q.doubt = nil
	if len(q.next) == 0 {
		delete(o.queues, organization)
	}
}
