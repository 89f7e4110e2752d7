package policy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"osgate/internal/watch"
)

// version returns a folder of five files in their nth version.
func version(n int) []watch.File {
	var files []watch.File
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		files = append(files, watch.File{Name: name + extension, Text: fmt.Appendf(nil, "@id(\"%s-v%d\") permit(principal, action, resource);", name, n)})
	}
	return files
}

// readings returns a function that returns each of them in turn, and then always the
// last.
func readings(all ...[]watch.File) func() ([]watch.File, error) {
	return func() ([]watch.File, error) {
		now := all[0]
		if len(all) > 1 {
			all = all[1:]
		}
		return now, nil
	}
}

// TestAMixtureOfTwoVersionsIsNeverTaken by Load, Reload or Run.
func TestAMixtureOfTwoVersionsIsNeverTaken(t *testing.T) {
	mixture := append(version(1)[:2:2], version(2)[2:]...)
	p, err := load(Options{Path: "x"}, readings(mixture, version(2)))
	if err != nil || p.State().Hash != watch.Hash(version(2)) {
		t.Fatalf("at the start: %+v, %v; want all of the second version", p.State(), err)
	}
	p.read = readings(version(2), mixture, version(1))
	if err := p.Reload(); err != nil || p.State().Hash != watch.Hash(version(1)) {
		t.Errorf("asked to: %v, want all of the first version", err)
	}
	n := 0
	p.read = func() ([]watch.File, error) { n++; return version(n), nil }
	if err := p.Reload(); !errors.Is(err, watch.ErrRestless) || p.State().Hash != watch.Hash(version(1)) || n != watch.MaxReadings {
		t.Errorf("never the same twice: %v after %d readings; want %v, the rules in force", err, n, watch.ErrRestless)
	}
	synctest.Test(t, func(t *testing.T) {
		// The two readings of a check agree; a third, which no check makes, would find
		// the mixture.
		p, err := load(Options{Path: "x"}, readings(version(1)))
		if err != nil {
			t.Fatal(err)
		}
		p.read = readings(version(2), version(2), mixture)
		ctx, stop := context.WithTimeout(t.Context(), watch.Every+time.Millisecond)
		defer stop()
		_ = p.Run(ctx)
		if p.State().Hash != watch.Hash(version(2)) {
			t.Errorf("looking: %+v, want all of the second version", p.State())
		}
	})
}

// TestAVersionIsReadWholeWhileItsLinkIsSwapped often, even if the listing shows an
// older version.
func TestAVersionIsReadWholeWhileItsLinkIsSwapped(t *testing.T) {
	base := t.TempDir()
	shown, whole := filepath.Join(base, "shown"), map[string]bool{}
	must := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(shown, 0o700))
	for n := range 2 {
		folder := filepath.Join(base, fmt.Sprint(n))
		must(os.Mkdir(folder, 0o700))
		for _, f := range version(n) {
			must(os.WriteFile(filepath.Join(folder, f.Name), f.Text, 0o600))
		}
		whole[watch.Hash(version(n))] = true
	}
	link := filepath.Join(shown, versionLink)
	swap := func(n int) error {
		return errors.Join(os.Symlink(filepath.Join(base, fmt.Sprint(n)), link+".new"), os.Rename(link+".new", link))
	}
	must(swap(0))
	for _, f := range version(0)[1:] { // the first is not shown yet
		must(os.Symlink(versionLink+"/"+f.Name, filepath.Join(shown, f.Name)))
	}
	must(os.Symlink(versionLink+"/gone.cedar", filepath.Join(shown, "gone.cedar")))
	for _, path := range []string{shown, link} {
		var swapping sync.WaitGroup
		done := make(chan struct{})
		swapping.Go(func() {
			for n := 0; ; n = 1 - n {
				select {
				case <-done:
					return
				default:
					if err := swap(n); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
		for range 300 {
			if files, err := readFiles(path); err != nil || !whole[watch.Hash(files)] {
				t.Errorf("%s: %d files, %v; want one version and all of it", filepath.Base(path), len(files), err)
				break
			}
		}
		close(done)
		swapping.Wait()
	}
}

// TestAFileSystemThatHangsIsReportedAndDelaysNoRequest: neither the rules in force nor
// the end of Run; and the files are read again when it answers.
func TestAFileSystemThatHangsIsReportedAndDelaysNoRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []error
		p, err := load(Options{Path: "x", OnChange: func(s State) { told = append(told, s.Err) }}, readings(version(1)))
		if err != nil {
			t.Fatal(err)
		}
		back := make(chan struct{})
		var hanging atomic.Int32
		p.read = func() ([]watch.File, error) { hanging.Add(1); <-back; return version(2), nil }
		began := time.Now()
		if err := p.Reload(); !errors.Is(err, watch.ErrHung) || time.Since(began) != watch.ReadWithin {
			t.Errorf("Reload: %v after %v, want %v after %v", err, time.Since(began), watch.ErrHung, watch.ReadWithin)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = p.Run(ctx) })
		<-time.After(time.Minute)
		if !errors.Is(p.State().Err, watch.ErrHung) || p.State().Hash != watch.Hash(version(1)) || len(told) != 1 || hanging.Load() != 1 {
			t.Errorf("%+v, told %v by %d readings; want the rules in force and the error, told once by one reading", p.State(), told, hanging.Load())
		}
		began = time.Now()
		stop()
		running.Wait()
		if waited := time.Since(began); waited != 0 {
			t.Errorf("Run ended %v after its context", waited)
		}
		close(back)
		if err := p.Reload(); err != nil || p.State().Hash != watch.Hash(version(2)) || p.State().Err != nil {
			t.Errorf("it is back: %v, %+v; want the second version", err, p.State())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		never := make(chan struct{})
		if _, err := load(Options{Path: "x"}, func() ([]watch.File, error) { <-never; return nil, nil }); !errors.Is(err, watch.ErrHung) {
			t.Errorf("at the start: %v, want %v", err, watch.ErrHung)
		}
		close(never)
	})
}

// TestRunReportsAHangingFileSystemByItself within a quarter of a minute.
func TestRunReportsAHangingFileSystemByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := load(Options{Path: "x"}, readings(version(1)))
		if err != nil {
			t.Fatal(err)
		}
		back := make(chan struct{})
		defer close(back)
		p.read = func() ([]watch.File, error) { <-back; return version(1), nil }
		ctx, stop := context.WithTimeout(t.Context(), 15*time.Second)
		defer stop()
		_ = p.Run(ctx)
		if !errors.Is(p.State().Err, watch.ErrHung) {
			t.Errorf("%+v, want %v", p.State(), watch.ErrHung)
		}
	})
}
