package objectstore

import "strings"

// template is a path of the API with the kinds of operations that it has, by method.
type template struct {
	route    string
	segments []segment
	kinds    []Kind
}

type segment struct {
	text    string // the literal text, or the name of the value
	literal bool
}

const (
	organization = "/organizations/{organizationId}"
	environment  = organization + "/environments/{environmentId}"
	partitions   = environment + "/stores/{storeId}/partitions"
	keys         = partitions + "/{partitionId}/keys"
	statsRegions = environment + "/regions"
)

// templates are the paths of the vendor's two API descriptions. No path matches two of
// them: the Object Store API and the Stats API differ in the segment after the
// environment.
var templates = []template{
	parseTemplate(keys+"/{keyId}", GetKey, HeadKey, PutKey, PostKey, DeleteKey),
	parseTemplate(keys, ListKeys, DeleteKeys),
	parseTemplate(keys+"/{keyId}/confirmations/{confirmationId}", Ack, Extend, Nack),
	parseTemplate(partitions+"/{partitionId}", HeadPartition, ListValues, DeletePartition),
	parseTemplate(partitions, ListPartitions, DeletePartitions),
	parseTemplate(environment+"/stores/{storeId}", GetStore, PutStore, PatchStore, DeleteStore),
	parseTemplate(environment+"/stores", ListStores),
	parseTemplate(organization+"/regions", ListRegions),
	parseTemplate(organization, ReadStats),
	parseTemplate(organization+"/environments", ReadStats),
	parseTemplate(environment, ReadStats),
	parseTemplate(statsRegions, ReadStats),
	parseTemplate(statsRegions+"/{regionId}", ReadStats),
	parseTemplate(statsRegions+"/{regionId}/stores", ReadStats),
	parseTemplate(statsRegions+"/{regionId}/stores/{storeId}", ReadStats),
}

func parseTemplate(path string, kinds ...Kind) template {
	t := template{route: base + path, kinds: kinds}
	for s := range strings.SplitSeq(path[1:], "/") {
		name, isName := strings.CutPrefix(s, "{")
		t.segments = append(t.segments, segment{text: strings.TrimSuffix(name, "}"), literal: !isName})
	}
	return t
}

// match reports whether raw has the literal segments of t in their places. They are
// compared without decoding: "%6Beys" is not "keys", because a server that routes
// before it decodes would find another operation.
func (t template) match(raw []string) bool {
	if len(raw) != len(t.segments) {
		return false
	}
	for i, s := range t.segments {
		if s.literal && raw[i] != s.text {
			return false
		}
	}
	return true
}

// kind returns the kind of method at t, 0 if it has none.
func (t template) kind(method string) Kind {
	for _, k := range t.kinds {
		if table[k].method == method {
			return k
		}
	}
	return 0
}
