package policy

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"osgate/internal/watch"
)

// twoRules is a file, and oneRule its first part while it is being written.
const (
	oneRule  = `@id("all") permit(principal, action, resource);` + "\n"
	twoRules = oneRule + `@id("none") forbid(principal, action, resource);` + "\n"
)

// growing is one file whose content and modification time a test sets.
type growing struct {
	mu   sync.Mutex
	file watch.File // guarded by mu
}

func (g *growing) write(text string, changed time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.file = watch.File{Name: "p.cedar", Text: []byte(text), Changed: changed}
}

func (g *growing) read() ([]watch.File, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return []watch.File{g.file}, nil
}

// TestAFileThatIsBeingWrittenIsNotTakenHalf although its writer pauses for longer than
// the interval between two checks, whether Run, SIGHUP or the start finds it, and
// whether or not the file system reports its modification time.
func TestAFileThatIsBeingWrittenIsNotTakenHalf(t *testing.T) {
	stamps := map[string]func() time.Time{
		"the file system's clock is ours": time.Now, "it does not say": func() time.Time { return time.Time{} },
		"its clock is ahead": func() time.Time { return time.Now().Add(time.Hour) },
	}
	for name, stamp := range stamps {
		synctest.Test(t, func(t *testing.T) {
			g := &growing{}
			write := func(text string) { g.write(text, stamp()) }
			write(twoRules)
			p, err := load(Options{Path: "x", Rest: watch.Rest}, g.read)
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			go func() { _ = p.Run(ctx) }()
			hangup := func() { go func() { _ = p.Reload() }() } // ends within twice Rest
			for range 50 {                                      // at any moment between two looks
				write(oneRule)
				hangup()
				for until := time.Now().Add(watch.Rest - time.Millisecond); time.Now().Before(until); <-time.After(watch.Rest / 41) {
					if n := p.State().Rules; n != 2 {
						t.Fatalf("%s: %d rules in force while the file is written, want 2", name, n)
					}
				}
				write(twoRules)
				<-time.After(watch.Rest + watch.Every + 137*time.Millisecond)
			}
			write(oneRule + "// and no more\n")
			<-time.After(watch.Rest + 2*watch.Every)
			if n := p.State().Rules; n != 1 {
				t.Errorf("%s: %d rules in force when the file has been at rest, want 1", name, n)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		g := &growing{}
		g.write(oneRule, time.Now())
		go func() {
			<-time.After(watch.Rest - time.Millisecond)
			g.write(twoRules, time.Now())
		}()
		if p, err := load(Options{Path: "x", Rest: watch.Rest}, g.read); err != nil || p.State().Rules != 2 {
			t.Errorf("at the start: %+v, %v; want both rules", p.State(), err)
		}
	})
}

// TestFilesAtRestAreTakenAtOnce on request, and files that never rest are reported.
func TestFilesAtRestAreTakenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &growing{}
		g.write(twoRules, time.Now().Add(-watch.Rest))
		began := time.Now()
		p, err := load(Options{Path: "x", Rest: watch.Rest}, g.read)
		if err != nil {
			t.Fatal(err)
		}
		g.write(oneRule, time.Now().Add(-watch.Rest))
		if err := p.Reload(); err != nil || p.State().Rules != 1 || time.Since(began) != 0 {
			t.Errorf("%v, %d rules after %v; want 1 at once", err, p.State().Rules, time.Since(began))
		}
		g.write(twoRules, time.Now())
		if err := p.Reload(); err != nil || p.State().Rules != 2 || time.Since(began) != watch.Rest {
			t.Errorf("%v, %d rules after %v; want 2 after %v", err, p.State().Rules, time.Since(began), watch.Rest)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		g.write(oneRule, time.Now())
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-time.After(time.Second):
					g.write(oneRule, time.Now())
				}
			}
		}()
		began = time.Now()
		if err := p.Reload(); !errors.Is(err, watch.ErrRestless) || time.Since(began) > 2*watch.Rest+watch.Every || p.State().Rules != 2 {
			t.Errorf("never at rest: %v after %v, %d rules; want %v, those in force", err, time.Since(began), p.State().Rules, watch.ErrRestless)
		}
	})
}

// TestFolderIsAtRestOnlyWithUnchangedNames: a removed or renamed file changes the folder,
// although no file in it is young.
func TestFolderIsAtRestOnlyWithUnchangedNames(t *testing.T) {
	folder := t.TempDir()
	old := time.Now().Add(-time.Hour).Truncate(time.Second)
	for _, name := range []string{"a.cedar", "b.cedar"} {
		path := filepath.Join(folder, name)
		if err := errors.Join(os.WriteFile(path, []byte(oneRule), 0o600), os.Chtimes(path, old, old)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(folder, old, old); err != nil {
		t.Fatal(err)
	}
	if files, err := readFiles(folder); err != nil || len(files) != 2 || !watch.Youngest(files).Equal(old) {
		t.Fatalf("%d files changed at %v, %v; want 2, at %v", len(files), watch.Youngest(files), err, old)
	}
	if err := os.Remove(filepath.Join(folder, "b.cedar")); err != nil {
		t.Fatal(err)
	}
	if files, err := readFiles(folder); err != nil || len(files) != 1 || !watch.Youngest(files).After(old) {
		t.Errorf("%d files changed at %v, %v; want 1, changed now", len(files), watch.Youngest(files), err)
	}
}
