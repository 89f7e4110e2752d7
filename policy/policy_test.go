package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"osgate/auth"
	"osgate/objectstore"
	"osgate/policy"
)

func TestWithoutAPolicyEverythingIsPermitted(t *testing.T) {
	for _, kind := range objectstore.Kinds() {
		d := new(policy.Policy).Decide(policy.Request{Principal: &auth.Principal{Client: "c"}, Operation: objectstore.Operation{Kind: kind}, Plane: "us"})
		if diff := cmp.Diff(policy.Decision{Allowed: true}, d); diff != "" {
			t.Errorf("%v: (-want +got)\n%s", kind, diff)
		}
	}
}
