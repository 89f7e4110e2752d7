package charttest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is the time limit of every wait: it is for programs that hang, not for a
// machine that is busy with other work.
const patience = time.Minute

// client gives up if no answer arrives in time.
var client = &http.Client{Timeout: patience}

// keyOne is the path of a key in osemu's built-in world.
const keyOne = "/api/v1/organizations/org-root/environments/env-prod/stores/APP_demo__defaultPersistentObjectStore" +
	"/partitions/DEFAULT_PARTITION/keys/KeyOne"

// buildPrograms returns the folder of osgate and osemu, which it builds once from the
// module around this one, like users do.
func buildPrograms(t testing.TB) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// programs builds into a folder of this checkout, which git ignores.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := filepath.Abs("../../bin/charttest")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-tags", "grpcnotrace",
		"-o", dir+string(filepath.Separator), "./cmd/osgate", "./cmd/osemu")
	build.Dir = "../.."
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building osgate and osemu: %w\n%s", err, text)
	}
	return dir, nil
})

// process is a program that a test started, with its output.
type process struct {
	command        *exec.Cmd
	stdout, stderr *output
}

// start runs a program with exactly this environment until the test ends.
func start(t testing.TB, program string, environment []string, arguments ...string) *process {
	t.Helper()
	p := &process{command: exec.Command(program, arguments...), stdout: &output{}, stderr: &output{}}
	p.command.Env = append([]string{"PATH=" + os.Getenv("PATH")}, environment...)
	p.command.Stdout, p.command.Stderr = p.stdout, p.stderr
	p.command.SysProcAttr = procAttr()
	p.command.WaitDelay = patience
	if err := p.command.Start(); err != nil {
		t.Fatalf("starting %s: %v", program, err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s wrote:\n%s\n%s", filepath.Base(program), p.stdout, p.stderr)
		}
	})
	return p
}

// kill ends the program like a crash would.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
}

// url waits for the n-th line of standard output, counted from 0, and returns the
// address in it.
func (p *process) url(t testing.TB, n int) string {
	t.Helper()
	var lines []string
	eventually(t, p.command.Path+" to print where it listens", func() bool {
		lines = strings.Split(p.stdout.String(), "\n")
		return len(lines) > n+1
	})
	return strings.TrimRight(lines[n][strings.Index(lines[n], "http://"):], "/ ")
}

// output is the output of a program so far. It is safe for concurrent use.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

// Write implements [io.Writer].
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// String returns the output so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// redisServer is a redis-server on loopback.
type redisServer struct {
	*process
	port string
}

// startRedis starts a redis-server with arguments after those for its address.
func startRedis(t testing.TB, arguments ...string) *redisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal("redis-server is not installed; this test needs it (apt-get install redis-server)")
	}
	r := &redisServer{port: free(t)}
	r.process = start(t, "redis-server", nil, append([]string{
		"--bind", "127.0.0.1", "--port", r.port, "--dir", t.TempDir(),
	}, arguments...)...)
	eventually(t, "redis-server", func() bool { return strings.Contains(r.stdout.String(), "Ready to accept connections") })
	return r
}

func (r *redisServer) url() string { return "redis://127.0.0.1:" + r.port + "/0" }

// free returns a port that nobody listens on.
func free(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String()) // the address is well formed
	return port
}

// mint gets a token of the connected app app-one through a gateway.
func mint(t testing.TB, gateway string) string {
	t.Helper()
	form := strings.NewReader("client_id=app-one&client_secret=secret-one&grant_type=client_credentials")
	response, err := client.Post(gateway+"/us/accounts/oauth2/token", "application/x-www-form-urlencoded", form)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Token == "" {
		t.Fatalf("no token: %s, %v", response.Status, err)
	}
	return answer.Token
}

// get sends a request with a bearer token, unless that is empty.
func get(t testing.TB, url, token string) (status int, text []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if text, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, text
}

// newCertificate returns a self-signed certificate and its key, PEM.
func newCertificate(t testing.TB) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}

// eventually calls cond every 20 ms until it returns true, and fails the test when
// patience is over.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waiting for %s: not within %v", what, patience)
		}
	}
}
