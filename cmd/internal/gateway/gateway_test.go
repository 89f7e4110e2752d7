package gateway

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"osgate/config"
	"osgate/emulator"
)

// journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// upstream returns an emulator behind a handler that a test can block.
func upstream(t *testing.T, before func(*http.Request)) *httptest.Server {
	t.Helper()
	e, err := emulator.New(emulator.Options{Rate: -1})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		before(r)
		e.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { s.Close(); _ = e.Close() })
	return s
}

// configured loads a configuration as the process would.
func configured(t *testing.T, variables ...string) config.Config {
	t.Helper()
	c, err := config.Load(append([]string{"OSGATE_LISTEN=127.0.0.1:0", "OSGATE_ADMIN_LISTEN=127.0.0.1:0", "OSGATE_DEFAULT_REGION=us-east-1", "OSGATE_DRAIN_DELAY=0s"}, variables...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// started is a running gateway.
type started struct {
	*Gateway
	log  *journal
	stop func() error // ends the gateway and returns the error of Run
}

func start(t *testing.T, c config.Config) *started {
	t.Helper()
	log := &journal{}
	g, err := New(Options{Config: c, Logger: slog.New(slog.NewJSONHandler(log, nil)), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	stop := sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = stop() })
	return &started{g, log, stop}
}

const key = "/api/v1/organizations/org-root/environments/env-prod/stores/APP_demo__defaultPersistentObjectStore/partitions/DEFAULT_PARTITION/keys/KeyOne"

// mint returns a token obtained through the gateway.
func mint(t *testing.T, client *http.Client, base string) string {
	t.Helper()
	answer, err := client.Post(base+"/accounts/oauth2/token", "application/x-www-form-urlencoded",
		strings.NewReader("client_id=app-one&client_secret=secret-one&grant_type=client_credentials"))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	_, rest, _ := strings.Cut(string(text), `"access_token":"`)
	token, _, _ := strings.Cut(rest, `"`)
	if token == "" {
		t.Fatalf("no token in %d %s", answer.StatusCode, text)
	}
	return token
}

func get(t *testing.T, client *http.Client, target, token string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := client.Do(r)
	if err != nil {
		t.Fatalf("GET %s: %v", target, err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text)
}

func TestAnOrderlyEndFinishesExchangesAndKeepsTheirCounts(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	up := upstream(t, func(r *http.Request) {
		if strings.Contains(r.URL.Path, "/keys/") {
			close(arrived)
			<-release
		}
	})
	state := "OSGATE_STATE_DIR=" + t.TempDir()
	g := start(t, configured(t, "OSGATE_UPSTREAM_OVERRIDE="+up.URL, state))
	token := mint(t, http.DefaultClient, g.ClientsURL())
	answered := make(chan int, 1)
	go func() {
		status, _ := get(t, http.DefaultClient, g.ClientsURL()+key, token)
		answered <- status
	}()
	<-arrived
	stopped := make(chan error, 1)
	go func() { stopped <- g.stop() }()
	for !strings.Contains(g.log.String(), `"msg":"draining"`) {
		if status, body := get(t, http.DefaultClient, g.AdminURL()+"/livez", ""); status != 200 {
			t.Fatalf("livez: %d %s", status, body)
		}
	}
	if status, body := get(t, http.DefaultClient, g.AdminURL()+"/readyz", ""); status != 503 || !strings.Contains(body, "draining") {
		t.Errorf("readyz while draining: %d %s", status, body)
	}
	close(release)
	if status := <-answered; status != 200 {
		t.Errorf("the exchange under way got %d", status)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run: %v", err)
	}
	again := start(t, configured(t, "OSGATE_UPSTREAM_OVERRIDE="+up.URL, state))
	day := time.Now().UTC().Format("2006-01-02")
	_, body := get(t, http.DefaultClient, again.ClientsURL()+"/api/v1/organizations/org-root?period=1day&startDate="+day+"T00:00:00Z&endDate="+day+"T23:59:59Z", token)
	if !strings.Contains(body, `"objectStoreRequestCount":1`) {
		t.Errorf("after the restart: %s", body)
	}
}

func TestAnExchangeThatIsCutOffIsRecorded(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	up := upstream(t, func(r *http.Request) {
		if strings.Contains(r.URL.Path, "/keys/") {
			close(arrived)
			<-release
		}
	})
	t.Cleanup(func() { close(release) })
	g := start(t, configured(t, "OSGATE_UPSTREAM_OVERRIDE="+up.URL, "OSGATE_DRAIN_TIMEOUT=1ms"))
	token := mint(t, http.DefaultClient, g.ClientsURL())
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, g.ClientsURL()+key, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	cut := make(chan error, 1)
	go func() {
		answer, err := http.DefaultClient.Do(r)
		if err == nil {
			_ = answer.Body.Close()
		}
		cut <- err
	}()
	<-arrived
	if err := g.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := <-cut; err == nil {
		t.Error("the exchange was answered")
	}
	if log := g.log.String(); !strings.Contains(log, `"operation":"getKey"`) || !strings.Contains(log, `"status":499`) {
		t.Errorf("the exchange was not recorded:\n%s", log)
	}
}

func TestNothingStaysOpenWhenAListenerIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	state := t.TempDir()
	c := configured(t, "OSGATE_ADMIN_LISTEN="+taken.Addr().String(), "OSGATE_STATE_DIR="+state)
	if _, err := New(Options{Config: c, Logger: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "OSGATE_ADMIN_LISTEN") {
		t.Fatalf("error %v", err)
	}
	start(t, configured(t, "OSGATE_STATE_DIR="+state)) // fails if the file is still locked
}

func TestARunningGatewayDoesNotKeepOthersFromExplaining(t *testing.T) {
	c := configured(t, "OSGATE_STATE_DIR="+t.TempDir())
	start(t, c)
	_, shut, err := Proxy(Options{Config: c, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("beside a running gateway: %v", err)
	}
	if err := shut(); err != nil {
		t.Error(err)
	}
}

func TestARunningGatewayDoesNotKeepOthersFromChecking(t *testing.T) {
	c := configured(t, "OSGATE_STATE_DIR="+t.TempDir())
	start(t, c)
	if err := Check(Options{Config: c, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Errorf("beside a running gateway: %v", err)
	}
}

func TestImpossibleSettingIsReportedByItsVariable(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for variable, setting := range map[string][]string{
		"OSGATE_UPSTREAM_CA":    {"OSGATE_UPSTREAM_CA=" + empty},
		"OSGATE_TLS_CERT":       {"OSGATE_TLS_CERT=" + empty, "OSGATE_TLS_KEY=" + empty},
		"OSGATE_ADMIN_TLS_CERT": {"OSGATE_ADMIN_TLS_CERT=" + empty, "OSGATE_ADMIN_TLS_KEY=" + empty},
		"OSGATE_METRICS_LISTEN": {"OSGATE_METRICS_LISTEN=192.0.2.1:1"},
		"OSGATE_DEFAULT_REGION": {"OSGATE_DEFAULT_REGION=us/nowhere"},
		"OSGATE_ROUTES":         {"OSGATE_ROUTES=o=eu/us-east-1"},
		"OSGATE_STATE_DIR":      {"OSGATE_STATE_DIR=" + empty},
	} {
		o := Options{Config: configured(t, setting...), Logger: slog.New(slog.DiscardHandler)}
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), variable) {
			t.Errorf("%s: error %v", variable, err)
		}
		if err := Check(o); variable != "OSGATE_METRICS_LISTEN" && (err == nil || !strings.Contains(err.Error(), variable)) {
			t.Errorf("%s: check: error %v", variable, err)
		}
	}
}

// certificate writes a self-signed certificate for loopback and returns its serial
// number.
func certificate(t *testing.T, dir string, serial int64) (cert, keyFile string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, keyFile
}

func TestCertificatesAreReadAgainWhenTheyChange(t *testing.T) {
	up := upstream(t, func(*http.Request) {})
	dir := t.TempDir()
	cert, keyFile := certificate(t, dir, 1)
	g := start(t, configured(t, "OSGATE_UPSTREAM_OVERRIDE="+up.URL, "OSGATE_TLS_CERT="+cert, "OSGATE_TLS_KEY="+keyFile))
	// serial returns the serial number of the certificate served on a new HTTP/2
	// connection.
	serial := func() int64 {
		client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		answer, err := client.Get(g.ClientsURL() + key)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.ProtoMajor != 2 || answer.StatusCode != 401 {
			t.Errorf("%s %d", answer.Proto, answer.StatusCode)
		}
		return answer.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if !strings.HasPrefix(g.ClientsURL(), "https://") || serial() != 1 {
		t.Fatalf("%s serves certificate %d", g.ClientsURL(), serial())
	}
	certificate(t, dir, 2)
	g.certs.reload(false)
	if got := serial(); got != 2 {
		t.Errorf("after the change certificate %d is served", got)
	}
	if err := os.WriteFile(cert, []byte("half written"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.certs.reload(false)
	if got := serial(); got != 2 || !strings.Contains(g.log.String(), "the old ones stay in use") {
		t.Errorf("after a bad change certificate %d is served; log %s", got, g.log)
	}
}
