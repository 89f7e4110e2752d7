package charttest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// pod is the pod of a rendered Deployment on this machine: its environment, and its
// volumes in temporary folders, written like kubelet writes them.
type pod struct {
	spec    corev1.PodSpec
	env     map[string]string
	volumes map[string]string // folder, by name of the volume
}

// contents is the data of ConfigMaps and Secrets, by name and key.
type contents map[string]map[string]string

// newPod makes the pod of the Deployment name. outside has the Secrets and ConfigMaps
// that the chart refers to and does not make.
func newPod(t testing.TB, list objects, name string, outside contents) *pod {
	t.Helper()
	var deployment appsv1.DeploymentSpec
	list.one(t, "Deployment", name).into(t, &deployment, "spec")
	p := &pod{spec: deployment.Template.Spec, env: map[string]string{}, volumes: map[string]string{}}
	data := maps.Clone(outside)
	for _, o := range list.all("ConfigMap") {
		var text map[string]string
		o.into(t, &text, "data")
		data[o.name()] = text
	}
	for _, volume := range p.spec.Volumes {
		folder := t.TempDir()
		p.volumes[volume.Name] = folder
		if files := filesOf(t, volume.VolumeSource, data); files != nil {
			swap(t, folder, files)
		}
	}
	container := p.spec.Containers[0]
	for _, variable := range container.Env {
		p.env[variable.Name] = p.local(container, variable.Value)
	}
	return p
}

// local returns a path in the container as the path on this machine, and every other
// value as it is.
func (p *pod) local(container corev1.Container, value string) string {
	for _, mount := range container.VolumeMounts {
		if rest, ok := strings.CutPrefix(value, mount.MountPath); ok && (rest == "" || rest[0] == '/') {
			return p.volumes[mount.Name] + rest
		}
	}
	return value
}

// environment returns the environment, with other values for some variables.
func (p *pod) environment(other map[string]string) (list []string) {
	all := maps.Clone(p.env)
	maps.Copy(all, other)
	for name, value := range all {
		list = append(list, name+"="+value)
	}
	return list
}

// filesOf returns the files of a volume, nil for an empty one.
func filesOf(t testing.TB, source corev1.VolumeSource, data contents) map[string]string {
	t.Helper()
	files := map[string]string{}
	add := func(name string, items []corev1.KeyToPath) {
		keys, ok := data[name]
		if !ok {
			t.Fatalf("the pod mounts %s, which is not made", name)
		}
		if items == nil {
			maps.Copy(files, keys)
		}
		for _, item := range items {
			text, ok := keys[item.Key]
			if !ok {
				t.Fatalf("the pod mounts the key %s of %s, which has none", item.Key, name)
			}
			files[item.Path] = text
		}
	}
	switch {
	case source.Secret != nil:
		add(source.Secret.SecretName, source.Secret.Items)
	case source.ConfigMap != nil:
		add(source.ConfigMap.Name, source.ConfigMap.Items)
	case source.Projected != nil:
		for _, s := range source.Projected.Sources {
			add(s.ConfigMap.Name, s.ConfigMap.Items)
		}
	default:
		return nil
	}
	return files
}

// swap replaces all files of a volume at once, like kubelet: the visible names are links
// through the link ..data, which leads to a new folder.
func swap(t testing.TB, folder string, files map[string]string) {
	t.Helper()
	version, err := os.MkdirTemp(folder, "..version_")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(version, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := os.Symlink(filepath.Join("..data", name), filepath.Join(folder, name))
		if err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
	}
	next := filepath.Join(folder, "..data_tmp")
	if err := errors.Join(os.Symlink(filepath.Base(version), next), os.Rename(next, filepath.Join(folder, "..data"))); err != nil {
		t.Fatal(err)
	}
}

// outside returns the Secrets and ConfigMaps that the files of values refer to.
func outside(t testing.TB, redis string) contents {
	t.Helper()
	certificate, key := newCertificate(t)
	secrets := map[string]string{
		"secret":      "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
		"redis-url":   redis,
		"admin-token": "0123456789abcdef0123456789abcdef",
	}
	pair := map[string]string{"tls.crt": certificate, "tls.key": key, "ca.crt": certificate}
	return contents{
		"osgate": secrets, "gateway-secrets": secrets,
		"osgate-tls": pair, "server-tls": pair, "admin-tls": pair, "client-ca": pair,
		"corporate-ca":      {"bundle.pem": certificate, "ca.crt": certificate},
		"rules-of-security": {"all.cedar": "permit (principal, action, resource);\n"},
		"quotas":            {"rate-overrides": "app-one=100 # premium\n"},
	}
}

// osgate check reads each file, loads certificates and rules, and calls Redis and a
// control plane.
func TestGatewayAcceptsItsPod(t *testing.T) {
	programs := buildPrograms(t)
	emulator := start(t, filepath.Join(programs, "osemu"), nil, "-listen", "127.0.0.1:0").url(t, 0)
	outside := outside(t, startRedis(t).url())
	for name, values := range valuesFiles(t) {
		t.Run(name, func(t *testing.T) {
			list := render(t, values)
			p := newPod(t, list, gatewayName(t, list), outside)
			check := exec.CommandContext(t.Context(), filepath.Join(programs, "osgate"), "check")
			check.Env = p.environment(map[string]string{"OSGATE_UPSTREAM_OVERRIDE": emulator})
			if text, err := check.CombinedOutput(); err != nil {
				t.Errorf("osgate check: %v\n%s", err, text)
			}
		})
	}
}

// gatewayName returns the name of the gateway's Deployment.
func gatewayName(t testing.TB, list objects) string {
	t.Helper()
	for _, o := range list.all("Deployment") {
		if !strings.HasSuffix(o.name(), "-osemu") {
			return o.name()
		}
	}
	t.Fatal("there is no gateway")
	return ""
}

// ports are the ports of a container on this machine, by name.
type ports map[string]string

// served starts the gateway of a pod, and returns its ports. All listeners are on free
// ports of loopback.
func (p *pod) served(t testing.TB, osgate, emulator string) ports {
	t.Helper()
	at := ports{"http": free(t), "admin": free(t), "metrics": free(t)}
	start(t, osgate, p.environment(map[string]string{
		"OSGATE_UPSTREAM_OVERRIDE": emulator,
		"OSGATE_LISTEN":            "127.0.0.1:" + at["http"],
		"OSGATE_ADMIN_LISTEN":      "127.0.0.1:" + at["admin"],
		"OSGATE_METRICS_LISTEN":    "127.0.0.1:" + at["metrics"],
	}), p.spec.Containers[0].Args...)
	return at
}

// probe sends a probe of Kubernetes, and returns an error unless it succeeds.
func (at ports) probe(ctx context.Context, probe *corev1.Probe) error {
	url := "http://127.0.0.1:" + at[probe.HTTPGet.Port.StrVal] + probe.HTTPGet.Path
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return nil
}

// Clients need HTTPS and a certificate, operators HTTPS and the token; probes need
// neither.
func TestPodWithCertificatesServes(t *testing.T) {
	programs := buildPrograms(t)
	emulator := start(t, filepath.Join(programs, "osemu"), nil, "-listen", "127.0.0.1:0").url(t, 0)
	list := render(t, valuesFiles(t)["mtls"])
	outside := outside(t, "")
	p := newPod(t, list, gatewayName(t, list), outside)
	at := p.served(t, filepath.Join(programs, "osgate"), emulator)
	eventually(t, "the readiness probe", func() bool { return at.probe(t.Context(), p.spec.Containers[0].ReadinessProbe) == nil })

	pair, err := tls.X509KeyPair([]byte(outside["client-ca"]["tls.crt"]), []byte(outside["client-ca"]["tls.key"]))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(outside["server-tls"]["tls.crt"]))
	for _, call := range []struct {
		port, path, token string
		certificates      []tls.Certificate
		want              int // 0: no connection
	}{
		{"http", keyOne, "", []tls.Certificate{pair}, http.StatusUnauthorized},
		{"http", keyOne, "", nil, 0},
		{"admin", "/config", outside["osgate"]["admin-token"], nil, http.StatusOK},
		{"admin", "/config", "", nil, http.StatusUnauthorized},
	} {
		config := &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: call.certificates}
		transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://127.0.0.1:"+at[call.port]+call.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if call.token != "" {
			request.Header.Set("Authorization", "Bearer "+call.token)
		}
		status := 0
		if response, err := transport.RoundTrip(request); err == nil {
			status = response.StatusCode
			_ = response.Body.Close()
		}
		if status != call.want {
			t.Errorf("%s with token %t and %d certificates: %d, want %d",
				call.path, call.token != "", len(call.certificates), status, call.want)
		}
	}
}

// The gateway starts with the arguments, environment and files of the pod, answers its
// probes, and takes rules and lists that Kubernetes swaps while it runs.
func TestPodServesAndReloads(t *testing.T) {
	programs := buildPrograms(t)
	emulator := start(t, filepath.Join(programs, "osemu"), nil, "-listen", "127.0.0.1:0").url(t, 0)
	list := render(t, `
settings: {OSGATE_DEFAULT_REGION: us/us-east-1}
policy:
  files: {all.cedar: 'permit (principal, action, resource);'}
cacheRules: {entries: [org-root=1s]}
`)
	p := newPod(t, list, "osgate", outside(t, startRedis(t).url()))
	at := p.served(t, filepath.Join(programs, "osgate"), emulator)
	for _, probe := range []*corev1.Probe{
		p.spec.Containers[0].StartupProbe, p.spec.Containers[0].LivenessProbe, p.spec.Containers[0].ReadinessProbe,
	} {
		eventually(t, "the probe of "+probe.HTTPGet.Path, func() bool { return at.probe(t.Context(), probe) == nil })
	}
	gateway := "http://127.0.0.1:" + at["http"]
	token := mint(t, gateway)
	if status, text := get(t, gateway+keyOne, token); status != http.StatusOK {
		t.Fatalf("a key: %d %s", status, text)
	}

	swap(t, p.volumes["policy"], map[string]string{"all.cedar": "forbid (principal, action, resource);\n"})
	eventually(t, "the new rules", func() bool {
		status, text := get(t, gateway+keyOne, token)
		return status == http.StatusForbidden && bytes.Contains(text, []byte("denied"))
	})
	swap(t, p.volumes["lists"], map[string]string{"cache-rules": "org-root=3s\n"})
	eventually(t, "the new cache rules", func() bool {
		_, text := get(t, "http://127.0.0.1:"+at["admin"]+"/config", "")
		return bytes.Contains(text, []byte("org-root=3s"))
	})
}
