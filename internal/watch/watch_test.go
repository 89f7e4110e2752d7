package watch_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"osgate/internal/watch"
)

// TestFilesAreTakenOnceForEachChange when they are at rest, also those that are wrong
// or cannot be read, and again as soon as Reload is called.
func TestFilesAreTakenOnceForEachChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			mu     sync.Mutex
			text   = "one"
			broken error
			taken  []string
		)
		set := func(to string, err error) {
			mu.Lock()
			defer mu.Unlock()
			text, broken = to, err
		}
		w := watch.New(watch.Options{
			Rest: watch.Rest,
			Read: func() ([]watch.File, error) {
				mu.Lock()
				defer mu.Unlock()
				if broken != nil {
					return nil, broken
				}
				return []watch.File{{Name: "f", Text: []byte(text)}}, nil
			},
			Take: func(files []watch.File, err error) error {
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					taken = append(taken, err.Error())
					return err
				}
				taken = append(taken, string(files[0].Text))
				if strings.HasPrefix(string(files[0].Text), "wrong") {
					return errors.New("wrong")
				}
				return nil
			},
		})
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() { defer close(over); _ = w.Run(ctx) }()
		for _, change := range []struct {
			text string
			err  error
		}{{"one", nil}, {"two", nil}, {"wrong", nil}, {"", errors.New("no file")}, {"two", nil}} {
			set(change.text, change.err)
			<-time.After(time.Minute)
		}
		if err := w.Reload(); err != nil {
			t.Errorf("asked to: %v", err)
		}
		stop()
		<-over
		if want := []string{"one", "two", "wrong", "no file", "two", "two"}; !slices.Equal(taken, want) {
			t.Errorf("taken %q, want %q", taken, want)
		}
	})
}

func TestALargeFileAndAPipeAreNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("four"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := watch.ReadFile(path, 4); err != nil || string(f.Text) != "four" || f.Name != "f" || f.Changed.IsZero() {
		t.Errorf("%+v, %v", f, err)
	}
	_, err := watch.ReadFile(path, 3)
	if _, large := errors.AsType[*watch.LargeError](err); !large {
		t.Errorf("a larger file: %v, want a LargeError", err)
	}
	if err := os.Truncate(path, 1<<40); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = watch.ReadFile(path, 1<<28)
	runtime.ReadMemStats(&after)
	if read := after.TotalAlloc - before.TotalAlloc; read > 1<<20 {
		t.Errorf("%d bytes were allocated for a file that its size refuses, %v", read, err)
	}
	if _, err := watch.ReadFile(filepath.Dir(path), 3); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("a folder: %v", err)
	}
}
