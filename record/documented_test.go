package record_test

import (
	"log/slog"
	"maps"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"osgate/record"
)

// filled returns an exchange in which every field is set.
func filled(t *testing.T) *record.Exchange {
	t.Helper()
	x := &record.Exchange{}
	fill(t, reflect.ValueOf(x).Elem())
	x.Surface, x.Status = record.SurfaceObjectStore, 200
	return x
}

// fill sets v, and everything in it, to a value that is not zero.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch {
	case !v.CanSet():
	case v.Kind() == reflect.Struct:
		for _, field := range v.Fields() {
			fill(t, field)
		}
	case v.Kind() == reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i))
		}
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0))
	case v.Kind() == reflect.String:
		v.SetString("text " + v.Type().Name() + v.String())
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(100)
	case v.CanUint():
		v.SetUint(1)
	default:
		t.Fatalf("no value for a %s", v.Type())
	}
}

// docs/log.md describes every field of a log line, and no other field.
func TestEveryFieldOfTheLogIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/log.md")
	if err != nil {
		t.Fatal(err)
	}
	x := filled(t)
	x.ClientAddr = "another"
	line := sampled(t, slog.LevelInfo, map[string]float64{"ok": 0.5, "hit": 0.5, "error": 0.5}, x, x)[0]
	x.PolicyErrors, x.Aborted = nil, false // errors are never sampled
	maps.Copy(line, sampled(t, slog.LevelInfo, map[string]float64{"ok": 0.5, "hit": 0.5, "refused": 0.5}, x, x, x, x)[0])
	if len(line) < 35 {
		t.Errorf("only %d fields: %v", len(line), line)
	}
	known := map[string]bool{"time": true, "units": true} // of slog, and of an operation with status 2xx
	for key, value := range line {
		names := []string{key}
		if group, ok := value.(map[string]any); ok {
			for name := range group {
				names = append(names, name)
			}
		}
		for _, name := range names {
			known[name] = true
			if !strings.Contains(string(text), "`"+name+"`") {
				t.Errorf("docs/log.md does not name the field %s", name)
			}
		}
	}
	fields, _, _ := strings.Cut(string(text), "\n## Sampling\n")
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|").FindAllStringSubmatch(fields, -1) {
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[1], -1) {
			if !known[name[1]] {
				t.Errorf("docs/log.md has a row for %s, which is no field", name[1])
			}
		}
	}
}
