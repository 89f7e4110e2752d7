package metrics

import (
	"context"
	"fmt"
	"math"
	"runtime/metrics"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/semconv/v1.43.0/goconv"
	"go.opentelemetry.io/otel/semconv/v1.43.0/processconv"
)

// Process contains the metrics of the Go runtime and of this process for the
// collectors to which metrics are pushed, with the names of OpenTelemetry's semantic
// conventions. /metrics has Prometheus's own instead, go_* and process_*. It implements
// [sdk.Producer] and is safe for concurrent use.
type Process struct{ reader *sdk.ManualReader }

// NewProcess returns metrics with the temporality that an exporter selects.
func NewProcess(temporality sdk.TemporalitySelector) (Process, error) {
	p := Process{sdk.NewManualReader(sdk.WithTemporalitySelector(temporality))}
	n := instrumentBuilder{meter: sdk.NewMeterProvider(sdk.WithReader(p.reader)).Meter("osgate")}
	n.observeRuntime()
	if err := n.observeProcess(); err != nil {
		return p, err
	}
	return p, n.err()
}

// Produce implements [sdk.Producer]. Values that cannot be read are left out; an error
// would cancel the rest of the push.
func (p Process) Produce(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
	var all metricdata.ResourceMetrics
	_ = p.reader.Collect(ctx, &all)
	return all.ScopeMetrics, nil
}

// Names of metrics in the package runtime/metrics.
const (
	runtimeTotal       = "/memory/classes/total:bytes"
	runtimeReleased    = "/memory/classes/heap/released:bytes"
	runtimeStacks      = "/memory/classes/heap/stacks:bytes"
	runtimeLimit       = "/gc/gomemlimit:bytes"
	runtimeGoal        = "/gc/heap/goal:bytes"
	runtimeAllocated   = "/gc/heap/allocs:bytes"
	runtimeAllocations = "/gc/heap/allocs:objects"
	runtimeCycles      = "/gc/cycles/total:gc-cycles"
	runtimeGoroutines  = "/sched/goroutines:goroutines"
	runtimeProcessors  = "/sched/gomaxprocs:threads"
)

// readRuntime returns the metrics of the Go runtime.
func readRuntime() map[string]int64 {
	var samples []metrics.Sample
	for _, name := range []string{
		runtimeTotal, runtimeReleased, runtimeStacks, runtimeLimit, runtimeGoal,
		runtimeAllocated, runtimeAllocations, runtimeCycles, runtimeGoroutines, runtimeProcessors,
	} {
		samples = append(samples, metrics.Sample{Name: name})
	}
	metrics.Read(samples)
	values := make(map[string]int64, len(samples))
	for _, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			values[s.Name] = int64(min(s.Value.Uint64(), math.MaxInt64))
		}
	}
	return values
}

// observeRuntime shows the metrics of the Go runtime (Semantic Conventions, "Go Runtime
// Metrics").
func (n *instrumentBuilder) observeRuntime() {
	var used goconv.MemoryUsed
	memory := n.upDownCounter(used.Name(), used.Unit(), used.Description())
	stack, other := metric.WithAttributes(used.AttrMemoryType(goconv.MemoryTypeStack)),
		metric.WithAttributes(used.AttrMemoryType(goconv.MemoryTypeOther))
	limit := named[goconv.MemoryLimit](n.upDownCounter)
	instruments := []metric.Observable{memory, limit}
	plain := map[string]metric.Int64Observable{
		runtimeGoal:        named[goconv.MemoryGCGoal](n.upDownCounter),
		runtimeAllocated:   named[goconv.MemoryAllocated](n.counter),
		runtimeAllocations: named[goconv.MemoryAllocations](n.counter),
		runtimeCycles:      named[goconv.MemoryGCCycles](n.counter),
		runtimeGoroutines:  named[goconv.GoroutineCount](n.upDownCounter),
		runtimeProcessors:  named[goconv.ProcessorLimit](n.upDownCounter),
	}
	for _, instrument := range plain {
		instruments = append(instruments, instrument)
	}
	n.register(func(_ context.Context, o metric.Observer) error {
		now := readRuntime()
		o.ObserveInt64(memory, now[runtimeStacks], stack)
		o.ObserveInt64(memory, now[runtimeTotal]-now[runtimeReleased]-now[runtimeStacks], other)
		if now[runtimeLimit] != math.MaxInt64 { // a limit is set
			o.ObserveInt64(limit, now[runtimeLimit])
		}
		for name, instrument := range plain {
			o.ObserveInt64(instrument, now[name])
		}
		return nil
	}, instruments...)
}

// convention is an instrument of the semantic conventions.
type convention interface {
	Name() string
	Unit() string
	Description() string
}

// named makes the instrument of a convention.
func named[C convention, I any](instrument func(name, unit, description string) I) I {
	var c C
	return instrument(c.Name(), c.Unit(), c.Description())
}

// observeProcess shows the operating system's metrics of this process (Semantic
// Conventions, "OS Process Metrics"), as far as Prometheus's collector can read them:
// all of them on Linux.
func (n *instrumentBuilder) observeProcess() error {
	system := prometheus.NewRegistry()
	if err := system.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})); err != nil {
		return fmt.Errorf("registering the process's metrics: %w", err)
	}
	plain := map[string]metric.Int64Observable{
		"process_resident_memory_bytes": named[processconv.MemoryUsage](n.upDownCounter),
		"process_virtual_memory_bytes":  named[processconv.MemoryVirtual](n.upDownCounter),
		"process_open_fds":              named[processconv.UnixFileDescriptorCount](n.upDownCounter),
		"process_max_fds": n.gauge("osgate.process.file_descriptor.limit", "{file_descriptor}",
			"Maximum number of open file descriptors of this process."),
	}
	var took processconv.CPUTime
	cpu, err := n.meter.Float64ObservableCounter(took.Name(),
		metric.WithUnit(took.Unit()), metric.WithDescription(took.Description()))
	n.errors = append(n.errors, err)
	uptime := n.seconds(processconv.Uptime{}.Name(), processconv.Uptime{}.Description())
	instruments := []metric.Observable{cpu, uptime}
	for _, instrument := range plain {
		instruments = append(instruments, instrument)
	}
	n.register(func(_ context.Context, o metric.Observer) error {
		families, _ := system.Gather() // values that cannot be read are left out
		for _, f := range families {
			value := f.GetMetric()[0].GetGauge().GetValue()
			if instrument := plain[f.GetName()]; instrument != nil {
				o.ObserveInt64(instrument, int64(value))
			} else if f.GetName() == "process_start_time_seconds" {
				o.ObserveFloat64(uptime, float64(time.Now().UnixMilli())/1000-value)
			}
		}
		if user, kernel, ok := processorTime(); ok {
			o.ObserveFloat64(cpu, user.Seconds(), metric.WithAttributes(took.AttrCPUMode(processconv.CPUModeUser)))
			o.ObserveFloat64(cpu, kernel.Seconds(), metric.WithAttributes(took.AttrCPUMode(processconv.CPUModeSystem)))
		}
		return nil
	}, instruments...)
	return nil
}
