// Package observe checks the dashboards in ../grafana and the alert rules in
// ../prometheus: their queries match the metrics of osgate, and each alert fires when
// it should, stays silent when it should, and has its paragraph in docs/alerts*.md.
// Prometheus's own engine executes the queries on the metrics of running gateways. It
// is a module of its own, so that osgate does not depend on Prometheus.
package observe

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

// Paths of the files under test, relative to this folder.
const (
	rulesFile      = "../prometheus/alerts.yaml"
	rulesTestFile  = "../prometheus/alerts_test.yaml"
	dashboardsGlob = "../grafana/*.json"
	pagesFolder    = "../../docs/"
	alertPagesGlob = "../../docs/alerts*.md"
)

// promQL parses expressions like a Prometheus without feature flags.
var promQL = parser.NewParser(parser.Options{})

func read(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// dashboardFiles returns the paths of all dashboards.
func dashboardFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(dashboardsGlob)
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards at %s (%v)", dashboardsGlob, err)
	}
	return files
}
