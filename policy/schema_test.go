package policy_test

import (
	"testing"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	cedarschema "github.com/cedar-policy/cedar-go/x/exp/schema/resolved"

	"osgate/objectstore"
	"osgate/policy"
)

func TestSchemaIsReadByCedar(t *testing.T) {
	var s schema.Schema
	if err := s.UnmarshalCedar([]byte(policy.Schema([]string{"X-App"}))); err != nil {
		t.Fatal(err)
	}
	resolved, err := s.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(resolved.Actions), len(objectstore.Kinds())+4; got != want {
		t.Errorf("%d actions, want %d: the operations and four groups", got, want)
	}
	facts := resolved.Actions[types.NewEntityUID("Action", "getKey")].AppliesTo.Context
	if headers, ok := facts["headers"].Type.(cedarschema.RecordType); !ok || !headers["x-app"].Optional {
		t.Errorf("headers %+v, want x-app, in lower case, that may be absent", facts["headers"])
	}
	if got := len(resolved.Entities); got != 7 {
		t.Errorf("%d entity types, want 7", got)
	}
}
