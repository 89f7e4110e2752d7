//go:build deploy && linux

package packagetest

import (
	"bufio"
	"cmp"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// block is a code block of docs/install.md.
type block struct {
	section, info, text string
	used                bool
}

// page holds the blocks of docs/install.md in their order.
type page []*block

func readPage(t *testing.T) (p page) {
	t.Helper()
	file, err := os.Open("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	section, inside := "", false
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "```"):
			if inside = !inside; inside {
				p = append(p, &block{section: section, info: line[3:]})
			}
		case inside:
			p[len(p)-1].text += line + "\n"
		case strings.HasPrefix(line, "## "):
			section = line[3:]
		}
	}
	return p
}

// take returns the text of the first block of a section that begins with this text, and
// marks it as used.
func (p page) take(t *testing.T, section, begin string) string {
	t.Helper()
	for _, b := range p {
		if b.section == section && strings.HasPrefix(b.text, begin) {
			b.used = true
			return b.text
		}
	}
	t.Fatalf("the section %s of docs/install.md has no block that begins with %q", section, begin)
	return ""
}

// editor is what an operator enters: the settings of a service in front of osemu.
const editor = `#!/bin/sh
printf 'OSGATE_UPSTREAM_OVERRIDE=http://127.0.0.1:8090\nOSGATE_DEFAULT_REGION=us/us-east-1\n' >>"$1"
`

// rpm is the program of Debian, which refuses to install: its database has no packages,
// so that it cannot check the one dependency, a shell.
const rpm = `#!/bin/sh
exec /usr/bin/rpm --force-debian --nodeps "$@"
`

// bootWith boots a machine with an editor, rpm and a running osemu of the folder dist.
func bootWith(t *testing.T, systemd, dist string) *machine {
	t.Helper()
	m := boot(t, systemd)
	m.write("/usr/local/bin/editor", editor)
	m.write("/usr/local/bin/rpm", rpm)
	m.run(dist, "systemd-run --quiet --unit=osemu $PWD/osemu_linux_"+runtime.GOARCH+"*/osemu -listen 127.0.0.1:8090")
	return m
}

// TestInstallPageWorksAsPasted runs the commands of docs/install.md in a fresh clone:
// it makes the packages and images there, and installs deb, rpm and archive each in a
// copy of this machine with a running systemd. The commands of the section Program are
// run by TestFreshCloneIsBuiltCheckedAndServes.
func TestInstallPageWorksAsPasted(t *testing.T) {
	p := readPage(t)
	p.take(t, "Debian and RPM packages", "make packages\n")
	dist := *packages
	if dist == "" {
		dist, _ = packagesOf(t, strings.TrimSpace(run(t, "go", "env", "GOCACHE")))
	}
	dist, err := filepath.Abs(dist)
	if err != nil {
		t.Fatal(err)
	}
	clone := filepath.Dir(dist)
	newer := os.Getenv("OSGATE_TEST_SYSTEMD")

	t.Run("deb", func(t *testing.T) {
		m := bootWith(t, newer, dist)
		m.run(clone, p.take(t, "Debian and RPM packages", "dpkg --install"))
		first := m.serves("notify-reload")
		m.run("/", p.take(t, "Debian and RPM packages", "install -d -m 0700 /etc/credstore"))
		m.serves("notify-reload")
		m.keepsItsSecret()
		m.run(clone, p.take(t, "Origin of the files", "(cd dist"))
		m.run(clone, "dpkg --install dist/osgate_*.deb") // as an upgrade
		if upgraded := m.serves("notify-reload"); upgraded == first {
			t.Error("an upgrade left the old process")
		}
	})
	t.Run("rpm", func(t *testing.T) {
		m := bootWith(t, newer, dist)
		m.run(clone, p.take(t, "Debian and RPM packages", "rpm --install"))
		m.serves("notify-reload")
		m.run("/", "rpm --erase osgate; refused systemctl is-active osgate; refused ls /usr/bin/osgate; ls /var/lib/osgate/stats.db")
	})
	t.Run("archive", func(t *testing.T) {
		m := bootWith(t, "", dist)
		m.run(clone, p.take(t, "Archive and systemd", "tar "))
		kind := "notify-reload"
		if newer != "" { // the installed systemd is older than 253
			m.write("/etc/systemd/system/osgate.service.d/override.conf", p.take(t, "Debian and RPM packages", "[Service]"))
			m.run("/", "systemctl daemon-reload; systemctl restart osgate")
			kind = "notify"
		}
		m.serves(kind)
	})
	t.Run("image", func(t *testing.T) {
		commands := p.take(t, "Image", "make image")
		if *packages == "" {
			runIn(t, clone, "sh", "-euc", commands)
		}
	})
	p.take(t, "Program", "make build")
	for _, b := range p {
		if b.info == "sh" && !b.used {
			t.Errorf("docs/install.md: no test runs the block\n%s", b.text)
		}
	}
}

// serves checks the service: systemd waited for its readiness, it runs as its user
// without rights, it serves a request and reloads, and its files are complete. It returns
// the number of its process.
func (m *machine) serves(kind string) (pid string) {
	m.t.Helper()
	shown := map[string]string{}
	for line := range strings.Lines(m.run("/", "systemctl show osgate")) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		shown[key] = value
	}
	if shown["ActiveState"] != "active" || shown["Type"] != kind || !strings.Contains(shown["StatusText"], "ready") {
		m.t.Errorf("the service is %s, of type %s, with the status %q; want %s", shown["ActiveState"], shown["Type"], shown["StatusText"], kind)
	}
	m.t.Logf("systemd %s: ready after %v, %s", strings.Fields(m.run("/", "systemctl --version"))[1], betweenStamps(m.t, shown), shown["StatusText"])
	pid = shown["MainPID"]
	status := m.run("/", "cat /proc/"+pid+"/status")
	for _, want := range []string{"CapEff:\t0000000000000000\n", "CapBnd:\t0000000000000000\n", "NoNewPrivs:\t1\n", "Seccomp:\t2\n"} {
		if !strings.Contains(status, want) {
			m.t.Errorf("the process has no %q: %s", want, status)
		}
	}
	if user := m.run("/", "stat -c %U /proc/"+pid); user != "osgate\n" {
		m.t.Errorf("the service runs as %s", user)
	}
	m.run("/", request)
	version := strings.Fields(m.run("/", "osgate version"))[1]
	if metrics := m.run("/", "curl -fsS http://127.0.0.1:8081/metrics"); !strings.Contains(metrics, `service_version="`+version+`"`) {
		m.t.Errorf("no metric has the version %s", version)
	}
	m.run("/", "systemctl reload osgate; systemctl is-active osgate")
	return pid
}

// betweenStamps returns the time from the start of the process to the message that it
// is ready, by the properties of the unit.
func betweenStamps(t *testing.T, shown map[string]string) time.Duration {
	t.Helper()
	began, err := time.ParseDuration(shown["ExecMainStartTimestampMonotonic"] + "us")
	ready, late := time.ParseDuration(shown["ActiveEnterTimestampMonotonic"] + "us")
	if err := cmp.Or(err, late); err != nil {
		t.Error(err)
	}
	return (ready - began).Round(time.Millisecond)
}

// request writes and reads a value as a client.
const request = `
curl -fsS http://127.0.0.1:8081/readyz | grep -q '"ready"'
gateway=http://127.0.0.1:8080
token=$(curl -fsS -d 'client_id=app-one&client_secret=secret-one&grant_type=client_credentials' $gateway/accounts/oauth2/token |
	sed 's/.*"access_token":"\([^"]*\)".*/\1/')
key=$gateway/api/v1/organizations/org-root/environments/env-prod/stores/APP_demo__defaultPersistentObjectStore/partitions/DEFAULT_PARTITION/keys/one
curl -fsS -X PUT -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -d '{"stringValue":"hello","valueType":"STRING"}' $key
curl -fsS -H "Authorization: Bearer $token" $key | grep -q hello
`

// keepsItsSecret checks that the secret reached the service as a credential alone.
func (m *machine) keepsItsSecret() {
	m.t.Helper()
	m.run("/", `
pid=$(systemctl show osgate --property MainPID --value)
secret=$(cat /etc/credstore/osgate.secret)
nsenter --target "$pid" --mount setpriv --reuid osgate --regid osgate --clear-groups cat /run/credentials/osgate.service/osgate.secret | grep -qxF "$secret"
refused grep -F "$secret" "/proc/$pid/environ"
journalctl --unit osgate >/run/log-of-osgate
refused grep -F "$secret" /run/log-of-osgate
refused setpriv --reuid nobody --regid nogroup --clear-groups cat /run/credentials/osgate.service/osgate.secret`)
}
