package telemetry

import (
	"maps"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// What bounds the label sets of one metric. All labels come out of closed lists, so that a bound is reached only if one of them is wrong. A histogram's
// label set is as many series as it has buckets, and three.
const (
	maxSeries     = 2000
	maxHistograms = 1000
)

// overflow is the label of what came after maxSeries label sets were known (OpenTelemetry's metrics SDK, "Cardinality limits").
var overflow = attribute.Bool("otel.metric.overflow", true)

// table holds one row for each label set that was met, up to limit, and one more for all others. A row is found without a lock and, once
// it is there, without allocating. Safe for concurrent use.
type table[K comparable, R any] struct {
	build func(labels ...attribute.KeyValue) *R
	rest  *R
	limit int

	rows atomic.Pointer[map[K]*R]
	mu   sync.Mutex // held to add a row, which replaces the map whole
}

func newTable[K comparable, R any](limit int, row func(labels ...attribute.KeyValue) *R) *table[K, R] {
	t := &table[K, R]{build: row, rest: row(overflow), limit: limit}
	t.rows.Store(&map[K]*R{})
	return t
}

// row returns the row of k, a new one with k's labels where it has none yet.
func (t *table[K, R]) row(k K, labels func(K) []attribute.KeyValue) *R {
	if r, ok := (*t.rows.Load())[k]; ok {
		return r
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	rows := *t.rows.Load()
	if r, ok := rows[k]; ok { // added while we waited
		return r
	}
	if len(rows) >= t.limit {
		return t.rest
	}
	rows = maps.Clone(rows)
	rows[k] = t.build(labels(k)...)
	t.rows.Store(&rows)
	return rows[k]
}

// each calls f with every row, the one for all others included.
func (t *table[K, R]) each(f func(*R)) {
	for _, r := range *t.rows.Load() {
		f(r)
	}
	f(t.rest)
}

// count is a row of a counter. It is added to by an atomic of ours and read by OpenTelemetry when somebody asks: 10 ns against the 300 of an
// instrument's Add (BenchmarkKeep).
type count struct {
	n      atomic.Int64
	labels []metric.ObserveOption
}

func newCount(labels ...attribute.KeyValue) *count {
	return &count{labels: []metric.ObserveOption{metric.WithAttributeSet(attribute.NewSet(labels...))}}
}

// observe tells o the value, if there was anything to count.
func (c *count) observe(o metric.Observer, counter metric.Int64Observable) {
	if n := c.n.Load(); n != 0 {
		o.ObserveInt64(counter, n, c.labels...)
	}
}

// labels is a row of a histogram: a label set that is made once.
type labels struct {
	record []metric.RecordOption
}

func newLabels(kv ...attribute.KeyValue) *labels {
	return &labels{record: []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(kv...))}}
}
