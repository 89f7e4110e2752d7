package emulator

import (
	"net/http"
	"slices"
	"strings"
)

// resource is the kind of object that an Object Store path names.
type resource string

const (
	regionsPath      resource = "regions"
	storesPath       resource = "stores"
	storePath        resource = "store"
	partitionsPath   resource = "partitions"
	partitionPath    resource = "partition"
	keysPath         resource = "keys"
	keyPath          resource = "key"
	confirmationPath resource = "confirmation"
)

// operation is one of the 19 of the API description, or one of the two deletions that
// the vendor lists as billable without a description (partitions of a store, keys of a
// partition).
type operation struct {
	resource resource
	method   string
	scopes   []string // one of them is enough; empty: no scope is required
	body     bodyKind
	run      func(*call) (answer, error)
}

// bodyKind is the kind of body that an operation reads.
type bodyKind int

const (
	noBody bodyKind = iota
	optionalObject
	wantedObject
	keyObject // JSON, or a number operation for POST
)

// operations returns all operations; each stands in the file of its resource.
func operations() []operation {
	return slices.Concat(storeOperations(), keyOperations(), confirmationOperations())
}

// ref contains the names in an Object Store path, decoded; a key in its canonical
// spelling.
type ref struct{ organization, environment, store, partition, key, confirmation string }

// route returns the operation and the names in its path, or a problem: 404 for a path
// that is not Object Store's, 501 for the path that the vendor's page shows without a
// definition, 405.
func (e *Emulator) route(method, path string) (operation, ref, error) {
	segments, err := decodeSegments(strings.TrimPrefix(path, "/api/v1/"))
	if err != nil {
		return operation{}, ref{}, err
	}
	where, ok := resourceOf(segments)
	if !ok {
		if len(segments) == 7 && segments[6] == "objects" && segments[4] == "stores" {
			return operation{}, ref{}, problemf(http.StatusNotImplemented,
				"This request is not implemented on this service: nobody has defined …/objects")
		}
		return operation{}, ref{}, problemf(http.StatusNotFound,
			"The requested resource does not exist on this service: no such path")
	}
	names, err := e.refOf(segments)
	if err != nil {
		return operation{}, ref{}, err
	}
	for _, o := range e.operations {
		if o.resource == where && o.method == method {
			return o, names, nil
		}
	}
	return operation{}, ref{}, problemf(http.StatusMethodNotAllowed, "%s is not a method of a %s", method, where)
}

// resourceOf returns the kind of the path with these decoded segments.
func resourceOf(segments []string) (resource, bool) {
	if len(segments) == 3 && segments[0] == "organizations" && segments[2] == "regions" {
		return regionsPath, true
	}
	words := []string{"organizations", "environments", "stores", "partitions", "keys", "confirmations"}
	for i := 0; i < len(segments); i += 2 {
		if i/2 >= len(words) || segments[i] != words[i/2] {
			return "", false
		}
	}
	byLength := map[int]resource{
		5: storesPath, 6: storePath, 7: partitionsPath, 8: partitionPath,
		9: keysPath, 10: keyPath, 12: confirmationPath,
	}
	where, ok := byLength[len(segments)]
	return where, ok
}

// refOf returns the names among the segments of a path that resourceOf recognizes.
func (e *Emulator) refOf(segments []string) (ref, error) {
	var r ref
	for i, into := range []*string{&r.organization, &r.environment, &r.store, &r.partition, &r.key, &r.confirmation} {
		at := 2*i + 1
		if at >= len(segments) {
			break
		}
		what := strings.TrimSuffix(segments[at-1], "s")
		if err := checkName(what, segments[at], maxName); err != nil {
			return ref{}, err
		}
		*into = segments[at]
	}
	if r.key != "" {
		key, err := canonicalKey(r.key, e.keyLimit())
		if err != nil {
			return ref{}, err
		}
		r.key = key
	}
	return r, nil
}

// keyLimit is the longest key in bytes.
func (e *Emulator) keyLimit() int {
	if e.chosen.is(keyLimit, "256") {
		return 256
	}
	return maxName
}
