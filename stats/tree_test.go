package stats_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/internal/redisconn/redistest"
	"osgate/record"
	"osgate/stats"
)

func TestMasterSumsRootWithItsSubOrganizations(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			store := kind.open(t)
			c := stats.New(stats.Options{Store: store})
			for organization, n := range map[string]int{"root": 1, "sub-1": 10, "sub-2": 100, "other": 1000} {
				keep(c, n, with(get(noon), func(x *record.Exchange) { x.Organization = organization }))
			}
			keep(c, 5, with(get(noon), func(x *record.Exchange) { x.Plane, x.Organization = "eu", "sub-1" }))
			c.LearnTree("us", "root", []string{"sub-1", "root", ""})
			check := func(c *stats.Counter, when string) {
				t.Helper()
				for _, tt := range []struct {
					target string
					want   string
				}{
					{"root" + day, "1"}, {"root" + day + "&isMaster=false", "1"},
					{"root" + day + "&isMaster=true", "111"}, {"root" + day + "&isMaster=TRUE", "111"},
					{"sub-1" + day, "10"}, {"sub-1" + day + "&isMaster=true", "[]"},
					{"other" + day + "&isMaster=true", "1000"},
				} {
					if tt.want == "[]" {
						if got := answer(t, c, base+tt.target, noon); got != tt.want {
							t.Errorf("%s: %s: got %s, want %s", when, tt.target, got, tt.want)
						}
						continue
					}
					var want int
					_ = json.Unmarshal([]byte(tt.want), &want)
					if got := total(t, c, base+tt.target, noon); got != want {
						t.Errorf("%s: %s: got %d, want %d", when, tt.target, got, want)
					}
				}
			}
			c.LearnTree("us", "root", []string{"sub-2"}) // adds to what is known
			if err := c.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			check(c, "where it was learned")
			check(stats.New(stats.Options{Store: store}), "in a process that was told nothing")
		})
	}
}

// TestMasterMeansNothingBelowAnOrganization asks as the vendor's own clients do, who send isMaster everywhere.
func TestMasterMeansNothingBelowAnOrganization(t *testing.T) {
	t.Parallel()
	c := memory(t)
	c.Keep(get(noon))
	c.LearnTree("us", "root", []string{"org"})
	flush(t, c)
	for _, path := range []string{"org/environments/env", "org/environments/env/regions/us-east-1"} {
		if got := total(t, c, base+path+day+"&isMaster=true", noon); got != 1 {
			t.Errorf("%s: %d, want 1", path, got)
		}
	}
	if got := answer(t, c, base+"org/environments"+day+"&isMaster=true", noon); got != `["env"]` {
		t.Errorf("environments: %s, want env", got)
	}
}

func TestTreeIsKnownBeforeItIsSaved(t *testing.T) {
	t.Parallel()
	c := memory(t)
	keep(c, 3, with(get(noon), func(x *record.Exchange) { x.Organization = "sub" }))
	flush(t, c)
	c.LearnTree("us", "root", []string{"sub"})
	if got := total(t, c, base+"root"+day+"&isMaster=true", noon); got != 3 {
		t.Errorf("got %d, want 3", got)
	}
	if got := answer(t, c, base+"sub"+day+"&isMaster=true", noon); got != "[]" {
		t.Errorf("got %s, want []", got)
	}
}

// TestTreeComesBackToAStoreThatForgot empties the store under a process that goes on learning the tree.
func TestTreeComesBackToAStoreThatForgot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &forgetful{stats.NewMemory(stats.MemoryOptions{})}
		c := stats.New(stats.Options{Store: store})
		learnAndFlush := func() {
			c.LearnTree("us", "root", []string{"sub"})
			flush(t, c)
		}
		known := func() bool {
			tree, err := store.Tree(t.Context(), "us", "root")
			return err == nil && len(tree.Subs) == 1
		}
		learnAndFlush()
		if !known() {
			t.Fatal("the tree was not saved")
		}
		store.Store = stats.NewMemory(stats.MemoryOptions{})
		<-time.After(59 * time.Minute)
		learnAndFlush()
		if known() {
			t.Error("the tree was saved again within the hour")
		}
		<-time.After(time.Minute)
		learnAndFlush()
		if !known() {
			t.Error("the tree was not saved again after an hour")
		}
	})
}

type forgetful struct{ stats.Store }

func TestTreesAreBounded(t *testing.T) {
	t.Parallel()
	subs := make([]string, 70_000)
	for i := range subs {
		subs[i] = fmt.Sprint("sub-", i)
	}
	store := stats.NewMemory(stats.MemoryOptions{})
	c := stats.New(stats.Options{Store: store})
	c.LearnTree("us", "root", subs)
	c.LearnTree("us", "another", []string{"its-sub"})
	flush(t, c)
	tree, err := store.Tree(t.Context(), "us", "root")
	if err != nil || len(tree.Subs) != 65_536 {
		t.Errorf("%d sub-organizations are known, %v; want 65,536", len(tree.Subs), err)
	}
	if tree, err := store.Tree(t.Context(), "us", "another"); err != nil || len(tree.Subs) != 0 {
		t.Errorf("one more tree is known: %v, %v", tree.Subs, err)
	}
}

func TestTreeWaitsForTheStore(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	store := openRedis(t, server, 100*time.Millisecond)
	c := stats.New(stats.Options{Store: store})
	server.Stop()
	c.LearnTree("us", "root", []string{"sub"})
	if err := c.Flush(t.Context()); !errors.Is(err, stats.ErrUnavailable) {
		t.Errorf("Flush without Redis: %v, want ErrUnavailable", err)
	}
	server.Restart()
	flushUntilWritten(t, c)
	if tree, err := store.Tree(t.Context(), "us", "sub"); err != nil || tree.Root != "root" {
		t.Errorf("Tree: %+v, %v; want root", tree, err)
	}
}

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
			save("us", "root", "sub-3", "sub-1") // adds
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
