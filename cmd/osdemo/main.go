// Command osdemo is a demonstration: the gateway with embedded stores and the Object
// Store v2 emulator in one process on loopback. It mints a token through the gateway
// and prints curl commands to paste. OSGATE_… variables of the environment override its
// own settings.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"osgate/cmd/internal/gateway"
	"osgate/emulator"
	build "osgate/internal/version"
)

// version is set by the linker. It is empty in a plain go build.
var version string

// The addresses that are tried first. If one is in use, the system chooses a port.
const (
	clientsAddress  = "127.0.0.1:8080"
	adminAddress    = "127.0.0.1:8081"
	emulatorAddress = "127.0.0.1:8090"
)

// latency is the delay that the emulator adds to each answer, so that a cache hit is
// visible.
const latency = 20 * time.Millisecond

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	gateway.EndAtOnceOnASecond(ctx, stop)
	if status, ends := arguments(os.Args[1:], os.Stdout, os.Stderr); ends {
		os.Exit(status)
	}
	if err := run(ctx, os.Environ(), os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "osdemo: %v\n", err)
		os.Exit(1)
	}
}

const usage = `osdemo is a demonstration: the gateway and the Object Store v2 emulator in one process on loopback.
It prints curl commands to paste. Ctrl-C stops it.

Usage: osdemo

  -h, --help     print this
  -v, --version  print the version

OSGATE_… variables override the settings of the demo; osgate help lists the commands of the gateway, osemu -h the flags of the emulator.
`

// misuse is the exit status for unknown arguments.
const misuse = 2

// arguments handles the arguments. It reports whether osdemo ends with that, and the
// exit status.
func arguments(args []string, out, complaints io.Writer) (status int, ends bool) {
	if len(args) == 0 {
		return 0, false
	}
	switch args[0] {
	case "-h", "-help", "--help", "help":
		fmt.Fprint(out, usage)
		return 0, true
	case "-v", "-version", "--version", "version":
		fmt.Fprintln(out, "osdemo", build.Of(version))
		return 0, true
	}
	fmt.Fprintf(complaints, "osdemo: unknown flag or argument %q; see osdemo -h\n", args[0])
	return misuse, true
}

// run serves until ctx ends.
func run(ctx context.Context, environ []string, out, log io.Writer) error {
	upstream, stopUpstream, err := startEmulator(ctx)
	if err != nil {
		return err
	}
	defer stopUpstream()
	c, err := gateway.Configure(settings(environ, upstream))
	if err != nil {
		return err
	}
	lines, flush := gateway.OpenLog(log, &c.Log)
	defer flush()
	g, err := gateway.New(gateway.Options{
		Config: c, Logger: gateway.NewLogger(lines, c.Log), Log: lines, Version: build.Of(version),
	})
	if err != nil {
		return err
	}
	stopped := make(chan error, 1)
	go func() { stopped <- g.Run(ctx) }() // ends with ctx, waited for below
	tour := tour{gateway: g.ClientsURL(), admin: g.AdminURL(), emulator: upstream, now: time.Now().UTC()}
	if err := tour.mint(ctx); err == nil {
		tour.print(out)
	} else if ctx.Err() == nil {
		return fmt.Errorf("minting a token through the gateway: %w", err)
	}
	err = <-stopped
	fmt.Fprintln(out, "stopped")
	return err
}

// startEmulator serves the emulator on loopback and returns its base URL.
func startEmulator(ctx context.Context) (base string, stop func(), err error) {
	e, err := emulator.New(emulator.Options{Latency: latency})
	if err != nil {
		return "", nil, err
	}
	listener, err := net.Listen("tcp", free(emulatorAddress)) //nolint:noctx // returns at once
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("opening the emulator's listener: %w", err), e.Close())
	}
	server := &http.Server{
		Handler: e, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	done := make(chan struct{})
	go func() { // ends with stop
		defer close(done)
		_ = server.Serve(listener) // always ErrServerClosed
	}()
	return "http://" + listener.Addr().String(), func() {
		_ = server.Close() // the gateway has stopped, so no request is running
		<-done
		_ = e.Close() // in memory
	}, nil
}

// settings returns the demo's variables, overridden by those of the environment.
func settings(environ []string, upstream string) []string {
	own := map[string]string{
		"OSGATE_LISTEN":            free(clientsAddress),
		"OSGATE_ADMIN_LISTEN":      free(adminAddress),
		"OSGATE_UPSTREAM_OVERRIDE": upstream,
		"OSGATE_DEFAULT_REGION":    "us/us-east-1",
		"OSGATE_DRAIN_DELAY":       "0s",
		"OSGATE_LOG_LEVEL":         "error", // the tour stays in sight
		"OSGATE_LOG_FORMAT":        "text",
	}
	var all []string
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		delete(own, name)
		all = append(all, pair)
	}
	for name, value := range own {
		all = append(all, name+"="+value)
	}
	return all
}

// free returns address if no listener uses it, otherwise an address with port 0, for
// which the system chooses a port.
func free(address string) string {
	l, err := net.Listen("tcp", address) //nolint:noctx // returns at once
	if err != nil {
		return "127.0.0.1:0"
	}
	_ = l.Close() // opened only to test the address
	return address
}

// tour prints the vendor's documented journey, through the gateway.
type tour struct {
	gateway, admin, emulator string
	token                    string
	now                      time.Time
}

// The built-in world of the emulator.
const (
	client    = "client_id=app-one&client_secret=secret-one&grant_type=client_credentials"
	prefix    = "/api/v1/organizations/org-root/environments/env-prod"
	partition = prefix + "/stores/APP_demo__defaultPersistentObjectStore/partitions/DEFAULT_PARTITION"
)

// mint gets a token as an application does, through the gateway.
func (t *tour) mint(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost,
		t.gateway+"/accounts/oauth2/token", strings.NewReader(client))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }() // read below
	var minted struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&minted); err != nil || minted.Token == "" {
		return fmt.Errorf("the answer (%d) contains no token", answer.StatusCode)
	}
	t.token = minted.Token
	return nil
}

// print writes the tour. Each curl command is one line that can be pasted.
func (t *tour) print(w io.Writer) {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	curl := func(why, options, target string) {
		say("\n# %s\ncurl -s%s -H 'Authorization: Bearer %s' '%s%s'", why, options, t.token, t.gateway, target)
	}
	say("osgate    %s   (use it as your base URL; region us/us-east-1 unless a request names another)", t.gateway)
	say("osemu     %s   (a local Object Store v2: %s latency, 10 requests a second)", t.emulator, latency)
	say("dashboard %s/  (health, requests by outcome, latency, hit ratio, clients, stores, refusals)", t.admin)
	say("\nPaste any of these into another terminal. The token is valid for an hour.")
	say("\n# A token of your own, minted through the gateway\ncurl -s -d '%s' %s/accounts/oauth2/token",
		client, t.gateway)
	curl("The identity behind the token", "", "/accounts/api/me")
	curl("Environments, regions, stores, partitions, keys", "", "/accounts/api/organizations/org-root/environments")
	partitions, _, _ := strings.Cut(partition, "/DEFAULT_PARTITION")
	for _, target := range []string{
		"/api/v1/organizations/org-root/regions", prefix + "/stores", partitions, partition + "/keys",
	} {
		say("curl -s -H 'Authorization: Bearer %s' '%s%s'", t.token, t.gateway, target)
	}
	curl("A value. Run it twice and look at Cache-Status and Age; RateLimit shows the rest of the quota",
		"i", partition+"/keys/KeyOne")
	value := `{"stringValue":"Hello World","keyId":"myTestKey","valueType":"STRING"}`
	curl("Store a value", " -H 'Content-Type: application/json' -d '"+value+"'", partition+"/keys/myTestKey")
	curl("Read it back: after a write no older value is returned", "i", partition+"/keys/myTestKey")
	curl("Delete it", "i -X DELETE", partition+"/keys/myTestKey")
	curl("The same store in the EU control plane (Frankfurt): 401, because it needs a token of that plane",
		"i", "/eu/eu-central-1"+partition+"/keys/KeyOne")
	curl("Thirty requests as fast as one connection can send them: ten a second are answered, none with 429",
		` -o /dev/null -w '%{http_code} after %{time_total} s\n'`, partition+"/keys/KeyOne?n=[1-30]")
	curl("Today's counts, in the form of Anypoint's own Stats API", "", "/api/v1/organizations/org-root?"+t.today())
	say("\nCtrl-C stops everything.")
	_, _ = io.WriteString(w, b.String()) // the reader of the output may have left
}

// today returns a query of the Stats API for the hours of this day so far.
func (t *tour) today() string {
	return url.Values{
		"startDate": {t.now.Truncate(24 * time.Hour).Format(time.RFC3339)},
		"endDate":   {t.now.Format(time.RFC3339)},
		"period":    {"1day"},
	}.Encode()
}
