package policy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"osgate/internal/watch"
)

// The limits of a policy.
const (
	maxFiles  = 1_000
	maxBytes  = 8 << 20 // of all files together
	maxRules  = 10_000
	maxHeader = 32
)

// extension is the end of the names of policy files.
const extension = ".cedar"

// ErrNoRules is returned for a policy without rules: it would deny everything.
var ErrNoRules = errors.New("the policy holds no rule, so that it would deny everything")

// readFiles reads the file at path, or the .cedar files of the folder at path in the
// order of their names. It follows links.
func readFiles(path string) ([]watch.File, error) {
	pinned, isFolder, err := pin(path)
	if err != nil {
		return nil, fmt.Errorf("reading policy: %w", err)
	}
	if !isFolder {
		f, err := readFile(pinned, maxBytes)
		if err != nil {
			return nil, err
		}
		f.Name = filepath.Base(path)
		return []watch.File{f}, nil
	}
	listed := changed(path, pinned)
	names, err := list(pinned, extension)
	if err != nil {
		return nil, err
	}
	var files []watch.File
	left := maxBytes
	for _, name := range names {
		f, err := readFile(filepath.Join(pinned, name), left)
		if err != nil {
			return nil, err
		}
		left -= len(f.Text)
		f.Changed = latest(f.Changed, listed)
		files = append(files, f)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("reading policy: %s has no %s file: %w", path, extension, ErrNoRules)
	}
	return files, nil
}

// changed returns the latest modification time of the folders. It changes when a file
// in them is created, renamed or removed.
func changed(folders ...string) (last time.Time) {
	for _, folder := range folders {
		if info, err := os.Stat(folder); err == nil { // list reports the error
			last = latest(last, info.ModTime())
		}
	}
	return last
}

// latest returns the later of two times.
func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// versionLink is the link that Kubernetes replaces when a ConfigMap changes; the
// visible files of the volume are links through it.
const versionLink = "..data"

// pin returns the path to which path leads now, and whether that is a folder. A program
// that replaces all files at once does so by replacing a link, path itself or the link
// in the folder, and all files must be read from one version.
func pin(path string) (pinned string, isFolder bool, err error) {
	if pinned, err = filepath.EvalSymlinks(path); err != nil {
		return "", false, err //nolint:wrapcheck // by the caller
	}
	info, err := os.Stat(pinned)
	if err != nil || !info.IsDir() {
		return pinned, false, err //nolint:wrapcheck // by the caller
	}
	names, err := list(pinned, extension)
	if err != nil {
		return "", false, err
	}
	version, err := filepath.EvalSymlinks(filepath.Join(pinned, versionLink))
	if errors.Is(err, os.ErrNotExist) || slices.ContainsFunc(names, func(name string) bool { return !versioned(filepath.Join(pinned, name)) }) {
		return pinned, true, nil
	}
	return version, true, err //nolint:wrapcheck // by the caller
}

// versioned reports whether path is a link through versionLink.
func versioned(path string) bool {
	to, err := os.Readlink(path)
	return err == nil && filepath.Dir(to) == versionLink
}

// list returns the sorted names of the visible entries of folder that end in suffix and
// are no folders.
func list(folder, suffix string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("reading policy: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		if names = append(names, e.Name()); len(names) > maxFiles {
			return nil, fmt.Errorf("reading policy: %s has more than %d files", folder, maxFiles)
		}
	}
	return names, nil // sorted by ReadDir
}

// readFile reads the regular file at path, which may have limit bytes.
func readFile(path string, limit int) (watch.File, error) {
	f, err := watch.ReadFile(path, limit)
	if _, large := errors.AsType[*watch.LargeError](err); large {
		return f, fmt.Errorf("reading policy: with %s it has more than %d bytes", path, maxBytes)
	}
	if err != nil {
		return f, fmt.Errorf("reading policy: %w", err)
	}
	return f, nil
}

// secretHeaders are not available to rules: their values must not be written into a
// policy file.
var secretHeaders = []string{"authorization", "cookie", "proxy-authorization"}

// headerNames returns names in lower case, sorted, each once.
func headerNames(names []string) ([]string, error) {
	var lower []string
	for _, name := range names {
		name = strings.ToLower(strings.TrimSpace(name))
		switch {
		case name == "" || strings.ContainsFunc(name, notTokenRune):
			return nil, fmt.Errorf("policy: %q is no name of a header", name)
		case slices.Contains(secretHeaders, name):
			return nil, fmt.Errorf("policy: header %s is a secret and not offered to rules", name)
		}
		lower = append(lower, name)
	}
	slices.Sort(lower)
	lower = slices.Compact(lower)
	if len(lower) > maxHeader {
		return nil, fmt.Errorf("policy: more than %d headers", maxHeader)
	}
	return lower, nil
}

// notTokenRune reports whether r is forbidden in a header's name (RFC 9110 section
// 5.6.2).
func notTokenRune(r rune) bool {
	return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
}
