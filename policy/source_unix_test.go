//go:build unix

package policy_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"osgate/policy"
)

// TestAnIrregularFileIsReportedAndNotWaitedFor: a pipe without a writer, a device
// without an end, a folder, and a file above the limit.
func TestAnIrregularFileIsReportedAndNotWaitedFor(t *testing.T) {
	for want, put := range map[string]func(path string) error{
		"z.cedar is no regular file": func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"p.cedar is no regular file": func(path string) error {
			return errors.Join(syscall.Mkfifo(filepath.Dir(path)+"/pipe", 0o600), os.Symlink("pipe", filepath.Dir(path)+"/y.cedar"), os.Remove(filepath.Dir(path)+"/p.cedar"),
				os.Symlink("pipe", filepath.Dir(path)+"/p.cedar"))
		},
		"/z.cedar is no regular": func(path string) error { return os.Symlink(os.DevNull, path) },
		"z.cedar it has more than": func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<40))
		},
	} {
		folder := write(t, "p.cedar", permitAll)
		p, err := policy.Load(policy.Options{Path: folder})
		if err != nil {
			t.Fatal(err)
		}
		if err := put(filepath.Join(folder, "z.cedar")); err != nil {
			t.Fatal(err)
		}
		if _, err := policy.Load(policy.Options{Path: folder}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("at the start: %v, want %q", err, want)
		}
		if err := p.Reload(); err == nil || !strings.Contains(err.Error(), want) || p.State().Err == nil || p.Rules().Len() != 1 {
			t.Errorf("asked to read: %v, %+v; want %q and the rules in force", err, p.State(), want)
		}
		if d := p.Decide(requestOf(t, "GET "+keyOne)); !d.Allowed {
			t.Errorf("%+v, want a permit", d)
		}
	}
	folder := write(t, "p.txt", permitAll)
	if err := os.Symlink("p.txt", filepath.Join(folder, "p.cedar")); err != nil {
		t.Fatal(err)
	}
	if _, err := policy.Load(policy.Options{Path: folder}); err != nil {
		t.Errorf("a link to a file: %v", err)
	}
}
