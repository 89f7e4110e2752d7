package policy_test

import (
	"testing"

	"osgate/auth"
	"osgate/objectstore"
	"osgate/policy"
)

func TestWithoutAPolicyEverythingIsPermitted(t *testing.T) {
	for _, kind := range objectstore.Kinds() {
		d := new(policy.Policy).Decide(policy.Request{Principal: &auth.Principal{Client: "c"}, Operation: objectstore.Operation{Kind: kind}, Plane: "us"})
		if d != (policy.Decision{Allowed: true}) {
			t.Errorf("%v: %+v", kind, d)
		}
	}
}
