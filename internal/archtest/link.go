package archtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
)

// buildTags are the build tags of the commands (Makefile, Dockerfile). grpcnotrace
// removes grpc's trace page, which needs templates.
const buildTags = "grpcnotrace"

// A Graph contains the packages that are linked into one command: the import path of
// each package with the import paths that it imports.
type Graph map[string][]string

// Linked returns every package that is linked into the command in directory dir, as the
// go command lists them in directory root. It ends with ctx.
func Linked(ctx context.Context, root, dir string) (Graph, error) {
	//nolint:gosec // dir is a row of the table in table.go
	cmd := exec.CommandContext(ctx, "go", "list", "-tags", buildTags, "-deps", "-json=ImportPath,Imports", "./"+dir)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		var stderr string
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			stderr = string(exit.Stderr)
		}
		return nil, fmt.Errorf("listing the packages of %s: %w\n%s", dir, err, stderr)
	}
	return parseGraph(string(out))
}

// parseGraph reads the stream of objects that go list -json prints.
func parseGraph(list string) (Graph, error) {
	g := Graph{}
	for dec := json.NewDecoder(strings.NewReader(list)); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return g, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading go list: %w", err)
		}
		g[p.ImportPath] = p.Imports
	}
}

// Chain returns the shortest chain of imports between two import paths, both included,
// that contains no path of except; nil if there is no such chain.
func (g Graph) Chain(from, to string, except ...string) []string {
	importer := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		if queue[0] == to {
			return trace(importer, to)
		}
		for _, next := range g[queue[0]] {
			if _, seen := importer[next]; seen || slices.Contains(except, next) {
				continue
			}
			importer[next] = queue[0]
			queue = append(queue, next)
		}
	}
	return nil
}

// trace follows the importers from the end of a chain back to its beginning.
func trace(importer map[string]string, end string) []string {
	var chain []string
	for at := end; at != ""; at = importer[at] {
		chain = append(chain, at)
	}
	slices.Reverse(chain)
	return chain
}

// Check returns a line with the chain that breaks the ban, or "" if the command with
// this import path and the packages of g keeps it.
func (b Ban) Check(g Graph, command string) string {
	chain := g.Chain(command, b.Package, b.Except...)
	if chain == nil {
		return ""
	}
	return fmt.Sprintf("%s must not link %s (%s), but does: %s",
		b.Command, b.Package, b.Because, strings.Join(chain, " → "))
}
