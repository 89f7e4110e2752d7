package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"osgate/emulator"
)

// settings holds the values of the flags and the OSEMU_… variables.
type settings struct {
	listen          string
	world           string
	data            string
	rate            int
	rateBy          string
	accountsRate    int
	statsRate       int
	latency         time.Duration
	fault           string
	seed            int64
	statsLag        time.Duration
	choose          string
	tlsCert, tlsKey string
	quiet           bool
	version         bool // print the version and exit
	healthcheck     bool // check the running osemu and exit
}

// flags returns the flags, bound to s.
func (s *settings) flags() *flag.FlagSet {
	f := flag.NewFlagSet("osemu", flag.ContinueOnError)
	f.SetOutput(io.Discard) // run prints the errors
	f.StringVar(&s.listen, "listen", "127.0.0.1:8090", "`address` to listen on, for all hosts; :0 chooses a free port")
	f.StringVar(&s.world, "world", "",
		"JSON `file` with organizations, environments, clients, users, stores, entries (default: the built-in world)")
	f.StringVar(&s.data, "data", "", "`folder` that keeps all data between runs (default: memory only)")
	f.IntVar(&s.rate, "rate", 10, "Object Store requests in any sliding second; 0: no limit")
	f.StringVar(&s.rateBy, "rate-by", "client",
		"scope of -rate: client, location (a client in each region), app, store or ip")
	f.IntVar(&s.accountsRate, "accounts-rate", 500,
		"Access Management requests per minute of a client or user; 0: no limit")
	f.IntVar(&s.statsRate, "stats-rate", 0,
		"Stats API requests of a client in any sliding second, before 429; 0: no limit")
	f.DurationVar(&s.latency, "latency", 0, "`time` added to each answer, such as 20ms")
	f.StringVar(&s.fault, "fault", "0", "`probabilities`, such as 429=0.01,500=0.01,reset=0.01,cut=0.01,slow=0.01")
	f.Int64Var(&s.seed, "seed", 0, "makes faults and ids repeatable (default: random)")
	f.DurationVar(&s.statsLag, "stats-lag", 0, "`time` until the Stats API shows a request")
	f.StringVar(&s.choose, "choose", "", "`name=value,…` for behavior that the vendor does not document; see below")
	f.StringVar(&s.tlsCert, "tls-cert", "", "PEM `file`: serve HTTPS")
	f.StringVar(&s.tlsKey, "tls-key", "", "PEM `file`: key of -tls-cert")
	f.BoolVar(&s.quiet, "quiet", false, "do not log requests on standard error")
	f.BoolVar(&s.healthcheck, "healthcheck", false,
		"report whether the osemu at -listen answers, by the exit status; for containers")
	f.BoolVar(&s.version, "version", false, "print the version and exit; -v too")
	f.BoolVar(&s.version, "v", false, "print the version and exit")
	return f
}

// flagsAlone lists the flags that have no variable.
var flagsAlone = []string{"healthcheck", "version", "v"}

// variable returns the name of the environment variable of a flag.
func variable(flagName string) string {
	return "OSEMU_" + strings.ToUpper(strings.ReplaceAll(flagName, "-", "_"))
}

// readSettings reads the variables, then the flags, which override them.
func readSettings(args, environ []string) (settings, error) {
	var s settings
	f := s.flags()
	known := map[string]string{}
	f.VisitAll(func(one *flag.Flag) {
		if !slices.Contains(flagsAlone, one.Name) {
			known[variable(one.Name)] = one.Name
		}
	})
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "OSEMU_") || injected(name, pair) {
			continue
		}
		if known[name] == "" {
			return settings{}, fmt.Errorf("unknown variable %s", name)
		}
		if err := f.Set(known[name], value); err != nil {
			return settings{}, fmt.Errorf("%s=%q: %w", name, value, err)
		}
	}
	if err := f.Parse(args); err != nil {
		return settings{}, err
	}
	if f.NArg() > 0 {
		return settings{}, fmt.Errorf("osemu takes flags, not arguments: %q", f.Arg(0))
	}
	if (s.tlsCert == "") != (s.tlsKey == "") {
		return settings{}, errors.New("-tls-cert and -tls-key must be given together")
	}
	if s.rate < 0 || s.accountsRate < 0 || s.statsRate < 0 {
		return settings{}, errors.New("-rate, -accounts-rate and -stats-rate must be 0 (no limit) or more")
	}
	return s, nil
}

// Kubernetes sets variables for each Service: for osemu itself, and in exact forms for
// a Service whose name begins with osemu-.
var (
	ownLink   = regexp.MustCompile(`^OSEMU_(SERVICE_|PORT$|PORT_)`)
	otherLink = regexp.MustCompile(
		`^OSEMU_[A-Z0-9_]+_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
	otherPort = regexp.MustCompile(`^OSEMU_[A-Z0-9_]+_PORT=(tcp|udp|sctp)://`)
)

// injected reports whether Kubernetes sets the variable of item, "NAME=value".
func injected(name, item string) bool {
	return ownLink.MatchString(name) || otherLink.MatchString(name) || otherPort.MatchString(item)
}

// options returns the settings as options of the emulator.
func (s settings) options(log io.Writer) (emulator.Options, error) {
	o := emulator.Options{
		Data: s.data, Rate: unlimited(s.rate), RateBy: s.rateBy,
		AccountsRate: unlimited(s.accountsRate), StatsRate: s.statsRate,
		Latency: s.latency, Fault: s.fault, Seed: s.seed, StatsLag: s.statsLag, Choose: map[string]string{},
	}
	if !s.quiet {
		o.Log = log
	}
	for pick := range strings.SplitSeq(s.choose, ",") {
		if name, value, ok := strings.Cut(strings.TrimSpace(pick), "="); ok {
			o.Choose[name] = value
		} else if pick != "" {
			return o, fmt.Errorf("-choose %q: want name=value", pick)
		}
	}
	if s.world != "" {
		file, err := os.ReadFile(s.world)
		if err != nil {
			return o, fmt.Errorf("reading world: %w", err)
		}
		if o.World, err = emulator.ParseWorld(s.world, file); err != nil {
			return o, err
		}
	}
	return o, nil
}

// unlimited turns 0, the flags' value for no limit, into the emulator's value.
func unlimited(rate int) int {
	if rate == 0 {
		return -1
	}
	return rate
}

// oneLine returns the text of an error, which may have several lines, on one line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

const introduction = `osemu is a local Object Store v2 to develop and test against: the Object Store,
Stats and Access Management APIs of all control planes and regions on one port.

  osemu                       the built-in world on http://127.0.0.1:8090
  osemu -rate 0 -latency 20ms no limit of ten requests a second; slow like a distant region
  osemu -data ./osemu-data    stored data is still there at the next start

Where a request goes: by its Host header if that is one of the vendor's
(object-store-us-east-1.anypoint.mulesoft.com, anypoint.mulesoft.com, …), otherwise by its path:
  /us/us-east-1/api/v1/…      Object Store       /us/accounts/…   Access Management
  /us/api/v1/…                Stats API          /_osemu/…        for tests

A first look:
  curl -d 'grant_type=client_credentials&client_id=app-one&client_secret=secret-one' \
       http://127.0.0.1:8090/us/accounts/api/v2/oauth2/token
  curl -H 'Authorization: Bearer <access_token>' \
       http://127.0.0.1:8090/us/us-east-1/api/v1/organizations/org-root/environments/env-prod/stores

Flags (all but -healthcheck and -version have a variable too: -rate-by is OSEMU_RATE_BY; a flag overrides it):
`

// writeHelp writes the usage.
func writeHelp(w io.Writer) {
	var s settings
	var text strings.Builder
	text.WriteString(introduction)
	s.flags().VisitAll(func(one *flag.Flag) {
		if one.Name == "v" {
			return // in the line of -version
		}
		argument, usage := flag.UnquoteUsage(one)
		fmt.Fprintf(&text, "  %-24s %s", "-"+one.Name+" "+argument, usage)
		if !slices.Contains([]string{"", "0", "0s", "false"}, one.DefValue) {
			fmt.Fprintf(&text, " (default %s)", one.DefValue)
		}
		text.WriteString("\n")
	})
	text.WriteString("\nChoices (-choose etag=on,post-existing=409): name, subject, values with the default first\n")
	choices := emulator.Choices()
	slices.SortFunc(choices, func(a, b emulator.Choice) int { return cmp.Compare(a.Name, b.Name) })
	for _, c := range choices {
		fmt.Fprintf(&text, "  %-21s %s: %s\n", c.Name, c.About, strings.Join(c.Values, ", "))
	}
	text.WriteString(backDoor)
	fmt.Fprint(w, text.String())
}

const backDoor = `
For tests:
  GET         /_osemu/livez        200 once osemu serves
  POST        /_osemu/reset        restore the start: world, requests, clock, faults; tokens stay valid
  GET, DELETE /_osemu/requests     requests received, with targets exactly as on the wire
  GET, PUT    /_osemu/faults       {"latency":"20ms","429":0.01,"reset":0.01,"on":["objectstore"]}
  POST        /_osemu/clock        {"advance":"720h"}
  GET         /_osemu/clients      requests, mints and valid tokens of each connected app
  PATCH       /_osemu/clients/{id} {"scopes":["read:store"]}, {"secret":"new"}
  DELETE      /_osemu/clients/{id}/tokens revoke all its tokens
  GET         /_osemu/world        the present content; its schema is /_osemu/world.schema.json
  GET         /_osemu/openapi.yaml the whole API as OpenAPI 3.1
`
