package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
