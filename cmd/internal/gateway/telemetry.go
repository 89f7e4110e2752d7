package gateway

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"osgate/config"
	"osgate/record"
	"osgate/telemetry/export"
)

// checkExports returns the problems with OpenTelemetry's variables.
func checkExports(environ []string) func(config.Config) []config.Problem {
	return func(config.Config) (problems []config.Problem) {
		_, err := export.ReadPlan(getenv(environ))
		all, ok := err.(interface{ Unwrap() []error })
		if !ok {
			return nil
		}
		for _, err := range all.Unwrap() {
			if e, ok := errors.AsType[*export.VariableError](err); ok {
				problems = append(problems, config.Problem{Variable: e.Variable, Detail: e.Detail})
			}
		}
		return problems
	}
}

// getenv looks up variables in a list such as "A=b". Of two with the same name the
// first counts, as it does for the exporters.
func getenv(environ []string) func(string) string {
	return func(name string) string {
		i := slices.IndexFunc(environ, func(variable string) bool { return strings.HasPrefix(variable, name+"=") })
		if i < 0 {
			return ""
		}
		return environ[i][len(name)+1:]
	}
}

// openExports opens the exports of telemetry that the environment names. Log lines from
// then on are exported too.
func (p *parts) openExports(o Options) error {
	plan, err := export.ReadPlan(getenv(o.Environ))
	if err != nil {
		return err
	}
	out := o.Out
	if out == nil {
		out = io.Discard
	}
	p.console = holdBack(out)
	p.exports, err = export.Open(context.Background(), plan, export.Options{
		Version: o.Version, Console: p.console, Logger: o.Logger,
	})
	if err != nil {
		return err
	}
	p.close = append(p.close,
		func() error { p.exports.Close(context.Background()); return nil },
		func() error { p.console.release(); return nil })
	p.logger = p.exports.Logger(o.Logger)
	c := p.config
	p.traces = p.exports.NewTraces(export.TracesOptions{
		Slow: c.Trace.Slow, Names: c.Trace.Names, Key: c.Key(), TLS: c.TLS.Cert != "",
		Redis: c.Redis.URL.Reveal() != "", Server: upstreamOf,
	})
	return nil
}

// keepers returns the parts that record finished exchanges.
func (p *parts) keepers(o Options) record.Keepers {
	all := record.Keepers{p.stats, p.metrics, p.board}
	if p.traces != nil {
		all = append(all, p.traces)
	}
	if p.audit != nil {
		all = append(all, p.audit)
	}
	access := record.AccessLogOptions{
		Logger: o.Logger, Shares: p.config.Log.Sample,
		Exported: p.exports.Exporter(o.Logger), Exports: p.exports.ExportsLine,
	}
	if o.Log != nil && p.config.Log.Format == "json" {
		access.Lines = o.Log
	}
	return append(all, record.NewAccessLog(access))
}

// tracing returns the function with which the proxy adds exchanges to traces, nil if
// traces are off.
func (p *parts) tracing() func(parent record.Trace, trusted bool) record.Trace {
	if p.traces == nil {
		return nil
	}
	return p.traces.Begin
}
