package export_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"osgate/telemetry/export"
	"osgate/telemetry/metrics"
)

// newCollector starts a collector that reads each request and calls answer.
func newCollector(t *testing.T, answer http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

func TestARedirectIsAFailureAndIsNotFollowed(t *testing.T) {
	var followed atomic.Int64
	target := newCollector(t, func(http.ResponseWriter, *http.Request) { followed.Add(1) })
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			collector := newCollector(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target.URL, status) })
			t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key="+secret) // the exporters read it themselves
			exports, m, log := sending(t, collector.URL, map[string]string{"OTEL_METRICS_EXPORTER": "otlp"})
			newMetrics(t, metrics.Options{Readers: exports.Readers()})
			sendTraces(t, exports, keepTen)
			checkLost(t, m, log, "1", "10", "a redirect, which is not followed")
		})
	}
	if n := followed.Load(); n > 0 {
		t.Errorf("%d exports followed a redirect", n)
	}
}

func TestSuccessOfWhatIsNoCollectorIsAFailure(t *testing.T) {
	for name, tt := range map[string]struct {
		status                   int
		kind, body               string
		failures, dropped, cause string
	}{
		"a page":                    {http.StatusOK, "text/html; charset=utf-8", "<p>" + collectorText, "1", "10", "HTTP status 200 with an answer that is not OTLP"},
		"unknown bytes":             {http.StatusAccepted, "", collectorText, "1", "10", "HTTP status 202 with an answer that is not OTLP"},
		"an empty message":          {http.StatusOK, "application/x-protobuf", "", "0", "0", ""},
		"JSON":                      {http.StatusOK, "application/json; charset=utf-8", "{}", "0", "0", ""},
		"nothing, as some write it": {http.StatusOK, "", "", "0", "0", ""},
		"nothing by name":           {http.StatusNoContent, "", "", "0", "0", ""},
		"nothing of some kind":      {http.StatusOK, "text/plain", "", "0", "0", ""},
	} {
		t.Run(name, func(t *testing.T) {
			collector := newCollector(t, func(w http.ResponseWriter, _ *http.Request) {
				if tt.kind != "" {
					w.Header().Set("Content-Type", tt.kind)
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			exports, m, log := sending(t, collector.URL, nil)
			sendTraces(t, exports, keepTen)
			checkLost(t, m, log, tt.failures, tt.dropped, tt.cause)
		})
	}
}

func TestTheStatusOfACollectorThatIsBusyIsTheCause(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			collector := newCollector(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "3600") // longer than the exporter waits
				http.Error(w, collectorText, status)
			})
			exports, m, log := sending(t, collector.URL, nil)
			sendTraces(t, exports, keepTen)
			checkLost(t, m, log, "1", "10", `cause="HTTP status `+strconv.Itoa(status)+`"`)
		})
	}
	t.Run("until there is no time left", func(t *testing.T) {
		collector := newCollector(t, func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, collectorText, http.StatusServiceUnavailable)
		})
		exports, m, log := sending(t, collector.URL, map[string]string{"OTEL_BSP_EXPORT_TIMEOUT": "1000"})
		sendTraces(t, exports, keepTen)
		checkLost(t, m, log, "1", "10", `cause="HTTP status 503"`)
	})
}

func TestACollectorThatHangsIsATimeoutForEachSignal(t *testing.T) {
	for name, variables := range map[string]map[string]string{
		"traces":  {"OTEL_LOGS_EXPORTER": "none", "OTEL_BSP_EXPORT_TIMEOUT": "50"},
		"logs":    {"OTEL_TRACES_EXPORTER": "none", "OTEL_BLRP_EXPORT_TIMEOUT": "50"},
		"metrics": {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "otlp", "OTEL_METRIC_EXPORT_TIMEOUT": "50"},
	} {
		t.Run(name, func(t *testing.T) {
			hang := make(chan struct{})
			collector := newCollector(t, func(http.ResponseWriter, *http.Request) { <-hang })
			defer close(hang)
			exports, _, log := sending(t, collector.URL, variables)
			newMetrics(t, metrics.Options{Readers: exports.Readers(), Exports: exports.Losses})
			exports.Logger(slog.New(slog.NewTextHandler(&lockedBuffer{}, nil))).Warn("a line")
			if traces := exports.NewTraces(export.TracesOptions{}); traces != nil {
				keepTen(traces)
			}
			end(t, exports)
			if !log.contains("cause=timeout") {
				t.Errorf("the log:\n%s", log.text.String())
			}
		})
	}
}

func TestExportCutOffByShutdownIsNamedSo(t *testing.T) {
	received, hang := make(chan struct{}), make(chan struct{})
	var later atomic.Bool
	collector := newCollector(t, func(http.ResponseWriter, *http.Request) {
		if !later.Swap(true) {
			close(received)
			<-hang
		}
	})
	defer close(hang)
	exports, _, log := sending(t, collector.URL, map[string]string{
		"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "otlp",
		"OTEL_METRIC_EXPORT_INTERVAL": "1",
	})
	newMetrics(t, metrics.Options{Readers: exports.Readers()})
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- exports.Run(ctx) }()
	<-received
	stop()
	if err := <-over; err != nil {
		t.Error(err)
	}
	if !log.contains("the process ended before the answer") {
		t.Errorf("the log:\n%s", log.text.String())
	}
}

// A request has the timeout of its exporter, which can then retry.
func TestARequestHasTheTimeoutOfItsExporter(t *testing.T) {
	given := make(chan time.Time, 10)
	collector := newCollector(t, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		given <- time.Now()
	})
	exports, _, _ := sending(t, collector.URL, map[string]string{
		"OTEL_LOGS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_TIMEOUT": "50", "OTEL_BSP_EXPORT_TIMEOUT": "1500",
	})
	begin := time.Now()
	sendTraces(t, exports, keepTen)
	if took := (<-given).Sub(begin); took > time.Second {
		t.Errorf("a request was given up after %v", took)
	}
}

func TestConnectionsToACollectorEndWithTheExports(t *testing.T) {
	closed := make(chan struct{}, 10)
	collector := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	collector.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	collector.Start()
	defer collector.Close()
	exports, _, _ := sending(t, collector.URL, nil)
	sendTraces(t, exports, keepTen)
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Error("the connection stays open")
	}
}

// The certificates are set by the variables for all signals, and by those for one.
func TestCollectorAndGatewayVerifyEachOthersCertificates(t *testing.T) {
	collector := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	// With TLS 1.3 a client may write before it reads why the server refused its
	// handshake.
	collector.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}
	collector.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	collector.StartTLS()
	defer collector.Close()
	certificate, key := keyFiles(t, collector.TLS.Certificates[0])
	for _, of := range []string{"", "TRACES_"} {
		all := map[string]string{
			"OTEL_LOGS_EXPORTER":                              "none",
			"OTEL_EXPORTER_OTLP_" + of + "CERTIFICATE":        certificate,
			"OTEL_EXPORTER_OTLP_" + of + "CLIENT_CERTIFICATE": certificate,
			"OTEL_EXPORTER_OTLP_" + of + "CLIENT_KEY":         key,
		}
		exports, m, log := sending(t, collector.URL, all)
		sendTraces(t, exports, keepTen)
		checkLost(t, m, log, "0", "0", "")
		delete(all, "OTEL_EXPORTER_OTLP_"+of+"CLIENT_CERTIFICATE")
		delete(all, "OTEL_EXPORTER_OTLP_"+of+"CLIENT_KEY")
		exports, m, log = sending(t, collector.URL, all)
		sendTraces(t, exports, keepTen)
		checkLost(t, m, log, "1", "10", "remote error: tls: ")
		delete(all, "OTEL_EXPORTER_OTLP_"+of+"CERTIFICATE")
		exports, m, log = sending(t, collector.URL, all)
		sendTraces(t, exports, keepTen)
		checkLost(t, m, log, "1", "10", "certificate signed by unknown authority")
	}
}

func TestCertificatesWithoutTLSAreNamed(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	certificate, key := keyFiles(t, server.TLS.Certificates[0])
	const endpoint, own = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"
	checkNamed(t, map[string]exporting{
		"root certificates":  {exported("OTEL_EXPORTER_OTLP_CERTIFICATE", certificate), []string{endpoint}},
		"client certificate": {exported("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", certificate, "OTEL_EXPORTER_OTLP_CLIENT_KEY", key), []string{endpoint}},
		"of one signal":      {exported(endpoint, server.URL, own, "http://collector:4318", "OTEL_EXPORTER_OTLP_CERTIFICATE", certificate), []string{own}},
		"with TLS":           {exported(endpoint, server.URL, "OTEL_EXPORTER_OTLP_CERTIFICATE", certificate), nil},
	})
}

// keyFiles writes a certificate and its key to files.
func keyFiles(t *testing.T, pair tls.Certificate) (certificate, key string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key = filepath.Join(t.TempDir(), "certificate"), filepath.Join(t.TempDir(), "key")
	for file, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}
