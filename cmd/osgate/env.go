package main

import (
	"context"
	"flag"
	"io"

	"osgate/config"
)

// env prints the table of variables with the values in force. If the configuration is
// invalid, it prints the problems, and the table without values.
func (p *program) env(_ context.Context, args []string) int {
	flags := flag.NewFlagSet("env", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	markdown := flags.Bool("markdown", false, "")
	if err := flags.Parse(args); err != nil {
		return p.misuse("env accepts only -markdown: %v", err)
	}
	if flags.NArg() > 0 {
		return p.misuse("env accepts only -markdown: %q", flags.Arg(0))
	}
	c, ok := p.load()
	rows, status := c.Table(), exitOK
	if !ok {
		rows, status = config.Variables(), exitMisuse
	}
	write := config.WriteTable
	if *markdown {
		write = config.WriteMarkdown
	}
	if err := write(p.out, rows); err != nil {
		p.complain("writing the table: %v", err)
		return exitFailed
	}
	return status
}
