package observe

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/prometheus/config"
)

// Prometheus itself reads the configuration of deploy/compose.yaml, with the rules at
// the place at which they are mounted.
func TestPrometheusReadsTheComposeConfiguration(t *testing.T) {
	folder := t.TempDir()
	for from, to := range map[string]string{"../compose/prometheus.yaml": "prometheus.yaml", rulesFile: "alerts.yaml"} {
		if err := os.WriteFile(filepath.Join(folder, to), read(t, from), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.LoadFile(filepath.Join(folder, "prometheus.yaml"), false, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range c.RuleFiles {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
	if len(c.RuleFiles) != 1 || len(c.ScrapeConfigs) != 1 {
		t.Errorf("%d rule files and %d jobs", len(c.RuleFiles), len(c.ScrapeConfigs))
	}
}
