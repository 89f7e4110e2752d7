// Command osgate is the gateway. The command serve runs it; check, explain and env show
// how it is set up and what it would do; healthcheck checks a running one.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"osgate/cmd/internal/gateway"
	"osgate/config"
	build "osgate/internal/version"
)

// version is set by the linker. It is empty in a plain go build.
var version string

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitMisuse = 2
)

// program is one run of the command with everything that it uses of the process, so
// that a test can run the whole command.
type program struct {
	environ  []string
	in       io.Reader
	out, err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	gateway.EndAtOnceOnASecond(ctx, stop)
	p := &program{environ: os.Environ(), in: os.Stdin, out: os.Stdout, err: os.Stderr}
	os.Exit(p.run(ctx, os.Args[1:]))
}

// run runs one subcommand and returns the exit status.
func (p *program) run(ctx context.Context, args []string) int {
	name := "serve"
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	if wantsHelp(args) {
		name = "help"
	}
	switch name {
	case "-v", "-version", "--version":
		name = "version"
	case "-h", "-help", "--help":
		name = "help"
	}
	for _, c := range append(commands(), command{name: "docs", run: (*program).docs}) {
		if c.name == name {
			return c.run(p, ctx, args)
		}
	}
	if strings.HasPrefix(name, "-") {
		return p.misuse("unknown flag %q; the gateway is configured by OSGATE_… variables", name)
	}
	return p.misuse("unknown command %q", name)
}

// command is a command of osgate, for the program and for its documentation.
type command struct {
	name      string
	arguments string // as the usage shows them; empty: none, or all of them are optional
	summary   string // one line without a full stop
	words     []string
	options   []option
	run       func(p *program, ctx context.Context, args []string) int
}

// option is a flag of a command, or of its subcommands.
type option struct {
	name    string // with its dash
	value   string // a word for its value; empty: it has none
	meaning string // one line without a full stop
}

// commands returns the commands in the order of the usage.
//
//nolint:funlen // one table, which is read as a whole
func commands() []command {
	return []command{
		{
			name: "serve", run: (*program).serve,
			summary: "run the gateway (the default); OSGATE_… variables configure it",
		},
		{
			name: "check", run: (*program).check,
			summary: "validate the configuration, connect to Redis and the control planes, and print the results",
		},
		{
			name: "explain", run: (*program).explain,
			arguments: "METHOD URL [-H 'Name: value'] [-token-client ID | -as NAME | -jwt FILE]",
			summary:   "what the gateway would do with a request, without sending it",
			options: []option{
				{"-H", "HEADER", "a header of the request, as 'Name: value'; any number of them"},
				{"-token-client", "ID", "the client to which the Anypoint token of the request would belong"},
				{"-as", "NAME", "the client of the request, if it has no Anypoint token: the name in its JWT or certificate"},
				{"-jwt", "FILE", "a file with the JWT of the request, which is verified with the keys of its issuer"},
			},
		},
		{
			name: "env", run: (*program).env,
			arguments: "[-markdown]", summary: "every variable with its default, its value in force and its meaning",
			options: []option{{"-markdown", "", "print the table in Markdown"}},
		},
		{
			name: "stats", run: (*program).stats, words: []string{"reconcile"},
			arguments: "reconcile -org ID -from TIME -to TIME …",
			summary:   "compare the vendor's own counts with the gateway's, store by store",
			options: []option{
				{"-org", "ID", "the organization"},
				{"-from", "TIME", "the begin: a day such as 2024-08-31, or a time such as 2024-08-31T12:00:00Z"},
				{"-to", "TIME", "the end; a day is included"},
				{"-period", "PERIOD", "1hour, 1day or 1month"},
				{"-plane", "PLANE", "us or eu"},
				{"-unit", "UNIT", "requests or billing"},
				{"-format", "FORMAT", "table, csv or json"},
				{"-tolerance", "PERCENT", "the largest difference that counts as equal"},
				{"-gateway", "URL", "the base URL of the gateway"},
				{"-client-id", "ID", "a connected app that reads both statistics"},
				{"-client-secret-file", "FILE", "the file with its secret"},
			},
		},
		{
			name: "policy", run: (*program).policy, words: []string{"check", "test", "schema", "replay"},
			arguments: "check [PATH], test [PATH], schema, replay ACCESSLOG|-",
			summary:   "validate rules, run the test cases beside them, apply them to logged requests",
			options: []option{
				{"-policy", "PATH", "for replay: the rules, if not those of OSGATE_POLICY"},
				{"-environment-types", "FILE", "for replay: a JSON object with the types of environments"},
				{"-format", "FORMAT", "for replay: text or json"},
			},
		},
		{
			name: "audit", run: (*program).audit, words: []string{"verify"},
			arguments: "verify [-head HASH] FILE…",
			summary:   "check that no line of an audit file was changed, removed, moved or added",
			options:   []option{{"-head", "HASH", "the hash of a line that the last file must still hold"}},
		},
		{
			name: "top", run: (*program).top,
			arguments: "[-admin URL] [-ca FILE] [-once] [-interval 2s] [-client ID]",
			summary:   "show in the terminal what the running gateway is doing",
			options: []option{
				{"-admin", "URL", "the admin listener, if not that of this configuration"},
				{"-ca", "FILE", "an extra trusted CA (PEM) for that listener"},
				{"-once", "", "print one frame and end"},
				{"-interval", "DURATION", "the time between two frames, 2s by default"},
				{"-client", "ID", "show what is known of one client"},
			},
		},
		{
			name: "healthcheck", run: (*program).healthcheck,
			summary: "check whether the running gateway of this configuration is ready; for containers",
		},
		{
			name: "version", run: (*program).version,
			summary: "print the version; also -v and --version",
		},
		{
			name: "help", run: (*program).help,
			summary: "print this text; also -h and --help, and these after a command",
		},
	}
}

func (p *program) print(format string, args ...any) {
	fmt.Fprintf(p.out, format, args...)
}

func (p *program) complain(format string, args ...any) {
	fmt.Fprintf(p.err, "osgate: "+format+"\n", args...)
}

func (p *program) misuse(format string, args ...any) int {
	p.complain(format+"; see osgate help", args...)
	return exitMisuse
}

// noArguments reports the misuse of a command that takes no arguments.
func (p *program) noArguments(command string, args []string) int {
	return p.misuse("%s takes no arguments and no flags: %q", command, args[0])
}

// wantsHelp reports whether one of args is a flag that requests the usage. The
// argument after explain's -H is a header.
func wantsHelp(args []string) bool {
	for i, arg := range args {
		if slices.Contains([]string{"-h", "-help", "--help"}, arg) && (i == 0 || args[i-1] != "-H") {
			return true
		}
	}
	return false
}

// load reads the configuration and prints every problem. If ok is false, the caller
// only has to exit.
func (p *program) load() (c config.Config, ok bool) {
	c, err := gateway.Configure(p.environ)
	if err != nil {
		p.complain("%v", err)
		return c, false
	}
	return c, true
}

// loadAlone reads the configuration without the files that it names. A running gateway
// keeps its policy while the files are invalid, which is when operators look at it.
// loadAlone prints every problem; if ok is false, the caller only has to exit.
func (p *program) loadAlone() (c config.Config, ok bool) {
	c, err := gateway.ConfigureAlone(p.environ)
	if err != nil {
		p.complain("%v", err)
		return c, false
	}
	return c, true
}

// help prints the usage.
func (p *program) help(context.Context, []string) int {
	p.print("%s", usage())
	return exitOK
}

// usage returns the text of osgate help.
func usage() string {
	var b strings.Builder
	b.WriteString("osgate is a gateway in front of MuleSoft Anypoint Object Store v2.\n\nUsage: osgate [COMMAND]\n\n")
	for _, c := range commands() {
		text := c.summary
		if c.arguments != "" {
			text = c.arguments + ": " + text
		}
		fmt.Fprintf(&b, "  %-12s %s\n", c.name, text)
	}
	b.WriteString("\nExit status: " + exitStatuses + "\n")
	return b.String()
}

const exitStatuses = "0 success, 1 failure, 2 the command or the configuration is invalid; " +
	"for stats reconcile 0 equal, 1 different, 2 no result."

// version prints the version.
func (p *program) version(_ context.Context, args []string) int {
	if len(args) > 0 {
		return p.noArguments("version", args)
	}
	p.print("osgate %s\n", build.Of(version))
	return exitOK
}

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

// healthcheckTimeout is shorter than container runtimes usually allow.
const healthcheckTimeout = 3 * time.Second

// healthcheck requests the readiness of the running gateway of this configuration from
// its admin listener. It needs no shell and no curl, so that it works in an image that
// contains only the gateway.
func (p *program) healthcheck(ctx context.Context, args []string) int {
	if len(args) > 0 {
		return p.noArguments("healthcheck", args)
	}
	c, ok := p.loadAlone()
	if !ok {
		return exitMisuse
	}
	base, trusted, err := ownAdmin(c.Admin)
	if err != nil {
		return p.misuse("%v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
	if err != nil {
		return p.misuse("OSGATE_ADMIN_LISTEN cannot be used: %v", err)
	}
	transport := &http.Transport{TLSClientConfig: trusted, DisableKeepAlives: true}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		p.complain("%v", err)
		return exitFailed
	}
	defer func() { _ = answer.Body.Close() }() // only the beginning is read, below
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
	p.print("%s\n", body)
	if answer.StatusCode != http.StatusOK {
		return exitFailed
	}
	return exitOK
}
