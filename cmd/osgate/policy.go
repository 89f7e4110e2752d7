package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"osgate/cmd/internal/table"
	"osgate/config"
	"osgate/policy"
	"osgate/regionmap"
)

const policyUsage = "policy takes check [PATH], test [PATH], schema, or replay [-policy PATH] [-environment-types FILE] [-format text|json] ACCESSLOG|-"

// policyArguments holds the arguments of the policy command.
type policyArguments struct {
	command      string
	path         string // of the rules; empty: the path in the configuration
	log          string // the access log, "-" for standard input
	environments string // a file with the types of environments; empty: all types are unknown
	format       string
}

// policy runs a subcommand for the organization's policy. The subcommands do not
// contact a running gateway and change nothing.
func (p *program) policy(ctx context.Context, args []string) int {
	a, err := parsePolicy(args)
	if err != nil {
		return p.misuse("%v", err)
	}
	c, ok := p.loadAlone()
	if !ok {
		return exitMisuse
	}
	if a.command == "schema" {
		p.print("%s", policy.Schema(c.Policy.Headers))
		return exitOK
	}
	if a.path == "" {
		a.path = c.Policy.Path
	}
	if a.path == "" {
		return p.misuse("no policy: give a PATH or set OSGATE_POLICY")
	}
	rules, status := p.loadPolicy(a.path, c.Policy)
	if status != exitOK {
		return status
	}
	switch a.command {
	case "test":
		return p.testPolicy(rules.Rules(), a.path)
	case "replay":
		return p.replayPolicy(ctx, rules.Rules(), a)
	}
	return p.describePolicy(rules.State())
}

// parsePolicy parses the arguments of policy.
func parsePolicy(args []string) (policyArguments, error) {
	if len(args) == 0 {
		return policyArguments{}, errors.New(policyUsage)
	}
	a := policyArguments{command: args[0]}
	flags := flag.NewFlagSet("policy", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	if a.command == "replay" {
		flags.StringVar(&a.path, "policy", "", "")
		flags.StringVar(&a.environments, "environment-types", "", "")
		flags.StringVar(&a.format, "format", "text", "")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return a, fmt.Errorf("%w; %s", err, policyUsage)
	}
	switch a.command {
	case "check", "test":
		if flags.NArg() == 1 {
			a.path = flags.Arg(0)
		}
		if flags.NArg() <= 1 {
			return a, nil
		}
	case "schema":
		if flags.NArg() == 0 {
			return a, nil
		}
	case "replay":
		a.log = flags.Arg(0)
		if flags.NArg() == 1 && (a.format == "text" || a.format == "json") {
			return a, nil
		}
	}
	return a, errors.New(policyUsage)
}

// loadPolicy reads the rules at path as the gateway would: with the headers of the
// configuration, but without shadow mode for all rules, so that a decision is that of
// the rules. It prints faults one per line, as compilers do.
func (p *program) loadPolicy(path string, c config.Policy) (*policy.Policy, int) {
	rules, err := policy.Load(policy.Options{Path: path, Headers: c.Headers})
	if faults, ok := errors.AsType[*policy.LoadError](err); ok {
		folder := path
		if isFile(path) {
			folder = filepath.Dir(path)
		}
		for _, problem := range faults.Problems {
			problem.File = filepath.Join(folder, problem.File)
			fmt.Fprintln(p.err, problem)
		}
		return nil, exitFailed
	}
	if err != nil {
		p.complain("%v", err)
		return nil, exitMisuse
	}
	return rules, exitOK
}

// isFile reports whether path is a file of rules, with any name, and not a folder of
// such files.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// located reports whether the region exists, or the plane if region is empty.
func located(plane, region string) bool {
	if region == "" {
		return slices.Contains(regionmap.Planes(), plane)
	}
	return regionmap.Host(regionmap.Location{Plane: plane, Region: region}) != ""
}

// describePolicy prints the number of rules and files that were read.
func (p *program) describePolicy(s policy.State) int {
	p.print("valid: %s in %s, %d in shadow mode\n", plural(s.Rules, "rule"), plural(s.Files, "file"), s.Shadowed)
	return exitOK
}

// testPolicy runs the test cases beside the rules: all cases in a folder, or the cases
// named for a single file.
func (p *program) testPolicy(rules *policy.Rules, path string) int {
	if isFile(path) {
		path = strings.TrimSuffix(path, filepath.Ext(path)) + ".cases.json"
	}
	report, err := policy.RunCases(rules, path, located)
	if err != nil {
		p.complain("%v", err)
		return exitMisuse
	}
	for _, failure := range report.Failures {
		p.print("%s\n", failure)
	}
	if report.Cases == 0 {
		p.complain("%s contains no *.cases.json: nothing was tested", path)
		return exitFailed
	}
	if len(report.Failures) > 0 {
		p.print("FAILED: %d of %s (- as expected, + as decided)\n", len(report.Failures), plural(report.Cases, "case"))
		return exitFailed
	}
	p.print("passed: %s, %s\n", plural(report.Cases, "case"), plural(rules.Len(), "rule"))
	return exitOK
}

// plural returns a number with its noun: "1 rule", "2 rules".
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// The bounds of the input of replay.
const (
	maxLogLineBytes          = 1 << 20 // longer lines are not exchanges
	maxEnvironmentTypesBytes = 8 << 20
)

// replayPolicy prints what the rules would have decided about an access log.
func (p *program) replayPolicy(ctx context.Context, rules *policy.Rules, a policyArguments) int {
	environments, err := readEnvironmentTypes(a.environments)
	if err != nil {
		return p.misuse("%v", err)
	}
	in := p.in
	if a.log != "-" {
		file, err := os.Open(a.log)
		if err != nil {
			return p.misuse("reading the access log: %v", err)
		}
		defer func() { _ = file.Close() }() // opened for reading only
		in = file
	}
	replay := policy.NewReplay(rules, environments)
	if err := eachLine(ctx, in, replay.Line); err != nil {
		p.complain("reading the access log: %v", err)
		return exitFailed
	}
	summary, status := replay.Summary(), exitOK
	if a.format == "json" {
		status = p.printReplayJSON(summary)
	} else {
		p.printReplay(summary)
	}
	if summary.Lines == summary.Skipped {
		p.complain(
			"nothing was replayed: none of the lines is an exchange in JSON (OSGATE_LOG_FORMAT=json, not compressed)")
		return exitFailed
	}
	return status
}

// readEnvironmentTypes reads a JSON object that maps environment ids to types. Without
// a path all types are unknown.
func readEnvironmentTypes(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the types of environments: %w", err)
	}
	defer func() { _ = file.Close() }() // opened for reading only
	var types map[string]string
	if err := json.NewDecoder(io.LimitReader(file, maxEnvironmentTypesBytes)).Decode(&types); err != nil {
		return nil, fmt.Errorf(
			`reading the types of environments: %s is not JSON such as {"<environment id>": "production"}: %w`,
			path, err)
	}
	for id, kind := range types {
		if kind != "production" && kind != "sandbox" && kind != "design" {
			return nil, fmt.Errorf(
				"reading the types of environments: %s: %q has type %q; want production, sandbox or design",
				path, id, kind)
		}
	}
	return types, nil
}

// eachLine calls use with every line of in until ctx ends. The line is valid only
// during the call. For a line that is too long, use is called with an empty line.
func eachLine(ctx context.Context, in io.Reader, use func(line []byte)) error {
	lines := bufio.NewReaderSize(in, maxLogLineBytes)
	long := false
	for ctx.Err() == nil {
		line, err := lines.ReadSlice('\n')
		last := errors.Is(err, io.EOF)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			long = true
			continue
		case err != nil && !last:
			return err
		case long:
			use(nil)
		case len(line) > 0:
			use(line)
		}
		if long = false; last {
			return nil
		}
	}
	return ctx.Err()
}

// replayReport is the JSON form of a [policy.Summary].
type replayReport struct {
	Lines     int          `json:"lines"`
	Skipped   int          `json:"skipped"`
	Sampled   bool         `json:"sampled"`
	Permitted int          `json:"permitted"`
	Denied    int          `json:"denied"`
	Undecided int          `json:"undecided"`
	Rules     []replayRule `json:"rules"`
}

// replayRule is the JSON form of a [policy.RuleSummary].
type replayRule struct {
	Rule      string   `json:"rule"`
	Denied    int      `json:"denied"`
	Refused   int      `json:"refused"`
	Shadow    int      `json:"shadow"`
	Undecided int      `json:"undecided"`
	Missing   []string `json:"missing,omitempty"`
	First     string   `json:"first,omitempty"`
	Last      string   `json:"last,omitempty"`
}

func (p *program) printReplayJSON(s policy.Summary) int {
	report := replayReport{s.Lines, s.Skipped, s.Sampled, s.Permitted, s.Denied, s.Undecided, []replayRule{}}
	for _, r := range s.Rules {
		report.Rules = append(report.Rules, replayRule(r))
	}
	encoder := json.NewEncoder(p.out)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(report); err != nil {
		p.complain("writing the summary: %v", err)
		return exitFailed
	}
	return exitOK
}

// printReplay prints a summary as text. Request ids come from clients and are cleaned.
func (p *program) printReplay(s policy.Summary) {
	estimated := ""
	if s.Sampled {
		estimated = fmt.Sprintf(" (of about %s, estimated from a sample)",
			plural(s.Permitted+s.Denied+s.Undecided, "exchange"))
	}
	p.print(
		"%s: %d permitted, %d denied, %d undecided%s; %d skipped, which are not exchanges of an identified principal\n",
		plural(s.Lines, "line"), s.Permitted, s.Denied, s.Undecided, estimated, s.Skipped)
	if len(s.Rules) == 0 {
		return
	}
	list := table.Table{Columns: []table.Column{
		{Title: "RULE"}, {Title: "DENIED", Right: true}, {Title: "OF THESE ANSWERED", Right: true},
		{Title: "IN SHADOW", Right: true}, {Title: "UNDECIDED", Right: true},
		{Title: "FIRST REQUEST ID"}, {Title: "LAST REQUEST ID"}, {Title: "UNDECIDED WITHOUT"},
	}}
	for _, r := range s.Rules {
		row := []table.Cell{table.Text(r.Rule)}
		for _, n := range []int{r.Denied, r.Refused, r.Shadow, r.Undecided} {
			row = append(row, table.Styled(table.Plain, "%d", n))
		}
		row = append(row, table.Text(r.First), table.Text(r.Last), table.Text(strings.Join(r.Missing, ", ")))
		list.Add(row...)
	}
	p.print("\n%s\n", list)
}
