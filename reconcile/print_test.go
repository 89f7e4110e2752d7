package reconcile_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"testing"
	"time"

	"osgate/reconcile"
)

var report = reconcile.Report{
	Organization: "org", From: noon, To: noon.Add(time.Hour), Period: reconcile.Hour,
	Rows: []reconcile.Row{
		{Theirs: 1, Ours: 1},
		{Environment: "prod", Region: "us-east-1", Theirs: 2},
		{Environment: "prod", Region: "us-east-1", Store: "=orders, \"new\"", Theirs: 1200, Ours: 1300},
	},
	Total: reconcile.Row{Theirs: 1203, Ours: 1301},
}

func TestTheReportInEveryFormat(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		write func(io.Writer) error
		want  string
	}{
		{"table", report.Table, `organization org, 2024-08-15T12:00:00Z to 2024-08-15T13:00:00Z, by 1hour

environment  region     store               theirs  ours  difference
-            -          -                   1       1     0
prod         us-east-1  -                   2       0     2
prod         us-east-1  "=orders, \"new\""  1200    1300  -100
total                                       1203    1301  -98
`},
		{"csv", report.CSV, "environment,region,store,theirs,ours,difference\r\n,,,1,1,0\r\nprod,us-east-1,,2,0,2\r\n" +
			"prod,us-east-1,\"'=orders, \"\"new\"\"\",1200,1300,-100\r\ntotal,,,1203,1301,-98\r\n"},
	} {
		var b bytes.Buffer
		if err := tt.write(&b); err != nil || b.String() != tt.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", tt.name, err, b.String(), tt.want)
		}
	}
}

func TestFormatsForProgramsAreRead(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := report.CSV(&b); err != nil {
		t.Fatal(err)
	}
	if rows, err := csv.NewReader(&b).ReadAll(); err != nil || len(rows) != 5 {
		t.Errorf("CSV: %v, %v", rows, err)
	}
	b.Reset()
	if err := report.JSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Organization, Period string
		From, To             time.Time
		Rows                 []map[string]any
		Total                map[string]any
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	last := got.Rows[2]
	if got.Organization != "org" || got.Period != "1hour" || !got.From.Equal(noon) || last["store"] != `=orders, "new"` || last["difference"] != -100.0 || got.Total["difference"] != -98.0 {
		t.Errorf("JSON: %+v", got)
	}
	b.Reset()
	if err := (&reconcile.Report{}).JSON(&b); err != nil || !bytes.Contains(b.Bytes(), []byte(`"rows": []`)) {
		t.Errorf("nothing: %s, %v", b.String(), err)
	}
}
