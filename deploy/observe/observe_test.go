// Package observe checks what the people on call see: that the dashboards in ../grafana and the alert rules in ../prometheus ask for what osgate
// exports, and that each alert fires when it should, stays silent when it should, and has its paragraph in docs/operations.md. Queries are executed
// by Prometheus's own engine on what running gateways export. It is a module of its own, so that Prometheus is nothing that osgate needs.
package observe

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

// Where the files under test are, seen from this folder.
const (
	rulesFile      = "../prometheus/alerts.yaml"
	rulesTestFile  = "../prometheus/alerts_test.yaml"
	dashboardsGlob = "../grafana/*.json"
	runbookFile    = "../../docs/operations.md"
)

// promQL reads expressions as a Prometheus without feature flags does.
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
