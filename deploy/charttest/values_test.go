package charttest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func TestChartRefusesValuesThatCannotWork(t *testing.T) {
	for values, want := range map[string]string{
		"replicaCounts: 3":                                                         "replicaCounts",
		"settings: {OSGATE_RATES: 3}":                                              "OSGATE_RATES",
		"settings: {OSGATE_SECRET: hunter2}":                                       "OSGATE_SECRET",
		"settings: {OSGATE_LISTEN: ':80'}":                                         "OSGATE_LISTEN",
		"secretKeys: {OSGATE_RATE: rate}":                                          "OSGATE_RATE",
		"extraEnv: [{name: OSGATE_RATE, value: '3'}]":                              "extraEnv",
		"policy: {files: {rules.txt: ''}}":                                         ".cedar",
		"httpsProxy: http://user:password@proxy:3128":                              "httpsProxy",
		"secretKeys: {OSGATE_REDIS_URL: null}":                                     "needs Redis",
		"existingSecret: ''":                                                       "existingSecret",
		"state: {enabled: true}":                                                   "statistics",
		"admin: {service: {enabled: true}}":                                        "OSGATE_ADMIN_TOKEN",
		"tls: {clientCASecret: ca}":                                                "needs HTTPS",
		"tls: {certManager: {enabled: true}}":                                      "issuerRef",
		"ingress: {enabled: true}":                                                 "ingress.hosts",
		"httpRoute: {enabled: true}":                                               "parentRefs",
		"routes: {entries: [org=us/us-east-1], existingConfigMap: m}":              "not both",
		"osemu: {enabled: true}\nsettings: {OSGATE_UPSTREAM_OVERRIDE: 'http://a'}": "OSGATE_UPSTREAM_OVERRIDE",
		"secretKeys: {OSGATE_REDIS_URL: null}\nautoscaling: {enabled: true}\nreplicaCount: 1": "needs Redis",
	} {
		if _, err := try(t, "Helm", values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", values, err, want)
		}
	}
}

// A drain must end before Kubernetes kills the pod, and the share of a quota must not
// grow with the number of pods.
func TestPodFollowsFromSettings(t *testing.T) {
	for values, want := range map[string]struct {
		grace    int64
		replicas string
	}{
		"":                {5 + 30 + 25, "2"},
		"replicaCount: 7": {5 + 30 + 25, "7"},
		"settings: {OSGATE_DRAIN_DELAY: 1m1.5s, OSGATE_DRAIN_TIMEOUT: 500ms}\nterminationMarginSeconds: 10": {62 + 1 + 10, "2"},
		"settings: {OSGATE_DRAIN_TIMEOUT: 1h2m}":                                                            {5 + 3720 + 25, "2"},
		"settings: {OSGATE_DRAIN_DELAY: 0}":                                                                 {30 + 25, "2"},
		"autoscaling: {enabled: true, maxReplicas: 9}":                                                      {5 + 30 + 25, "9"},
		"autoscaling: {enabled: true, maxReplicas: 9}\nsettings: {OSGATE_REPLICAS: 3}":                      {5 + 30 + 25, "3"},
	} {
		list := render(t, values)
		p := newPod(t, list, "osgate", outside(t, "redis://127.0.0.1:1"))
		if got := *p.spec.TerminationGracePeriodSeconds; got != want.grace {
			t.Errorf("%s: a pod may take %d s to end, want %d", values, got, want.grace)
		}
		if got := p.env["OSGATE_REPLICAS"]; got != want.replicas {
			t.Errorf("%s: OSGATE_REPLICAS=%s, want %s", values, got, want.replicas)
		}
	}
}

func TestNumbersAreWrittenAsGiven(t *testing.T) {
	list := render(t, "settings: {OSGATE_MAX_EXCHANGES: 20000000, OSGATE_ACCOUNTS: false, OSGATE_RATE: '007', OSGATE_LOG_SAMPLE: 0.25}")
	p := newPod(t, list, "osgate", outside(t, "redis://127.0.0.1:1"))
	for name, want := range map[string]string{
		"OSGATE_MAX_EXCHANGES": "20000000", "OSGATE_ACCOUNTS": "false", "OSGATE_RATE": "007", "OSGATE_LOG_SAMPLE": "0.25",
	} {
		if p.env[name] != want {
			t.Errorf("%s=%s, want %s", name, p.env[name], want)
		}
	}
}

// The gateway runs as nobody, cannot write to its image, cannot call Kubernetes, and
// gets no file that does not change with its ConfigMap.
func TestPodsAreRestricted(t *testing.T) {
	for name, values := range valuesFiles(t) {
		for _, o := range render(t, values).all("Deployment") {
			var deployment appsv1.DeploymentSpec
			o.into(t, &deployment, "spec")
			spec := deployment.Template.Spec
			if *spec.AutomountServiceAccountToken || *spec.EnableServiceLinks || *spec.SecurityContext.RunAsUser != 65532 ||
				!*spec.SecurityContext.RunAsNonRoot || spec.SecurityContext.SeccompProfile.Type != "RuntimeDefault" {
				t.Errorf("values %s, %s: the pod is not restricted", name, o.name())
			}
			container := spec.Containers[0]
			security := container.SecurityContext
			if *security.AllowPrivilegeEscalation || !*security.ReadOnlyRootFilesystem ||
				!reflect.DeepEqual(security.Capabilities.Drop, []corev1.Capability{"ALL"}) {
				t.Errorf("values %s, %s: the container is not restricted", name, o.name())
			}
			for _, mount := range container.VolumeMounts {
				if mount.SubPath != "" {
					t.Errorf("values %s, %s: %s is mounted by subPath, and never changes", name, o.name(), mount.Name)
				}
			}
		}
	}
}

func TestRulesAndDashboardsAreThoseOfTheProject(t *testing.T) {
	list := render(t, "prometheusRule: {enabled: true}\ndashboards: {enabled: true}")
	var want any
	if err := yaml.Unmarshal(read(t, "../prometheus/alerts.yaml"), &want); err != nil {
		t.Fatal(err)
	}
	if got := list.one(t, "PrometheusRule", "osgate").at("spec"); !reflect.DeepEqual(got, want) {
		t.Errorf("the PrometheusRule differs from deploy/prometheus/alerts.yaml")
	}
	files, err := filepath.Glob("../grafana/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards (%v)", err)
	}
	for _, file := range files {
		base := filepath.Base(file)
		o := list.one(t, "ConfigMap", "osgate-dashboard-"+strings.TrimSuffix(base, ".json"))
		got, _ := o.at("data", "osgate-"+base).(string)
		if !json.Valid([]byte(got)) || strings.TrimSpace(got) != string(bytes.TrimSpace(read(t, file))) {
			t.Errorf("the ConfigMap of %s differs from deploy/grafana", base)
		}
	}
	if dashboards := len(list.all("ConfigMap")); dashboards != len(files) {
		t.Errorf("%d ConfigMaps of %d dashboards", dashboards, len(files))
	}
}

// The alerts select jobs by "osgate", and a release may have any name.
func TestAlertsFindEveryRelease(t *testing.T) {
	list := render(t, "fullnameOverride: gw\nserviceMonitor: {enabled: true}\nprometheusRule: {enabled: true}\ndocsURL: https://wiki/osgate\ndashboards: {enabled: true}")
	monitor := string(list.one(t, "ServiceMonitor", "gw").text)
	if !strings.Contains(monitor, "replacement: osgate/gateways/gw\n") {
		t.Errorf("the job has no name with osgate:\n%s", monitor)
	}
	service := list.one(t, "Service", "gw-metrics")
	for name, value := range list.one(t, "ServiceMonitor", "gw").at("spec", "selector", "matchLabels").(map[string]any) {
		if service.at("metadata", "labels", name) != value {
			t.Errorf("the ServiceMonitor does not select the Service: %s", name)
		}
	}
	for kind, name := range map[string]string{"PrometheusRule": "gw", "ConfigMap": "gw-dashboard-fleet"} {
		text := string(list.one(t, kind, name).text)
		if strings.Contains(text, "docs/") || !strings.Contains(text, "https://wiki/osgate/alerts.md#") {
			t.Errorf("the %s does not lead to docsURL", kind)
		}
	}
}

// Rules and lists reload in the running pods: an upgrade that changes only them replaces
// no pod.
func TestUpgradeOfRulesReplacesNoPod(t *testing.T) {
	values := func(rule, list string) string {
		return "policy: {files: {a.cedar: '" + rule + "'}}\nroutes: {entries: [" + list + "]}"
	}
	before := render(t, values("permit (principal, action, resource);", "org=us/us-east-1"))
	after := render(t, values("forbid (principal, action, resource);", "org=eu/eu-west-1"))
	for _, o := range after {
		same := reflect.DeepEqual(o.all, before.one(t, o.kind(), o.name()).all)
		if changes := o.kind() == "ConfigMap"; same == changes {
			t.Errorf("%s %s: equal before and after: %t", o.kind(), o.name(), same)
		}
	}
}

// The notes have a command that makes the Secret with every key that the pods mount.
func TestNotesNameEveryKey(t *testing.T) {
	for name, values := range valuesFiles(t) {
		files, err := renderFiles(t, "Helm", values)
		if err != nil {
			t.Fatal(err)
		}
		notes := files["osgate/templates/NOTES.txt"]
		list := render(t, values)
		p := newPod(t, list, gatewayName(t, list), outside(t, "redis://127.0.0.1:1"))
		for _, volume := range p.spec.Volumes {
			if volume.Name != "secrets" {
				continue
			}
			for _, item := range volume.Secret.Items {
				if !strings.Contains(notes, "--from-literal="+item.Key+"=") {
					t.Errorf("values %s: the notes lack the key %s:\n%s", name, item.Key, notes)
				}
			}
		}
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
