package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"osgate/emulator"
)

// asProgram makes the test binary run as osemu, so that signals reach a real process.
const asProgram = "RUN_AS_OSEMU"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// process is a running osemu.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	stderr *bytes.Buffer
}

// launch starts osemu on a free port and waits for its address.
func launch(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, stderr: new(bytes.Buffer)}
	p.cmd = exec.CommandContext(t.Context(), os.Args[0], append([]string{"-listen", "127.0.0.1:0"}, args...)...)
	p.cmd.Env = append(os.Environ(), asProgram+"=yes")
	p.cmd.Stderr = p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		_ = p.cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("no first line: %v, %s", err, p.stderr)
	}
	p.url = strings.TrimSpace(line)
	return p
}

// end sends a signal and returns the exit status.
func (p *process) end(signal os.Signal) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Fatal(err)
	}
	_ = p.cmd.Wait() // the status shows the result
	return p.cmd.ProcessState.ExitCode()
}

// do sends a request and returns status and body.
func (p *process) do(token, method, path, body string) (int, string) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func (p *process) token() string {
	p.t.Helper()
	answer, err := http.PostForm(p.url+"/us/accounts/oauth2/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"app-one"}, "client_secret": {"secret-one"},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	var minted struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&minted); err != nil {
		p.t.Fatal(err)
	}
	return minted.Token
}

const keys = "/us/us-east-1/api/v1/organizations/org-root/environments/env-prod/stores/APP_demo__defaultPersistentObjectStore/partitions/DEFAULT_PARTITION/keys"

func TestFirstLineIsTheAddressAndASignalEndsIt(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		p := launch(t)
		if !strings.HasPrefix(p.url, "http://127.0.0.1:") || strings.HasSuffix(p.url, ":0") {
			t.Errorf("the first line is %q", p.url)
		}
		if status, body := p.do(p.token(), "GET", keys, ""); status != 200 {
			t.Errorf("got %d %s", status, body)
		}
		if got := p.end(signal); got != 0 {
			t.Errorf("%v: exit status %d, %s", signal, got, p.stderr)
		}
		if log := p.stderr.String(); !strings.Contains(log, " 200  GET     app-one    ") || strings.Contains(log, "secret-one\n") {
			t.Errorf("log: %s", log)
		}
	}
}

func TestQuietLogsNothing(t *testing.T) {
	p := launch(t, "-quiet")
	p.do(p.token(), "GET", keys, "")
	p.end(syscall.SIGTERM)
	if p.stderr.Len() > 0 {
		t.Errorf("log: %s", p.stderr)
	}
}

func TestStopWaitsForRunningExchanges(t *testing.T) {
	p := launch(t, "-latency", "300ms", "-rate", "0")
	token := p.token()
	type result struct {
		status int
		body   string
	}
	done := make(chan result, 1)
	go func() {
		status, body := p.do(token, "GET", keys+"/KeyOne", "")
		done <- result{status, body}
	}()
	for { // until the request is being processed
		var log []emulator.Request
		_, text := p.do(token, "GET", "/_osemu/requests", "")
		if err := json.Unmarshal([]byte(text), &log); err != nil {
			t.Fatal(err)
		}
		if len(log) == 2 {
			break
		}
	}
	if got := p.end(syscall.SIGTERM); got != 0 {
		t.Errorf("exit status %d, %s", got, p.stderr)
	}
	if got := <-done; got.status != 200 {
		t.Errorf("the exchange ended with %d %s", got.status, got.body)
	}
}

func TestAcknowledgedWritesSurviveKill(t *testing.T) {
	data := t.TempDir()
	p := launch(t, "-data", data, "-rate", "0", "-quiet")
	token := p.token()
	written := make(chan int, 1)
	go func() { // until the process is gone
		n := 0
		defer func() { written <- n }()
		client := &http.Client{Timeout: time.Minute}
		for ; ; n++ {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, fmt.Sprintf("%s%s/k%d", p.url, keys, n), strings.NewReader(fmt.Sprintf(`{"numberValue":%d}`, n)))
			if err != nil {
				return
			}
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("Content-Type", "application/json")
			answer, err := client.Do(r)
			if err != nil {
				return
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusCreated {
				return
			}
		}
	}()
	for status := 0; status != 200; { // until some writes have been acknowledged
		status, _ = p.do(token, "GET", keys+"/k100", "")
	}
	p.end(syscall.SIGKILL)
	n := <-written

	p = launch(t, "-data", data, "-rate", "0", "-quiet")
	for i := range n {
		if status, body := p.do(token, "GET", fmt.Sprintf("%s/k%d", keys, i), ""); status != 200 || !strings.Contains(body, fmt.Sprintf(`"numberValue":%d,`, i)) {
			t.Fatalf("of %d acknowledged writes, that of k%d: %d %s", n, i, status, body)
		}
	}
	if got := p.end(syscall.SIGTERM); got != 0 {
		t.Errorf("exit status %d", got)
	}
}

func TestCertificateMakesItHTTPSWithTLS12(t *testing.T) {
	cert, key, pool := certificate(t)
	p := launch(t, "-tls-cert", cert, "-tls-key", key, "-quiet")
	if !strings.HasPrefix(p.url, "https://") {
		t.Fatalf("the first line is %q", p.url)
	}
	for _, row := range []struct {
		version uint16
		served  bool
	}{{tls.VersionTLS11, false}, {tls.VersionTLS12, true}, {tls.VersionTLS13, true}} {
		transport := &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: pool, MinVersion: row.version, MaxVersion: row.version},
			ForceAttemptHTTP2: true,
		}
		answer, err := (&http.Client{Transport: transport}).Get(p.url + "/_osemu/world")
		if (err == nil) != row.served {
			t.Errorf("%s: %v", tls.VersionName(row.version), err)
		}
		if err == nil {
			if answer.ProtoMajor != 2 {
				t.Errorf("%s: served by %s", tls.VersionName(row.version), answer.Proto)
			}
			answer.Body.Close()
		}
		transport.CloseIdleConnections()
	}
}

// certificate writes a self-signed certificate for 127.0.0.1 and returns its files.
func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	encodedKey, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
	pool.AppendCertsFromPEM(certPEM)
	folder := t.TempDir()
	certFile, keyFile = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	for path, content := range map[string][]byte{certFile: certPEM, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encodedKey})} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile, pool
}

// ended runs osemu with arguments with which it ends by itself.
func ended(t *testing.T, args, environ []string) (status int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	status = run(ctx, args, environ, &out, &errs)
	return status, out.String(), errs.String()
}

func TestTheVersionIsAFlag(t *testing.T) {
	for _, flag := range []string{"-v", "-version", "--version"} {
		if status, stdout, stderr := ended(t, []string{flag}, nil); status != 0 || !strings.HasPrefix(stdout, "osemu ") || stderr != "" {
			t.Errorf("%s: exit status %d, %q, %q; want the version alone", flag, status, stdout, stderr)
		}
	}
}

func TestHelpTeaches(t *testing.T) {
	status, help, stderr := ended(t, []string{"-h"}, nil)
	if status != 0 || stderr != "" {
		t.Errorf("exit status %d, %s", status, stderr)
	}
	var s settings
	s.flags().VisitAll(func(one *flag.Flag) {
		if !strings.Contains(help, "\n  -"+one.Name+" ") && !strings.Contains(help, "; -"+one.Name+" too") {
			t.Errorf("-%s is not in it", one.Name)
		}
	})
	for _, c := range emulator.Choices() {
		if !strings.Contains(help, "\n  "+c.Name+" ") || !strings.Contains(help, strings.Join(c.Values, ", ")) {
			t.Errorf("choice %s is not in it", c.Name)
		}
	}
}

func TestMisuseIsReportedInOneLineAndExits2(t *testing.T) {
	folder := t.TempDir()
	world := filepath.Join(folder, "w.json")
	if err := os.WriteFile(world, []byte("{\n \"organizations\": [{\"id\": \"..\"}]\n}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		args, environ []string
		want          string
	}{
		"unknown flag":       {[]string{"-speed", "9"}, nil, "flag provided but not defined: -speed"},
		"argument":           {[]string{"serve"}, nil, `osemu takes flags, not arguments: "serve"`},
		"rate no number":     {[]string{"-rate", "ten"}, nil, `invalid value "ten" for flag -rate`},
		"rate by nobody":     {[]string{"-rate-by", "moon"}, nil, `rate by "moon": one of client, app, store, ip`},
		"fault":              {[]string{"-fault", "429=2"}, nil, "fault 429: the probability is from 0 to 1"},
		"choice":             {[]string{"-choose", "etag=maybe"}, nil, "choice etag=maybe: one of off, on"},
		"choice form":        {[]string{"-choose", "etag"}, nil, `-choose "etag": want name=value`},
		"negative rate":      {[]string{"-rate", "-1"}, nil, "-rate, -accounts-rate and -stats-rate must be 0 (no limit) or more"},
		"certificate alone":  {[]string{"-tls-cert", "c.pem"}, nil, "-tls-cert and -tls-key must be given together"},
		"no world":           {[]string{"-world", folder + "/none.json"}, nil, "no such file"},
		"wrong world":        {[]string{"-world", world}, nil, world + ":2: organizations[0].id: the organization is a dot segment"},
		"unknown variable":   {nil, []string{"OSEMU_SPEED=9"}, "unknown variable OSEMU_SPEED"},
		"like a Service's":   {nil, []string{"OSEMU_RATE_PORT=9"}, "unknown variable OSEMU_RATE_PORT"},
		"no variable":        {nil, []string{"OSEMU_VERSION=1"}, "unknown variable OSEMU_VERSION"},
		"variable no number": {nil, []string{"OSEMU_RATE=ten"}, `OSEMU_RATE="ten"`},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := ended(t, row.args, row.environ)
			if status != 2 || stdout != "" || !strings.Contains(stderr, row.want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("got exit status %d, %q and %q, want %q", status, stdout, stderr, row.want)
			}
		})
	}
}

func TestAddressInUseExits1(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if status, _, stderr := ended(t, []string{"-listen", listener.Addr().String()}, nil); status != 1 || !strings.Contains(stderr, "in use") {
		t.Errorf("got exit status %d, %s", status, stderr)
	}
}

func TestFlagsWinOverVariables(t *testing.T) {
	s, err := readSettings([]string{"-rate", "7"}, []string{
		"OSEMU_RATE=5", "OSEMU_RATE_BY=ip", "OSEMU_TLS_CERT=c", "OSEMU_TLS_KEY=k", "OSEMU_QUIET=true", "HOME=/",
		"OSEMU_SERVICE_HOST=10.0.0.1", "OSEMU_PORT=tcp://10.0.0.1:80", "OSEMU_PORT_80_TCP=x",
		"OSEMU_RATE_SERVICE_HOST=10.0.0.1", "OSEMU_RATE_SERVICE_PORT_HTTP=80", "OSEMU_RATE_PORT=tcp://10.0.0.1:80", "OSEMU_RATE_PORT_80_TCP_ADDR=10.0.0.1",
	})
	if err != nil || s.rate != 7 || s.rateBy != "ip" || s.tlsCert != "c" || !s.quiet {
		t.Errorf("got %+v, %v", s, err)
	}
}
