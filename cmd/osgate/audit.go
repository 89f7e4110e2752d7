package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"osgate/audit"
)

const auditUsage = "audit takes verify [-head HASH] FILE…, with - for standard input"

// audit runs the subcommand of audit. It contacts no running gateway and changes
// no file.
func (p *program) audit(_ context.Context, args []string) int {
	files, head, err := parseAudit(args)
	if err != nil {
		return p.misuse("%v", err)
	}
	c, ok := p.loadAlone()
	if !ok {
		return exitMisuse
	}
	var before audit.Summary
	for i, path := range files {
		o := audit.VerifyOptions{Secret: c.Key()}
		if i == len(files)-1 {
			o.Head = head
		}
		s, err := p.verify(path, o)
		if err == nil && i > 0 && s.Before != before.Head.String() {
			err = &audit.BrokenError{Line: 1, Problem: "it does not follow the last line of " + files[i-1]}
		}
		if err != nil {
			p.complain("%s: %v", path, err)
			if _, broken := errors.AsType[*audit.BrokenError](err); broken {
				return exitFailed
			}
			return exitMisuse
		}
		p.describeAudit(path, s)
		before = s
	}
	return exitOK
}

// parseAudit parses the arguments of audit. The flag may follow the files.
func parseAudit(args []string) (files []string, head string, err error) {
	if len(args) == 0 || args[0] != "verify" {
		return nil, "", errors.New(auditUsage)
	}
	set := flag.NewFlagSet("audit", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&head, "head", "", "")
	for args = args[1:]; ; args = set.Args()[1:] {
		if err := set.Parse(args); err != nil {
			return nil, "", fmt.Errorf("%w; %s", err, auditUsage)
		}
		if set.NArg() == 0 {
			break
		}
		files = append(files, set.Arg(0))
	}
	if len(files) == 0 {
		return nil, "", errors.New(auditUsage)
	}
	return files, head, nil
}

// verify checks one file.
func (p *program) verify(path string, o audit.VerifyOptions) (audit.Summary, error) {
	if path == "-" {
		return audit.Verify(p.in, o) //nolint:wrapcheck // it names the line
	}
	f, err := os.Open(path)
	if err != nil {
		return audit.Summary{}, err //nolint:wrapcheck // it names the path
	}
	defer func() { _ = f.Close() }() // opened for reading only
	return audit.Verify(f, o)        //nolint:wrapcheck // it names the line
}

// describeAudit prints the summary of a whole file.
func (p *program) describeAudit(path string, s audit.Summary) {
	row := func(name, format string, args ...any) { p.print("%-12s %s\n", name, fmt.Sprintf(format, args...)) }
	row("whole", "%s", path)
	row("lines", "%d (%d to %d)", s.Lines, s.First, s.Last)
	row("time", "%s to %s", s.From, s.Until)
	if s.Before != "" {
		row("follows", "%s", s.Before)
	}
	row("head", "%s", s.Head)
	if s.Lost > 0 {
		row("lost", "%d lines, as the file states", s.Lost)
	}
	if s.Unchecked > 0 {
		row("not checked", "%d macs, because OSGATE_SECRET is not set", s.Unchecked)
	}
}
