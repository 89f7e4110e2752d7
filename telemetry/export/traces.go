package export

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"osgate/record"
)

// TracesOptions configures [Traces]. The zero TracesOptions work.
type TracesOptions struct {
	// exchanges that take longer, without the wait for the quota, are traced even if
	// not sampled; 0: none
	Slow  time.Duration
	Names bool   // export the names of clients and stores, not only hashes
	Key   []byte // of the hashes; equal keys give equal hashes; empty: a random key
	TLS   bool   // clients use https
	Redis bool   // quotas are counted in Redis

	// Server returns the host and port to which exchanges of a surface, plane and
	// region are sent. If it is nil or returns an empty host, they are left out.
	Server func(surface record.Surface, plane, region string) (host string, port int)
}

// Traces is a [record.Keeper] that makes spans of exchanges when they are over. During
// an exchange it draws three random numbers and, if the exchange is traced, copies it
// into a bounded queue; [Exports.Run] builds and sends the spans. Exchanges that do not
// fit into the queue are dropped and counted. It is safe for concurrent use.
type Traces struct {
	options  TracesOptions
	sampling sampling
	plan     batching
	spans    []sdktrace.SpanExporter
	losses   *losses
	hasher   nameHasher

	queue  chan traced
	failed tokenBucket // limits unsampled exchanges, separately for each reason
	slow   tokenBucket

	// used only by run
	ids    *presetIDs
	batch  *spanCollector
	tracer trace.Tracer
}

// traced is an exchange whose spans are exported.
type traced struct {
	x      *record.Exchange
	reason string // reason it is traced; "" if it was sampled
}

// NewTraces returns Traces that x exports, or nil if x exports no traces. It is called
// once, before Run.
func (x *Exports) NewTraces(o TracesOptions) *Traces {
	if len(x.spans) == 0 || !x.plan.Traces() {
		return nil
	}
	t := &Traces{
		options: o, sampling: x.plan.sampling, plan: x.plan.spans, spans: x.spans,
		losses: &x.losses, hasher: newNameHasher(o.Key),
		queue: make(chan traced, x.plan.spans.queue), ids: &presetIDs{}, batch: &spanCollector{},
	}
	limits := sdktrace.NewSpanLimits() // from OTEL_SPAN_*
	if limits.AttributeValueLengthLimit < 0 {
		limits.AttributeValueLengthLimit = maxAttribute
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(x.about),
		sdktrace.WithIDGenerator(t.ids), sdktrace.WithSpanProcessor(t.batch),
		sdktrace.WithSampler(sdktrace.AlwaysSample()), sdktrace.WithRawSpanLimits(limits))
	t.tracer = provider.Tracer("osgate")
	x.traces = t
	return t
}

// maxAttribute is the maximum length of an attribute's text, which a client may have
// chosen.
const maxAttribute = 256

// maxHashed is the maximum length of a hashed name.
const maxHashed = 4 << 10

// Begin returns the trace of a new exchange and decides whether it is sampled, see the
// Trace option of the proxy.
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

// Reasons to trace an exchange that was not sampled.
const (
	reasonFailed = "failed"
	reasonSlow   = "slow"
)

// Keep implements [record.Keeper].
func (t *Traces) Keep(x *record.Exchange) {
	if !x.Trace.On() {
		return
	}
	reason := ""
	if !x.Trace.Sampled {
		if reason = t.reasonToTrace(x); reason == "" {
			return
		}
	}
	kept := *x
	// substrings of larger texts
	for _, text := range []*string{
		&kept.Method, &kept.Organization, &kept.Environment, &kept.ID, &kept.Rule, &kept.ClientAddr,
	} {
		*text = attributeText(*text, maxAttribute)
	}
	for _, text := range []*string{&kept.Store, &kept.Principal} { // they are hashed first
		*text = attributeText(*text, maxHashed)
	}
	select {
	case t.queue <- traced{&kept, reason}:
	default:
		t.losses.dropped[signalTraces].Add(1)
	}
}

// attributeText returns a copy of the beginning of text, at most limit bytes. It
// removes incomplete characters: invalid UTF-8 would lose the whole batch.
func attributeText(text string, limit int) string {
	return strings.Clone(strings.ToValidUTF8(text[:min(len(text), limit)], ""))
}

// reasonToTrace returns why x is traced although it was not sampled, "" if it is not,
// or if enough exchanges were traced for that reason.
func (t *Traces) reasonToTrace(x *record.Exchange) string {
	switch {
	case x.Status >= 500, x.UpstreamStatus >= 500, x.Hit && x.UpstreamError != "", x.Aborted && !x.ClientLeft():
		if t.failed.take(time.Now()) {
			return reasonFailed
		}
	case t.isSlow(x) && t.slow.take(time.Now()):
		return reasonSlow
	}
	return ""
}

// isSlow reports whether x was slow. The wait for the quota does not count. Refused
// requests and failed logins do not count either, because strangers can prolong them: a
// refusal reads the rest of the body first.
func (t *Traces) isSlow(x *record.Exchange) bool {
	refused := x.Code != "" && x.UpstreamAttempts == 0 || x.Surface == record.SurfaceAccounts && x.Status >= 400
	return t.options.Slow > 0 && x.Duration-x.Waited > t.options.Slow && !refused
}

// Limits of the unsampled exchanges that are traced: if everything fails, a few
// examples are enough.
const (
	bucketInterval = 100 * time.Millisecond
	bucketBurst    = 10
)

// tokenBucket is a token bucket, full at first: GCRA with the interval and burst above.
type tokenBucket struct{ next atomic.Int64 } // when the bucket is full again, in Unix nanoseconds

func (s *tokenBucket) take(now time.Time) bool {
	for {
		full := s.next.Load()
		next := max(full, now.UnixNano()) + int64(bucketInterval)
		if next-now.UnixNano() > bucketBurst*int64(bucketInterval) {
			return false
		}
		if s.next.CompareAndSwap(full, next) {
			return true
		}
	}
}

// run builds and sends spans until ctx ends, and then, within flushWithin, the rest.
func (t *Traces) run(ctx context.Context) {
	sending, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { // the current export may complete
		time.AfterFunc(flushWithin, func() { cancel(context.DeadlineExceeded) })
	})
	defer stop()
	tick := time.NewTicker(t.plan.delay)
	defer tick.Stop()
	for {
		select {
		case k := <-t.queue:
			t.build(k.x, k.reason)
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

// finish sends the queue, as far as time permits, and shuts down the exporters.
func (t *Traces) finish(ctx context.Context) {
	for len(t.queue) > 0 && ctx.Err() == nil {
		k := <-t.queue
		t.build(k.x, k.reason)
		if len(t.batch.spans) >= t.plan.size {
			t.send(ctx)
		}
	}
	t.losses.dropped[signalTraces].Add(int64(len(t.queue)))
	t.send(ctx)
	for _, e := range t.spans {
		_ = e.Shutdown(ctx) // all spans were sent or counted as lost
	}
}

// send exports the spans that were built.
func (t *Traces) send(ctx context.Context) {
	batch := t.batch.take()
	if len(batch) == 0 {
		return
	}
	for _, e := range t.spans {
		within, cancel := context.WithTimeout(ctx, t.plan.timeout)
		t.losses.export(within, signalTraces, len(batch), func(ctx context.Context) error {
			return e.ExportSpans(ctx, batch)
		})
		cancel()
	}
}

// spanCollector is a span processor that collects ended spans. It is used by one
// goroutine.
type spanCollector struct{ spans []sdktrace.ReadOnlySpan }

// OnStart implements [sdktrace.SpanProcessor].
func (c *spanCollector) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements [sdktrace.SpanProcessor].
func (c *spanCollector) OnEnd(s sdktrace.ReadOnlySpan) { c.spans = append(c.spans, s) }

// Shutdown implements [sdktrace.SpanProcessor].
func (c *spanCollector) Shutdown(context.Context) error { return nil }

// ForceFlush implements [sdktrace.SpanProcessor].
func (c *spanCollector) ForceFlush(context.Context) error { return nil }

func (c *spanCollector) take() []sdktrace.ReadOnlySpan {
	spans := c.spans
	c.spans = nil
	return spans
}

// presetIDs is an id generator that returns the ids chosen when the exchange began. It
// is used by one goroutine.
type presetIDs struct {
	trace trace.TraceID
	span  trace.SpanID
}

// NewIDs implements [sdktrace.IDGenerator].
func (i *presetIDs) NewIDs(context.Context) (trace.TraceID, trace.SpanID) { return i.trace, i.span }

// NewSpanID implements [sdktrace.IDGenerator].
func (i *presetIDs) NewSpanID(context.Context, trace.TraceID) trace.SpanID { return i.span }

func random() uint64 { return rand.Uint64() } //nolint:gosec // an id must be unique, not secret

// sampling decides, before an exchange begins, whether it is traced. The zero sampling
// traces none.
type sampling struct {
	share       float64 // of the exchanges without a parent's decision: 0 none, 1 all
	parentBased bool    // a trusted caller decides for its exchanges
	off         bool    // trace nothing, not even failures
}

// defaultShare is the share of traced exchanges if no share is set. Failures are traced
// in any case.
const defaultShare = 0.01

// readSampling reads OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG (OpenTelemetry
// Environment Variable Specification, "General SDK Configuration"). Its default
// differs: parentbased_traceidratio with 1 %.
func readSampling(getenv func(string) string) (s sampling, err error) {
	name, argument := strings.ToLower(getenv("OTEL_TRACES_SAMPLER")), getenv("OTEL_TRACES_SAMPLER_ARG")
	ratio := 1.0
	switch name {
	case "":
		s.parentBased, ratio = true, defaultShare
	case "always_on", "parentbased_always_on":
		argument, s.parentBased = "", name != "always_on"
	case "always_off", "parentbased_always_off":
		argument, s.parentBased, ratio, s.off = "", name != "always_off", 0, name == "always_off"
	case "traceidratio", "parentbased_traceidratio":
		s.parentBased = name != "traceidratio"
	default:
		return s, &VariableError{
			"OTEL_TRACES_SAMPLER",
			"must be always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or parentbased_traceidratio",
		}
	}
	if argument != "" {
		if ratio, err = strconv.ParseFloat(argument, 64); err != nil || !(ratio >= 0 && ratio <= 1) {
			return s, &VariableError{"OTEL_TRACES_SAMPLER_ARG", "must be a share from 0 to 1"}
		}
	}
	s.share = ratio
	return s, nil
}

// sampled decides on an exchange with trace t. parent reports whether a caller began
// the trace. Untrusted callers can choose their trace ids, so their exchanges are
// sampled at random. For a trusted caller the id decides, so that all services that
// decide by the id agree.
func (s sampling) sampled(t *record.Trace, parent, trusted bool) bool {
	if parent && trusted && s.parentBased {
		return t.Sampled
	}
	n := rand.Uint64() //nolint:gosec // guessing it has no use
	if parent && trusted {
		n = binary.BigEndian.Uint64(t.ID[8:])
	}
	return float64(n>>1) < s.share*(1<<63)
}
