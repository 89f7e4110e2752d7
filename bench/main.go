// Command bench compares osgate with nginx with Lua, a bare httputil.ReverseProxy and a
// bare net/http handler, all on this machine, in interleaved rounds. README.md
// describes how to use it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"osgate/bench/report"
	"osgate/bench/serve"
)

func main() {
	if len(os.Args) > 1 {
		if known, err := serve.Run(os.Args[1], os.Args[2:]); known {
			fmt.Fprintln(os.Stderr, os.Args[1]+":", err)
			os.Exit(1)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

// options are the flags.
type options struct {
	settings
	only  string
	out   string
	docs  string
	limit time.Duration
	given bool // the binary was given and not built here
}

func parse(arguments []string) (options, error) {
	var o options
	var connections string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 5, "interleaved rounds")
	flags.IntVar(&o.seconds, "seconds", 3, "length of a round of one subject")
	flags.StringVar(&connections, "connections", "32,128", "connections of the closed loop")
	flags.StringVar(&o.only, "only", "", "regular expression of the names of the scenarios; empty: all")
	flags.StringVar(&o.osgate, "osgate", "", "binary of osgate; empty: built from this checkout")
	flags.StringVar(&o.base, "osgate-base", "", "a second binary, which is measured in the same rounds as \"before\"")
	flags.StringVar(&o.out, "out", "results", "folder for results.json, results.md and results.svg")
	flags.StringVar(&o.docs, "docs", "", "performance.md to update; the chart is written into the same folder")
	flags.DurationVar(&o.limit, "limit", 90*time.Minute, "longest time of the whole run")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	o.given = o.osgate != ""
	for text := range strings.SplitSeq(connections, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return o, fmt.Errorf("-connections %q is no list of numbers", connections)
		}
		o.connections = append(o.connections, n)
	}
	if o.rounds < 1 || o.seconds < 1 {
		return o, errors.New("-rounds and -seconds must be at least 1")
	}
	return o, nil
}

func run(ctx context.Context, arguments []string) error {
	o, err := parse(arguments)
	if err != nil {
		return err
	}
	only, err := regexp.Compile(o.only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	if !o.given {
		dir, err := os.MkdirTemp("", "osgate-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.osgate = filepath.Join(dir, "osgate")
		if err := build(ctx, o.osgate); err != nil {
			return err
		}
	}
	result := describe(ctx, o)
	failure := measureAll(ctx, o, only, result)
	result.Load += " and " + loadAverage()
	result.WriteText(os.Stdout)
	if len(result.Samples) == 0 {
		return errors.Join(failure, errors.New("nothing was measured"))
	}
	if err := result.Save(o.out); err != nil {
		return errors.Join(failure, err)
	}
	if o.docs != "" && failure == nil {
		failure = result.Document(o.docs)
	}
	if failure == nil && len(result.Problems()) > 0 {
		failure = errors.New("some samples are not valid: see the table")
	}
	return failure
}

// measureAll runs the chosen scenarios and adds their samples to result. After an error
// it continues with the next scenario, unless ctx has ended.
func measureAll(ctx context.Context, o options, only *regexp.Regexp, result *report.Run) error {
	var failures []error
	nonce := strconv.FormatInt(result.Started.UnixNano(), 36)
	for _, sc := range scenarios(o.settings) {
		if !only.MatchString(sc.name) {
			continue
		}
		if ctx.Err() != nil {
			return errors.Join(append(failures, context.Cause(ctx))...)
		}
		samples, err := sc.run(ctx, o.settings, nonce)
		result.Scenarios = append(result.Scenarios, sc.describe())
		result.Samples = append(result.Samples, samples...)
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", sc.name, err))
		}
	}
	return errors.Join(failures...)
}
