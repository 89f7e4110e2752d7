package charttest

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"sigs.k8s.io/yaml"
)

const composeFile = "../compose.yaml"

// loadCompose reads the compose file like docker compose does, without variables of this
// machine.
func loadCompose(t testing.TB) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{composeFile})
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// Nothing is open to the network, and every file that is mounted or built exists.
func TestComposeFileStaysOnThisMachine(t *testing.T) {
	for _, service := range loadCompose(t).Services {
		for _, port := range service.Ports {
			if ip := net.ParseIP(port.HostIP); ip == nil || !ip.IsLoopback() {
				t.Errorf("%s publishes %s to %q", service.Name, port.Published, port.HostIP)
			}
		}
		for _, volume := range service.Volumes {
			if volume.Type != types.VolumeTypeBind {
				continue
			}
			if _, err := os.Stat(volume.Source); err != nil {
				t.Errorf("%s mounts: %v", service.Name, err)
			}
		}
		if service.Build == nil {
			continue
		}
		dockerfile := string(read(t, filepath.Join(service.Build.Context, service.Build.Dockerfile)))
		if !strings.Contains(dockerfile, " AS "+service.Build.Target+"\n") {
			t.Errorf("%s is built from the target %s, which does not exist", service.Name, service.Build.Target)
		}
	}
}

// Prometheus scrapes each gateway on its metrics listener and reads the project's rules,
// and Grafana shows the project's dashboards from that Prometheus.
func TestComposeFileWatchesEachGateway(t *testing.T) {
	project := loadCompose(t)
	var prometheus struct {
		Rules  []string `json:"rule_files"`
		Scrape []struct {
			Job    string                       `json:"job_name"`
			Static []struct{ Targets []string } `json:"static_configs"`
		} `json:"scrape_configs"`
	}
	decode(t, mounted(t, project, "prometheus", "/etc/prometheus/prometheus.yaml"), &prometheus)
	for _, rules := range prometheus.Rules {
		same(t, mounted(t, project, "prometheus", "/etc/prometheus/"+rules), "../prometheus/alerts.yaml")
	}
	var want []string
	for name, service := range project.Services {
		if strings.HasPrefix(name, "osgate-") {
			want = append(want, name+*service.Environment["OSGATE_METRICS_LISTEN"])
		}
	}
	slices.Sort(want)
	if len(prometheus.Scrape) != 1 || len(prometheus.Scrape[0].Static) != 1 || len(prometheus.Rules) != 1 {
		t.Fatalf("Prometheus reads %+v", prometheus)
	}
	scrape := prometheus.Scrape[0]
	if !strings.Contains(scrape.Job, "osgate") || !slices.Equal(scrape.Static[0].Targets, want) {
		t.Errorf("the job %s scrapes %v, want %v", scrape.Job, scrape.Static, want)
	}

	var sources struct{ Datasources []struct{ Type, URL string } }
	decode(t, mounted(t, project, "grafana", "/etc/grafana/provisioning/datasources/osgate.yaml"), &sources)
	if at := sources.Datasources[0]; at.Type != "prometheus" || at.URL != "http://prometheus:9090" {
		t.Errorf("the data source of Grafana is %v", at)
	}
	var dashboards struct {
		Providers []struct{ Options struct{ Path string } }
	}
	decode(t, mounted(t, project, "grafana", "/etc/grafana/provisioning/dashboards/osgate.yaml"), &dashboards)
	same(t, mounted(t, project, "grafana", dashboards.Providers[0].Options.Path), "../grafana")
}

// mounted returns the file or folder of this machine that a service has at a path.
func mounted(t testing.TB, project *types.Project, service, target string) string {
	t.Helper()
	for _, volume := range project.Services[service].Volumes {
		if volume.Target == target {
			return volume.Source
		}
	}
	t.Fatalf("%s has nothing at %s", service, target)
	return ""
}

func decode(t testing.TB, file string, to any) {
	t.Helper()
	if err := yaml.Unmarshal(read(t, file), to); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func same(t testing.TB, got, want string) {
	t.Helper()
	one, err := os.Stat(got)
	if err != nil {
		t.Fatal(err)
	}
	if other, err := os.Stat(want); err != nil || !os.SameFile(one, other) {
		t.Errorf("%s is mounted, want %s (%v)", got, want, err)
	}
}

// machine runs services of the compose file as processes on loopback.
type machine struct {
	t        testing.TB
	project  *types.Project
	programs string
	ports    map[string]string // of this machine, by service and port: osgate-1:8080
}

// address is a service and its port, or a listener on all addresses, in a setting.
var address = regexp.MustCompile(`(^|//)([a-z0-9-]*):([0-9]+)`)

// local returns a setting or argument of a service with ports of this machine in it.
func (m *machine) local(service, text string) string {
	return address.ReplaceAllStringFunc(text, func(found string) string {
		parts := address.FindStringSubmatch(found)
		host := parts[2]
		if host == "" {
			host = service
		} else if _, known := m.project.Services[host]; !known {
			m.t.Fatalf("%s: %s is no service", service, text)
		}
		at := host + ":" + parts[3]
		if m.ports[at] == "" {
			m.ports[at] = free(m.t)
		}
		return parts[1] + "127.0.0.1:" + m.ports[at]
	})
}

// environment returns the environment of a service.
func (m *machine) environment(service string) (list []string) {
	for name, value := range m.project.Services[service].Environment {
		list = append(list, name+"="+m.local(service, *value))
	}
	return list
}

// start starts the program of a service with the settings and arguments of the file.
func (m *machine) start(service, program string, arguments ...string) {
	m.t.Helper()
	data := m.t.TempDir()
	for _, argument := range m.project.Services[service].Command {
		if argument == "/data" {
			argument = data
		}
		arguments = append(arguments, m.local(service, argument))
	}
	start(m.t, filepath.Join(m.programs, program), m.environment(service), arguments...)
}

// url returns the address of a port of a service.
func (m *machine) url(at string) string { return "http://127.0.0.1:" + m.ports[at] }

// await waits until a port of a service answers a path.
func (m *machine) await(at, path string) {
	m.t.Helper()
	eventually(m.t, at+" to answer "+path, func() bool {
		response, err := client.Get(m.url(at) + path)
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

// The services of the file work together: both gateways serve a token that one of them
// minted, show their metrics without a token, and their settings with the operator's.
func TestComposeServicesWorkTogether(t *testing.T) {
	m := &machine{t: t, project: loadCompose(t), programs: buildPrograms(t), ports: map[string]string{}}
	command := m.project.Services["redis"].Command
	if command[0] != "redis-server" || !slices.Contains(command, "--appendonly") {
		t.Fatalf("Redis is started by %v, which is not persistent", command)
	}
	m.ports["redis:6379"] = startRedis(t, command[1:]...).port
	m.start("osemu", "osemu")
	m.await("osemu:8090", "/_osemu/livez") // the gateways depend on it
	m.start("osgate-1", "osgate", "serve")
	m.start("osgate-2", "osgate", "serve")
	m.await("osgate-1:8082", "/readyz")
	m.await("osgate-2:8082", "/readyz")

	token := mint(t, m.url("osgate-1:8080"))
	for _, gateway := range []string{"osgate-1", "osgate-2"} {
		if status, text := get(t, m.url(gateway+":8080")+keyOne, token); status != http.StatusOK {
			t.Errorf("%s: %d %s", gateway, status, text)
		}
		if _, text := get(t, m.url(gateway+":8082")+"/metrics", ""); !strings.Contains(string(text), "osgate_build_info") {
			t.Errorf("%s shows no metrics", gateway)
		}
		healthy := exec.CommandContext(t.Context(), filepath.Join(m.programs, "osgate"), "healthcheck") // as in the image
		healthy.Env = m.environment(gateway)
		if text, err := healthy.CombinedOutput(); err != nil {
			t.Errorf("%s: the health check: %v\n%s", gateway, err, text)
		}
		admin := *m.project.Services[gateway].Environment["OSGATE_ADMIN_TOKEN"]
		status, text := get(t, m.url(gateway+":8081")+"/config", admin)
		if status != http.StatusOK || !strings.Contains(string(text), "OSGATE_REDIS_URL") {
			t.Errorf("%s: the admin listener: %d", gateway, status)
		}
	}
}
