package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"osgate/config"
)

// unitFile returns a file of deploy/systemd.
func unitFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/systemd/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestSettingsOfTheUnitAreOnesThatExist checks the file of osgate.service as it is
// installed, and the name of each setting that it shows as an example.
func TestSettingsOfTheUnitAreOnesThatExist(t *testing.T) {
	var inForce []string
	for line := range strings.Lines(unitFile(t, "osgate.env")) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			inForce = append(inForce, line)
		}
	}
	if _, err := config.Load(inForce); err != nil || len(inForce) == 0 {
		t.Errorf("%q: %v", inForce, err)
	}
	names := map[string]bool{}
	for _, v := range config.Variables() {
		names[v.Name] = true
		if v.File {
			names[v.Name+"_FILE"] = true
		}
	}
	example := regexp.MustCompile(`(?m)^#?(OSGATE_\w+)=`)
	for _, match := range example.FindAllStringSubmatch(unitFile(t, "osgate.env"), -1) {
		if !names[match[1]] {
			t.Errorf("%s is no setting", match[1])
		}
	}
}

// TestUnitLoadsEachSecretAsACredential compares the secrets among the settings with the
// credentials of the unit, and with the paths in its settings.
func TestUnitLoadsEachSecretAsACredential(t *testing.T) {
	unit := unitFile(t, "osgate.service")
	var loaded []string
	for _, match := range regexp.MustCompile(`(?m)^LoadCredential=(\S+)$`).FindAllStringSubmatch(unit, -1) {
		loaded = append(loaded, match[1])
	}
	lists := []string{"OSGATE_ROUTES", "OSGATE_RATE_OVERRIDES", "OSGATE_CACHE_RULES"} // files, but no secrets
	for _, v := range config.Variables() {
		if !v.File || slices.Contains(lists, v.Name) {
			continue
		}
		name := "osgate." + strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(v.Name, config.Prefix), "_", "-"))
		if !slices.Contains(loaded, name) {
			t.Errorf("the unit loads no credential %s for %s_FILE", name, v.Name)
		}
	}
	path := regexp.MustCompile(`(?m)_FILE=/run/credentials/osgate\.service/(\S+)$`)
	paths := path.FindAllStringSubmatch(unitFile(t, "osgate.env"), -1)
	for _, match := range paths {
		if !slices.Contains(loaded, match[1]) {
			t.Errorf("the unit loads no credential %s", match[1])
		}
	}
	if len(paths) < 4 {
		t.Errorf("%d paths of credentials in osgate.env", len(paths))
	}
}
