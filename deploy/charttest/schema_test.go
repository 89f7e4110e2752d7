package charttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
)

func TestChartHasNoLint(t *testing.T) {
	for name, values := range valuesFiles(t) {
		read, err := chartutil.ReadValues([]byte(values))
		if err != nil {
			t.Fatal(err)
		}
		for _, message := range lint.AllWithKubeVersion(chartFolder, read, namespace, nil).Messages {
			if message.Severity > support.InfoSev {
				t.Errorf("%s: %v", name, message)
			}
		}
	}
}

// The validation would not notice a kind that no file of values renders.
func TestFilesOfValuesRenderEveryTemplate(t *testing.T) {
	kinds := map[string]bool{}
	for _, list := range renderings(t) {
		for _, o := range list {
			kinds[o.kind()] = true
		}
	}
	for _, kind := range []string{
		"Certificate", "ConfigMap", "Deployment", "HTTPRoute", "HorizontalPodAutoscaler", "Ingress", "NetworkPolicy",
		"PodDisruptionBudget", "PrometheusRule", "Service", "ServiceAccount", "ServiceMonitor",
	} {
		if !kinds[kind] {
			t.Errorf("no file of values renders a %s", kind)
		}
		delete(kinds, kind)
	}
	if len(kinds) > 0 {
		t.Errorf("the list in this test lacks %v", kinds)
	}
}

// kubeScore does not compile with the Kubernetes libraries of Helm. The go command
// builds it apart from this module, and caches it.
const kubeScore = "github.com/zegl/kube-score/cmd/kube-score@v1.20.0"

func TestObjectsHaveNoCriticalScore(t *testing.T) {
	for name, list := range renderings(t) {
		file := filepath.Join(t.TempDir(), "objects.yaml")
		if err := os.WriteFile(file, list.text(), 0o600); err != nil {
			t.Fatal(err)
		}
		score := exec.CommandContext(t.Context(), "go", "run", kubeScore, "score", "--output-format", "ci", file)
		score.Dir = t.TempDir() // outside of this module
		if text, err := score.CombinedOutput(); err != nil {
			t.Errorf("values %s: %v\n%s", name, err, text)
		}
	}
}

// renderings returns the chart with each of valuesFiles, and the Kustomize example.
func renderings(t testing.TB) map[string]objects {
	t.Helper()
	all := map[string]objects{"kustomize": build(t, kustomizeExample)}
	for name, values := range valuesFiles(t) {
		all[name] = render(t, values)
	}
	return all
}
