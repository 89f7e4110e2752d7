package charttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

// kubernetes are the versions whose schemas the objects are validated by, with the
// modules that have these schemas and the names of the files. A name has the API, such
// as api/v1 or apis/apps/v1, in place of the star.
var kubernetes = map[string]struct{ module, files, slash string }{
	"1.28": {"sigs.k8s.io/kubectl-validate@v0.0.4", "pkg/openapiclient/builtins/1.28/*.json", "/"},
	"1.34": {"k8s.io/kubernetes@v1.34.1", "api/openapi-spec/v3/*_openapi.json", "__"},
}

// operators are the modules with the CRDs of objects that are not Kubernetes' own, and
// the folders of these CRDs.
var operators = map[string]string{
	"sigs.k8s.io/gateway-api@v1.3.0":                             "config/crd/standard",
	"github.com/cert-manager/cert-manager@v1.18.2":               "deploy/crds",
	"github.com/prometheus-operator/prometheus-operator@v0.85.0": "example/prometheus-operator-crd",
}

// validator validates objects by the schemas of one version of Kubernetes and the CRDs
// of operators. It is strict: a field that is not in the schema is an error. It does not
// evaluate the rules in CEL that a CRD may have.
type validator struct {
	t        testing.TB
	compiler *jsonschema.Compiler
	folder   string            // of the module of the version of Kubernetes
	version  string            // key of kubernetes
	places   map[string]string // of a schema in the compiler, by apiVersion and kind
	read     map[string]bool   // APIs whose schemas are in the compiler
	compiled map[string]*jsonschema.Schema
}

func newValidator(t testing.TB, version string) *validator {
	t.Helper()
	v := &validator{
		t: t, compiler: jsonschema.NewCompiler(), version: version, folder: module(t, kubernetes[version].module),
		places: map[string]string{}, read: map[string]bool{}, compiled: map[string]*jsonschema.Schema{},
	}
	for operator, folder := range operators {
		files, err := filepath.Glob(filepath.Join(module(t, operator), folder, "*.yaml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no CRDs in %s (%v)", operator, folder, err)
		}
		for _, file := range files {
			v.addCRDs(file)
		}
	}
	return v
}

// module returns the folder of a module in the module cache. It downloads the module if
// it is not there.
func module(t testing.TB, name string) string {
	t.Helper()
	download := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", name)
	download.Dir = t.TempDir() // outside of this module
	text, err := download.Output()
	var answer struct{ Dir string }
	if err != nil || json.Unmarshal(text, &answer) != nil {
		t.Fatalf("downloading %s: %v\n%s", name, err, text)
	}
	return answer.Dir
}

// addCRDs adds the schemas of a file of CRDs.
func (v *validator) addCRDs(file string) {
	v.t.Helper()
	for _, o := range split(v.t, file, string(read(v.t, file))) {
		var crd struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name   string
				Schema struct {
					Schema map[string]any `json:"openAPIV3Schema"`
				}
			}
		}
		text, _ := yaml.Marshal(o.at("spec")) // was YAML before
		if err := yaml.Unmarshal(text, &crd); err != nil {
			v.t.Fatalf("%s: %v", file, err)
		}
		for _, version := range crd.Versions {
			kind := crd.Group + "/" + version.Name + " " + crd.Names.Kind
			strict(version.Schema.Schema)
			v.places[kind] = "file:///" + strings.ReplaceAll(kind, " ", "/")
			v.add(v.places[kind], version.Schema.Schema)
		}
	}
}

// addAPI adds the schemas of an apiVersion of Kubernetes.
func (v *validator) addAPI(apiVersion string) {
	v.t.Helper()
	api := "apis/" + apiVersion
	if !strings.Contains(apiVersion, "/") {
		api = "api/" + apiVersion
	}
	where := kubernetes[v.version]
	name := strings.Replace(where.files, "*", strings.ReplaceAll(api, "/", where.slash), 1)
	text, err := os.ReadFile(filepath.Join(v.folder, name))
	if errors.Is(err, os.ErrNotExist) {
		return // the kind is unknown, then
	}
	var document struct {
		Components struct{ Schemas map[string]map[string]any }
	}
	if err != nil || json.Unmarshal(text, &document) != nil {
		v.t.Fatalf("%s cannot be read: %v", name, err)
	}
	url := "file:///" + api
	for name, schema := range document.Components.Schemas {
		strict(schema)
		kinds, _ := schema["x-kubernetes-group-version-kind"].([]any)
		for _, k := range kinds {
			kind := k.(map[string]any)
			of := strings.TrimPrefix(fmt.Sprintf("%v/%v %v", kind["group"], kind["version"], kind["kind"]), "/")
			if strings.HasPrefix(of, apiVersion+" ") {
				v.places[of] = url + "#/components/schemas/" + name
			}
		}
	}
	v.add(url, map[string]any{"components": document.Components})
}

// add adds a document with schemas under a URL.
func (v *validator) add(url string, document any) {
	v.t.Helper()
	text, err := json.Marshal(document)
	if err != nil {
		v.t.Fatal(err)
	}
	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(strings.ReplaceAll(string(text), `"Schemas":`, `"schemas":`)))
	if err != nil {
		v.t.Fatal(err)
	}
	if err := v.compiler.AddResource(url, parsed); err != nil {
		v.t.Fatal(err)
	}
}

// strict closes each object in a schema whose fields the schema lists.
func strict(schema map[string]any) {
	fields, _ := schema["properties"].(map[string]any)
	if schema["additionalProperties"] == nil && fields != nil && schema["x-kubernetes-preserve-unknown-fields"] != true {
		schema["additionalProperties"] = false
	}
	for _, name := range []string{"items", "additionalProperties"} {
		if inner, ok := schema[name].(map[string]any); ok {
			strict(inner)
		}
	}
	for _, field := range fields {
		if inner, ok := field.(map[string]any); ok {
			strict(inner)
		}
	}
}

// validate returns an error if an object is not valid, or its kind is not known.
func (v *validator) validate(o object) error {
	v.t.Helper()
	apiVersion := o.at("apiVersion").(string)
	if !v.read[apiVersion] {
		v.read[apiVersion] = true
		v.addAPI(apiVersion)
	}
	kind := apiVersion + " " + o.kind()
	if v.compiled[kind] == nil {
		place, known := v.places[kind]
		if !known {
			return fmt.Errorf("Kubernetes %s and the operators do not have the kind %s", v.version, kind)
		}
		schema, err := v.compiler.Compile(place)
		if err != nil {
			v.t.Fatalf("the schema of %s: %v", kind, err)
		}
		v.compiled[kind] = schema
	}
	return v.compiled[kind].Validate(o.all)
}

// Fields that do not exist, values of a wrong type and missing fields are errors.
func TestObjectsAreValidBySchemasOfKubernetes(t *testing.T) {
	for version := range kubernetes {
		v := newValidator(t, version)
		for name, list := range renderings(t) {
			for _, o := range list {
				if err := v.validate(o); err != nil {
					t.Errorf("Kubernetes %s, values %s, %s %s: %v", version, name, o.kind(), o.name(), err)
				}
			}
		}
	}
}

// The validation finds a misspelled field, a wrong type and a missing field, in objects
// of Kubernetes and of operators.
func TestValidationFindsMistakes(t *testing.T) {
	v := newValidator(t, "1.34")
	list := render(t, valuesFiles(t)["production"])
	for _, mistake := range []struct{ kind, right, wrong string }{
		{"Deployment", "terminationGracePeriodSeconds:", "terminationGracePeriodSecond:"},
		{"Deployment", "containerPort: 8080", "containerPort: http"},
		{"Deployment", "selector:", "podSelector:"},
		{"NetworkPolicy", "policyTypes:", "policyType:"},
		{"HTTPRoute", "type: PathPrefix", "type: Prefix"},
		{"HTTPRoute", "parentRefs:", "parents:"},
		{"Certificate", "issuerRef:", "issuer:"},
		{"ServiceMonitor", "interval: 30s", "interval: often"},
		{"ServiceMonitor", "endpoints:", "endpoint:"},
		{"PrometheusRule", "expr:", "expression:"},
	} {
		at := slices.IndexFunc(list, func(o object) bool { return o.kind() == mistake.kind })
		text := strings.Replace(string(list[at].text), mistake.right, mistake.wrong, 1)
		if text == string(list[at].text) {
			t.Fatalf("the %s has no %s", mistake.kind, mistake.right)
		}
		if err := v.validate(split(t, mistake.kind, text)[0]); err == nil {
			t.Errorf("a %s with %s is accepted", mistake.kind, mistake.wrong)
		}
	}
}
