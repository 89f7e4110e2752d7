package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"osgate/config"
)

// certificates is the TLS configuration of a listener. It is read again when its files
// change.
type certificates struct {
	files      config.TLS
	variable   string             // what the names of the files' variables begin with: "OSGATE_TLS"
	clientAuth tls.ClientAuthType // applies if there is a client CA
	logger     *slog.Logger       // names the listener
	current    atomic.Pointer[tls.Config]

	mu   sync.Mutex // serializes loads; guards seen
	seen string     // the fingerprint of the files at the last load
}

// watchEvery is the interval at which the files are checked.
const watchEvery = 5 * time.Second

// clientCertificates loads the certificates of the client listener. They are nil if it
// speaks plain HTTP.
func clientCertificates(c config.Config, logger *slog.Logger) (*certificates, error) {
	return loadCertificates(c.TLS, clientAuth(c), logger)
}

// adminCertificates loads the certificates of the admin listener. They are nil if it
// speaks plain HTTP.
func adminCertificates(c config.Config, logger *slog.Logger) (*certificates, error) {
	return (&certificates{
		files: config.TLS{Cert: c.Admin.TLSCert, Key: c.Admin.TLSKey}, variable: "OSGATE_ADMIN_TLS",
		logger: logger.With("listener", "admin"),
	}).first()
}

// loadCertificates reads the files of the client listener. With a client CA, clients
// must present a certificate of it, or may if clients are identified in other ways too:
// [tls.VerifyClientCertIfGiven]. A certificate that is presented is always verified.
func loadCertificates(
	files config.TLS, clientAuth tls.ClientAuthType, logger *slog.Logger,
) (*certificates, error) {
	return (&certificates{
		files: files, variable: "OSGATE_TLS", clientAuth: clientAuth, logger: logger.With("listener", "clients"),
	}).first()
}

// first loads the certificates for the first time. It returns nil if no file is named.
func (c *certificates) first() (*certificates, error) {
	if c.files.Cert == "" {
		return nil, nil //nolint:nilnil // a listener without certificates is valid
	}
	c.seen = fingerprint(c.files)
	return c, c.load()
}

// load reads the files. On an error the former certificates stay in use.
func (c *certificates) load() error {
	pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		return fmt.Errorf("reading %s_CERT and %s_KEY: %w", c.variable, c.variable, err)
	}
	t := &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
	}
	if c.files.ClientCA != "" {
		pem, err := os.ReadFile(c.files.ClientCA)
		if err != nil {
			return fmt.Errorf("reading OSGATE_TLS_CLIENT_CA: %w", err)
		}
		t.ClientCAs = x509.NewCertPool()
		if !t.ClientCAs.AppendCertsFromPEM(pem) {
			return errors.New("OSGATE_TLS_CLIENT_CA contains no PEM certificate")
		}
		t.ClientAuth = c.clientAuth
	}
	c.current.Store(t)
	return nil
}

// config returns the configuration of the listener, which takes the current
// certificates at each handshake.
func (c *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current.Load(), nil },
	}
}

// watch reads the files again when they change, until ctx ends.
func (c *certificates) watch(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c.reload(false)
		}
	}
}

// reload reads the files if they have changed, or in any case if anyway is set.
func (c *certificates) reload(anyway bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := fingerprint(c.files)
	if now == c.seen && !anyway {
		return
	}
	c.seen = now
	if err := c.load(); err != nil {
		c.logger.Warn("the changed certificates are invalid; the old ones stay in use", "cause", err.Error())
		return
	}
	c.logger.Info("certificates reloaded")
}

// fingerprint returns the sizes and modification times of the files, to detect changes.
func fingerprint(files config.TLS) (all string) {
	for _, name := range []string{files.Cert, files.Key, files.ClientCA} {
		if info, err := os.Stat(name); err == nil {
			all += fmt.Sprintf("%d %d ", info.Size(), info.ModTime().UnixNano())
		}
	}
	return all
}
