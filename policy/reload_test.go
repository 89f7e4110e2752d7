package policy_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"osgate/internal/watch"
	"osgate/policy"
)

// replace replaces a file.
func replace(t testing.TB, folder, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestABadFileLeavesTheOldRulesServing(t *testing.T) {
	for name, spoil := range map[string]func(folder string) error{
		"syntax": func(f string) error { return os.WriteFile(filepath.Join(f, "p.cedar"), []byte("permit("), 0o600) },
		"schema": func(f string) error {
			return os.WriteFile(filepath.Join(f, "p.cedar"), []byte(when(`resource.x == ""`)), 0o600)
		},
		"another": func(f string) error {
			return os.WriteFile(filepath.Join(f, "q.cedar"), []byte(noDeletes+noDeletes), 0o600)
		},
		"no rule":   func(f string) error { return os.WriteFile(filepath.Join(f, "p.cedar"), nil, 0o600) },
		"no file":   func(f string) error { return os.Remove(filepath.Join(f, "p.cedar")) },
		"no folder": os.RemoveAll,
		"not allowed": func(f string) error {
			return os.WriteFile(filepath.Join(f, "q.cedar"), []byte("@mode(\"off\") "+permitAll), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := write(t, "p.cedar", permitAll)
			var told []policy.State
			p, err := policy.Load(policy.Options{Path: folder, OnChange: func(s policy.State) { told = append(told, s) }})
			if err != nil {
				t.Fatal(err)
			}
			before := p.State()
			if err := spoil(folder); err != nil {
				t.Fatal(err)
			}
			if err := p.Reload(); err == nil {
				t.Fatal("no error")
			}
			if d := p.Decide(requestOf(t, "DELETE "+keyOne)); d.Rule != "all" {
				t.Errorf("%+v, want a permit by the old rules", d)
			}
			after := p.State()
			if after.Err == nil || after.Since.IsZero() || after.Hash != before.Hash || after.Rules != 1 || !after.Loaded.Equal(before.Loaded) {
				t.Errorf("state %+v after %+v, want the old one with an error", after, before)
			}
			if len(told) != 1 || !errors.Is(told[0].Err, after.Err) {
				t.Errorf("reported %+v, want the error once", told)
			}
		})
	}
}

func TestAChangeIsTakenWithinSeconds(t *testing.T) {
	folder := write(t, "p.cedar", permitAll)
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Int32
		p, err := policy.Load(policy.Options{Path: folder, OnChange: func(policy.State) { told.Add(1) }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := p.Run(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("Run: %v", err)
			}
		})
		after := func(what string, rule string, times int32, failed bool) {
			t.Helper()
			<-time.After(3 * time.Second)
			synctest.Wait()
			if d := p.Decide(requestOf(t, "DELETE "+keyOne)); d.Rule != rule || told.Load() != times || (p.State().Err != nil) != failed {
				t.Errorf("%s: decided by %q, told %d times, error %v; want %q, %d, %v", what, d.Rule, told.Load(), p.State().Err, rule, times, failed)
			}
		}
		after("nothing", "all", 0, false)
		replace(t, folder, "q.cedar", noDeletes)
		after("a new file", "no-deletes", 1, false)
		replace(t, folder, "q.cedar", "forbid(")
		after("a bad file", "no-deletes", 2, true)
		after("the same bad file", "no-deletes", 2, true)
		replace(t, folder, "q.cedar", noDeletes)
		after("as it was before", "no-deletes", 3, false)
		stop()
		running.Wait()
	})
}

// A file that is being written must not be loaded in part.
func TestAFileIsTakenWhenItIsAtRest(t *testing.T) {
	folder := write(t, "p.cedar", permitAll)
	synctest.Test(t, func(t *testing.T) {
		p, err := policy.Load(policy.Options{Path: folder, Rest: watch.Rest})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = p.Run(ctx) })
		<-time.After(1900 * time.Millisecond)
		for n := range 20 { // grows over 3.8 s, without a rest
			replace(t, folder, "q.cedar", strings.Repeat("// half\n", n+1))
			<-time.After(190 * time.Millisecond)
			if s := p.State(); s.Files != 1 {
				t.Fatalf("taken half: %+v", s)
			}
		}
		replace(t, folder, "q.cedar", noDeletes)
		<-time.After(watch.Rest + 4*time.Second)
		if s := p.State(); s.Files != 2 {
			t.Errorf("not taken at rest: %+v", s)
		}
		stop()
		running.Wait()
	})
}

// Kubernetes replaces a whole ConfigMap by renaming a link to a folder.
func TestASwappedLinkIsAChange(t *testing.T) {
	base := t.TempDir()
	mounted := filepath.Join(base, "mounted")
	for _, dir := range []string{"v1", "v2", "mounted"} {
		if err := os.Mkdir(filepath.Join(base, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	replace(t, base, "v1/p.cedar", permitAll)
	replace(t, base, "v2/p.cedar", noDeletes)
	link := func(to, from string) {
		t.Helper()
		if err := errors.Join(os.Symlink(to, from+".new"), os.Rename(from+".new", from)); err != nil {
			t.Fatal(err)
		}
	}
	link(filepath.Join(base, "v1"), filepath.Join(mounted, "..data"))
	link("..data/p.cedar", filepath.Join(mounted, "p.cedar"))
	p, err := policy.Load(policy.Options{Path: mounted})
	if err != nil {
		t.Fatal(err)
	}
	link(filepath.Join(base, "v2"), filepath.Join(mounted, "..data"))
	if err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	if d := p.Decide(requestOf(t, "DELETE "+keyOne)); d.Rule != "no-deletes" {
		t.Errorf("%+v, want the new rules", d)
	}
}

// Every decision during reloads is by one of the two sets of rules, and none fails.
func TestReadersRaceReloads(t *testing.T) {
	folder := write(t, "p.cedar", permitAll)
	p, err := policy.Load(policy.Options{Path: folder})
	if err != nil {
		t.Fatal(err)
	}
	var done atomic.Bool
	var readers sync.WaitGroup
	r := requestOf(t, "DELETE "+keyOne)
	for range 4 {
		readers.Go(func() {
			for !done.Load() {
				if d := p.Decide(r); d.Rule != "all" && d.Rule != "no-deletes" {
					t.Errorf("%+v is of neither set", d)
					return
				}
			}
		})
	}
	for i := range 60 {
		replace(t, folder, "p.cedar", []string{noDeletes, permitAll, "permit("}[i%3])
		if err := p.Reload(); (err != nil) != (i%3 == 2) {
			t.Errorf("reload %d: %v", i, err)
		}
	}
	done.Store(true)
	readers.Wait()
}

func TestWithoutAPolicyThereIsNothingToReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		p := new(policy.Policy)
		if err := p.Reload(); err != nil {
			t.Error(err)
		}
		if err := p.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if s := p.State(); s.Rules != 0 || s.Err != nil {
			t.Errorf("%+v", s)
		}
	})
}
