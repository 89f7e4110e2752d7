package emulator

import (
	"slices"
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
