package objectstore

import (
	"net/http"
	"strings"
)

// Kind is the operation of a request: one for each operation of the vendor's API, and
// one for all seven of the Stats API. The zero Kind is none and is never returned by
// [Parse] without an error.
type Kind uint8

// The kinds. Policies, logs and metrics use their names ([Kind.String]).
const (
	ListRegions Kind = iota + 1
	ListStores
	GetStore
	PutStore
	PatchStore
	DeleteStore
	ListPartitions
	DeletePartitions
	HeadPartition
	ListValues
	DeletePartition
	ListKeys
	DeleteKeys
	HeadKey
	GetKey
	PutKey
	PostKey
	DeleteKey
	Ack
	Extend
	Nack
	ReadStats
	kinds // the number of kinds, the zero Kind included
)

// kind contains the properties of a Kind.
type kind struct {
	name    string
	method  string
	cache   CacheKind
	depends Resources
	touches Resources
	params  string // query parameters, blank-separated, with which an answer may still be cached
}

const paging = "nextPageToken pageSize beginsWith"

// table contains the properties of the vendor's operations, among them the resources
// that an answer depends on and those that the operation changes. The dependencies are
// those of the coherence protocol (docs/architecture.md): a key's value is outdated
// when the key, its partition or its store changes.
var table = [kinds]kind{
	ListRegions:      {name: "listRegions", method: http.MethodGet, cache: CacheStores, depends: RegionList},
	ListStores:       {name: "listStores", method: http.MethodGet, cache: CacheStores, depends: StoreList, params: paging},
	GetStore:         {name: "getStore", method: http.MethodGet, cache: CacheStores, depends: Store},
	PutStore:         {name: "putStore", method: http.MethodPut, touches: Store | StoreList},
	PatchStore:       {name: "patchStore", method: http.MethodPatch, touches: Store | StoreList},
	DeleteStore:      {name: "deleteStore", method: http.MethodDelete, touches: Store | StoreList},
	ListPartitions:   {name: "listPartitions", method: http.MethodGet, cache: CacheKeys, depends: PartitionList | Store, params: paging},
	DeletePartitions: {name: "deletePartitions", method: http.MethodDelete, touches: Store | StoreList},
	HeadPartition:    {name: "headPartition", method: http.MethodHead},
	ListValues:       {name: "listValues", method: http.MethodGet},
	DeletePartition:  {name: "deletePartition", method: http.MethodDelete, touches: Partition | KeyList | PartitionList},
	ListKeys:         {name: "listKeys", method: http.MethodGet, cache: CacheKeys, depends: KeyList | Partition | Store, params: paging},
	DeleteKeys:       {name: "deleteKeys", method: http.MethodDelete, touches: Partition | KeyList | PartitionList},
	HeadKey:          {name: "headKey", method: http.MethodHead, cache: CacheKey, depends: Key | Partition | Store, params: confirmable},
	GetKey:           {name: "getKey", method: http.MethodGet, cache: CacheKey, depends: Key | Partition | Store, params: confirmable},
	PutKey:           {name: "putKey", method: http.MethodPut, touches: Key | KeyList | PartitionList},
	PostKey:          {name: "postKey", method: http.MethodPost, touches: Key | KeyList | PartitionList},
	DeleteKey:        {name: "deleteKey", method: http.MethodDelete, touches: Key | KeyList | PartitionList},
	Ack:              {name: "ack", method: http.MethodPost, touches: Key | KeyList | PartitionList},
	Extend:           {name: "extend", method: http.MethodPatch, touches: Key | KeyList | PartitionList},
	Nack:             {name: "nack", method: http.MethodDelete, touches: Key | KeyList | PartitionList},
	ReadStats:        {name: "readStats", method: http.MethodGet},
}

// String returns the operation's name as policies, logs and metrics write it: "getKey",
// "deletePartition", "readStats"; "none" for the zero Kind.
func (k Kind) String() string {
	if k == 0 || k >= kinds {
		return "none"
	}
	return table[k].name
}

// Kinds returns all kinds in the order of their declaration, for tables and
// documentation.
func Kinds() []Kind {
	all := make([]Kind, 0, kinds-1)
	for k := ListRegions; k < kinds; k++ {
		all = append(all, k)
	}
	return all
}

// CacheKind is the class of an answer that decides its freshness lifetime. The zero
// value is CacheNone.
type CacheKind uint8

// The cache kinds, each with a lifetime of its own in the configuration.
const (
	CacheNone   CacheKind = iota // never cached
	CacheKey                     // GET and HEAD of a key
	CacheStores                  // regions, store list, store
	CacheKeys                    // partition list, key list
)

// Resources is a set of things whose change makes a cached answer outdated, relative to
// a Ref and a location.
type Resources uint8

// The resources, from the widest to the narrowest.
const (
	RegionList    Resources = 1 << iota // R: the regions of an organization
	StoreList                           // S: the stores of an environment
	Store                               // s: a store and all in it
	PartitionList                       // ps: the partitions of a store
	Partition                           // p: a partition and all in it
	KeyList                             // pk: the keys of a partition
	Key                                 // k: a key
)

var resourceNames = []string{"R", "S", "s", "ps", "p", "pk", "k"}

// Has reports whether all of other is in r.
func (r Resources) Has(other Resources) bool { return r&other == other }

// String lists the resources by short names, widest first: "s ps k". The constants have
// the names in their comments.
func (r Resources) String() string {
	var names []string
	for i, name := range resourceNames {
		if r&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}
