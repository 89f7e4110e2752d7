package charttest

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// update makes the test write the file that it compares: make chart.
var update = flag.Bool("update", false, "write the Kustomize base")

const (
	kustomizeBase    = "../kustomize"
	kustomizeExample = "../kustomize-example"
)

// build renders a folder like kustomize build does.
func build(t testing.TB, folder string) objects {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		t.Fatal(err)
	}
	text, err := resources.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return sorted(split(t, folder, string(text)))
}

// The base has the objects of the chart with its default values. It lacks the labels by
// which Helm knows its own objects.
func TestKustomizeBaseIsTheChart(t *testing.T) {
	want, err := try(t, "Kustomize", "")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		text := append([]byte("# Made of ../helm/osgate by make chart.\n"), want.text()...)
		if err := os.WriteFile(filepath.Join(kustomizeBase, "osgate.yaml"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := build(t, kustomizeBase)
	if len(got) != len(want) {
		t.Fatalf("the base has %d objects, the chart %d: run make chart", len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i].all, want[i].all) {
			t.Errorf("%s %s differs from the chart: run make chart", want[i].kind(), want[i].name())
		}
	}
}

func TestKustomizeExampleIsAccepted(t *testing.T) {
	list := build(t, kustomizeExample)
	programs := buildPrograms(t)
	emulator := start(t, filepath.Join(programs, "osemu"), nil, "-listen", "127.0.0.1:0").url(t, 0)
	p := newPod(t, list, "osgate", outside(t, startRedis(t).url()))
	check := exec.CommandContext(t.Context(), filepath.Join(programs, "osgate"), "check")
	check.Env = p.environment(map[string]string{"OSGATE_UPSTREAM_OVERRIDE": emulator})
	if text, err := check.CombinedOutput(); err != nil {
		t.Errorf("osgate check: %v\n%s", err, text)
	}
	if replicas := list.one(t, "Deployment", "osgate").at("spec", "replicas"); p.env["OSGATE_REPLICAS"] != "3" || replicas != float64(3) {
		t.Errorf("OSGATE_REPLICAS=%s with %v replicas", p.env["OSGATE_REPLICAS"], replicas)
	}
}
