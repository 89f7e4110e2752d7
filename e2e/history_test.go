package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"
)

// The keys of a history: the partitions of the demo store, and the keys of each. They
// fit on one page of a key list (25).
const (
	historyPartitions = 5
	historyKeys       = 4 // of each partition
)

// operation is the kind of a request of a history.
type operation uint8

const (
	getKey          operation = iota
	getKeyNoCache             // GET of a key with Cache-Control: no-cache
	headKey                   // HEAD of a key
	listKeys                  // of the partition
	putKey                    // with a value of its own
	deleteKey                 //
	deleteKeys                // DELETE of all keys of the partition, which stays
	deletePartition           // with its keys
)

var operationNames = [...]string{"get", "get-fresh", "head", "list", "put", "delete", "delete-keys", "delete-partition"}

// String implements [fmt.Stringer].
func (v operation) String() string { return operationNames[v] }

// writes reports whether the verb changes the store.
func (v operation) writes() bool { return v >= putKey }

// historyRequest is one request of a history.
type historyRequest struct {
	operation      operation
	partition, key int
	value          int32         // of a put; never 0
	confirmable    bool          // a put that rolls back by itself, unless it is confirmed
	pause          time.Duration // of the client of a put, in the middle of its body
}

// outcome is the known result of a request when its history is complete.
type outcome struct {
	status int   // 0: unknown; the write may have taken effect at any time after it was sent, or never
	value  int32 // of a key that was read
	keys   uint8 // a bit for each key that was listed
}

// history records the requests that clients sent for one store through several
// gateways, and their responses. Its methods are safe for concurrent use.
type history struct {
	began       time.Time
	name        string       // its partitions; histories with names of their own can share a store
	latestValue atomic.Int32 // value written

	mu         sync.Mutex // guards the fields below
	operations []porcupine.Operation
	counts     historyCounts
	invalid    []string // answers that no client should receive
}

// historyCounts counts what a history covers.
type historyCounts struct {
	reads, hits, writes int // answered
	unknown             int // writes
	refused             int // writes that the gateway reported as not sent
	lost                int // reads without an answer of upstream or cache
	maybeStale          int // reads that may have been stale, and are not checked
}

func newHistory(name string) *history { return &history{began: time.Now(), name: name} }

// countsSoFar returns the counts up to now.
func (h *history) countsSoFar() historyCounts {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counts
}

// target returns the path of the request.
func (h *history) target(q historyRequest) string {
	partition := fmt.Sprintf("%s/partitions/%s-%d", demoStore, h.name, q.partition)
	switch q.operation {
	case deletePartition:
		return partition
	case listKeys, deleteKeys:
		return partition + "/keys"
	default:
		return fmt.Sprintf("%s/keys/key-%d", partition, q.key)
	}
}

// newPut returns a put of a value that no other request writes.
func (h *history) newPut(partition, key int) historyRequest {
	return historyRequest{operation: putKey, partition: partition, key: key, value: h.latestValue.Add(1)}
}

// perform sends a request and records its outcome. It returns the response, or nil if
// there was none.
func (h *history) perform(client int, c client, q historyRequest) *answer {
	called := time.Since(h.began)
	a, err := h.send(c, q)
	return h.record(client, q, called, a, err)
}

// performUnlessStale is perform, but it does not record a read whose response may be
// stale.
func (h *history) performUnlessStale(client int, c client, q historyRequest, stale func(*answer) bool) {
	called := time.Since(h.began)
	a, err := h.send(c, q)
	if err == nil && !q.operation.writes() && stale(a) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.counts.maybeStale++
		return
	}
	h.record(client, q, called, a, err)
}

// performAsStranger is perform for a client whose writes may be refused: by Object
// Store, or by the gateway if there are too many of them. A refused write does not
// change the store.
func (h *history) performAsStranger(client int, c client, q historyRequest) {
	called := time.Since(h.began)
	a, err := h.send(c, q)
	if err == nil && (a.status == http.StatusForbidden || a.status == http.StatusTooManyRequests) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.counts.refused++
		return
	}
	h.record(client, q, called, a, err)
}

// record records the outcome of a request.
func (h *history) record(client int, q historyRequest, called time.Duration, a *answer, err error) *answer {
	returned := time.Since(h.began)
	o, counts, odd := interpret(q, a, err)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts.add(counts)
	if odd != "" {
		h.invalid = append(h.invalid, fmt.Sprintf("%v: %s", q, odd))
	}
	if counts.refused+counts.lost > 0 || odd != "" {
		return a
	}
	operation := porcupine.Operation{ClientId: client, Input: q, Output: o, Call: int64(called), Return: int64(returned)}
	if o.status == 0 {
		operation.Return = math.MaxInt64
		operation.ClientId = 1000 + h.counts.unknown // drawn on a line of its own
	}
	h.operations = append(h.operations, operation)
	return a
}

// recordPending records a write that no client sends, and that may take effect at any
// later time.
func (h *history) recordPending(q historyRequest) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts.unknown++
	h.operations = append(h.operations, porcupine.Operation{
		ClientId: 1000 + h.counts.unknown, Input: q, Output: outcome{}, Call: int64(time.Since(h.began)), Return: math.MaxInt64,
	})
}

func (h *history) send(c client, q historyRequest) (*answer, error) {
	switch q.operation {
	case getKeyNoCache:
		return c.try(http.MethodGet, h.target(q), "", "Cache-Control: no-cache")
	case headKey:
		return c.try(http.MethodHead, h.target(q), "")
	case putKey:
		target := h.target(q)
		if q.confirmable {
			target += "?confirmable=true"
		}
		text := fmt.Sprintf(`{"stringValue":"%d"}`, q.value)
		if q.pause > 0 {
			return c.tryPausing(target, text, q.pause)
		}
		return c.try(http.MethodPut, target, text, "Content-Type: application/json")
	case deleteKey, deleteKeys, deletePartition:
		return c.try(http.MethodDelete, h.target(q), "")
	default:
		return c.try(http.MethodGet, h.target(q), "")
	}
}

// interpret returns what a response, or its absence, proves about the state of the
// store. Odd means a response that no client should receive.
func interpret(q historyRequest, a *answer, err error) (o outcome, counts historyCounts, odd string) {
	if err == nil && a.header.Get("Proxy-Status") == "" && a.status < http.StatusInternalServerError {
		return interpretAnswer(q, a)
	}
	switch {
	case !q.operation.writes():
		counts.lost = 1
	case notSent(a, err):
		counts.refused = 1
	default:
		counts.unknown = 1
	}
	if err == nil && a.status < http.StatusInternalServerError {
		odd = fmt.Sprintf("%d %s", a.status, a.body)
	}
	return outcome{}, counts, odd
}

// notSent reports whether a write certainly never left the gateway: the connection was
// refused, or the response was 503.
func notSent(a *answer, err error) bool {
	if err != nil {
		refused, ok := errors.AsType[*net.OpError](err)
		return ok && refused.Op == "dial"
	}
	return a.status == http.StatusServiceUnavailable && a.header.Get("Proxy-Status") != ""
}

// interpretAnswer reads a response of upstream or of a cache.
func interpretAnswer(q historyRequest, a *answer) (o outcome, counts historyCounts, odd string) {
	o.status = a.status
	if counts.writes = 1; !q.operation.writes() {
		counts.reads, counts.writes = 1, 0
	}
	if strings.Contains(a.header.Get("Cache-Status"), "; hit") {
		counts.hits = 1
	}
	if !isExpectedStatus(q.operation, a.status) {
		return o, counts, fmt.Sprintf("%d %s", a.status, a.body)
	}
	if a.status != http.StatusOK {
		return o, counts, ""
	}
	var ok bool
	switch q.operation {
	case getKey, getKeyNoCache:
		o.value, ok = valueIn(a.body)
	case listKeys:
		o.keys, ok = keysIn(a.body)
	default:
		ok = true
	}
	if !ok {
		odd = "a body of " + a.body
	}
	return o, counts, odd
}

// isExpectedStatus reports whether this is a correct response of upstream.
func isExpectedStatus(v operation, status int) bool {
	switch v {
	case putKey:
		return status == http.StatusOK || status == http.StatusCreated
	case getKey, getKeyNoCache, listKeys:
		return status == http.StatusOK || status == http.StatusNotFound
	default:
		return status == http.StatusNoContent || status == http.StatusNotFound
	}
}

func valueIn(body string) (int32, bool) {
	var object struct {
		StringValue string `json:"stringValue"`
	}
	err := json.Unmarshal([]byte(body), &object)
	value, numeric := strconv.ParseInt(object.StringValue, 10, 32)
	return int32(value), err == nil && numeric == nil
}

func keysIn(body string) (keys uint8, ok bool) {
	var page struct {
		Values []struct {
			KeyID string `json:"keyId"`
		} `json:"values"`
		Next *string `json:"nextPageToken"`
	}
	if json.Unmarshal([]byte(body), &page) != nil || page.Next != nil {
		return 0, false
	}
	for _, listed := range page.Values {
		key, err := strconv.Atoi(strings.TrimPrefix(listed.KeyID, "key-"))
		if err != nil || key < 0 || key >= historyKeys || keys&(1<<key) != 0 {
			return 0, false
		}
		keys |= 1 << key
	}
	return keys, true
}

func (c *historyCounts) add(more historyCounts) {
	c.reads += more.reads
	c.hits += more.hits
	c.writes += more.writes
	c.unknown += more.unknown
	c.refused += more.refused
	c.lost += more.lost
}

// String implements [fmt.Stringer].
func (c historyCounts) String() string {
	return fmt.Sprintf("%d reads (%d hits, %d%%), %d writes, %d writes of unknown outcome, %d refused, %d reads lost, %d excused",
		c.reads, c.hits, 100*c.hits/max(1, c.reads), c.writes, c.unknown, c.refused, c.lost, c.maybeStale)
}
