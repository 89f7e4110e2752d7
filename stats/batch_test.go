package stats

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestASightingIsTheLatestHourOfItsScope(t *testing.T) {
	t.Parallel()
	hour := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	organization := Scope{Plane: "us", Organization: "org"}
	environment := organization.child("env")
	region := environment.child("us-east-1")
	a, b := region.child("a"), region.child("b")
	batch := Batch{Scope: organization, Entries: []Entry{
		{Scope: a, Hour: hour}, {Scope: b, Hour: hour.Add(-time.Hour)}, {Scope: a, Hour: hour.Add(time.Hour)}, {Scope: b, Hour: hour.Add(-2 * time.Hour)},
	}}
	want := map[Scope]time.Time{
		environment: hour.Add(time.Hour), region: hour.Add(time.Hour), a: hour.Add(time.Hour), b: hour.Add(-time.Hour),
	}
	got := map[Scope]time.Time{}
	for _, seen := range batch.sightings() {
		if _, again := got[seen.scope]; again {
			t.Errorf("%+v is returned twice", seen.scope)
		}
		got[seen.scope] = seen.hour
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sightings (-want +got):\n%s", diff)
	}
}
