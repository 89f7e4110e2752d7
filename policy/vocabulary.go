package policy

import (
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"osgate/objectstore"
)

// The entity types.
const (
	clientType       types.EntityType = "Client"
	userType         types.EntityType = "User"
	organizationType types.EntityType = "Organization"
	environmentType  types.EntityType = "Environment"
	storeType        types.EntityType = "Store"
	partitionType    types.EntityType = "Partition"
	keyType          types.EntityType = "Key"
	actionType       types.EntityType = "Action"
)

// level is the depth of a resource type: the number of names below the organization in
// its id. It is 0 for types that are no resource, too.
func level(t types.EntityType) int {
	switch t {
	case environmentType:
		return 1
	case storeType:
		return 2
	case partitionType:
		return 3
	case keyType:
		return 4
	}
	return 0
}

// The groups of actions.
const (
	readGroup   = "read"
	writeGroup  = "write"
	deleteGroup = "delete"
	adminGroup  = "admin"
)

// groups returns the groups of the operation k. If it is confirmable, a read has side
// effects.
func groups(k objectstore.Kind, confirmable bool) []string {
	var in []string
	name := k.String()
	prefixed := func(prefixes ...string) bool {
		for _, p := range prefixes {
			if strings.HasPrefix(name, p) {
				return true
			}
		}
		return false
	}
	switch {
	case prefixed("list", "get", "head", "read"):
		in = append(in, readGroup)
		if confirmable {
			in = append(in, writeGroup)
		}
	case prefixed("delete"):
		in = append(in, deleteGroup)
	default: // put, post, patch, ack, extend, nack
		in = append(in, writeGroup)
	}
	switch k {
	case objectstore.PutStore, objectstore.PatchStore, objectstore.DeleteStore, objectstore.DeletePartitions:
		in = append(in, adminGroup)
	default:
	}
	return in
}

// resourceTypes returns the types of resources that the operation k may name.
func resourceTypes(k objectstore.Kind) []types.EntityType {
	switch k {
	case objectstore.ReadStats:
		return []types.EntityType{organizationType, environmentType, storeType}
	case objectstore.ListRegions:
		return []types.EntityType{organizationType}
	case objectstore.ListStores:
		return []types.EntityType{environmentType}
	case objectstore.GetStore, objectstore.PutStore, objectstore.PatchStore, objectstore.DeleteStore,
		objectstore.ListPartitions, objectstore.DeletePartitions:
		return []types.EntityType{storeType}
	case objectstore.HeadPartition, objectstore.ListValues, objectstore.DeletePartition,
		objectstore.ListKeys, objectstore.DeleteKeys:
		return []types.EntityType{partitionType}
	default:
		return []types.EntityType{keyType}
	}
}

// resourceID returns the id of the resource of type t that ref names or is in.
func resourceID(t types.EntityType, ref objectstore.Ref) types.String {
	if t == organizationType {
		return types.String(ref.Organization)
	}
	names := [...]string{ref.Environment, ref.Store, ref.Partition, ref.Key}
	for i, name := range names {
		names[i] = idEscaper.Replace(name)
	}
	return types.String(strings.Join(names[:level(t)], "/"))
}

// idEscaper keeps names distinct within an id.
var idEscaper = strings.NewReplacer("%", "%25", "/", "%2F")

// slot is the number of an operation as rules see it: its kind, and whether it is
// confirmable.
type slot uint8

const slots = 64 // at least twice the number of kinds

func slotOf(k objectstore.Kind, confirmable bool) slot {
	s := slot(k) << 1
	if confirmable {
		s++
	}
	return s
}

// action is the action of one slot.
type action struct {
	kind   objectstore.Kind
	uid    types.EntityUID
	entity types.Entity
}

// actions returns the actions by slot.
func actions() [slots]action {
	var all [slots]action
	for _, k := range objectstore.Kinds() {
		for _, confirmable := range []bool{false, true} {
			uid := types.NewEntityUID(actionType, types.String(k.String()))
			var parents []types.EntityUID
			for _, g := range groups(k, confirmable) {
				parents = append(parents, types.NewEntityUID(actionType, types.String(g)))
			}
			all[slotOf(k, confirmable)] = action{
				k, uid, types.Entity{UID: uid, Parents: types.NewEntityUIDSet(parents...)},
			}
		}
	}
	return all
}
