package proxy

import (
	"reflect"
	"testing"
)

func TestEveryRequiredOptionIsRequired(t *testing.T) {
	complete := newRig(t).Options
	if _, err := New(complete); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"Regions", "Identity", "Policy", "Limiter", "Pauses", "Guesses", "Cache", "Statistics", "Keeper", "Quota",
	} {
		o := complete
		reflect.ValueOf(&o).Elem().FieldByName(name).SetZero()
		if _, err := New(o); err == nil {
			t.Errorf("without %s: no error", name)
		}
	}
	for name, transport := range map[string]Transport{
		"Shared": {Fresh: complete.Transport.Fresh}, "Fresh": {Shared: complete.Transport.Shared},
	} {
		o := complete
		o.Transport = transport
		if _, err := New(o); err == nil {
			t.Errorf("without Transport.%s: no error", name)
		}
	}
}
