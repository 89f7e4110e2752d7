package telemetry

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"osgate/record"
)

// TracesOptions set up [Traces]. The zero TracesOptions work.
type TracesOptions struct {
	Slow  time.Duration // exchanges that take longer are traced though not sampled, their wait under the quota aside; 0: none
	Names bool          // tell clients and stores by name, not only by hash
	Key   []byte        // of the hashes, which are equal wherever it is; empty: a random one
	TLS   bool          // clients speak https to the gateway
	Redis bool          // quotas are counted in Redis

	// Server returns the host and port that exchanges of a surface, plane and region are sent to. Nil, or an empty host: not told.
	Server func(surface record.Surface, plane, region string) (host string, port int)
}

// Traces is a [record.Keeper] that makes spans of exchanges when they are over. On the path of an exchange there are three random numbers and, of what
// is traced, a copy into a bounded queue; spans are built and sent by [Exports.Run]. What finds the queue full is dropped and counted. Safe for
// concurrent use.
type Traces struct {
	options  TracesOptions
	sampling Sampling
	plan     batching
	spans    []sdktrace.SpanExporter
	losses   *losses
	hashing  hashing

	queue  chan traced
	failed spare // of what is told though it was not sampled, each kind apart: one cannot crowd the other out
	slow   spare

	// of run alone
	ids    *identities
	batch  *collected
	tracer trace.Tracer
}

// traced is an exchange whose spans are wanted.
type traced struct {
	x   *record.Exchange
	why string // "" where it was sampled; else what it is told for
}

// NewTraces returns Traces that go out with x, nil where x has no way for traces. It is called once, before Run.
func (x *Exports) NewTraces(o TracesOptions) *Traces {
	if len(x.spans) == 0 || !x.plan.Traces() {
		return nil
	}
	t := &Traces{
		options: o, sampling: x.plan.sampling, plan: x.plan.spans, spans: x.spans, losses: &x.losses, hashing: newHashing(o.Key),
		queue: make(chan traced, x.plan.spans.queue), ids: &identities{}, batch: &collected{},
	}
	limits := sdktrace.NewSpanLimits() // of OTEL_SPAN_*
	if limits.AttributeValueLengthLimit < 0 {
		limits.AttributeValueLengthLimit = maxAttribute
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(x.about), sdktrace.WithIDGenerator(t.ids), sdktrace.WithSpanProcessor(t.batch),
		sdktrace.WithSampler(sdktrace.AlwaysSample()), sdktrace.WithRawSpanLimits(limits))
	t.tracer = provider.Tracer("osgate")
	x.traces = t
	return t
}

// maxAttribute bounds the text of an attribute, which a client may have chosen.
const maxAttribute = 256

// maxHashed bounds the names that are told by their hash.
const maxHashed = 4 << 10

// Begin gives an exchange its place in a trace and decides whether it is sampled, see the Trace option of the proxy.
func (t *Traces) Begin(parent record.Trace, trusted bool) record.Trace {
	place := parent
	called := parent.On()
	for !place.On() {
		binary.BigEndian.PutUint64(place.ID[:8], random())
		binary.BigEndian.PutUint64(place.ID[8:], random())
	}
	for place.Span == [8]byte{} {
		binary.BigEndian.PutUint64(place.Span[:], random())
	}
	place.Sampled = t.sampling.sampled(&place, called, trusted)
	return place
}

// What an exchange that was not sampled is told for.
const (
	whyFailed = "failed"
	whySlow   = "slow"
)

// Keep implements [record.Keeper].
func (t *Traces) Keep(x *record.Exchange) {
	if !x.Trace.On() {
		return
	}
	why := ""
	if !x.Trace.Sampled {
		if why = t.trouble(x); why == "" {
			return
		}
	}
	kept := *x
	for _, text := range []*string{&kept.Method, &kept.Organization, &kept.Environment, &kept.ID, &kept.Rule, &kept.ClientAddr} { // parts of something larger
		*text = attributeText(*text, maxAttribute)
	}
	for _, text := range []*string{&kept.Store, &kept.Principal} { // hashed first
		*text = attributeText(*text, maxHashed)
	}
	select {
	case t.queue <- traced{&kept, why}:
	default:
		t.losses.dropped[signalTraces].Add(1)
	}
}

// attributeText returns a copy of text's beginning, at most limit bytes: whole runes, because half a one is no text and costs the whole batch it is in.
func attributeText(text string, limit int) string {
	return strings.Clone(strings.ToValidUTF8(text[:min(len(text), limit)], ""))
}

// trouble says what of x is worth telling though it was not sampled, "" where it is nothing or enough was told.
func (t *Traces) trouble(x *record.Exchange) string {
	switch {
	case x.Status >= 500, x.UpstreamStatus >= 500, x.Hit && x.UpstreamError != "", x.Aborted && x.Status != statusLeft:
		if t.failed.take(time.Now()) {
			return whyFailed
		}
	case t.isSlow(x) && t.slow.take(time.Now()):
		return whySlow
	}
	return ""
}

// isSlow reports whether x took long. The wait under the quota does not count, nor does what a stranger can draw out, who is refused or whose credentials
// are: a refusal reads the rest of the body first.
func (t *Traces) isSlow(x *record.Exchange) bool {
	strange := x.Code != "" && x.UpstreamAttempts == 0 || x.Surface == record.SurfaceAccounts && x.Status >= 400
	return t.options.Slow > 0 && x.Duration-x.Waited > t.options.Slow && !strange
}

// What went wrong is told at most so often: when all goes wrong, a few examples are enough.
const (
	spareInterval = 100 * time.Millisecond
	spareBurst    = 10
)

// spare is a bucket of tokens, full at first: GCRA with the interval and burst above.
type spare struct{ next atomic.Int64 } // when the bucket is full again, in Unix nanoseconds

func (s *spare) take(now time.Time) bool {
	for {
		full := s.next.Load()
		next := max(full, now.UnixNano()) + int64(spareInterval)
		if next-now.UnixNano() > spareBurst*int64(spareInterval) {
			return false
		}
		if s.next.CompareAndSwap(full, next) {
			return true
		}
	}
}

// run builds and sends spans until ctx ends, and then, within flushWithin, what is left.
func (t *Traces) run(ctx context.Context) {
	sending, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { // an export that is under way gets its chance too
		time.AfterFunc(flushWithin, func() { cancel(context.DeadlineExceeded) })
	})
	defer stop()
	tick := time.NewTicker(t.plan.delay)
	defer tick.Stop()
	for {
		select {
		case k := <-t.queue:
			t.build(k.x, k.why)
			if len(t.batch.spans) >= t.plan.size {
				t.send(sending)
			}
		case <-tick.C:
			t.send(sending)
		case <-ctx.Done():
			t.finish(sending)
			return
		}
	}
}

// finish sends what is in the queue, as far as there is time, and ends the exporters.
func (t *Traces) finish(ctx context.Context) {
	for len(t.queue) > 0 && ctx.Err() == nil {
		k := <-t.queue
		t.build(k.x, k.why)
		if len(t.batch.spans) >= t.plan.size {
			t.send(ctx)
		}
	}
	t.losses.dropped[signalTraces].Add(int64(len(t.queue)))
	t.send(ctx)
	for _, e := range t.spans {
		_ = e.Shutdown(ctx) // there is nothing left to lose
	}
}

// send exports what was built.
func (t *Traces) send(ctx context.Context) {
	batch := t.batch.take()
	if len(batch) == 0 {
		return
	}
	for _, e := range t.spans {
		within, cancel := context.WithTimeout(ctx, t.plan.timeout)
		t.losses.export(within, signalTraces, len(batch), func(ctx context.Context) error { return e.ExportSpans(ctx, batch) })
		cancel()
	}
}

// collected is a span processor that collects what ended. It is used by one goroutine.
type collected struct{ spans []sdktrace.ReadOnlySpan }

// OnStart implements [sdktrace.SpanProcessor].
func (c *collected) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements [sdktrace.SpanProcessor].
func (c *collected) OnEnd(s sdktrace.ReadOnlySpan) { c.spans = append(c.spans, s) }

// Shutdown implements [sdktrace.SpanProcessor].
func (c *collected) Shutdown(context.Context) error { return nil }

// ForceFlush implements [sdktrace.SpanProcessor].
func (c *collected) ForceFlush(context.Context) error { return nil }

func (c *collected) take() []sdktrace.ReadOnlySpan {
	spans := c.spans
	c.spans = nil
	return spans
}

// identities is an id generator that hands out what was decided when the exchange began. It is used by one goroutine.
type identities struct {
	trace trace.TraceID
	span  trace.SpanID
}

// NewIDs implements [sdktrace.IDGenerator].
func (i *identities) NewIDs(context.Context) (trace.TraceID, trace.SpanID) { return i.trace, i.span }

// NewSpanID implements [sdktrace.IDGenerator].
func (i *identities) NewSpanID(context.Context, trace.TraceID) trace.SpanID { return i.span }

func random() uint64 { return rand.Uint64() } //nolint:gosec // an id must be unique, not secret
