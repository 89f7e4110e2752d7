package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"osgate/cmd/internal/table"
	"osgate/policy"
)

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
