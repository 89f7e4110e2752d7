package policy

import "github.com/cedar-policy/cedar-go/types"

// The names of attributes that are not resource attributes.
const (
	userName        types.String = "user"
	valueBytesName  types.String = "valueBytes"
	valueTypeName   types.String = "valueType"
	ttlSecondsName  types.String = "ttlSeconds"
	confirmableName types.String = "confirmable"
	sourceIPName    types.String = "sourceIP"
	timeName        types.String = "time"
	headersName     types.String = "headers"
)

// The names of resource attributes.
const (
	organizationName    types.String = "organization"
	environmentName     types.String = "environment"
	environmentTypeName types.String = "environmentType"
	storeName           types.String = "store"
	partitionName       types.String = "partition"
	keyName             types.String = "key"
	planeName           types.String = "plane"
	regionName          types.String = "region"
)

// unknownType is the type of an environment that nobody could tell.
const unknownType = "unknown"

// world is what a request is for Cedar: entities made only when they are asked for, with only what the rules read. It serves one decision and
// one goroutine.
type world struct {
	r       Request
	reads   *facts
	missing *facts // what is not known and so is left out; nil but in a replay
	action  *action

	principal types.EntityUID
	resource  types.Entity
	built     bool // resource has its parents and attributes

	scratch    types.RecordMap // for one record at a time
	candidates candidates
}

// set makes w the world of r for rules that read what reads says.
func (w *world) set(r Request, reads *facts, a *action) {
	w.r, w.reads, w.action = r, reads, a
	w.principal = principalUID(&w.r)
	w.resource.UID.Type = resourceType(r.Operation.Ref)
	if reads.names(w.resource.UID.Type) {
		w.resource.UID.ID = resourceID(w.resource.UID.Type, r.Operation.Ref)
	}
}

// forget makes w ready for another request and keeps its memory.
func (w *world) forget() {
	clear(w.scratch)
	clear(w.candidates.room[:])
	*w = world{scratch: w.scratch}
}

// empty returns the empty scratch.
func (w *world) empty() types.RecordMap {
	if w.scratch == nil {
		w.scratch = make(types.RecordMap, len(contextNames))
	}
	clear(w.scratch)
	return w.scratch
}

// request returns the Cedar request.
func (w *world) request() types.Request {
	return types.Request{Principal: w.principal, Action: w.action.uid, Resource: w.resource.UID, Context: w.context()}
}

// principalUID returns who r comes from.
func principalUID(r *Request) types.EntityUID {
	switch {
	case r.Principal == nil:
		return types.EntityUID{Type: userType}
	case r.Principal.Client != "":
		return types.EntityUID{Type: clientType, ID: types.String(r.Principal.Client)}
	}
	return types.EntityUID{Type: userType, ID: types.String(r.Principal.User)}
}

// Get implements types.EntityGetter. What the resource is in is no entity of its own: the resource has all of it as parents.
func (w *world) Get(uid types.EntityUID) (types.Entity, bool) {
	switch uid {
	case w.resource.UID:
		w.build()
		return w.resource, true
	case w.action.uid:
		return w.action.entity, true
	case w.principal:
		if w.r.Principal == nil || !w.reads.names(organizationType) {
			return types.Entity{}, false
		}
		return types.Entity{UID: uid, Parents: organizations(w.r.Principal.Organizations)}, true
	}
	return types.Entity{}, false
}

func organizations(ids []string) types.EntityUIDSet {
	uids := make([]types.EntityUID, len(ids))
	for i, id := range ids {
		uids[i] = types.EntityUID{Type: organizationType, ID: types.String(id)}
	}
	return types.NewEntityUIDSet(uids...)
}

// build gives the resource the attributes that the rules read, and of what it is in the kinds that they name.
func (w *world) build() {
	if w.built {
		return
	}
	w.built = true
	if len(w.reads.resource) > 0 {
		m := w.empty()
		for name := range w.reads.resource {
			if value, ok := w.attribute(name); ok && (w.missing == nil || !w.missing.resource[name]) {
				m[name] = value
			}
		}
		w.resource.Attributes = types.NewRecord(m)
	}
	if w.reads.named != 0 {
		w.resource.Parents = types.NewEntityUIDSet(w.ancestors()...)
	}
}

// resourceLevels are the types of resources by their level.
var resourceLevels = [...]types.EntityType{organizationType, environmentType, storeType, partitionType, keyType}

// ancestors returns what the resource is in, as far as rules name such things.
func (w *world) ancestors() []types.EntityUID {
	all := make([]types.EntityUID, 0, len(resourceLevels))
	ref := &w.r.Operation.Ref
	for _, t := range resourceLevels[:level(w.resource.UID.Type)] {
		if w.reads.names(t) {
			all = append(all, types.EntityUID{Type: t, ID: resourceID(t, *ref)})
		}
	}
	if ref.Store != "" && w.reads.names(storeType) {
		all = append(all, types.EntityUID{Type: storeType, ID: types.String(idEscaper.Replace(ref.Store))})
	}
	return all
}

// attribute returns one attribute of the resource.
func (w *world) attribute(name types.String) (types.String, bool) {
	ref := &w.r.Operation.Ref
	var value string
	switch name {
	case organizationName:
		value = ref.Organization
	case environmentName:
		value = ref.Environment
	case environmentTypeName:
		if value = w.r.EnvironmentType; value == "" && ref.Environment != "" {
			value = unknownType
		}
	case storeName:
		value = ref.Store
	case partitionName:
		value = ref.Partition
	case keyName:
		value = ref.Key
	case planeName:
		value = w.r.Plane
	case regionName:
		if value = w.r.Region; value == "" {
			value = ref.Region
		}
	default:
		return "", false
	}
	return types.String(value), true
}

// contextNames are the attributes of the context.
var contextNames = []types.String{userName, valueBytesName, valueTypeName, ttlSecondsName, confirmableName, sourceIPName, timeName, headersName}

// context returns the attributes of the context that the rules read.
func (w *world) context() types.Record {
	if !w.reads.wholeContext && len(w.reads.context) == 0 && len(w.reads.headers) == 0 {
		return types.Record{}
	}
	m := w.empty()
	for _, name := range contextNames {
		wanted := w.reads.reads(name) || name == headersName && len(w.reads.headers) > 0
		if !wanted || w.missing != nil && w.missing.context[name] {
			continue
		}
		if value := w.fact(name); value != nil {
			m[name] = value
		}
	}
	return types.NewRecord(m)
}

// fact returns one attribute of the context, nil where it is absent.
func (w *world) fact(name types.String) types.Value {
	r := &w.r
	switch name {
	case userName:
		if r.Principal != nil && r.Principal.User != "" {
			return types.String(r.Principal.User)
		}
	case valueBytesName:
		return types.Long(max(r.ValueBytes, 0))
	case valueTypeName:
		return types.String(r.ValueType)
	case ttlSecondsName:
		if r.TTLSeconds >= 0 {
			return types.Long(r.TTLSeconds)
		}
	case confirmableName:
		return types.Boolean(r.Operation.Confirmable)
	case sourceIPName:
		if r.SourceIP.IsValid() {
			ip := r.SourceIP.Unmap().WithZone("")
			if prefix, err := ip.Prefix(ip.BitLen()); err == nil {
				return types.IPAddr(prefix)
			}
		}
	case timeName:
		if !r.Time.IsZero() {
			return types.NewDatetime(r.Time)
		}
	case headersName:
		return w.headers()
	}
	return nil
}

// headers returns the headers that came of those that the rules read.
func (w *world) headers() types.Value {
	m := make(types.RecordMap, len(w.r.Headers))
	for name, value := range w.r.Headers {
		if w.reads.wholeContext || w.reads.headers[types.String(name)] {
			m[types.String(name)] = types.String(value)
		}
	}
	return types.NewRecord(m)
}
