// Package charttest checks the Helm chart in ../helm/osgate, the Kustomize base in
// ../kustomize and ../compose.yaml: Helm's own engine renders the chart with each file
// of values in its folder ci, the objects are valid by the schemas of Kubernetes and by
// the CRDs of their operators, and a real osgate accepts and serves with the environment
// and the files of the rendered pod. It is a module of its own, so that osgate does not
// depend on Helm. No cluster is needed, and none has seen the objects.
package charttest

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"sigs.k8s.io/yaml"
)

const (
	chartFolder = "../helm/osgate"
	namespace   = "gateways" // of each release
)

// object is one rendered object.
type object struct {
	text []byte // YAML
	all  map[string]any
}

func (o object) kind() string { return o.at("kind").(string) }

func (o object) name() string { return o.at("metadata", "name").(string) }

// at returns the value at a path of names, nil if there is none.
func (o object) at(path ...string) any {
	var value any = o.all
	for _, name := range path {
		level, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = level[name]
	}
	return value
}

// into decodes the value at a path into a typed value.
func (o object) into(t testing.TB, to any, path ...string) {
	t.Helper()
	text, err := yaml.Marshal(o.at(path...))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, to, yaml.DisallowUnknownFields); err != nil {
		t.Fatalf("%s %s: %v: %v", o.kind(), o.name(), path, err)
	}
}

// objects is a rendered chart, sorted by kind and name.
type objects []object

// all returns the objects of a kind.
func (list objects) all(kind string) (some objects) {
	for _, o := range list {
		if o.kind() == kind {
			some = append(some, o)
		}
	}
	return some
}

// one returns the object of a kind with this name.
func (list objects) one(t testing.TB, kind, name string) object {
	t.Helper()
	for _, o := range list.all(kind) {
		if o.name() == name {
			return o
		}
	}
	t.Fatalf("there is no %s %s", kind, name)
	return object{}
}

// text returns the objects as one YAML stream.
func (list objects) text() []byte {
	var out bytes.Buffer
	for _, o := range list {
		out.WriteString("---\n")
		out.Write(o.text)
	}
	return out.Bytes()
}

// valuesFiles returns the values that every test renders, by name: none, and each file
// in the chart's folder ci.
func valuesFiles(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob(chartFolder + "/ci/*-values.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no values in %s/ci (%v)", chartFolder, err)
	}
	all := map[string]string{"default": ""}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(file), "-values.yaml")] = string(text)
	}
	return all
}

// render renders the chart like helm install does, with values in YAML. It fails the
// test if the chart refuses them.
func render(t testing.TB, values string) objects {
	t.Helper()
	list, err := try(t, "Helm", values)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// try renders the chart for an installation by service, and returns the error of the
// chart or its schema.
func try(t testing.TB, service, values string) (objects, error) {
	t.Helper()
	files, err := renderFiles(t, service, values)
	if err != nil {
		return nil, err
	}
	var list objects
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(path, ".yaml") {
			list = append(list, split(t, path, files[path])...)
		}
	}
	return sorted(list), nil
}

// renderFiles returns the rendered templates by their paths.
func renderFiles(t testing.TB, service, values string) (map[string]string, error) {
	t.Helper()
	c, err := loader.LoadDir(chartFolder)
	if err != nil {
		t.Fatal(err)
	}
	read, err := chartutil.ReadValues([]byte(values))
	if err != nil {
		t.Fatal(err)
	}
	release := chartutil.ReleaseOptions{Name: "osgate", Namespace: namespace, Revision: 1, IsInstall: true}
	top, err := chartutil.ToRenderValues(c, read, release, nil)
	if err != nil {
		return nil, err
	}
	top["Release"].(map[string]any)["Service"] = service
	return engine.Render(c, top)
}

// sorted sorts objects by kind and name, and returns them.
func sorted(list objects) objects {
	slices.SortStableFunc(list, func(a, b object) int {
		return strings.Compare(a.kind()+" "+a.name(), b.kind()+" "+b.name())
	})
	return list
}

// split returns the objects in a YAML stream.
func split(t testing.TB, path, text string) (list objects) {
	t.Helper()
	for document := range strings.SplitSeq("\n"+text, "\n---\n") {
		var all map[string]any
		if err := yaml.UnmarshalStrict([]byte(document), &all); err != nil {
			t.Fatalf("%s: %v\n%s", path, err, document)
		}
		if len(all) == 0 {
			continue
		}
		canonical, err := yaml.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, object{text: canonical, all: all})
	}
	return list
}
