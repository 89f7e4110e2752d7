//go:build deploy && linux

package packagetest

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// images is the folder with the images, as scripts/image writes them.
var images = flag.String("images", "../../bin/images", "folder with the images")

// image is an image that was unpacked.
type image struct {
	root         string // the folder with its files
	architecture string
	user         string
	entry        []string // the program with its arguments
	check        []string // the command of the health check
	bytes        int64    // the size of the compressed layers
}

// unpack unpacks the image of a target.
func unpack(t *testing.T, target string) image {
	t.Helper()
	folder := filepath.Join(*images, target)
	var manifest struct {
		Config struct{ Digest string }
		Layers []struct {
			Digest string
			Size   int64
		}
	}
	readJSON(t, filepath.Join(folder, "manifest.json"), &manifest)
	var about struct {
		Architecture string
		Config       struct {
			User            string
			Entrypoint, Cmd []string
			Healthcheck     struct{ Test []string }
		}
	}
	readJSON(t, filepath.Join(folder, blob(manifest.Config.Digest)), &about)
	i := image{
		root: t.TempDir(), architecture: about.Architecture, user: about.Config.User,
		entry: append(about.Config.Entrypoint, about.Config.Cmd...),
	}
	if test := about.Config.Healthcheck.Test; len(test) > 1 && test[0] == "CMD" {
		i.check = test[1:]
	}
	for _, layer := range manifest.Layers {
		i.bytes += layer.Size
		extract(t, filepath.Join(folder, blob(layer.Digest)), i.root)
	}
	return i
}

// blob returns the name of the file of a digest.
func blob(digest string) string { return strings.TrimPrefix(digest, "sha256:") }

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (make image)", err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// extract unpacks a layer into root, with owners and modes.
func extract(t *testing.T, layer, root string) {
	t.Helper()
	file, err := os.Open(layer)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for entries := tar.NewReader(plain); ; {
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if !filepath.IsLocal(entry.Name) {
			t.Fatalf("%s: %s leaves the image", layer, entry.Name)
		}
		path := filepath.Join(root, entry.Name)
		switch entry.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(path, 0o755)
		case tar.TypeReg:
			err = write(path, entries)
		default:
			t.Fatalf("%s: %s is of type %c", layer, entry.Name, entry.Typeflag)
		}
		err = errors.Join(err, os.Chown(path, entry.Uid, entry.Gid), os.Chmod(path, entry.FileInfo().Mode()))
		if err != nil {
			t.Fatal(err)
		}
	}
}

func write(path string, content io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}

// files returns the paths of all files of the image that are no folders.
func (i image) files(t *testing.T) (all []string) {
	t.Helper()
	err := filepath.WalkDir(i.root, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			all = append(all, strings.TrimPrefix(path, i.root))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
