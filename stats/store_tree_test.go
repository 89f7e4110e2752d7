package stats_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"osgate/stats"
)

// The tests of this file are part of the contract of [stats.Store].

func TestStoreTrees(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.open(t)
			save := func(plane, root string, subs ...string) {
				t.Helper()
				if err := s.SaveTree(t.Context(), stats.Tree{Plane: plane, Root: root, Subs: subs}); err != nil {
					t.Fatalf("SaveTree: %v", err)
				}
			}
			save("us", "root", "sub-2", "sub-1")
			save("us", "root", "sub-3", "sub-1") // adds to the tree
			save("us", "root")
			save("us", "roo", "t{sub}/1")
			save("eu", "root", "sub-9")
			tests := []struct {
				plane, organization string
				want                stats.Tree
			}{
				{"us", "root", stats.Tree{Plane: "us", Root: "root", Subs: []string{"sub-1", "sub-2", "sub-3"}}},
				{"us", "roo", stats.Tree{Plane: "us", Root: "roo", Subs: []string{"t{sub}/1"}}},
				{"us", "sub-2", stats.Tree{Plane: "us", Root: "root"}},
				{"us", "t{sub}/1", stats.Tree{Plane: "us", Root: "roo"}},
				{"eu", "root", stats.Tree{Plane: "eu", Root: "root", Subs: []string{"sub-9"}}},
				{"eu", "sub-1", stats.Tree{Plane: "eu", Root: "sub-1"}},
				{"us", "stranger", stats.Tree{Plane: "us", Root: "stranger"}},
			}
			for _, tt := range tests {
				got, err := s.Tree(t.Context(), tt.plane, tt.organization)
				if err != nil {
					t.Fatalf("Tree: %v", err)
				}
				slices.Sort(got.Subs)
				if len(got.Subs) == 0 {
					got.Subs = nil
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("Tree(%s, %s) (-want +got):\n%s", tt.plane, tt.organization, diff)
				}
			}
		})
	}
}

// TestStoreKnowsASubOrganizationByItsNameAlone saves that an organization is no root,
// before and after it saves the root of that organization.
func TestStoreKnowsASubOrganizationByItsNameAlone(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s := kind.open(t)
			for _, tt := range []struct{ told, known string }{{"", ""}, {"root", "root"}, {"", "root"}} {
				if err := s.SaveTree(t.Context(), stats.Tree{Plane: "us", Root: tt.told, Subs: []string{"sub"}}); err != nil {
					t.Fatal(err)
				}
				if got, err := s.Tree(t.Context(), "us", "sub"); err != nil || got.Root != tt.known {
					t.Errorf("told %q: the root is %q, %v; want %q", tt.told, got.Root, err, tt.known)
				}
			}
		})
	}
}
