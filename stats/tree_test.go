package stats_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
			c.LearnTree("us", "root", []string{"sub-2"}) // adds to the known tree
			if err := c.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			check(c, "where it was learned")
			check(stats.New(stats.Options{Store: store}), "in a process that was told nothing")
		})
	}
}

// TestMasterMeansNothingBelowAnOrganization queries as the vendor's own clients do,
// which send isMaster with every request.
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

// TestTreeComesBackToAStoreThatForgot empties the store under a process that continues
// to learn the tree.
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

// TestOrganizationsLearnedDuringASaveAreSavedNext learns one more organization while the
// tree is being saved.
func TestOrganizationsLearnedDuringASaveAreSavedNext(t *testing.T) {
	t.Parallel()
	store := &interrupted{Store: stats.NewMemory(stats.MemoryOptions{})}
	c := stats.New(stats.Options{Store: store})
	store.saving = func() { c.LearnTree("us", "root", []string{"late"}) }
	c.LearnTree("us", "root", []string{"sub"})
	flush(t, c)
	flush(t, c)
	if tree, err := store.Tree(t.Context(), "us", "root"); err != nil || !slices.Equal(tree.Subs, []string{"late", "sub"}) {
		t.Errorf("saved: %v, %v; want both", tree.Subs, err)
	}
}

// interrupted is a store that calls saving whenever a tree is saved.
type interrupted struct {
	stats.Store
	saving func()
}

func (s *interrupted) SaveTree(ctx context.Context, t stats.Tree) error {
	s.saving()
	return s.Store.SaveTree(ctx, t)
}

// TestTreesAreSavedThoughCountsAreNot has a store that cannot write any counts, nor the
// tree of one root.
func TestTreesAreSavedThoughCountsAreNot(t *testing.T) {
	t.Parallel()
	store := partly{stats.NewMemory(stats.MemoryOptions{})}
	c := stats.New(stats.Options{Store: store})
	c.Keep(get(noon))
	for i := range 5 {
		c.LearnTree("us", fmt.Sprint("root-", i), []string{fmt.Sprint("sub-", i)})
	}
	c.LearnTree("us", "lost", []string{"sub"})
	if err := c.Flush(t.Context()); !errors.Is(err, errLost) {
		t.Errorf("Flush: %v, want that something failed", err)
	}
	for i := range 5 {
		if tree, err := store.Tree(t.Context(), "us", fmt.Sprint("root-", i)); err != nil || len(tree.Subs) != 1 {
			t.Errorf("tree %d: %v, %v; want it saved", i, tree.Subs, err)
		}
	}
	if status := c.Status(); status.Waiting != 1 {
		t.Errorf("%d series wait, want 1", status.Waiting)
	}
}

// partly is a store of which a part is unavailable.
type partly struct{ stats.Store }

func (s partly) Apply(_ context.Context, batches []*stats.Batch) []error {
	return slices.Repeat([]error{errLost}, len(batches))
}

func (s partly) SaveTree(ctx context.Context, t stats.Tree) error {
	if t.Root == "lost" {
		return errLost
	}
	return s.Store.SaveTree(ctx, t)
}

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
	store := openRedis(t, server, time.Minute)
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

func TestAnEndThatLosesOnlyTreesReportsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := stats.New(stats.Options{Store: treeless{stats.NewMemory(stats.MemoryOptions{})}})
		stop := run(t, c)
		c.Keep(get(noon))
		c.LearnTree("us", "root", []string{"sub"})
		if err := stop(); !errors.Is(err, errLost) || !strings.Contains(err.Error(), "saving organization trees") || strings.Contains(err.Error(), "operations") {
			t.Errorf("Run: %v, want errLost, of trees and of no operations", err)
		}
	})
}

// treeless is a store that saves no trees.
type treeless struct{ stats.Store }

func (treeless) SaveTree(context.Context, stats.Tree) error { return errLost }
