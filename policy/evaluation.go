package policy

import (
	"github.com/cedar-policy/cedar-go/types"

	"osgate/auth"
	"osgate/objectstore"
)

// The names of attributes that are not resource attributes.
const (
	clientName       types.String = "client"
	userName         types.String = "user"
	valueBytesName   types.String = "valueBytes"
	valueTypeName    types.String = "valueType"
	ttlSecondsName   types.String = "ttlSeconds"
	confirmableName  types.String = "confirmable"
	identifiedByName types.String = "identifiedBy"
	issuerName       types.String = "issuer"
	sourceIPName     types.String = "sourceIP"
	timeName         types.String = "time"
	headersName      types.String = "headers"
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

// unknownType is the type of an environment whose type could not be found.
const unknownType = "unknown"

// evaluation presents a request to Cedar: it creates entities only when Cedar needs
// them, with only the facts that the rules read. It is for one decision and one
// goroutine.
type evaluation struct {
	r       Request
	reads   *facts
	missing *facts // facts that are unknown and therefore left out; nil except in a replay
	action  *action

	principal types.EntityUID
	resource  types.Entity
	built     bool // resource has its parents and attributes

	scratch    types.RecordMap // for one record at a time
	candidates candidates
}

// set prepares w for r and for rules that read these facts.
func (w *evaluation) set(r Request, reads *facts, a *action) {
	w.r, w.reads, w.action = r, reads, a
	w.principal = principalUID(&w.r)
	w.resource.UID.Type = resourceType(r.Operation.Ref)
	if reads.names(w.resource.UID.Type) {
		w.resource.UID.ID = resourceID(w.resource.UID.Type, r.Operation.Ref)
	}
}

// resourceType returns the type of the narrowest name in ref.
func resourceType(ref objectstore.Ref) types.EntityType {
	switch {
	case ref.Key != "":
		return keyType
	case ref.Partition != "":
		return partitionType
	case ref.Store != "":
		return storeType
	case ref.Environment != "":
		return environmentType
	}
	return organizationType
}

// empty returns the scratch record, emptied.
func (w *evaluation) empty() types.RecordMap {
	if w.scratch == nil {
		w.scratch = make(types.RecordMap, len(contextNames))
	}
	clear(w.scratch)
	return w.scratch
}

// request returns the Cedar request.
func (w *evaluation) request() types.Request {
	return types.Request{Principal: w.principal, Action: w.action.uid, Resource: w.resource.UID, Context: w.context()}
}

// principalUID returns the principal of r.
func principalUID(r *Request) types.EntityUID {
	switch {
	case r.Principal == nil:
		return types.EntityUID{Type: userType}
	case r.Principal.Client != "":
		return types.EntityUID{Type: clientType, ID: types.String(r.Principal.Client)}
	}
	return types.EntityUID{Type: userType, ID: types.String(r.Principal.User)}
}

// Get implements types.EntityGetter. It returns no entities above the resource: the
// resource has all of them as its parents.
func (w *evaluation) Get(uid types.EntityUID) (types.Entity, bool) {
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

// build gives the resource the attributes that the rules read, and the parents whose
// types they name.
func (w *evaluation) build() {
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

// ancestors returns the entities above the resource whose types the rules name.
func (w *evaluation) ancestors() []types.EntityUID {
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
func (w *evaluation) attribute(name types.String) (types.String, bool) {
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
var contextNames = []types.String{
	clientName, userName, identifiedByName, issuerName, valueBytesName, valueTypeName, ttlSecondsName, confirmableName,
	sourceIPName, timeName, headersName,
}

// context returns the attributes of the context that the rules read.
func (w *evaluation) context() types.Record {
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

// fact returns one attribute of the context, nil if it is absent.
func (w *evaluation) fact(name types.String) types.Value {
	r := &w.r
	switch name {
	case clientName:
		if r.Principal == nil {
			return types.String("")
		}
		return types.String(r.Principal.Client)
	case userName:
		if r.Principal != nil && r.Principal.User != "" {
			return types.String(r.Principal.User)
		}
	case identifiedByName:
		return types.String(identifiedBy(r))
	case issuerName:
		if r.Principal != nil && r.Principal.Issuer != "" {
			return types.String(r.Principal.Issuer)
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

// identifiedBy returns "jwt" or "mtls" for a client without an Anypoint token, and
// "anypoint" for any other.
func identifiedBy(r *Request) string {
	if r.Principal == nil || !r.Principal.Brokered() {
		return string(auth.ByAnypoint)
	}
	return string(r.Principal.Method)
}

// headers returns the request's headers that the rules read.
func (w *evaluation) headers() types.Value {
	m := make(types.RecordMap, len(w.r.Headers))
	for name, value := range w.r.Headers {
		if w.reads.wholeContext || w.reads.headers[types.String(name)] {
			m[types.String(name)] = types.String(value)
		}
	}
	return types.NewRecord(m)
}
