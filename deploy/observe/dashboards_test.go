package observe

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboard holds the checked parts of a Grafana dashboard.
type dashboard struct {
	file          string
	UID           string `json:"uid"`
	Title         string `json:"title"`
	Description   string `json:"description"`
	SchemaVersion int    `json:"schemaVersion"`
	Templating    struct {
		List []variable `json:"list"`
	} `json:"templating"`
	Panels []panel `json:"panels"`
}

type variable struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	Definition string `json:"definition"`
}

type panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	GridPos     struct {
		X, Y, W, H int
	} `json:"gridPos"`
	Datasource  datasource `json:"datasource"`
	Targets     []target   `json:"targets"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type target struct {
	RefID      string     `json:"refId"`
	Datasource datasource `json:"datasource"`
	Expr       string     `json:"expr"`
	Legend     string     `json:"legendFormat"`
}

func dashboards(t testing.TB) (list []dashboard) {
	t.Helper()
	for _, file := range dashboardFiles(t) {
		d := dashboard{file: filepath.Base(file)}
		if err := json.Unmarshal(read(t, file), &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		list = append(list, d)
	}
	return list
}

// each calls f with every query of a kind, "prometheus" or "loki", after replacing
// variables.
func (d dashboard) each(kind string, f func(p panel, q target)) {
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			if q.Datasource.Type == kind {
				q.Expr = variables.Replace(q.Expr)
				f(p, q)
			}
		}
	}
}

// variables replaces variables as Grafana would during the run, in which the region is
// us/us-east-1.
var variables = strings.NewReplacer(
	"$job", "osgate", "$instance", ".*", "$plane", "us", "$region", "us-east-1",
	"$__rate_interval", "5m", "$__interval", "1m", "$__range", "1h", "$__auto", "1m", "$client", ".+", "$logs", `job="osgate"`,
)

// coreTypes are the panel types that are part of Grafana.
var coreTypes = []string{"row", "stat", "timeseries", "table", "text", "logs"}

// TestDashboardsAreWhole so that Grafana shows them as intended, and each panel is
// described.
func TestDashboardsAreWhole(t *testing.T) {
	uids := map[string]bool{}
	for _, d := range dashboards(t) {
		if d.SchemaVersion < 39 || d.Description == "" || d.UID != "osgate-"+strings.TrimSuffix(d.file, ".json") || uids[d.UID] {
			t.Errorf("%s: schemaVersion %d, description %q, uid %q", d.file, d.SchemaVersion, d.Description, d.UID)
		}
		uids[d.UID] = true
		ids := map[int]bool{}
		for _, p := range d.Panels {
			if ids[p.ID] || p.ID == 0 {
				t.Errorf("%s: panel %q has the id %d, as another or none", d.file, p.Title, p.ID)
			}
			ids[p.ID] = true
			p.check(t, d.file)
		}
	}
}

// check checks the title, the description and the layout of a panel.
func (p panel) check(t *testing.T, file string) {
	t.Helper()
	if p.Title == "" || !strings.HasSuffix(p.Description, ".") && !strings.HasSuffix(p.Description, "?") {
		t.Errorf("%s: panel %d, title %q: description %q is no sentence", file, p.ID, p.Title, p.Description)
	}
	if !slices.Contains(coreTypes, p.Type) {
		t.Errorf("%s: panel %q is a %q, which does not come with Grafana", file, p.Title, p.Type)
	}
	if g := p.GridPos; g.W < 1 || g.H < 1 || g.X+g.W > 24 {
		t.Errorf("%s: panel %q lies outside the 24 columns: %+v", file, p.Title, g)
	}
	if p.Type == "row" || p.Type == "text" {
		return
	}
	if len(p.Targets) == 0 || p.FieldConfig.Defaults.Unit == "" && p.Type != "logs" {
		t.Errorf("%s: panel %q has %d queries and the unit %q", file, p.Title, len(p.Targets), p.FieldConfig.Defaults.Unit)
	}
	for _, q := range p.Targets {
		if q.Datasource != p.Datasource || p.Datasource.UID != map[string]string{"prometheus": "${datasource}", "loki": "${loki}"}[p.Datasource.Type] {
			t.Errorf("%s: panel %q asks %v by its query %s, not the datasource chosen above", file, p.Title, q.Datasource, q.RefID)
		}
		if p.Type == "timeseries" && q.Legend == "" {
			t.Errorf("%s: panel %q: query %s has no legend", file, p.Title, q.RefID)
		}
	}
}

// TestDashboardPanelsDoNotOverlap, because Grafana would move overlapping panels.
func TestDashboardPanelsDoNotOverlap(t *testing.T) {
	for _, d := range dashboards(t) {
		taken := map[[2]int]string{}
		for _, p := range d.Panels {
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other, ok := taken[[2]int{x, y}]; ok {
						t.Fatalf("%s: panels %q and %q overlap", d.file, other, p.Title)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
		}
	}
}

// TestDashboardsUseOnlyVariablesTheyHave, and have only variables that they use.
func TestDashboardsUseOnlyVariablesTheyHave(t *testing.T) {
	used := regexp.MustCompile(`\$\{?([a-z]+)\b`)
	for _, d := range dashboards(t) {
		text := read(t, filepath.Join(filepath.Dir(dashboardsGlob), d.file))
		var names []string
		for _, v := range d.Templating.List {
			names = append(names, v.Name)
			if !bytes.Contains(text, []byte("$"+v.Name)) && !bytes.Contains(text, []byte("${"+v.Name+"}")) {
				t.Errorf("%s: the variable %s is not used", d.file, v.Name)
			}
		}
		for _, found := range used.FindAllSubmatch(text, -1) {
			if !slices.Contains(names, string(found[1])) {
				t.Errorf("%s uses $%s, which it does not have", d.file, found[1])
			}
		}
	}
}
